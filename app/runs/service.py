"""Runs changed and deleted."""

import shutil
from contextlib import suppress
from pathlib import Path
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
from app.training.checkpoint import folder_of_run


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


def delete_run(session: Session, caller: Caller, name: str) -> None:
    """Delete the run with all that is stored of it, and say so in the audit log.

    Raises:
      RunNotFound: there is none.
      RunInTraining: a job that has not ended trains it.
    """
    run = read_run(session, caller.project_id, name)
    check_left(session, caller.project_id, name)
    deleted = session.execute(delete(Run).where(Run.id == run.id).returning(Run.id)).one_or_none()
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


def remove_weights(checkpoints: Path, project_id: int, name: str) -> None:
    """Remove the checkpoints of a run that was deleted, where this machine sees them."""
    folder = folder_of_run(checkpoints, project_id, name)
    doomed = folder.with_name(f"{name}~deleted")  # no run can have this name
    shutil.rmtree(doomed, ignore_errors=True)  # of a removal that was cut short
    with suppress(OSError):  # there is none, or none that this machine may touch
        folder.rename(doomed)  # at once: a training of this name may begin
        shutil.rmtree(doomed)
