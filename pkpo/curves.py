"""pass@k curves: the mean over one fixed set of problems at every k, with its interval."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Literal, Self, TypeGuard, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpo import inputs
from pkpo.answers import AnswerMetric, answer_values, ragged_answers
from pkpo.estimators import fail_at_k, g_pass_at_k, max_at_ks, mg_pass_at_k, pass_at_k, pass_hat_k
from pkpo.intervals import MeanInterval, mean_interval
from pkpo.majority import Ties

CountMetric = Literal["pass_at_k", "fail_at_k", "pass_hat_k"]
ShareMetric = Literal["g_pass_at_k", "mg_pass_at_k"]
RewardMetric = Literal["max_at_k", "min_at_k"]
Interval = Callable[..., MeanInterval]

ESTIMATORS: Mapping[str, str] = MappingProxyType(
    {
        "pass_at_k": "1 - C(n-c, k) / C(n, k)",
        "fail_at_k": "C(n-c, k) / C(n, k)",
        "pass_hat_k": "C(c, k) / C(n, k)",
        "g_pass_at_k": "sum_j C(c, j) C(n-c, k-j) / C(n, k), j >= max(1, ceil(tau k))",
        "mg_pass_at_k": "2/k sum_i g_pass_at_k(tau = i/k), i > ceil(k/2)",
        "max_at_k": "sum_i C(i-1, k-1) / C(n, k) g_(i)",
        "min_at_k": "sum_i C(n-i, k-1) / C(n, k) g_(i)",
        "maj_at_k": "share of k-subsets whose most frequent answer is correct",
        "distinct_at_k": "sum_a 1 - C(n-c_a, k) / C(n, k)",
    }
)


@dataclass(frozen=True)
class CurvePoint:
    """The mean over problems at one k; the error and the interval are nan where there is one problem only."""

    k: int
    value: float
    standard_error: float
    low: float
    high: float


@dataclass(frozen=True)
class PassAtKCurve:
    """Made by from_counts, from_rewards or from_answers: the mean of a metric over problems, at several k.

    The problems are the same at every k: so pass@k and max_g@k never fall as k grows.
    """

    metric: str
    estimator: str  # the formula per problem
    points: tuple[CurvePoint, ...]  # in ascending k
    level: float
    method: str  # of the interval; "t": problems as a sample, P - 1 degrees of freedom
    problems: int
    n_min: int  # completions of the problem that has fewest
    n_max: int

    @classmethod
    def from_counts(
        cls,
        n: ArrayLike,
        c: ArrayLike,
        k: int | Sequence[int] | None = None,
        *,
        metric: CountMetric | ShareMetric = "pass_at_k",
        tau: float | None = None,
        level: float = 0.95,
        interval: Interval = mean_interval,
    ) -> Self:
        """The curve of problems with n completions each of which c passed, of shape (P,); one n may stand for all.

            >>> curve = pkpo.PassAtKCurve.from_counts(n=8, c=[0, 1, 2, 2, 4, 5, 7, 8], k=[1, 4])
            >>> [f"pass@{point.k} {point.value:.3f}, {point.low:.3f} to {point.high:.3f}" for point in curve.points]
            ['pass@1 0.453, 0.153 to 0.754', 'pass@4 0.757, 0.462 to 1.000']

        The interval is clipped to [0, 1], which these metrics cannot leave.

        Args:
          k: one, several (taken in ascending order, each once), or None for default_ks(min(n)), without k = 1 where
            the metric has none.
          tau: the share of attempts that have to pass, for g_pass_at_k alone.
          interval: what makes the interval from the values per problem at one k, level and bounds: mean_interval, or
            functools.partial(mean_interval, clusters=...), functools.partial(bootstrap_interval, seed=...).
        Raises:
          ValueError: no problems, an unknown metric, a level outside (0, 1), a k outside [1, min(n)], a tau that is
            missing or too many, or counts that the metric's function refuses.
        """
        estimators: dict[str, Callable[..., NDArray[np.float64]]] = {
            "pass_at_k": pass_at_k,
            "fail_at_k": fail_at_k,
            "pass_hat_k": pass_hat_k,
            "g_pass_at_k": partial(g_pass_at_k, tau=0.0 if tau is None else tau),
            "mg_pass_at_k": mg_pass_at_k,
        }
        if metric not in estimators:
            raise ValueError(f"metric must be one of {', '.join(estimators)}; got {metric!r}")
        if (tau is None) == (metric == "g_pass_at_k"):
            raise ValueError(f"g_pass_at_k needs tau and no other metric has one; got tau={tau} for {metric}")
        if np.ndim(n) and np.ndim(c) and np.shape(n) != np.shape(c):
            raise ValueError(f"n and c must have one entry per problem; got shapes {np.shape(n)} and {np.shape(c)}")
        totals, passed = (np.atleast_1d(each) for each in inputs.tallies(n, c))
        ks = _ks(k, totals)
        if k is None and metric == "mg_pass_at_k":
            ks = ks[1:] or ks
        values = [estimators[metric](totals, passed, each) for each in ks]
        return cls._from_values(metric, ks, values, totals, level, interval, bounds=(0.0, 1.0), tau=tau)

    @classmethod
    def from_rewards(
        cls,
        rewards: ArrayLike | Sequence[Sequence[float]],
        k: int | Sequence[int] | None = None,
        *,
        metric: RewardMetric = "max_at_k",
        mask: ArrayLike | None = None,
        level: float = 0.95,
        interval: Interval = mean_interval,
    ) -> Self:
        """The curve of rewards of shape (P, n), masked or not, or of one list of rewards for each problem.

        Args:
          k: one, several (taken in ascending order, each once), or None for default_ks of the smallest n.
          mask: booleans that broadcast to an array of rewards, True for a real completion.
          interval: as for from_counts.
        Raises:
          ValueError: no problems, an unknown metric, a level outside (0, 1), a k outside [1, smallest n], or rewards
            that max_at_k refuses.
        """
        if metric not in ("max_at_k", "min_at_k"):
            raise ValueError(f"metric must be one of max_at_k, min_at_k; got {metric!r}")
        g, valid = _padded(rewards) if mask is None and _is_ragged(rewards) else inputs.rewards(rewards, mask)
        if g.ndim != 2:
            raise ValueError(f"rewards must have shape (P, n); got {g.shape}")
        totals = np.full(len(g), g.shape[1]) if valid is None else np.count_nonzero(valid, axis=1)
        ks = _ks(k, totals)
        sign = 1.0 if metric == "max_at_k" else -1.0
        values = list(sign * max_at_ks(sign * g, ks, valid).T)
        return cls._from_values(metric, ks, values, totals, level, interval)

    @classmethod
    def from_answers(
        cls,
        answers: inputs.Answers,
        correct: ArrayLike | Sequence[Sequence[bool]] | None = None,
        k: int | Sequence[int] | None = None,
        *,
        metric: AnswerMetric = "maj_at_k",
        ties: Ties = "share",
        mask: ArrayLike | None = None,
        level: float = 0.95,
        interval: Interval = mean_interval,
    ) -> Self:
        """The curve of answers of shape (P, n), masked or not, or of one list of answers for each problem.

        Args:
          correct: booleans as the answers stand, for maj_at_k; distinct_at_k needs none.
          k: one, several (taken in ascending order, each once), or None for default_ks of the smallest n.
          ties: as for maj_at_k.
          mask: booleans that broadcast to an array of answers, True for a real completion.
          interval: as for from_counts.
        Raises:
          ValueError: no problems, an unknown metric, a level outside (0, 1), a k outside [1, smallest n], or answers
            that maj_at_k or distinct_at_k refuses.
        """
        if metric not in get_args(AnswerMetric):
            raise ValueError(f"metric must be one of {', '.join(get_args(AnswerMetric))}; got {metric!r}")
        if mask is None and _is_ragged(answers):
            answers, correct, mask = ragged_answers(answers, correct)
        given, valid = inputs.answers(answers, mask)
        if given.ndim != 2:
            raise ValueError(f"answers must have shape (P, n); got {given.shape}")
        totals = np.full(len(given), given.shape[1]) if valid is None else np.count_nonzero(valid, axis=1)
        ks = _ks(k, totals)
        values = list(answer_values(metric, given, correct, ks, ties, valid).T)
        bounds = (0.0, 1.0 if metric == "maj_at_k" else math.inf)
        return cls._from_values(metric, ks, values, totals, level, interval, bounds=bounds)

    @classmethod
    def _from_values(
        cls,
        metric: str,
        ks: Sequence[int],
        values: Sequence[NDArray[np.float64]],
        totals: NDArray[np.int64],
        level: float,
        interval: Interval,
        bounds: tuple[float, float] = (-math.inf, math.inf),
        tau: float | None = None,
    ) -> Self:
        """The curve of one value per problem at each k."""
        means = intervals(interval, values, level, bounds)
        return cls(
            metric=metric,
            estimator=ESTIMATORS[metric] + ("" if tau is None else f", tau = {tau}"),
            points=tuple(
                CurvePoint(k, mean.value, mean.standard_error, mean.low, mean.high)
                for k, mean in zip(ks, means, strict=True)
            ),
            level=float(level),
            method=means[0].method,
            problems=len(totals),
            n_min=int(totals.min()),
            n_max=int(totals.max()),
        )

    @property
    def k(self) -> NDArray[np.int64]:
        """The k of every point, ascending."""
        return np.array([point.k for point in self.points], dtype=np.int64)

    @property
    def value(self) -> NDArray[np.float64]:
        """The mean over problems at every point."""
        return np.array([point.value for point in self.points])

    @property
    def standard_error(self) -> NDArray[np.float64]:
        """The standard error at every point, nan for one problem."""
        return np.array([point.standard_error for point in self.points])

    @property
    def low(self) -> NDArray[np.float64]:
        """The lower end of the interval at every point, nan for one problem."""
        return np.array([point.low for point in self.points])

    @property
    def high(self) -> NDArray[np.float64]:
        """The upper end of the interval at every point, nan for one problem."""
        return np.array([point.high for point in self.points])


def intervals(
    interval: Interval, values: Iterable[NDArray[np.float64]], level: float, bounds: tuple[float, float]
) -> list[MeanInterval]:
    """The mean of the values per problem at each k, with its interval; ValueError where no function makes intervals."""
    if not callable(interval):
        raise ValueError(
            "interval must be a function, as pkpo.mean_interval or functools.partial(pkpo.bootstrap_interval, seed=3);"
            f" got {interval!r}"
        )
    return [interval(each, level, bounds=bounds) for each in values]


def default_ks(n_min: int) -> tuple[int, ...]:
    """The powers of two up to n_min, and n_min: the k at which a curve is drawn unless others are asked for."""
    n_min = inputs.whole("n_min", n_min)
    powers = [1 << exponent for exponent in range(n_min.bit_length())]
    return tuple(powers) if powers[-1] == n_min else (*powers, n_min)


def ascending_ks(k: int | Sequence[int]) -> list[int]:
    """One k, or several, ascending and each once; ValueError where one is no number of attempts, or there is none."""
    ks = sorted({inputs.attempts(each) for each in (k if isinstance(k, Sequence | np.ndarray) else (k,))})
    if not ks:
        raise ValueError("k must hold at least one number of attempts; got none")
    return ks


def pad(groups: Sequence[Sequence[float | None]]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Rewards of shape (P, N) and their mask, from groups of any lengths in which None marks a missing completion.

    N is the longest group; what is masked is 0.

        >>> rewards, mask = pkpo.pad([[1, 0, None], [0.5]])
        >>> mask
        array([[ True,  True, False],
               [ True, False, False]])

    Raises:
      ValueError: no groups, no reward in any, or rewards that are not finite real numbers.
    """
    if not isinstance(groups, Iterable):
        raise ValueError(f"groups must hold the rewards of each problem; got {groups!r}")
    for place, group in enumerate(groups):
        if not isinstance(group, Collection):
            raise ValueError(f"groups must hold the rewards of each problem; got {group!r} at {place}")
    lengths = np.array([len(group) for group in groups], dtype=np.int64)
    flat = [reward for group in groups for reward in group]
    present = np.array([reward is not None for reward in flat], dtype=np.bool_)
    known, _ = inputs.rewards([reward for reward in flat if reward is not None])
    places = np.arange(lengths.max()) < lengths[:, None]
    g, mask = np.zeros(places.shape), np.zeros(places.shape, dtype=np.bool_)
    mask[places] = present
    g[mask] = known
    return g, mask


