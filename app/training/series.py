"""What a run has logged, as series short enough to draw: SQL counts and averages, whatever the length of the run.

A resumed run logs steps again in a later segment. From the step at which a segment begins, what earlier segments logged
is of a policy that was given up: the later segment wins, and the earlier rows are a series of their own.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Double, Integer, case, cast, column, func, null, select, values
from sqlalchemy.orm import Session

from app.models import Metric, Run, TrainingGroup

MOST_BUCKETS: Final = 400  # of a series: more than a figure has pixels for
# A sum of two larger ones may be beyond float64, which Postgres answers with an error.
LARGEST: Final = 1e300


@dataclass(frozen=True)
class Segment:
    """A life of a run: its steps, and the step from which a later one has taken its place."""

    segment: int
    first_step: int
    last_step: int
    until: int | None  # None where no later segment begins


@dataclass(frozen=True)
class Bucket:
    """The values of a metric at neighbouring steps; mean, low and high are None where none of them is finite."""

    first_step: int
    last_step: int
    steps: int  # that logged it
    mean: float | None
    low: float | None
    high: float | None
    not_finite: int = 0  # NaN, infinite, or beyond what is drawn
    first_not_finite: int | None = None


@dataclass(frozen=True)
class GroupBucket:
    """Groups at neighbouring steps that have the same k, n and c; n and c are None where not all rewards are 0 or 1."""

    bucket: int  # which steps, by their number from the first ones on
    first_step: int
    last_step: int
    k: dict[str, float]
    n: int | None
    c: int | None
    groups: int
    zero_signal: int  # of them without any credit but 0


@dataclass(frozen=True)
class SolvedBucket:
    """Problems met for the first time, and those solved for the first time, at neighbouring steps."""

    last_step: int
    met: int
    solved: int


@dataclass(frozen=True)
class Scale:
    """How steps are put together: those of a bucket, from the first step on."""

    first_step: int
    width: int

    @classmethod
    def of(cls, segments: Sequence[Segment]) -> "Scale":
        """Buckets enough for all steps."""
        first, last = min(each.first_step for each in segments), max(each.last_step for each in segments)
        return cls(first, -(-(last - first + 1) // MOST_BUCKETS))

    def bucket(self, step: ColumnElement[int]) -> ColumnElement[int]:
        """The number of a step's bucket."""
        return (step - self.first_step) // self.width


@dataclass(frozen=True)
class LogState:
    """How much a run has logged. Rows are only ever added: while this stands, so does the log."""

    run_id: int
    created_at: datetime
    metrics: int
    groups: int


def log_state(session: Session, run_id: int) -> LogState:
    """How much the run has logged by now."""
    counts = (
        select(func.count()).select_from(each).where(each.run_id == run_id).scalar_subquery()
        for each in (Metric, TrainingGroup)
    )
    return LogState(run_id, *session.execute(select(Run.created_at, *counts).where(Run.id == run_id)).one())


def metric_names(session: Session, run_id: int) -> dict[str, dict[int, tuple[int, int]]]:
    """The names of a run's metrics, each with its first and last step by segment."""
    wanted = (
        select(Metric.name, Metric.segment, func.min(Metric.step), func.max(Metric.step))
        .where(Metric.run_id == run_id)
        .group_by(Metric.segment, Metric.name)
        .order_by(Metric.name, Metric.segment)
    )
    found: dict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
    for name, segment, first, last in session.execute(wanted):
        found[name][segment] = (first, last)
    return dict(found)


def group_extents(session: Session, run_id: int) -> dict[int, tuple[int, int]]:
    """The first and last step of a run's groups by segment."""
    wanted = (
        select(TrainingGroup.segment, func.min(TrainingGroup.step), func.max(TrainingGroup.step))
        .where(TrainingGroup.run_id == run_id)
        .group_by(TrainingGroup.segment)
    )
    return {segment: (first, last) for segment, first, last in session.execute(wanted)}


def segments_of(extents: Sequence[dict[int, tuple[int, int]]]) -> tuple[Segment, ...]:
    """The segments in order, from the first and last steps of all that they logged."""
    together: dict[int, list[int]] = defaultdict(list)
    for each in extents:
        for segment, steps in each.items():
            together[segment] += steps
    found: list[Segment] = []
    until: int | None = None
    for segment in sorted(together, reverse=True):
        found.append(Segment(segment, min(together[segment]), max(together[segment]), until))
        until = min(together[segment]) if until is None else min(until, min(together[segment]))
    return tuple(reversed(found))


