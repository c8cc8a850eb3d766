"""What the launcher says of the worker that it keeps, in the data folder, for the pages to read."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, Self

from app.embedded_postgres.data_folder import write_private

FILE: Final = "worker.json"


@dataclass(frozen=True)
class NotInstalled:
    """A part of what a worker needs, and why it is not there."""

    what: str
    why: str


@dataclass(frozen=True)
class WorkerState:
    """How far the launcher's worker is."""

    phase: Literal["installing", "started", "given_up"]
    launcher: int
    """The pid of who says so."""
    step: str = ""
    """What is being installed, the `done`-th of `steps` being the last that is over."""
    done: int = 0
    steps: int = 0
    not_installed: tuple[NotInstalled, ...] = ()
    why: str = ""
    """Why it was given up."""
    log: str = ""
    """The file in which more is said."""

    def write(self, folder: Path) -> None:
        """Say so in the data folder."""
        write_private(folder / FILE, json.dumps(asdict(self)))

    @classmethod
    def of_our_launcher(cls, folder: Path) -> Self | None:
        """What the process that started us says of its worker; None where it keeps none."""
        try:
            said = json.loads((folder / FILE).read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None
        said["not_installed"] = tuple(NotInstalled(**each) for each in said["not_installed"])
        state = cls(**said)
        # A launcher that was killed leaves its words behind.
        return state if state.launcher == os.getppid() else None
