"""docs/client.md: every example does what it shows, and its types hold."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import ADDRESS, ROOT, checkout, examples, run

PAGE = "docs/client.md"


def code() -> str:
    """The Python of the page, in which the end of each block is a line of output."""
    blocks = [each.code for each in examples(PAGE) if each.language == "python"]
    return "".join(f"{block}print('END')\n" for block in blocks)


def test_every_example_of_the_client_does_what_it_shows(
    tmp_path: Path, base_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PKPO_SPOOL_DIR", str(tmp_path / "spool"))
    folder = checkout(tmp_path)
    printed = run([".venv/bin/python", "-c"], code(), folder, base_url).replace(base_url, ADDRESS).split("END\n")
    shown = [each for each in examples(PAGE) if each.language == "python"]
    assert len(shown) >= 6
    for example, output in zip(shown, printed[:-1], strict=True):
        example.assert_shown(output)
    (sync,) = (each for each in examples(PAGE) if each.language == "sh")
    sync.assert_shown(run(["bash", "-euo", "pipefail", "-c"], sync.code, folder, base_url))


def test_what_the_examples_do_is_typed(tmp_path: Path) -> None:
    path = tmp_path / "guide.py"
    source = code().replace("def completions():", "def completions() -> Iterator[dict[str, Any]]:")
    source = source.replace(
        "found.max_at_k.round", "(found.max_at_k if found.max_at_k is not None else found.credits).round"
    )
    source = source.replace("{point.low:.4f}, {point.high:.4f}", "{point.low}, {point.high}")
    path.write_text(
        f"from collections.abc import Iterator\nfrom typing import Any\n\n{source}reveal_type(curve.points[0].low)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert 'Revealed type is "float | None"' in done.stdout