def _is_ragged(rewards: object) -> TypeGuard[Sequence[Sequence[float]]]:
    return (
        isinstance(rewards, list | tuple)
        and all(isinstance(group, list | tuple | np.ndarray) for group in rewards)
        and len({len(group) for group in rewards}) > 1
    )


def _padded(groups: Sequence[Sequence[float]]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    g, mask = pad(groups)
    if mask.sum() < sum(len(group) for group in groups):
        raise ValueError("rewards hold None; pad(rewards) gives an array and the mask that leaves them out")
    return g, mask


def _ks(k: int | Sequence[int] | None, totals: NDArray[np.int64]) -> list[int]:
    """The k of a curve, ascending, each once; ValueError where one exceeds the smallest n."""
    if totals.ndim != 1 or totals.size == 0:
        raise ValueError(f"a curve needs one n for each of at least one problem; got shape {totals.shape}")
    n_min = int(totals.min())
    if n_min < 1:
        raise ValueError(f"every problem needs at least one completion; problem {int(totals.argmin())} has {n_min}")
    if k is None:
        return list(default_ks(n_min))
    ks = ascending_ks(k)
    if ks[-1] > n_min:
        raise ValueError(f"k must be at most the smallest n; got k={ks[-1]}, n={n_min}")
    return ks
