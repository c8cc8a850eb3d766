"""Checkpoints of a run on disk: each whole or not there at all, whatever happens while it is written.

A checkpoint is a folder `step-<step>` that loads as a model, with what the training needs to go on in `training/`. Its
last file, `training/checkpoint.json`, has the hashes of all others. The latest two stay so; of those before them the
weights alone may be kept, which are a third of it, and their list of files then says no more than is there.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from app.training.checkpoint import MANIFEST, STATE, WEIGHTS_ONLY

KEPT: Final = 2  # of the latest, whole
SPARE: Final = 1.2  # times the last checkpoint, that must be free before another is written
LEAST: Final = 2**20  # bytes


class NoRoom(Exception):
    """The disk has no room for a checkpoint; the sentence says where and how much."""


class OtherTraining(Exception):
    """The folder has checkpoints of a training with another configuration."""


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint on disk."""

    folder: Path
    step: int
    manifest: dict[str, Any]

    @property
    def state(self) -> Path:
        """The folder of what the training needs to go on."""
        return self.folder / STATE

    @property
    def bytes_of_weights(self) -> int:
        """What stays of it on the disk when no training needs to go on from it."""
        return sum(path.stat().st_size for path in _files(self.folder) if self.state not in path.parents)


@dataclass(frozen=True)
class Checkpoints:
    """Those of a run. `config` is the hash of all that decides what the training computes."""

    folder: Path
    config: str
    say: Callable[[str], None] = print

    def latest(self) -> Checkpoint | None:
        """The last whole one that a training can go on from; those that are damaged are moved aside.

        Raises:
          OtherTraining: it was made by another configuration.
        """
        self._sweep()
        for folder in sorted(self._folders(), reverse=True):
            found = self._whole(folder)
            if found is None:
                self._quarantine(folder)
            elif found.manifest["config"] != self.config:
                raise OtherTraining(
                    f"{self.folder} holds checkpoints of a training with another spec, or on other problems. Give this "
                    "one another name as run, or delete that run."
                )
            elif not found.manifest.get(WEIGHTS_ONLY):
                return found
        return None

    def save(
        self,
        step: int,
        write: Callable[[Path], dict[str, Any]],
        commit: Callable[[], AbstractContextManager[Any]],
        estimate: int = 0,
    ) -> Checkpoint:
        """The checkpoint of a step, on disk when this returns.

        Args:
          write: puts the files into a folder; what it returns stands in the manifest.
          commit: what the checkpoint comes into being within, and does not where it raises.
          estimate: bytes that the first checkpoint will take.
        Raises:
          NoRoom: nothing of it was kept, and what was there before is as it was.
        """
        self._check_room(estimate)
        final = self.folder / f"step-{step:09d}"
        partial = self.folder / f".writing-{step:09d}-{os.getpid()}"
        try:
            (partial / STATE).mkdir(parents=True)
            told = write(partial)
            files = {str(path.relative_to(partial)): _sha256(path) for path in _files(partial)}
            manifest = {"version": 1, "step": step, "config": self.config, "files": files, **told}
            (partial / STATE / MANIFEST).write_text(json.dumps(manifest))
            _sync(partial)
            with commit():
                return self._into_place(partial, final, step, manifest)
        except OSError as error:
            sentence = f"The checkpoint of step {step} could not be written to {self.folder}: {error}."
            raise NoRoom(f"{sentence}{self._earlier_weights()}") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _into_place(self, partial: Path, final: Path, step: int, manifest: dict[str, Any]) -> Checkpoint:
        if final.exists():
            there = self._whole(final)
            if there is None or there.manifest["config"] != self.config:
                self._quarantine(final)
            elif there.manifest.get(WEIGHTS_ONLY):
                _remove(final)  # nothing after it could be gone on from, so the training comes here again
            else:
                return there  # another attempt was here, and came to the same
        partial.rename(final)
        _sync_folder(self.folder)
        return Checkpoint(final, step, manifest)

    def prune(self, weights_of: Callable[[Checkpoint], bool]) -> None:
        """Leave the latest two whole, of those before them the weights that are wanted, and remove the others."""
        listed = [found for folder in sorted(self._folders()) if (found := _listed(folder))]
        # Weights of later steps lie there where a training had to begin again: they are nothing to go on from.
        latest = [each.folder for each in listed if not each.manifest.get(WEIGHTS_ONLY)][-KEPT:]
        for each in listed:
            if each.folder in latest:
                continue
            if weights_of(each):
                _leave_weights(each)
            else:
                _remove(each.folder)

    def _folders(self) -> list[Path]:
        return [each for each in self.folder.glob("step-*") if each.is_dir()]

    def _sweep(self) -> None:
        """Remove what a killed process has left half written or half removed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for pattern in (".writing-*", ".removed-*"):
            for each in self.folder.glob(pattern):
                shutil.rmtree(each, ignore_errors=True)

    def _whole(self, folder: Path) -> Checkpoint | None:
        """The checkpoint in a folder, with every file as it was written; None where one is not."""
        try:
            found = _read(folder)
            for name, sha256 in found.manifest["files"].items():
                if _sha256(folder / name) != sha256:
                    self.say(f"{folder / name} is not what was written there")
                    return None
            return found
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self.say(f"{folder} is no whole checkpoint: {error}")
            return None

    def _quarantine(self, folder: Path) -> None:
        number = 0
        while (aside := folder.with_name(f"corrupt-{folder.name}-{number}")).exists():
            number += 1
        folder.rename(aside)
        _sync_folder(self.folder)
        self.say(f"the checkpoint {folder.name} was moved to {aside.name}")

    def _check_room(self, estimate: int) -> None:
        sizes = [sum(path.stat().st_size for path in _files(folder)) for folder in sorted(self._folders())[-1:]]
        needed = int(SPARE * max([estimate, *sizes])) + LEAST
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise NoRoom(
                f"A checkpoint needs {needed / 1e6:.0f} MB and {self.folder} has {free / 1e6:.0f} MB left: make room, "
                f"and retry the job; it goes on from the last checkpoint.{self._earlier_weights()}"
            )

    def _earlier_weights(self) -> str:
        """What of the disk the weights of earlier checkpoints take, in a sentence; nothing where none are kept."""
        listed = [found for folder in self._folders() if (found := _listed(folder))]
        kept = [each.bytes_of_weights for each in listed if each.manifest.get(WEIGHTS_ONLY)]
        if not kept:
            return ""
        return (
            f" There {sum(kept) / 1e6:.1f} MB are weights of earlier checkpoints ({len(kept)}): the same training "
            "submitted with a smaller keep removes those that it does not name, and goes on."
        )


def _read(folder: Path) -> Checkpoint:
    manifest = json.loads((folder / STATE / MANIFEST).read_text())
    return Checkpoint(folder, int(manifest["step"]), manifest)


def _listed(folder: Path) -> Checkpoint | None:
    """The checkpoint by its list of files, none of them looked at; None where the list is damaged."""
    try:
        return _read(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _leave_weights(checkpoint: Checkpoint) -> None:
    """Remove what only the training needs, after the list of files says so: cut short it is taken up where it was."""
    state = checkpoint.state
    if not checkpoint.manifest.get(WEIGHTS_ONLY):
        kept = {name: each for name, each in checkpoint.manifest["files"].items() if not name.startswith(f"{STATE}/")}
        told = {**checkpoint.manifest, "files": kept, WEIGHTS_ONLY: True}
        written = state / f".{MANIFEST}"
        written.write_text(json.dumps(told))
        with written.open("rb") as file:
            os.fsync(file.fileno())
        written.rename(state / MANIFEST)
        _sync_folder(state)
    for each in state.iterdir():
        if each.name != MANIFEST:
            each.unlink()


def _remove(folder: Path) -> None:
    doomed = folder.with_name(f".removed-{folder.name}")
    folder.rename(doomed)  # at once: one that is half gone must not be taken for one that is there
    shutil.rmtree(doomed, ignore_errors=True)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    """Put the files of a folder on the disk, and then their names."""
    for path in _files(folder):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    for each in (*(path for path in folder.rglob("*") if path.is_dir()), folder):
        _sync_folder(each)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
