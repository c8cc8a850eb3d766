"""Runs changed and deleted."""

from typing import Any

from sqlalchemy import delete, func, update
from sqlalchemy.orm import Session

from app.auth.service import Caller
from app.estimates.errors import RunNotFound
from app.estimates.run_queries import RunSummary
from app.estimates.runs import read_run
from app.models import AuditLog, Run
from app.runs.schemas import RunChanges


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
    """Delete the run with all that belongs to it, and say so in the audit log; RunNotFound where there is none."""
    run = read_run(session, caller.project_id, name)
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
