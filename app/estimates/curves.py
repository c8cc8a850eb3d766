"""From the counts of an evaluation to its curve: what is missing, which problems are in it, whether it is unbiased."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Final, Self, cast

import numpy as np
from numpy.typing import NDArray

from app.estimates.errors import CompletionsMissing, CountsOnly, FailRewardNeeded, KExceedsN, NoPassed, TooMuchWork
from app.estimates.schemas import REWARD_METRICS, CurveQuery
from pkpo.curves import CountMetric, PassAtKCurve, RewardMetric, default_ks
from pkpo.estimators import fail_at_k, max_at_k, min_at_k, pass_at_k, pass_hat_k

# The metric of each problem.
FROM_COUNTS: Final = {"pass_at_k": pass_at_k, "fail_at_k": fail_at_k, "pass_hat_k": pass_hat_k}
FROM_REWARDS: Final = {"max_at_k": max_at_k, "min_at_k": min_at_k}

# Of a fifth of a microsecond each: two seconds.
MOST_STEPS: Final = 8_388_608
# Rewards lie in an array of problems by the largest n. So many places, with what is computed of them, take a gigabyte.
MOST_PLACES: Final = 33_554_432

Counts = NDArray[np.int64]
Rewards = Sequence[NDArray[np.float64]]


@dataclass(frozen=True)
class Design:
    """How an evaluation was to be drawn."""

    n: int | None  # completions per problem, fixed beforehand; None where that was not declared
    iid: bool
    counts_only: bool


@dataclass(frozen=True)
class Statistics:
    """Counts under one verifier, an entry for every problem of the evaluation's set."""

    problem_ids: Counts
    completions: Counts
    n: Counts  # of them with a known `passed`
    c: Counts
    n_rewards: Counts
    infrastructure_errors: Counts
    rewards: Rewards | None = None  # None where they were not asked for

    def __post_init__(self) -> None:
        for each in self._counts:
            each.flags.writeable = False  # several requests read them at once

    @property
    def _counts(self) -> tuple[Counts, ...]:
        return (self.problem_ids, self.completions, self.n, self.c, self.n_rewards, self.infrastructure_errors)

    @property
    def bytes(self) -> int:
        """Of the counts, without the rewards."""
        return sum(each.nbytes for each in self._counts)

    def drawn_as(self, design: Design) -> Self:
        """The same, where counts without completions stand for so many completions with a result."""
        return replace(self, completions=self.n, n_rewards=self.n) if design.counts_only else self

    def expected(self, design: Design) -> int:
        """Completions of each problem: as many as were fixed beforehand, else as any problem has."""
        return design.n or int(self.completions.max())

    def wanted(self, design: Design) -> Counts:
        """Completions of each problem, of which those without a result are missing."""
        return np.maximum(self.expected(design), self.completions)  # who has more is held to all of them


@dataclass(frozen=True)
class EvaluationCurve:
    """A curve, and what it is the curve of."""

    curve: PassAtKCurve
    problems_total: int
    unbiased: bool
    verifier: str
    query: CurveQuery


@dataclass(frozen=True)
class Graded:
    """What the estimator is given, an entry for each problem that is used."""

    problem_ids: Counts
    n: Counts
    c: Counts
    rewards: Rewards | None
    fail_reward: float = nan  # of those of the n that have none


def evaluation_curve(statistics: Statistics, design: Design, verifier: str, query: CurveQuery) -> EvaluationCurve:
    """The curve that the query asks for; an AppError says why there is none."""
    statistics = statistics.drawn_as(design)
    graded = graded_problems(statistics, design, verifier, query)
    refuse_k_beyond_n(query, int(graded.n.min()))
    return EvaluationCurve(_drawn(graded, query), len(statistics.n), is_unbiased(statistics, design), verifier, query)


def is_unbiased(statistics: Statistics, design: Design) -> bool:
    """Whether completions are independent, and every problem has as many with a result as were fixed beforehand."""
    return design.iid and bool((statistics.n_rewards == statistics.expected(design)).all())


def refuse_k_beyond_n(query: CurveQuery, n_min: int) -> None:
    """Raise KExceedsN where the query asks for a k beyond the smallest n."""
    if query.k and max(query.k) > n_min:
        raise KExceedsN(query.metric, max(query.k), n_min)


