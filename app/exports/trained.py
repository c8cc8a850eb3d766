"""By which job a run was trained."""

from collections.abc import Iterator
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
    for spec in _specs(session, project_id, run):
        seeds = [each for each in spec.seeds if spec.run_of(each) == run]
        if seeds:
            return spec, seeds[0]
    return None


def spec_of_run(session: Session, project_id: int, run: str) -> TrainingSpec | None:
    """The spec that trained a run; else that of a job which names it, and trains a run of its own for each seed."""
    found = list(_specs(session, project_id, run))
    of_it = (each for each in found if run in map(each.run_of, each.seeds))
    return next(of_it, next((each for each in found if each.run == run), None))


def _specs(session: Session, project_id: int, run: str) -> Iterator[TrainingSpec]:
    """Of the jobs that may have trained a run, those first that have not failed, and the oldest."""
    bare, _, seed = run.rpartition("-seed-")
    names = [run, bare] if seed.isdecimal() else [run]
    wanted = select(Job.spec).filter_by(project_id=project_id, kind="training").where(Job.spec["run"].astext.in_(names))
    for told in session.scalars(wanted.order_by(Job.state.in_(FAILED), Job.id)):
        try:
            yield TrainingSpec.model_validate(told)
        except ValidationError:  # of another version of the service
            continue
