"""By which job a run was trained, and what its model had been before."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from sqlalchemy.orm import Session

from app.jobs.of_runs import jobs_of_run
from app.jobs.options.models import is_local
from app.jobs.specs.training import TrainingSpec
from app.models import Job

FAILED: Final = ("failed", "cancelled", "queued")  # a job that may have trained nothing


@dataclass(frozen=True)
class TrainedBy:
    """The spec and the seed that trained a run, and when."""

    spec: TrainingSpec
    seed: int
    began: datetime | None
    ended: datetime | None


@dataclass(frozen=True)
class Ancestor:
    """The checkpoint that a training began from; `spec` is what had trained it, None where no job is known."""

    run: str
    step: int
    spec: TrainingSpec | None


def trained_by(session: Session, project_id: int, run: str) -> TrainedBy | None:
    """What trained a run; None where no job of the service did.

    It is of the first job of the run that trained: a later one with another spec was refused by its checkpoints.
    """
    for spec, job in _jobs(session, project_id, run):
        seeds = [each for each in spec.seeds if spec.run_of(each) == run]
        if seeds:
            return TrainedBy(spec, seeds[0], job.started_at, job.finished_at)
    return None


def lineage(session: Session, project_id: int, checkpoints: Path, spec: TrainingSpec) -> tuple[Ancestor, ...]:
    """The checkpoints of ours that a training goes back to, the nearest first."""
    found: list[Ancestor] = []
    following: TrainingSpec | None = spec
    while following is not None and (checkpoint := _checkpoint(checkpoints / str(project_id), following.model)):
        if checkpoint in [(each.run, each.step) for each in found]:  # names of runs that were deleted come again
            break
        before = trained_by(session, project_id, checkpoint[0])
        following = None if before is None else before.spec
        found.append(Ancestor(*checkpoint, following))
    return tuple(found)


def _checkpoint(folder: Path, model: object) -> tuple[str, int] | None:
    """The run and the step of the checkpoint that a model is, of those in the folder."""
    if not isinstance(model, str) or not is_local(model):
        return None
    path = Path(model).resolve()
    if path.parent.parent != folder or not re.fullmatch(r"step-\d{1,18}", path.name):
        return None
    return path.parent.name, int(path.name.removeprefix("step-"))


def spec_of_run(session: Session, project_id: int, run: str) -> TrainingSpec | None:
    """The spec that trained a run; else that of a job which names it, and trains a run of its own for each seed."""
    found = [spec for spec, _ in _jobs(session, project_id, run)]
    of_it = (each for each in found if run in map(each.run_of, each.seeds))
    return next(of_it, next((each for each in found if each.run == run), None))


def _jobs(session: Session, project_id: int, run: str) -> Iterator[tuple[TrainingSpec, Job]]:
    """The jobs that may have trained a run, those first that have not failed, and the oldest."""
    for job in session.scalars(jobs_of_run(project_id, run).order_by(Job.state.in_(FAILED), Job.id)):
        try:
            yield TrainingSpec.model_validate(job.spec), job
        except ValidationError:  # of another version of the service
            continue
