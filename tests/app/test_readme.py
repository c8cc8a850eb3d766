"""Every example of the README does what the README shows."""

import re
from pathlib import Path

from tests.documents import ROOT, checkout, examples, run

PROGRAMS = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [".venv/bin/python", "-c"]}


def test_every_example_of_the_readme_does_what_it_shows(tmp_path: Path, base_url: str) -> None:
    first, *tour = (each for each in examples("README.md") if "PKPOTrainer" not in each.code)  # test_training_docs.py
    assert "make run" in first.code, "the first block is what .ci/run does on a clean clone"
    assert len(tour) >= 4
    folder = checkout(tmp_path)
    for example in tour:
        example.assert_shown(run(PROGRAMS[example.language], example.code, folder, base_url))


def test_links_of_the_documents_lead_somewhere() -> None:
    for document in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]):
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if not target.startswith("http"):
                assert (document.parent / target).exists(), f"{document.name} links to {target}"
