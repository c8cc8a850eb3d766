"""A checkpoint as a folder of its own, with its model card, which transformers and vLLM load."""

import shutil
from pathlib import Path

from sqlalchemy.orm import Session

from app.estimates.runs import read_run
from app.exports.card import card
from app.exports.facts import facts
from app.training import checkpoint


def card_of(session: Session, project_id: int, checkpoints: Path, run: str, step: int) -> str:
    """The card, with the files of the checkpoint where this machine sees them.

    Raises:
      RunNotFound, StepNotFound: as `facts`.
    """
    read_run(session, project_id, run)  # before its name is made part of a path
    folder = checkpoint.folder_of(checkpoints, project_id, run, step)
    known = facts(session, project_id, checkpoints, run, step, checkpoint.steps(folder.parent))
    try:
        found = checkpoint.written(folder)
    except (checkpoint.NotWhole, OSError):
        found = None
    return card(known, found)


def export(session: Session, project_id: int, checkpoints: Path, run: str, step: int, out: Path) -> int:
    """Write the folder `out`, whole or not at all; returns its bytes.

    Raises:
      RunNotFound, StepNotFound: as `facts`.
      NotWhole: the checkpoint is not on this machine, or a file of it is damaged.
      OSError: the folder cannot be written.
    """
    read_run(session, project_id, run)  # before its name is made part of a path
    folder = checkpoint.folder_of(checkpoints, project_id, run, step)
    kept = checkpoint.steps(folder.parent)
    known = facts(session, project_id, checkpoints, run, step, kept)
    if step not in kept:
        there = ", ".join(map(str, kept)) or "none"
        raise checkpoint.NotWhole(f"{folder.parent} has no checkpoint of step {step}. Steps kept: {there}.")
    found = checkpoint.written(folder)
    partial = out.with_name(f".{out.name}.writing")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        checkpoint.copy(found, partial)
        (partial / "README.md").write_text(card(known, found, out.name))
        partial.rename(out)  # onto an empty folder too
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return sum(each.stat().st_size for each in out.rglob("*") if each.is_file())
