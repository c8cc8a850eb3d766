"""Warnings of what goes wrong in training for pass@k, by rules of thumb: pure functions of what was logged.

A rule looks at the last tenth of the steps, never at fewer than 20 of them, so that a passing dip is no alarm. The
thresholds are ours, chosen wide: they say what to look at, and docs/run-page.md says why each.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt

from dashboards.numerals import count, percent
from dashboards.training_log import Point, Series, TrainingLog

FEWEST_STEPS = 20
RECENT = 0.1  # of the steps: what stands for how it is now
COLLAPSED = 0.1  # of the entropy at the start
SILENT = 0.9  # of the groups without any signal
FLAT = 0.02  # of the spread of rewards within a step: a change of the mean by less is none
MOST_NAMED = 4  # metrics in one sentence
FLAT_STEPS = 200  # fewer say nothing about a plateau
FLAT_SHARE = 1 / 3  # of the steps


@dataclass(frozen=True)
class Alert:
    """What to look at: a short name, the step from which on it is so, and a sentence."""

    kind: str
    step: int
    sentence: str


def alerts(log: TrainingLog) -> tuple[Alert, ...]:
    """All that the log warns of, by step."""
    series = log.known
    found = [*not_finite([*series.values(), *log.others])]
    for name, rule in (("entropy", entropy_collapse), ("zero_signal_share", zero_signal)):
        if name in series and (alert := rule(series[name])):
            found.append(alert)
    if "reward/mean" in series and (alert := flat_rewards(series["reward/mean"], series.get("reward/std"))):
        found.append(alert)
    return tuple(sorted(found, key=lambda each: (each.step, each.kind)))


def not_finite(metrics: Sequence[Series]) -> Iterator[Alert]:
    """Metrics that are NaN, infinite or beyond 1e300, together where it began at one step: weights may be spoilt."""
    began: dict[int, list[Series]] = {}
    for series in metrics:
        steps = [point.first_not_finite for point in series.points if point.first_not_finite is not None]
        if steps:
            began.setdefault(min(steps), []).append(series)
    for step, spoilt in began.items():
        times = sum(point.not_finite for point in spoilt[0].points)
        often = "once" if times == 1 else f"{count(times)} times in all"
        more = len(spoilt) - MOST_NAMED
        names = [series.name for series in spoilt[:MOST_NAMED]] + ([f"{count(more)} more"] if more > 0 else [])
        if len(spoilt) == 1:
            said = f"{names[0]} is not a finite number at step {count(step)}, {often}."
        else:
            said = f"{', '.join(names[:-1])} and {names[-1]} are not finite numbers at step {count(step)}."
        yield Alert("not a number", step, said)


def entropy_collapse(series: Series) -> Alert | None:
    """Entropy below a tenth of what it was at the start, and there to stay."""
    points = series.finite
    if _steps(points) < 2 * FEWEST_STEPS:
        return None
    start, now = _mean(_first(points)), _mean(_last(points, RECENT))
    bound = COLLAPSED * start
    if start <= 0 or now >= bound:
        return None
    since = _since(points, lambda value: value < bound)
    return Alert(
        "entropy collapse",
        since,
        f"Entropy has been below a tenth of its start ({start:.3g}) since step {count(since)}, now {now:.3g}: the "
        "completions of a problem are nearly all the same, so pass@k gains little over pass@1. A larger k, or "
        "an entropy bonus, keeps more of them.",
    )


def zero_signal(series: Series) -> Alert | None:
    """Nine of ten groups of the last steps teach nothing. Since when is not said: single steps were otherwise."""
    points = series.finite
    last = _last(points, RECENT)
    if _steps(points) < FEWEST_STEPS or (share := _mean(last)) < SILENT:
        return None
    first, until = last[0].first_step, last[-1].last_step
    return Alert(
        "zero signal",
        first,
        f"{percent(round(share, 3))} of the groups of steps {count(first)} to {count(until)} have no credit but 0: all "
        "of their completions failed, or enough passed that no single one matters. Other problems, a larger n or "
        "another k bring the signal back.",
    )


def flat_rewards(mean: Series, spread: Series | None) -> Alert | None:
    """The mean reward has not moved over the last third of the steps, as far as its noise lets one tell.

    The interval of the difference between the two halves of that third lies within 2 % of the spread that rewards have
    within a step, or, where that is not logged, of the extent of the whole series.
    """
    points = mean.finite
    last = _last(points, FLAT_SHARE)
    if _steps(last) < FLAT_STEPS or len(last) < 8:
        return None
    unit = (
        _mean(spread.finite) if spread and spread.finite else max(p.high for p in points) - min(p.low for p in points)
    )
    early, late = last[: len(last) // 2], last[len(last) // 2 :]
    change = _mean(late) - _mean(early)
    error = sqrt(_variance(early) / len(early) + _variance(late) / len(late))
    if abs(change) + 2 * error > FLAT * unit:
        return None
    since = last[0].first_step
    return Alert(
        "flat rewards",
        since,
        f"The mean reward has not moved since step {count(since)}: it is {_mean(late):.3g}, and the change over those "
        f"steps is {change:+.2g} ± {2 * error:.2g}. Where the problems are too hard for pass@1, a larger k finds what "
        "there is to learn.",
    )


def _steps(points: Sequence[Point]) -> int:
    return sum(point.steps for point in points)


def _mean(points: Sequence[Point]) -> float:
    return sum(point.mean * (point.steps / _steps(points)) for point in points)


def _variance(points: Sequence[Point]) -> float:
    """Between points, which are means of equally many steps."""
    middle = sum(point.mean for point in points) / len(points)
    offsets = [point.mean - middle for point in points]
    return sum(offset * offset for offset in offsets) / (len(points) - 1)  # ** would refuse what overflows


def _first(points: Sequence[Point]) -> Sequence[Point]:
    """The first points that hold FEWEST_STEPS."""
    held = 0
    for i, point in enumerate(points):
        held += point.steps
        if held >= FEWEST_STEPS:
            return points[: i + 1]
    return points


def _last(points: Sequence[Point], share: float) -> Sequence[Point]:
    """The last points that hold this share of the steps, and no fewer than FEWEST_STEPS."""
    wanted = max(share * _steps(points), FEWEST_STEPS)
    held = 0
    for i in range(len(points) - 1, -1, -1):
        held += points[i].steps
        if held >= wanted:
            return points[i:]
    return points


def _since(points: Sequence[Point], is_so: Callable[[float], bool]) -> int:
    """The first step of the last points that are all so, single others between them aside."""
    since = points[-1].first_step
    misses = 0
    for point in reversed(points):
        if is_so(point.mean):
            since, misses = point.first_step, 0
        else:
            misses += 1
            if misses > 2:
                break
    return since