def metric_series(
    session: Session, run_id: int, names: Sequence[str], segments: Sequence[Segment], scale: Scale
) -> dict[tuple[str, int | None], list[Bucket]]:
    """The buckets of each metric in order; what a later segment took the place of lies under the earlier's number."""
    if not names:
        return {}
    of, given_up = _given_up(segments, Metric.segment, Metric.step)
    bucket = scale.bucket(Metric.step.expression)
    drawn = Metric.value.between(-LARGEST, LARGEST)  # to Postgres NaN is above infinity
    wanted = (
        select(
            Metric.name,
            given_up,
            func.min(Metric.step),
            func.max(Metric.step),
            func.count(),
            func.sum(Metric.value).filter(drawn) / cast(func.count().filter(drawn), Double),
            func.min(Metric.value).filter(drawn),
            func.max(Metric.value).filter(drawn),
            func.count().filter(~drawn),
            func.min(Metric.step).filter(~drawn),
        )
        .join(of, of.c.segment == Metric.segment)
        .where(Metric.run_id == run_id, Metric.name.in_(names))
        .group_by(Metric.name, given_up, bucket)
        .order_by(Metric.name, bucket)
    )
    found: dict[tuple[str, int | None], list[Bucket]] = defaultdict(list)
    for name, segment, *row in session.execute(wanted):
        found[name, segment].append(Bucket(*row))
    return dict(found)


def group_series(session: Session, run_id: int, segments: Sequence[Segment], scale: Scale) -> list[GroupBucket]:
    """The groups that no later segment took the place of, counted by bucket, k, n and c."""
    of, given_up = _given_up(segments, TrainingGroup.segment, TrainingGroup.step)
    rewards, credits = TrainingGroup.rewards.expression, TrainingGroup.credits.expression
    n = _length(func.array_remove(rewards, null()))
    zeros, ones = (_length(rewards) - _length(func.array_remove(rewards, each)) for each in (0.0, 1.0))
    signal = _length(func.array_remove(func.array_remove(credits, 0.0), null()))
    rows = (
        select(
            TrainingGroup.step,
            TrainingGroup.k,
            case((n == zeros + ones, n)).label("n"),
            case((n == zeros + ones, ones)).label("c"),
            (signal == 0).label("zero_signal"),
        )
        .join(of, of.c.segment == TrainingGroup.segment)
        .where(TrainingGroup.run_id == run_id, given_up.is_(None))
        .subquery()
    )
    bucket = scale.bucket(rows.c.step)
    wanted = (
        select(
            bucket,
            func.min(rows.c.step),
            func.max(rows.c.step),
            rows.c.k,
            rows.c.n,
            rows.c.c,
            func.count(),
            func.count().filter(rows.c.zero_signal),
        )
        .group_by(bucket, rows.c.k, rows.c.n, rows.c.c)
        .order_by(bucket, rows.c.k, rows.c.n, rows.c.c)
    )
    return [GroupBucket(*row) for row in session.execute(wanted)]


def solved_series(session: Session, run_id: int, segments: Sequence[Segment], scale: Scale) -> list[SolvedBucket]:
    """Problems of the logged groups by the bucket in which they were first met, and first solved by a reward of 1."""
    of, given_up = _given_up(segments, TrainingGroup.segment, TrainingGroup.step)
    solved = func.array_position(TrainingGroup.rewards, 1.0).is_not(None)
    step = TrainingGroup.step
    problems = (
        select(func.min(step).label("met"), func.min(step).filter(solved).label("solved"))
        .join(of, of.c.segment == TrainingGroup.segment)
        .where(TrainingGroup.run_id == run_id, given_up.is_(None))
        .group_by(TrainingGroup.problem)
        .subquery()
    )
    counts: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for i, each in enumerate((problems.c.met, problems.c.solved)):
        bucket = scale.bucket(each)
        for number, found in session.execute(select(bucket, func.count()).where(each.is_not(None)).group_by(bucket)):
            counts[number][i] = found
    ends = {number: scale.first_step + (number + 1) * scale.width - 1 for number in sorted(counts)}
    return [SolvedBucket(ends[number], *counts[number]) for number in ends]


def _length(array: ColumnElement[Any]) -> ColumnElement[int]:
    return func.cardinality(array, type_=Integer)


def _given_up(
    segments: Sequence[Segment], segment: ColumnElement[int] | Any, step: ColumnElement[int] | Any
) -> tuple[Any, ColumnElement[int | None]]:
    """The segments as a table to join, and the segment of a row that a later one took the place of; else null."""
    of = values(column("segment", Integer), column("until", BigInteger), name="of_segment").data(
        [(each.segment, each.until) for each in segments]
    )
    return of, case((step >= cast(of.c.until, BigInteger), segment))
