"""Runs changed and deleted."""

import shutil
from contextlib import suppress
from itertools import chain
from pathlib import Path
from secrets import token_hex
from typing import Any

from sqlalchemy import delete, func, update
from sqlalchemy.orm import Session

from app.auth.service import Caller
from app.estimates.errors import RunNotFound
from app.estimates.run_queries import RunSummary
from app.estimates.runs import read_run
from app.jobs.training_checks import check_left
from app.models import AuditLog, Run
from app.runs.schemas import RunChanges
from app.training.checkpoint import DELETED, identity, renaming, run_of


def change_run(session: Session, project_id: int, name: str, changes: RunChanges) -> RunSummary:
    """The run as it then is; RunNotFound where the project has none of this name."""
    if values := _values(changes):
        session.execute(update(Run).filter_by(project_id=project_id, name=name).values(values))
    return read_run(session, project_id, name)


def _values(changes: RunChanges) -> dict[str, Any]:
    values: dict[str, Any] = {**changes}
    if "tags" in values:
        values["tags"] = list(dict.fromkeys(values["tags"]))
    if "archived" in values:
        values["archived_at"] = func.coalesce(Run.archived_at, func.now()) if values.pop("archived") else None
    return values


def delete_run(session: Session, caller: Caller, name: str, checkpoints: Path) -> str:
    """Delete the run with all that is stored of it, and say so in the audit log; its `identity`.

    `checkpoints` is the folder in which those of the run lie, or would.

    Raises:
      RunNotFound: there is none.
      RunInTraining, RunInUse: a job that has not ended trains it, or has a checkpoint of it as its model.
    """
    run = read_run(session, caller.project_id, name)
    check_left(session, caller.project_id, name, checkpoints)
    deleted = session.execute(delete(Run).where(Run.id == run.id).returning(Run.id, Run.created_at)).one_or_none()
    if deleted is None:  # somebody else was first
        raise RunNotFound
    session.add(
        AuditLog(
            project_id=caller.project_id,
            api_key_id=caller.api_key_id,
            action="run.delete",
            subject=name,
            detail={"checkpoints": run.checkpoints, "evaluations": run.evaluations},
        )
    )
    return identity(*deleted)


def remove_weights(folder: Path, deleted: str) -> None:
    """Remove the checkpoints of the run of this identity, where this machine sees them.

    They lie in its folder, or beside it where a training of its name has begun in the meantime.
    """
    for each in chain([folder], folder.parent.glob(f"{folder.name}~*")):  # looked for once that one is done with
        doomed = folder.with_name(f"{folder.name}{DELETED}{token_hex(4)}")
        with suppress(OSError):  # there are none, or none that this machine may touch
            with renaming(folder.parent):
                if run_of(each) != deleted:
                    continue
                each.rename(doomed)  # at once: a training of this name may begin
            shutil.rmtree(doomed)
