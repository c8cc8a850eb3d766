"""A checkpoint as a folder of its own, with its model card, which transformers and vLLM load."""

import shutil
from pathlib import Path

from sqlalchemy.orm import Session

from app.exports import checkpoint
from app.exports.card import card
from app.exports.facts import facts


def card_of(session: Session, project_id: int, checkpoints: Path, run: str, step: int) -> str:
    """The card, with the files of the checkpoint where this machine sees them.

    Raises:
      RunNotFound, StepNotFound: as `facts`.
    """
    known = facts(session, project_id, run, step)
    try:
        found = checkpoint.written(checkpoint.folder_of(checkpoints, project_id, run, step))
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
    known = facts(session, project_id, run, step)
    found = checkpoint.written(checkpoint.folder_of(checkpoints, project_id, run, step))
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
