"""Which checkpoints of a run still lie on a disk that this service sees, and what of each is kept."""

from dataclasses import dataclass
from os.path import normpath
from pathlib import Path
from typing import Literal

from app.training.checkpoint import (
    MANIFEST,
    STATE,
    WEIGHTS_ONLY,
    NotWhole,
    Written,
    folder_of,
    folder_of_run,
    steps,
    written,
)

Part = Literal["all", "weights"]


@dataclass(frozen=True)
class Kept:
    """A checkpoint on disk: all of it, so that a training can go on from there, or its weights alone."""

    step: int
    part: Part
    folder: Path
    bytes: int
    sha256: str


def kept(checkpoints: Path, project_id: int, run: str) -> dict[int, Kept]:
    """The checkpoints of a run that is known, by step; those whose list of files is damaged are left out."""
    folders = (folder_of(checkpoints, project_id, run, step) for step in _steps(checkpoints, project_id, run))
    found = (_kept(each) for each in folders)
    return {each.step: each for each in found if each is not None}


def kept_state(checkpoints: Path, project_id: int, run: str) -> tuple[tuple[int, int], ...]:
    """What `kept` depends on: each step, and when its list of files was written."""
    found = []
    for step in _steps(checkpoints, project_id, run):
        try:
            listed = (folder_of(checkpoints, project_id, run, step) / STATE / MANIFEST).stat()
        except OSError:
            continue
        found.append((step, listed.st_mtime_ns))
    return tuple(found)


def is_gone(checkpoints: Path, model: str | None) -> bool:
    """Whether a model was a checkpoint of ours that is not there any more; of what lies elsewhere nothing is known."""
    folder = Path(normpath(model or ""))
    return folder.is_relative_to(checkpoints) and checkpoints.is_dir() and not folder.is_dir()


def _steps(checkpoints: Path, project_id: int, run: str) -> list[int]:
    return steps(folder_of_run(checkpoints, project_id, run))


def _kept(folder: Path) -> Kept | None:
    try:
        found = written(folder)
        size = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
    except (NotWhole, OSError):  # or it was removed while it was looked at
        return None
    return Kept(int(found.manifest["step"]), _part(found), folder, size, found.sha256)


def _part(found: Written) -> Part:
    return "weights" if found.manifest.get(WEIGHTS_ONLY) else "all"
