"""The way into procrastinate: a queue for each of ours and each capability, so that workers are given what they can."""

from typing import Final

from procrastinate import App, SyncPsycopgConnector
from sqlalchemy.orm import Session

from app.models import Job

TASK: Final = "pkpo.job"
# Never opened: it borrows the connection of whoever defers.
_BORROWER: Final = App(connector=SyncPsycopgConnector())


def lane(queue: str, capability: str) -> str:
    """The queue, as procrastinate calls it, of jobs that need this capability."""
    return f"{queue}/{capability}"


def defer(session: Session, job: Job) -> None:
    """Queue the job in the transaction of its row: there are both, or neither."""
    deferrer = _BORROWER.configure_task(
        TASK,
        allow_unknown=True,  # who defers need not be able to do it
        queue=lane(job.queue, job.capability),
        priority=job.priority,
        connection=session.connection().connection.driver_connection,
    )
    deferrer.defer(job_id=job.id)
