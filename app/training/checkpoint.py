"""The checkpoint of a training on disk, as `workers.training.checkpoints` writes it: read, checked and copied."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

STATE: Final = "training"  # the folder of what only the training needs
MANIFEST: Final = "checkpoint.json"
RUN: Final = "run.json"  # in the folder of a run: which one it is of
DELETED: Final = "~deleted-"  # in the name of a folder that is being removed; no run can have such a name
WEIGHTS_ONLY: Final = "weights_only"  # in the manifest: no training goes on from here


class NotWhole(Exception):
    """There is no checkpoint, or not every file of it is as it was written; the sentence says which."""


@dataclass(frozen=True)
class Written:
    """A checkpoint: its folder, and what was written down of it when it was whole."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def files(self) -> dict[str, str]:
        """The sha256 of each file of the model, by name, without those that only the training needs."""
        found: Mapping[str, str] = self.manifest["files"]
        return {name: sha256 for name, sha256 in sorted(found.items()) if not name.startswith(f"{STATE}/")}

    @property
    def sha256(self) -> str:
        """One hash of the model: of the names of its files and their hashes."""
        listed = "".join(f"{sha256}  {name}\n" for name, sha256 in self.files.items())
        return hashlib.sha256(listed.encode()).hexdigest()

    @property
    def versions(self) -> dict[str, str]:
        """The libraries that it was trained with; none of a checkpoint that does not say."""
        return dict(self.manifest.get("versions", {}))


def written(folder: Path) -> Written:
    """The checkpoint in a folder, by its list of files.

    Raises:
      NotWhole: there is none, or the list is damaged.
    """
    try:
        manifest = json.loads((folder / STATE / MANIFEST).read_text())
        files = manifest["files"]
        assert isinstance(files, dict)
        assert all(isinstance(each, str) for each in files.values())
        return Written(folder, manifest)
    except FileNotFoundError:
        raise NotWhole(f"{folder} holds no whole checkpoint: {STATE}/{MANIFEST}, written last, is not there") from None
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise NotWhole(f"{folder} holds no whole checkpoint: {STATE}/{MANIFEST} is damaged") from error


def copy(checkpoint: Written, out: Path) -> None:
    """Copy the files of the model into the folder `out`, which is there, and check each copy.

    Raises:
      NotWhole: a file is gone, or is not what was written there.
      OSError: a copy cannot be written.
    """
    for name, sha256 in checkpoint.files.items():
        source, target = checkpoint.folder / name, out / name
        if not source.is_file():
            raise NotWhole(f"{checkpoint.folder} is not whole: {name} is not there")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        with target.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise NotWhole(f"{checkpoint.folder} is not whole: {name} is not what was written there")


def steps(folder: Path) -> list[int]:
    """The steps of which a run's folder has checkpoints."""
    found = (each.name.removeprefix("step-") for each in folder.glob("step-*") if each.is_dir())
    return sorted(int(each) for each in found if each.isdecimal())


def folder_of_run(checkpoints: Path, project_id: int, run: str) -> Path:
    """Where a training leaves its checkpoints."""
    return checkpoints / str(project_id) / run


def identity(run_id: int, created_at: datetime) -> str:
    """What tells a run from all others of its name, in this database or another."""
    return f"{run_id} of {created_at.astimezone(UTC).isoformat()}"


def run_of(folder: Path) -> str | None:
    """The identity of the run that a folder is of; None where none is noted."""
    try:
        return str(json.loads((folder / RUN).read_text()))
    except (FileNotFoundError, ValueError):
        return None


@contextmanager
def renaming(folder: Path) -> Iterator[None]:
    """Nobody else gives a folder in this one another name meanwhile; FileNotFoundError where it is not there.

    Between a look at whose folder it is and its new name, another one could come to its place.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def folder_of(checkpoints: Path, project_id: int, run: str, step: int) -> Path:
    """Where a training leaves the checkpoint of a step."""
    return folder_of_run(checkpoints, project_id, run) / f"step-{step:09d}"
