"""Every example of the README does what the README shows."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "http://127.0.0.1:8000"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Example(NamedTuple):
    """A block that a reader would run, and the block after it that shows what comes out, if there is one."""

    language: str
    code: str
    shown_as: str | None
    shown: str


def examples() -> Iterator[Example]:
    blocks = FENCE.findall((ROOT / "README.md").read_text())
    for (language, code), (following, shown) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if language in ("sh", "python"):
            is_shown = following in ("text", "json")
            yield Example(language, code, following if is_shown else None, shown if is_shown else "")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder in which the README's commands find what they name, and may leave files."""
    for name in (".venv", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def run(example: Example, folder: Path, server: str) -> str:
    program = ["bash", "-euo", "pipefail", "-c"] if example.language == "sh" else [".venv/bin/python", "-c"]
    path = f"{folder}/.venv/bin:{os.environ['PATH']}"
    done = subprocess.run(
        [*program, example.code.replace(ADDRESS, server)],
        cwd=folder,
        env={**os.environ, "PATH": path, "PKPO_URL": server},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{example.code}\n{done.stderr}"
    return done.stdout


def test_every_example_of_the_readme_does_what_it_shows(checkout: Path, base_url: str) -> None:
    first, *tour = examples()
    assert "make run" in first.code, "the first block is what .ci/run does on a clean clone"
    assert len(tour) >= 4
    for example in tour:
        printed = run(example, checkout, base_url)
        if example.shown_as == "json":
            assert json.loads(printed) == json.loads(example.shown), example.code
        elif example.shown_as == "text":
            assert printed.strip() == example.shown.strip(), example.code


def test_links_of_the_documents_lead_somewhere() -> None:
    for document in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]):
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if not target.startswith("http"):
                assert (document.parent / target).exists(), f"{document.name} links to {target}"
