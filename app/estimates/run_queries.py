"""The SQL of runs: which there are, and the evaluations of their checkpoints."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from app.estimates.schemas import Archived
from app.models import Checkpoint, Evaluation, ProblemSet, Run


@dataclass(frozen=True)
class RunSummary:
    """A run, and how much there is of it."""

    id: int
    run: str
    tags: tuple[str, ...]
    notes: str
    created_at: datetime
    archived_at: datetime | None
    latest_step: int | None  # None where there is no checkpoint
    checkpoints: int
    evaluations: int


@dataclass(frozen=True)
class RunEvaluation:
    """An evaluation of one of a run's checkpoints."""

    run_id: int
    step: int
    problem_set: str
    evaluation: Evaluation


def runs(
    session: Session, project_id: int, limit: int, before_id: int | None, containing: str, archived: Archived
) -> list[RunSummary]:
    """The newest runs whose name contains a text, older than one of them if it is given, one more than the limit."""
    wanted = _summaries().where(Run.project_id == project_id).order_by(Run.id.desc()).limit(limit + 1)
    if before_id is not None:
        wanted = wanted.where(Run.id < before_id)
    if containing:
        wanted = wanted.where(Run.name.icontains(containing, autoescape=True))
    if archived != "all":
        wanted = wanted.where(Run.archived_at.is_not(None) == (archived == "true"))
    return [_summary(*row) for row in session.execute(wanted)]


def run(session: Session, project_id: int, name: str) -> RunSummary | None:
    """The run of this name, if the project has one."""
    row = session.execute(_summaries().where(Run.project_id == project_id, Run.name == name)).one_or_none()
    return None if row is None else _summary(*row)


def _summaries() -> Select[Any]:
    steps = select(func.max(Checkpoint.step)).where(Checkpoint.run_id == Run.id)
    checkpoints = select(func.count(Checkpoint.id)).where(Checkpoint.run_id == Run.id)
    evaluations = select(func.count(Evaluation.id)).join(Checkpoint).where(Checkpoint.run_id == Run.id)
    return select(Run, *(each.correlate(Run).scalar_subquery() for each in (steps, checkpoints, evaluations)))


def _summary(run: Run, latest_step: int | None, checkpoints: int, evaluations: int) -> RunSummary:
    return RunSummary(
        run.id,
        run.name,
        tuple(run.tags),
        run.notes,
        run.created_at,
        run.archived_at,
        latest_step,
        checkpoints,
        evaluations,
    )


def latest_evaluations(session: Session, run_ids: Sequence[int]) -> dict[int, RunEvaluation]:
    """The newest evaluation of the last checkpoint that has one, by run."""
    newest_first = _evaluations().ext(distinct_on(Checkpoint.run_id)).where(Checkpoint.run_id.in_(run_ids))
    rows = session.execute(newest_first.order_by(Checkpoint.run_id, Checkpoint.step.desc(), Evaluation.id.desc()))
    return {row[0]: _run_evaluation(*row) for row in rows}


def evaluations(
    session: Session, run_id: int, problem_set_id: int | None, limit: int, after: tuple[int, int] | None
) -> list[RunEvaluation]:
    """A run's evaluations by step, after a (step, evaluation id) if one is given, one more than the limit."""
    wanted = _evaluations().where(Checkpoint.run_id == run_id).order_by(Checkpoint.step, Evaluation.id).limit(limit + 1)
    if problem_set_id is not None:
        wanted = wanted.where(Evaluation.problem_set_id == problem_set_id)
    if after is not None:
        wanted = wanted.where(tuple_(Checkpoint.step, Evaluation.id) > after)
    return [_run_evaluation(*row) for row in session.execute(wanted)]


def newest_evaluations(
    session: Session, project_id: int, problem_set_id: int | None, limit: int, containing: str
) -> list[tuple[str, RunEvaluation]]:
    """The evaluations of the newest runs whose name contains a text, each with its run's, one more than the limit."""
    wanted = (
        _evaluations()
        .join(Run, Run.id == Checkpoint.run_id)
        .add_columns(Run.name)
        .where(Run.project_id == project_id, Run.archived_at.is_(None))
        .order_by(Run.id.desc(), Checkpoint.step, Evaluation.id)
        .limit(limit + 1)
    )
    if problem_set_id is not None:
        wanted = wanted.where(Evaluation.problem_set_id == problem_set_id)
    if containing:
        wanted = wanted.where(Run.name.icontains(containing, autoescape=True))
    return [(name, _run_evaluation(*row)) for *row, name in session.execute(wanted)]


def problem_sets_of(session: Session, run_id: int) -> dict[str, int]:
    """The ids of the problem sets of a run's evaluations, by `name@version`, that of most evaluations first."""
    evaluations = func.count(Evaluation.id)
    wanted = (
        select(ProblemSet.name, ProblemSet.version, ProblemSet.id)
        .join(Evaluation, Evaluation.problem_set_id == ProblemSet.id)
        .join(Checkpoint, Checkpoint.id == Evaluation.checkpoint_id)
        .where(Checkpoint.run_id == run_id)
        .group_by(ProblemSet.id)
        .order_by(evaluations.desc(), ProblemSet.name, ProblemSet.version)
    )
    return {f"{name}@{version}": id_ for name, version, id_ in session.execute(wanted)}


def neighbours(session: Session, evaluation: Evaluation) -> tuple[RunEvaluation | None, RunEvaluation | None]:
    """The evaluations of the same run on the same problem set at the step before and at the one after.

    Where such a checkpoint was evaluated several times, the one with the same sampling, else the newest.
    """
    here = select(Checkpoint).where(Checkpoint.id == evaluation.checkpoint_id).subquery()
    series = (
        _evaluations()
        .join(here, here.c.run_id == Checkpoint.run_id)
        .where(Evaluation.problem_set_id == evaluation.problem_set_id)
        .limit(1)
    )
    nearest = ((Evaluation.sampling_sha256 == evaluation.sampling_sha256).desc(), Evaluation.id.desc())
    before = series.where(Checkpoint.step < here.c.step).order_by(Checkpoint.step.desc(), *nearest)
    after = series.where(Checkpoint.step > here.c.step).order_by(Checkpoint.step, *nearest)
    found = (session.execute(each).one_or_none() for each in (before, after))
    earlier, later = (None if row is None else _run_evaluation(*row) for row in found)
    return earlier, later


def problem_sets(session: Session, project_id: int, name: str) -> dict[str, int]:
    """The ids of all versions of a problem set, by version."""
    wanted = select(ProblemSet.version, ProblemSet.id).filter_by(project_id=project_id, name=name)
    return dict(session.execute(wanted.order_by(ProblemSet.version)).all())


def _evaluations() -> Select[int, int, ProblemSet, Evaluation]:
    return (
        select(Checkpoint.run_id, Checkpoint.step, ProblemSet, Evaluation)
        .select_from(Evaluation)
        .join(Checkpoint, Checkpoint.id == Evaluation.checkpoint_id)
        .join(ProblemSet, ProblemSet.id == Evaluation.problem_set_id)
    )


def _run_evaluation(run_id: int, step: int, problem_set: ProblemSet, evaluation: Evaluation) -> RunEvaluation:
    return RunEvaluation(run_id, step, f"{problem_set.name}@{problem_set.version}", evaluation)
