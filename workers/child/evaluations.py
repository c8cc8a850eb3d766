"""The evaluation that a job writes into, which somebody may delete meanwhile."""

from uuid import UUID

from sqlalchemy.orm import Session

from app.errors import NotFound
from app.ingest.evaluations import find_evaluation
from app.models import Evaluation
from workers.child.work import JobFailed, Work


def evaluation_of(session: Session, work: Work, evaluation_id: UUID, *, for_writing: bool = False) -> Evaluation:
    """As `find_evaluation`, of an evaluation that was there when the job was told of it: else JobFailed."""
    try:
        return find_evaluation(session, work.project_id, evaluation_id, for_writing=for_writing)
    except NotFound:
        raise JobFailed("Its evaluation was deleted, or the run that it was of: nothing can be stored there.") from None
