"""What a model card tells of a checkpoint, from the database."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import takewhile
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
from app.exports.trained import trained_by
from app.jobs.specs.training import TrainingSpec
from app.models import Checkpoint, Problem, ProblemSet

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
    """

    spec: TrainingSpec
    seed: int
    problem_set: str | None
    problems: int
    held_out: int


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


def facts(session: Session, project_id: int, name: str, step: int, on_disk: Collection[int] = ()) -> Facts:
    """What is known of the checkpoint of a run at a step.

    Args:
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
    outcomes = _curves(session, found)
    evaluated = [Evaluated(each, outcome) for each, outcome in zip(found, outcomes, strict=True)]
    return Facts(name, step, _trained(session, project_id, name), evaluated)


def _curves(session: Session, found: Sequence[RunEvaluation]) -> list[EvaluationCurve | AppError]:
    """The curve of each: of pass@k, or of max_g@k where the verifier gives rewards only."""
    evaluations = [each.evaluation for each in found]
    outcomes = curves(session, evaluations, CurveQuery())
    for i, outcome in enumerate(outcomes):
        if isinstance(outcome, NoPassed):
            outcomes[i] = curves(session, [evaluations[i]], CurveQuery(metric="max_at_k"))[0]
    return outcomes


def _trained(session: Session, project_id: int, run: str) -> Trained | None:
    found = trained_by(session, project_id, run)
    return None if found is None else _of_spec(session, project_id, *found)


def _of_spec(session: Session, project_id: int, spec: TrainingSpec, seed: int) -> Trained:
    name, problems = _set(session, project_id, spec.problem_set)
    held_out = 0 if spec.held_out is None else _set(session, project_id, spec.held_out_name)[1]
    return Trained(spec, seed, name, problems, held_out)


def _set(session: Session, project_id: int, wanted: str) -> tuple[str | None, int]:
    """The full name of a problem set, and its problems as it is now; None and 0 where it is gone."""
    try:
        set_id = find_problem_set(session, project_id, wanted)
    except AppError:
        return None, 0
    stored = session.get_one(ProblemSet, set_id)
    problems = session.scalar(select(func.count()).where(Problem.problem_set_id == set_id)) or 0
    return f"{stored.name}@{stored.version}", problems
