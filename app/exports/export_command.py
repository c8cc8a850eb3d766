"""`pkpo export`. Importing this costs nothing; running it brings what it needs."""

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pkpo.commands.errors import CommandError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from app.config import Settings

DESCRIPTION = """\
Copy a checkpoint that a training job left into a folder which from_pretrained and `vllm serve` load, with a model card
(README.md): problems, objective, settings, results with their intervals, versions, and the hash of every file.

It runs where the checkpoints lie, PKPO_CHECKPOINT_DIR, and reads the database that `pkpo serve` uses. Kept are the
last two checkpoints of a run and the weights of those that were evaluated, or of fewer where the spec's `keep` says so.

example:
  pkpo export countdown-k8 --step 200 --out countdown-k8
"""
Sessions = Callable[[], "AbstractContextManager[Session]"]


def add_export(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    settings: "Callable[[], Settings]",
    session: Sessions,
) -> None:
    """Add `pkpo export` to the commands, which reads these settings and the database."""
    export = commands.add_parser(
        "export",
        help="a checkpoint as a folder with a model card",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    export.add_argument("of_run", metavar="RUN")
    export.add_argument("--step", type=_step, metavar="S", required=True, help="of the checkpoint")
    export.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="that is not there yet, or empty")
    export.set_defaults(run=partial(run_export, settings=settings, session=session))


def _step(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!a} is not a step, a whole number from 0 up")
    return int(text)


def run_export(arguments: argparse.Namespace, settings: "Callable[[], Settings]", session: Sessions) -> int:
    """Write the folder, and say how it is loaded."""
    from app.auth.service import default_project
    from app.errors import AppError
    from app.exports.model import export
    from app.exports.verl_folder import is_free
    from app.training.checkpoint import NotWhole

    out: Path = arguments.out.absolute()
    try:
        if not is_free(out):
            raise CommandError(f"{arguments.out} is there already: name a folder that is not, or is empty")
        with session() as open_session:
            project, checkpoints = default_project(open_session), settings().checkpoints
            written = export(open_session, project, checkpoints, arguments.of_run, arguments.step, out)
    except (AppError, NotWhole) as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from error
    print(f"{out}: {written / 1e6:,.1f} MB, with its card in README.md; vllm serve {arguments.out}")
    return 0
