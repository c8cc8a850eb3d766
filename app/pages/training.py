"""What a run's training loop has logged, as the pages draw it; what it did not log is estimated from its groups."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from app.estimates import kept
from app.training import series
from app.training.series import Bucket, GroupBucket, Scale, Segment
from dashboards.training_log import Life, Point, Series, TrainingLog, by_known_name
from pkpo.curves import default_ks
from pkpo.estimators import pass_at_k

MOST_OTHERS: Final = 60  # in the list of metrics that no page knows
ROLLING_STEPS: Final = 50  # that pass@k of logged groups is a mean over
BYTES_OF_POINT: Final = 250
OF_GROUPS: Final = frozenset({"k", "zero_signal_share", "reward/mean", "cumulative_solve_rate"})  # and pass@k

Rows: TypeAlias = Sequence[GroupBucket]


def training_log(session: Session, run_id: int) -> TrainingLog | None:
    """What the run has logged; None where that is nothing. Kept while no row is added."""
    state = series.log_state(session, run_id)
    if not state.metrics and not state.groups:
        return None
    key = ("training", state)
    found: TrainingLog | None = kept.CACHE.find(key)
    if found is None:
        found = _read(session, run_id, with_groups=state.groups > 0)
        points = sum(len(each.points) for each in (*found.known.values(), *found.others))
        kept.CACHE.keep(key, found, kept.BYTES_OF_ENTRY + BYTES_OF_POINT * points)
    return found


def _read(session: Session, run_id: int, with_groups: bool) -> TrainingLog:
    names = series.metric_names(session, run_id)
    groups = series.group_extents(session, run_id) if with_groups else {}
    segments = series.segments_of([*names.values(), groups])
    scale = Scale.of(segments)
    known = by_known_name(names)
    others = [name for name in names if name not in known.values()]
    wanted = [*known.values(), *others[:MOST_OTHERS]]
    buckets = series.metric_series(session, run_id, wanted, segments, scale)
    logged = {name: _series(name, buckets) for name in wanted}
    found = {ours: logged[name] for ours, name in known.items()}
    if groups and not _says_all(found):
        found = _of_groups(session, run_id, segments, scale, found) | found
    return TrainingLog(
        lives=tuple(Life(each.segment, each.first_step, each.last_step, each.until) for each in segments),
        width=scale.width,
        known=found,
        others=tuple(logged[name] for name in others[:MOST_OTHERS]),
        unlisted=len(others[MOST_OTHERS:]),
    )


def _says_all(logged: Iterable[str]) -> bool:
    """Whether all that groups would be read for was logged, as training jobs do: of long runs they are most rows."""
    names = set(logged)
    return names >= OF_GROUPS and any(name.startswith("pass@") for name in names)


def _series(name: str, buckets: Mapping[tuple[str, int | None], Sequence[Bucket]]) -> Series:
    given_up = {segment: found for (of, segment), found in buckets.items() if of == name and segment is not None}
    return Series(
        name,
        _points(buckets.get((name, None), ())),
        tuple((segment, _points(given_up[segment])) for segment in sorted(given_up)),
    )


def _points(buckets: Iterable[Bucket]) -> tuple[Point, ...]:
    def known(value: float | None) -> float:
        return np.nan if value is None else value

    return tuple(
        Point(
            each.first_step,
            each.last_step,
            each.steps,
            known(each.mean),
            known(each.low),
            known(each.high),
            each.not_finite,
            each.first_not_finite,
        )
        for each in buckets
    )


def _of_groups(
    session: Session, run_id: int, segments: Sequence[Segment], scale: Scale, logged: Mapping[str, Series]
) -> dict[str, Series]:
    """What the groups say of the metrics that were not logged themselves."""
    rows = series.group_series(session, run_id, segments, scale)
    by_bucket: dict[int, list[GroupBucket]] = defaultdict(list)
    for row in rows:
        by_bucket[row.bucket].append(row)
    buckets = [by_bucket[number] for number in sorted(by_bucket)]
    found = [_each("k", buckets, _mean_k), _each("zero_signal_share", buckets, _silent)]
    if all(row.n is not None for row in rows):
        found += [_each("reward/mean", buckets, _solve_rate)]
        if not any(name.startswith("pass@") for name in logged):
            found += _passes(buckets, rows, scale.width)
        found += [_solved(session, run_id, segments, scale)]
    return {each.name: each for each in found if each.points}


def _solved(session: Session, run_id: int, segments: Sequence[Segment], scale: Scale) -> Series:
    """Of the problems met so far the share that some completion has solved."""
    met = solved = 0
    points = []
    for each in series.solved_series(session, run_id, segments, scale):
        met, solved = met + each.met, solved + each.solved
        points.append(Point(each.last_step, each.last_step, 1, solved / met))
    return Series("cumulative_solve_rate", tuple(points), from_groups=True)


def _each(name: str, buckets: Iterable[Rows], value: Callable[[Rows], float]) -> Series:
    points = (_point(each, value(each)) for each in buckets)
    return Series(name, tuple(each for each in points if not np.isnan(each.mean)), from_groups=True)


def _point(rows: Rows, value: float) -> Point:
    first, last = min(each.first_step for each in rows), max(each.last_step for each in rows)
    return Point(first, last, last - first + 1, value, value, value)


def _mean_k(rows: Rows) -> float:
    """Of the groups, a group with several k counting each by its weight."""
    weights = [(int(k), weight * row.groups) for row in rows for k, weight in row.k.items()]
    total = sum(weight for _, weight in weights)
    return sum(k * weight for k, weight in weights) / total if total else np.nan


def _silent(rows: Rows) -> float:
    return sum(row.zero_signal for row in rows) / sum(row.groups for row in rows)


def _solve_rate(rows: Rows) -> float:
    drawn = sum((row.n or 0) * row.groups for row in rows)
    return sum((row.c or 0) * row.groups for row in rows) / drawn if drawn else np.nan


def _passes(buckets: Sequence[Rows], rows: Rows, width: int) -> list[Series]:
    """pass@k at the usual k up to the n of most groups, over the groups of the last steps that have as many rewards."""
    sizes: Counter[int] = Counter()
    for row in rows:
        sizes[row.n or 0] += row.groups
    most = sizes.most_common(1)[0][0]
    return [_pass_at(k, buckets, max(1, ROLLING_STEPS // width)) for k in (default_ks(most) if most else ())]


def _pass_at(k: int, buckets: Sequence[Rows], window: int) -> Series:
    sums, groups = np.zeros(len(buckets)), np.zeros(len(buckets))
    for i, rows in enumerate(buckets):
        enough = [row for row in rows if (row.n or 0) >= k]
        if enough:
            n, c, weights = (np.array([getattr(row, name) for row in enough]) for name in ("n", "c", "groups"))
            sums[i], groups[i] = (pass_at_k(n, c, k) * weights).sum(), weights.sum()
    values = _rolling(sums, window) / np.maximum(_rolling(groups, window), 1)
    known = _rolling(groups, window) > 0
    points = (_point(rows, float(value)) for rows, value, some in zip(buckets, values, known, strict=True) if some)
    return Series(f"pass@{k}", tuple(points), from_groups=True)


def _rolling(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """The sum of each value and those before it, of so many together."""
    sums = np.concatenate([[0.0], values.cumsum()])
    ends = np.arange(1, len(values) + 1)
    return np.asarray(sums[ends] - sums[np.maximum(ends - window, 0)])
