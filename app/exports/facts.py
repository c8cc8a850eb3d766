"""What a model card tells of a checkpoint, from the database."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.errors import AppError, NotFound
from app.estimates import run_queries
from app.estimates.curves import EvaluationCurve
from app.estimates.errors import NoPassed
from app.estimates.run_queries import RunEvaluation
from app.estimates.runs import find_problem_set, read_run
from app.estimates.schemas import CurveQuery
from app.estimates.service import curves
from app.exports.trained import Ancestor, TrainedBy, lineage, trained_by
from app.jobs.specs.training import TrainingSpec
from app.models import Checkpoint, Evaluation, Problem, ProblemSet

MOST_EVALUATIONS: Final = 100


class StepNotFound(NotFound):
    """The run has no checkpoint of this step."""

    def __init__(self, steps: Sequence[int]) -> None:
        some = ", ".join(map(str, steps[-20:])) or "none"
        super().__init__(f"The run has no checkpoint of this step. Steps with one: {some}.")


@dataclass(frozen=True)
class Trained:
    """How a job of the service trained the run.

    Attributes:
      problem_set: `name@version`; None where it is gone.
      problems: of the set as it is now, with those that are held out of it.
      held_out: problems of the set of those.
      before: the checkpoints of this service that it goes back to, the nearest first.
      began, ended: the job; None where it has not, or where that is not known.
    """

    spec: TrainingSpec
    seed: int
    problem_set: str | None
    problems: int
    held_out: int
    before: Sequence[Ancestor] = ()
    began: datetime | None = None
    ended: datetime | None = None


@dataclass(frozen=True)
class Evaluated:
    """An evaluation of the checkpoint, and its curve or why it has none."""

    found: RunEvaluation
    outcome: EvaluationCurve | AppError


@dataclass(frozen=True)
class Facts:
    """What is known of a checkpoint."""

    run: str
    step: int
    trained: Trained | None
    evaluated: Sequence[Evaluated]


def facts(
    session: Session, project_id: int, checkpoints: Path, name: str, step: int, on_disk: Collection[int] = ()
) -> Facts:
    """What is known of the checkpoint of a run at a step.

    Args:
      checkpoints: the folder that all of them lie in.
      on_disk: steps of which there are checkpoints that were not evaluated, and so are not in the database.

    Raises:
      RunNotFound, StepNotFound: this project has none of that name, or step.
    """
    run = read_run(session, project_id, name)
    steps = session.scalars(select(Checkpoint.step).filter_by(run_id=run.id).order_by(Checkpoint.step)).all()
    if step not in {*steps, *on_disk}:
        raise StepNotFound(sorted({*steps, *on_disk}))
    later = run_queries.evaluations(session, run.id, None, MOST_EVALUATIONS, (step, 0))
    found = list(takewhile(lambda each: each.step == step, later))
    found_by = trained_by(session, project_id, name)
    outcomes = _curves(session, found, () if found_by is None else found_by.spec.ks)
    evaluated = [Evaluated(each, outcome) for each, outcome in zip(found, outcomes, strict=True)]
    trained = None if found_by is None else _trained(session, project_id, checkpoints, found_by)
    return Facts(name, step, trained, evaluated)


def _curves(
    session: Session, found: Sequence[RunEvaluation], wanted: Collection[int]
) -> list[EvaluationCurve | AppError]:
    """The curve of each, also at the k that are wanted and that its n allows.

    It is of pass@k, or of max_g@k where the verifier gives rewards only.
    """
    evaluations = [each.evaluation for each in found]
    outcomes = curves(session, evaluations, CurveQuery())
    for i, outcome in enumerate(outcomes):
        if isinstance(outcome, NoPassed):
            outcomes[i] = curves(session, [evaluations[i]], CurveQuery(metric="max_at_k"))[0]
        outcomes[i] = _at_more_ks(session, evaluations[i], outcomes[i], wanted)
    return outcomes


def _at_more_ks(
    session: Session, evaluation: Evaluation, drawn: EvaluationCurve | AppError, wanted: Collection[int]
) -> EvaluationCurve | AppError:
    if isinstance(drawn, AppError):
        return drawn
    usual = {point.k for point in drawn.curve.points}
    ks = usual | {k for k in wanted if k <= drawn.curve.n_min}
    if ks == usual:
        return drawn
    return curves(session, [evaluation], drawn.query.model_copy(update={"k": sorted(ks)}))[0]


def _trained(session: Session, project_id: int, checkpoints: Path, by: TrainedBy) -> Trained:
    name, problems = _set(session, project_id, by.spec.problem_set)
    held_out = 0 if by.spec.held_out is None else _set(session, project_id, by.spec.held_out_name)[1]
    before = lineage(session, project_id, checkpoints, by.spec)
    return Trained(by.spec, by.seed, name, problems, held_out, before, by.began, by.ended)


def _set(session: Session, project_id: int, wanted: str) -> tuple[str | None, int]:
    """The full name of a problem set, and its problems as it is now; None and 0 where it is gone."""
    try:
        set_id = find_problem_set(session, project_id, wanted)
    except AppError:
        return None, 0
    stored = session.get_one(ProblemSet, set_id)
    problems = session.scalar(select(func.count()).where(Problem.problem_set_id == set_id)) or 0
    return f"{stored.name}@{stored.version}", problems
