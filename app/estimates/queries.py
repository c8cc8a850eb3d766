"""The SQL of the read side. It counts and lists; nothing here estimates."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    LargeBinary,
    Row,
    Select,
    and_,
    cast,
    column,
    func,
    select,
    true,
    values,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.estimates.curves import Statistics
from app.models import Completion, Evaluation, EvaluationProblem, GroupStatistics, Problem, Verification, Verifier


def evaluation(session: Session, project_id: int, evaluation_id: UUID) -> Evaluation | None:
    """The evaluation of this id, if the project has one."""
    return session.scalar(select(Evaluation).filter_by(project_id=project_id, uuid=evaluation_id))


def verifiers(session: Session, evaluation_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """The verifiers that have graded each evaluation: ids by `name@version`, in that order."""
    pairs = (
        select(GroupStatistics.evaluation_id, GroupStatistics.verifier_id)
        .where(GroupStatistics.evaluation_id.in_(evaluation_ids))
        .distinct()
        .subquery()
    )
    found: dict[int, dict[str, int]] = {each: {} for each in evaluation_ids}
    rows = session.execute(
        select(pairs.c.evaluation_id, Verifier.name, Verifier.version, Verifier.id)
        .join(Verifier, Verifier.id == pairs.c.verifier_id)
        .order_by(Verifier.name, Verifier.version)
    )
    for evaluation_id, name, version, verifier_id in rows:
        found[evaluation_id][f"{name}@{version}"] = verifier_id
    return found


def completions(session: Session, evaluation_ids: Sequence[int]) -> dict[int, int]:
    """How many completions each evaluation has."""
    if not evaluation_ids:
        return {}
    counted = (
        select(EvaluationProblem.evaluation_id, func.sum(EvaluationProblem.completions))
        .where(EvaluationProblem.evaluation_id.in_(evaluation_ids))
        .group_by(EvaluationProblem.evaluation_id)
    )
    found = {each: int(count) for each, count in session.execute(counted)}
    return {each: found.get(each, 0) for each in evaluation_ids}


def statistics(session: Session, verifier_ids: Mapping[int, int], rewards: bool) -> dict[int, Statistics]:
    """The counts of each evaluation (a key) under its verifier (the value), with or without the rewards themselves."""
    if not verifier_ids:
        return {}
    counts = [
        EvaluationProblem.completions,
        GroupStatistics.n,
        GroupStatistics.c,
        GroupStatistics.n_rewards,
        GroupStatistics.infrastructure_errors,
    ]
    columns = [Problem.id.expression, *(cast(func.coalesce(each, 0), BigInteger) for each in counts)]
    by_problem = _by_problem(verifier_ids)
    if rewards:
        rows = session.execute(by_problem.add_columns(*columns, _sent(GroupStatistics.rewards)))
        return {each: _with_rewards(problems) for each, problems in groupby(rows, attrgetter("evaluation_id"))}
    named = by_problem.add_columns(*(each.label(f"column_{i}") for i, each in enumerate(columns))).subquery()
    evaluation_id, *each_problem = named.c
    arrays = select(evaluation_id, *(_sent(func.array_agg(each)) for each in each_problem)).group_by(evaluation_id)
    return {each: _statistics(map(_integers, sent)) for each, *sent in session.execute(arrays)}


def _by_problem(verifier_ids: Mapping[int, int]) -> Select[int]:
    """Every problem of each evaluation's set, whether it has completions or not."""
    chosen = values(column("evaluation_id", BigInteger), column("verifier_id", BigInteger), name="chosen").data(
        list(verifier_ids.items())
    )
    evaluation_id = Evaluation.id.label("evaluation_id")
    return (
        select(evaluation_id)
        .join(chosen, chosen.c.evaluation_id == Evaluation.id)
        .join(Problem, Problem.problem_set_id == Evaluation.problem_set_id)
        .outerjoin(
            EvaluationProblem,
            and_(EvaluationProblem.evaluation_id == Evaluation.id, EvaluationProblem.problem_id == Problem.id),
        )
        .outerjoin(
            GroupStatistics,
            and_(
                GroupStatistics.evaluation_id == Evaluation.id,
                GroupStatistics.problem_id == Problem.id,
                GroupStatistics.verifier_id == chosen.c.verifier_id,
            ),
        )
        .order_by(Evaluation.id, Problem.id)
    )


def _with_rewards(rows: Iterator[Row[tuple[int, ...]]]) -> Statistics:
    _, *counts, rewards = zip(*rows, strict=True)
    return _statistics((np.array(each, dtype=np.int64) for each in counts), list(map(_floats, rewards)))


def _statistics(
    counts: Iterable[NDArray[np.int64]], rewards: Sequence[NDArray[np.float64]] | None = None
) -> Statistics:
    problem_ids, completions, n, c, n_rewards, infrastructure_errors = counts
    return Statistics(problem_ids, completions, n, c, n_rewards, infrastructure_errors, rewards)


