"""The examples of docs/sandbox.md and docs/verifiers.md run as they stand there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import ROOT, Example, examples
from workers.sandbox import NotOffered, Sandboxes
from workers.verifiers import KINDS

IN_SANDBOX, PLAIN = list(examples("docs/sandbox.md")), list(examples("docs/verifiers.md"))


def run(example: Example, folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", example.code], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    example.assert_shown(done.stdout)


def test_both_documents_have_examples() -> None:
    assert len(IN_SANDBOX) == 1
    assert len(PLAIN) == 4


@pytest.mark.parametrize("example", PLAIN, ids=range(len(PLAIN)))
def test_an_example_of_the_verifiers(example: Example, tmp_path: Path) -> None:
    run(example, tmp_path)


def test_the_example_of_the_sandbox(tmp_path: Path) -> None:
    try:
        Sandboxes(slots=1, warm=True).close()
    except NotOffered as error:
        pytest.skip(f"no sandbox on this machine: {error}")
    run(IN_SANDBOX[0], tmp_path)


def test_every_verifier_and_its_options_are_described() -> None:
    rows = {
        line.split("|")[1].strip(): line
        for line in (ROOT / "docs/verifiers.md").read_text().splitlines()
        if "|" in line
    }
    for name, kind in KINDS.items():
        for option in kind.Options.model_fields:
            assert f"`{option}`" in rows[f"`{name}`"], f"{name}: {option}"
