"""What can be known at submission to be wrong with a job."""

from pydantic import BaseModel
from sqlalchemy.orm import Session

from app.errors import InvalidRequest, NotFound
from app.ingest.errors import CountsOnly
from app.ingest.evaluations import find_evaluation
from app.jobs.errors import unknown_evaluation
from app.jobs.specs import ImportSpec, VerificationSpec
from app.jobs.uploads import find_upload
from pkpo.readers import READERS


def check(session: Session, project_id: int, spec: BaseModel) -> None:
    """Raise what an AppError says of a job that could only fail."""
    match spec:
        case ImportSpec():
            find_upload(session, project_id, spec.upload)
            names = [reader.NAME for reader in READERS]
            if spec.format is not None and spec.format not in names:
                raise InvalidRequest(f"There are the formats {', '.join(names)}.", [("/spec/format", "no such format")])
        case VerificationSpec():
            try:
                evaluation = find_evaluation(session, project_id, spec.evaluation)
            except NotFound:
                raise unknown_evaluation() from None
            if evaluation.counts_only:
                raise CountsOnly
