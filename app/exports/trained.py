"""By which job a run was trained."""

from typing import Final

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.jobs.specs.training import TrainingSpec
from app.models import Job

FAILED: Final = ("failed", "cancelled", "queued")  # a job that may have trained nothing


def trained_by(session: Session, project_id: int, run: str) -> tuple[TrainingSpec, int] | None:
    """The spec and the seed that trained a run; None where no job of the service did.

    They are of the first job of the run that trained: a later one with another spec was refused by its checkpoints.
    """
    bare, _, seed = run.rpartition("-seed-")
    names = [run, bare] if seed.isdecimal() else [run]
    wanted = select(Job).filter_by(project_id=project_id, kind="training").where(Job.spec["run"].astext.in_(names))
    for job in session.scalars(wanted.order_by(Job.state.in_(FAILED), Job.id)):
        try:
            spec = TrainingSpec.model_validate(job.spec)
        except ValidationError:  # of another version of the service
            continue
        seeds = [each for each in spec.seeds if spec.run_of(each) == run]
        if seeds:
            return spec, seeds[0]
    return None


def spec_of_run(session: Session, project_id: int, run: str) -> TrainingSpec | None:
    """The spec that trained a run; of one that is queued, or of several seeds, the run that the spec names will do."""
    if (found := trained_by(session, project_id, run)) is not None:
        return found[0]
    wanted = select(Job).filter_by(project_id=project_id, kind="training").where(Job.spec["run"].astext == run)
    for job in session.scalars(wanted.order_by(Job.id.desc()).limit(1)):
        try:
            return TrainingSpec.model_validate(job.spec)
        except ValidationError:
            return None
    return None
