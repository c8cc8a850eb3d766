"""What a training began with, beside its checkpoints: its run and its problems, so that it goes on with the same.

Problems may be added to a set while a run learns from it, and a run may be deleted and trained anew. Where a file
cannot be written, NoRoom is raised.
"""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from app.training.checkpoint import RUN, renaming, run_of
from workers.training.checkpoints import NoRoom
from workers.training.problems import Problems

PROBLEMS: Final = "problems.json"


def leave_deleted(folder: Path, run: str | None, say: Callable[[str], None]) -> None:
    """Move the checkpoints of a run of this name that was deleted out of the way.

    Args:
      run: what tells the run that is there now from all others of its name; None: there is none.
    """
    with suppress(FileNotFoundError), renaming(folder.parent):
        began = run_of(folder)
        if began is None or began == run:
            return
        number = 0
        while (aside := folder.with_name(f"{folder.name}~{number}")).exists():  # no run can have this name
            number += 1
        folder.rename(aside)
        say(f"the checkpoints of a run {folder.name} that was deleted were moved to {aside}")


def is_of_run(folder: Path, run: str) -> None:
    """Note the run that the folder is of."""
    _write(folder / RUN, run)


def problems_to_train(folders: Sequence[Path], found: Problems, say: Callable[[str], None]) -> Problems:
    """Those that the first training with a checkpoint began with, or else those found; kept for the others.

    Of a set that lacks one of them now those found are returned, which is another training.
    """
    problems = next((_named(each, found) for each in folders if _has_begun(each)), found)
    if added := len(found.training) + len(found.held_out) - len(problems.training) - len(problems.held_out):
        say(f"goes on without {added} problems that were added since it began")
    for each in folders:
        if not _has_begun(each):
            names = {"training": _names(problems.training), "held_out": _names(problems.held_out)}
            _write(each / PROBLEMS, names)
    return problems


def problems_kept(folder: Path, found: Problems) -> Problems:
    """What `problems_to_train` returned, in another process."""
    return _named(folder, found)


def _has_begun(folder: Path) -> bool:
    return any(folder.glob("step-*"))


def _named(folder: Path, found: Problems) -> Problems:
    """Of those found the ones that the folder names; all, where it names none or one that is not there."""
    names = _read(folder / PROBLEMS)
    by_name = {each.name: each for each in (*found.training, *found.held_out)}
    if names is None or not by_name.keys() >= {*names["training"], *names["held_out"]}:
        return found
    return Problems([by_name[name] for name in names["training"]], [by_name[name] for name in names["held_out"]])


def _names(problems: Iterable[Any]) -> list[str]:
    return [each.name for each in problems]


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


def _write(path: Path, content: Any) -> None:
    partial = path.with_name(f".{path.name}.writing")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    except OSError as error:
        raise NoRoom(f"{path} could not be written: {error.strerror}. Make room, and retry the job") from error