def rewards(
    session: Session, evaluation_id: int, verifier_id: int, problem_ids: Sequence[int]
) -> dict[int, NDArray[np.float64]]:
    """The rewards of these problems that have any."""
    wanted = select(GroupStatistics.problem_id, _sent(GroupStatistics.rewards)).where(
        GroupStatistics.evaluation_id == evaluation_id,
        GroupStatistics.verifier_id == verifier_id,
        GroupStatistics.problem_id.in_(problem_ids),
        GroupStatistics.n_rewards > 0,
    )
    return {problem_id: _floats(sent) for problem_id, sent in session.execute(wanted)}


def problem_counts(session: Session, problem_set_ids: Collection[int]) -> dict[int, int]:
    """How many problems each set has."""
    counted = select(Problem.problem_set_id, func.count()).where(Problem.problem_set_id.in_(problem_set_ids))
    found = dict(session.execute(counted.group_by(Problem.problem_set_id)).all())
    return {each: found.get(each, 0) for each in problem_set_ids}


def problem_count(session: Session, problem_set_id: int) -> int:
    """How many problems a set has."""
    return problem_counts(session, [problem_set_id])[problem_set_id]


def problem_names(session: Session, problem_set_id: int, containing: str = "") -> dict[int, str]:
    """The names of a set's problems that contain a text, by id."""
    wanted = select(Problem.id, Problem.name).where(Problem.problem_set_id == problem_set_id)
    if containing:
        wanted = wanted.where(Problem.name.icontains(containing, autoescape=True))
    return dict(session.execute(wanted).all())


def names_of(session: Session, problem_ids: Sequence[int]) -> dict[int, str]:
    """The names of these problems, by id."""
    wanted = func.unnest(cast(list(problem_ids), ARRAY(BigInteger))).table_valued("id").render_derived(name="wanted")
    return dict(session.execute(select(Problem.id, Problem.name).join(wanted, wanted.c.id == Problem.id)).all())


def verifier_id(session: Session, project_id: int, name: str, version: str) -> int | None:
    """The id of a verifier, if the project has it."""
    return session.scalar(select(Verifier.id).filter_by(project_id=project_id, name=name, version=version))


def most_completions(session: Session, evaluation_id: int) -> int:
    """Completions of the problem that has most."""
    most = select(func.max(EvaluationProblem.completions)).where(EvaluationProblem.evaluation_id == evaluation_id)
    return session.scalar(most) or 0


@dataclass(frozen=True)
class Done:
    """The completions of an evaluation with an index below n; of a verifier, those that it has graded."""

    evaluation_id: int
    n: int
    verifier_id: int | None

    @property
    def table(self) -> type[Completion] | type[Verification]:
        """Where they are."""
        return Completion if self.verifier_id is None else Verification

    @property
    def rows(self) -> ColumnElement[bool]:
        """Which they are there."""
        rows = and_(self.table.evaluation_id == self.evaluation_id, self.table.sample_index < self.n)
        if self.verifier_id is None:
            return rows
        # An infrastructure error has no reward, and is no verdict.
        return and_(rows, Verification.verifier_id == self.verifier_id, Verification.reward.is_not(None))


def done_count(session: Session, done: Done) -> int:
    """How many there are."""
    return session.scalar(select(func.count()).select_from(done.table).where(done.rows)) or 0


def unfinished_problems(
    session: Session, done: Done, problem_set_id: int, after_id: int, limit: int
) -> list[tuple[int, str, list[int] | None]]:
    """Problems with fewer than n of them, after one by id: id, name and the indexes there are; one more than limit."""
    there = (
        select(func.array_agg(done.table.sample_index).label("indexes"))
        .where(done.rows, done.table.problem_id == Problem.id)
        .lateral()
    )
    unfinished = (
        select(Problem.id, Problem.name, there.c.indexes)
        .join(there, true())
        .where(Problem.problem_set_id == problem_set_id, Problem.id > after_id)
        .where(func.coalesce(func.cardinality(there.c.indexes), 0) < done.n)
        .order_by(Problem.id)
        .limit(limit + 1)
    )
    return [(id_, name, indexes) for id_, name, indexes in session.execute(unfinished)]


_HEADER = 20  # bytes before the first element: axes, flags, element type, length and lower bound of the only axis


def _sent(array: ColumnElement[Any] | InstrumentedAttribute[Any]) -> ColumnElement[bytes]:
    """An array in Postgres's binary form: four times as fast as having every number written and read as text."""
    return func.array_send(array, type_=LargeBinary)


def _floats(sent: bytes | None) -> NDArray[np.float64]:
    """A float8[] without nulls, from Postgres's binary form of it."""
    return _elements(sent, ">f8").astype(np.float64)


def _integers(sent: bytes) -> NDArray[np.int64]:
    """An int8[] without nulls, from Postgres's binary form of it."""
    return _elements(sent, ">i8").astype(np.int64)


def _elements(sent: bytes | None, kind: str) -> NDArray[Any]:
    elements = np.dtype([("length", ">i4"), ("value", kind)])
    return np.frombuffer((sent or b"")[_HEADER:], elements)["value"]