def graded_problems(statistics: Statistics, design: Design, verifier: str, query: CurveQuery) -> Graded:
    """The problems that are used and their counts; an AppError says why there are none.

    The statistics are those that `drawn_as` gives.
    """
    if design.counts_only and query.metric in REWARD_METRICS:
        raise CountsOnly
    if query.metric not in REWARD_METRICS and (unsaid := int((statistics.n_rewards - statistics.n).sum())):
        raise NoPassed(query.metric, verifier, unsaid)
    return _graded(statistics, statistics.wanted(design), query)


def _graded(statistics: Statistics, wanted: Counts, query: CurveQuery) -> Graded:
    """The problems of the curve and their counts, as the query wants what is missing to be treated."""
    match query.missing:
        case "error":
            _refuse_missing(statistics, wanted)
            return Graded(statistics.problem_ids, statistics.n_rewards, statistics.c, statistics.rewards)
        case "drop":
            return _with_enough(statistics, query)
        case "fail":
            return _missing_as_failed(statistics, wanted, query)


def _refuse_missing(statistics: Statistics, wanted: Counts) -> None:
    missing = wanted - statistics.n_rewards
    if missing.any():
        errors = int(statistics.infrastructure_errors.sum())
        no_completion = int((wanted - statistics.completions).sum())
        no_verdict = int(missing.sum()) - no_completion - errors
        problems, expected = int(np.count_nonzero(missing)), int(wanted.sum())
        raise CompletionsMissing(no_completion, no_verdict, errors, problems, expected)


def _with_enough(statistics: Statistics, query: CurveQuery) -> Graded:
    """One set of problems for every k: those with as many graded completions as the largest needs."""
    largest_k = max(query.k) if query.k else 1
    used = np.flatnonzero(statistics.n_rewards >= largest_k)
    if not len(used):
        raise KExceedsN(query.metric, largest_k, int(statistics.n_rewards.max()))
    rewards = statistics.rewards and [statistics.rewards[i] for i in used]
    return Graded(statistics.problem_ids[used], statistics.n_rewards[used], statistics.c[used], rewards)


def _missing_as_failed(statistics: Statistics, wanted: Counts, query: CurveQuery) -> Graded:
    if statistics.rewards is None:
        return Graded(statistics.problem_ids, wanted, statistics.c, None)
    if query.fail_reward is None:
        raise FailRewardNeeded(query.metric)
    return Graded(statistics.problem_ids, wanted, statistics.c, statistics.rewards, query.fail_reward)


def _drawn(graded: Graded, query: CurveQuery) -> PassAtKCurve:
    if graded.rewards is None:
        count_metric = cast(CountMetric, query.metric)
        return PassAtKCurve.from_counts(graded.n, graded.c, query.k, metric=count_metric, level=query.level)
    ks = query.k or default_ks(int(graded.n.min()))
    rewards, mask = laid_out(graded, len(ks))
    metric = cast(RewardMetric, query.metric)
    return PassAtKCurve.from_rewards(rewards, ks, metric=metric, mask=mask, level=query.level)


def laid_out(graded: Graded, ks: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The n rewards of each problem as rows, and which of their entries are there.

    TooMuchWork before they are made: n may be declared as 2^31 - 1, and missing=fail makes up for what was not sent.
    """
    assert graded.rewards is not None
    n, rewards = graded.n, graded.rewards
    refuse_long_work(ks * int(np.unique(n).sum()))  # the weights at each k, once for every n that occurs
    refuse_long_work(len(n) * int(n.max()), MOST_PLACES)
    given = np.array([len(each) for each in rewards])
    mask = np.arange(n.max()) < n[:, None]
    rows = np.where(mask, graded.fail_reward, 0.0)
    rows[np.arange(n.max()) < given[:, None]] = np.concatenate(rewards)
    return rows, mask


def refuse_long_work(steps: int, most: int = MOST_STEPS) -> None:
    """Raise TooMuchWork where it would take more steps than one request may."""
    if steps > most:
        raise TooMuchWork(steps, most)


def padded(rewards: NDArray[np.float64], sizes: Counts) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Groups that lie end to end as rows of the largest one's length, and which of their entries are there."""
    mask = np.arange(sizes.max()) < sizes[:, None]
    rows = np.zeros(mask.shape)
    rows[mask] = rewards
    return rows, mask
