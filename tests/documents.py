"""The examples of a document: the blocks that a reader would run, and what it shows of their output."""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = "http://127.0.0.1:8000"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ANYTHING = "…"  # what differs from run to run, such as an id


class Example(NamedTuple):
    """A block that a reader would run, and the block after it that shows what comes out, if there is one."""

    language: str
    code: str
    shown_as: str | None
    shown: str

    def assert_shown(self, printed: str) -> None:
        """Fails where the example printed something else than the document shows."""
        if self.shown_as == "json":
            assert agrees(json.loads(self.shown), json.loads(printed)), f"{self.code}\nprinted {printed}"
        elif self.shown_as == "text":
            assert printed.strip() == self.shown.strip(), self.code


def examples(document: str) -> Iterator[Example]:
    """The examples of a document, named by its path in the checkout, in their order."""
    blocks = FENCE.findall((ROOT / document).read_text())
    for (language, code), (following, shown) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if language in ("sh", "python"):
            is_shown = following in ("text", "json")
            yield Example(language, code, following if is_shown else None, shown if is_shown else "")


def agrees(shown: Any, printed: Any) -> bool:
    """Whether a JSON value is the one shown, in which `…` stands for any."""
    match shown, printed:
        case dict(), dict():
            return shown.keys() == printed.keys() and all(agrees(shown[key], printed[key]) for key in shown)
        case list(), list():
            return len(shown) == len(printed) and all(map(agrees, shown, printed))
        case _:
            return bool(shown in (ANYTHING, printed))


def checkout(folder: Path) -> Path:
    """The folder, in which commands now find what they name, and may leave files."""
    for name in (".venv", "examples"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def run(program: Sequence[str], code: str, folder: Path, server: str) -> str:
    """What the code prints in a checkout, with this server at the documents' address."""
    path = f"{folder}/.venv/bin:{os.environ['PATH']}"
    done = subprocess.run(
        [*program, code.replace(ADDRESS, server)],
        cwd=folder,
        env={**os.environ, "PATH": path, "PKPO_URL": server},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout
