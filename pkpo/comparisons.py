"""Two evaluations of the same problems: what changed from a to b, problem by problem."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpo import inputs
from pkpo.bootstrap import blocks, generator
from pkpo.curves import CountMetric, Interval, RewardMetric, ascending_ks, default_ks, intervals
from pkpo.estimators import fail_at_k, max_at_ks, pass_at_k, pass_hat_k
from pkpo.intervals import mean_interval

# So many differences that are not zero have all their 2^m signs tried; for more, signs are drawn.
_MOST_EXACT = 20
# Signs are drawn in parts that lie in a core's cache, too small for BLAS to share out: on a busy machine its threads
# wait for each other for longer than they work. 10,000 differences at 7 k take 0.6 s, in larger parts 1 to 8 s.
_PARTS = 16


@dataclass(frozen=True)
class Difference:
    """The mean of b - a over problems at one k, with interval and p-values."""

    k: int
    difference: float
    standard_error: float
    low: float
    high: float
    p_value: float  # two-sided, of the mean difference at this k
    p_value_any: float  # the same, corrected for having looked at every k of the comparison


@dataclass(frozen=True)
class Comparison:
    """Made by from_counts or from_rewards: what changed from evaluation a to evaluation b of the same problems."""

    metric: str
    points: tuple[Difference, ...]  # in ascending k
    newly_solved: tuple[Hashable, ...] | None  # never passed in a, passed at least once in b; None for rewards
    forgotten: tuple[Hashable, ...] | None  # passed at least once in a, never in b
    problems_used: int
    level: float
    method: str  # of the interval
    test: str  # of the p-values
    seed: int | None  # of the signs, None where all were tried

    @classmethod
    def from_counts(
        cls,
        n_a: ArrayLike,
        c_a: ArrayLike,
        n_b: ArrayLike,
        c_b: ArrayLike,
        k: int | Sequence[int] | None = None,
        *,
        problems: Sequence[Hashable] | None = None,
        metric: CountMetric = "pass_at_k",
        level: float = 0.95,
        interval: Interval = mean_interval,
        seed: int = 0,
        draws: int = 9_999,
    ) -> Self:
        """Compare two evaluations by their counts, problem i of one being problem i of the other; n may differ.

        The interval is that of the mean of the differences per problem, with problems as a sample: what problems have
        in common cancels. The p-value is that of the sign-flip test: the share of all ways to sign the differences
        whose mean is at least as far from 0. It is exact if a and b are exchangeable within each problem, which takes
        one n for both; else for large P. Up to 20 differences that are not zero have all signs tried; beyond, draws of
        them, and p = (b + 1) / (m + 1), which counts the data as one draw.

        Args:
          n_a, c_a, n_b, c_b: completions and passes, shape (P,); one n may stand for all problems.
          k: one, several, or None for default_ks of the smallest n of both.
          problems: their names for newly_solved and forgotten; without, their places from 0.
          interval: as for PassAtKCurve.from_counts, of the differences per problem.
          seed, draws: of the signs, where they are drawn.
        Raises:
          ValueError: counts of unequal shapes, names that are not one for each problem or stand twice, or what
            pass_at_k and the interval refuse.

        Good (2005), Permutation, Parametric and Bootstrap Tests, section 3.2.1; Phipson and Smyth (2010), Statist.
        Appl. Genet. Mol. Biol. 9, for the count of draws; Westfall and Young (1993), Resampling-Based Multiple Testing,
        section 2.6, for p_value_any.
        """
        a, b = _per_problem(n_a, c_a, "a"), _per_problem(n_b, c_b, "b")
        if len(a[0]) != len(b[0]):
            raise ValueError(f"a and b must have the same problems; got {len(a[0])} and {len(b[0])}")
        names = _names(problems, len(a[0]))
        ks = list(default_ks(int(min(a[0].min(), b[0].min()))) if k is None else ascending_ks(k))
        if metric not in _METRICS:
            raise ValueError(f"metric must be one of {', '.join(_METRICS)}; got {metric!r}")
        differences = np.stack([_METRICS[metric](*b, each) - _METRICS[metric](*a, each) for each in ks], axis=1)
        never_a, never_b = a[1] == 0, b[1] == 0
        return cls._of_differences(
            metric,
            ks,
            differences,
            newly_solved=tuple(names[i] for i in np.flatnonzero(never_a & ~never_b)),
            forgotten=tuple(names[i] for i in np.flatnonzero(~never_a & never_b)),
            bounds=(-1.0, 1.0),
            level=level,
            interval=interval,
            seed=seed,
            draws=draws,
        )

    @classmethod
    def from_rewards(
        cls,
        a: ArrayLike,
        b: ArrayLike,
        k: int | Sequence[int] | None = None,
        *,
        mask_a: ArrayLike | None = None,
        mask_b: ArrayLike | None = None,
        metric: RewardMetric = "max_at_k",
        level: float = 0.95,
        interval: Interval = mean_interval,
        seed: int = 0,
        draws: int = 9_999,
    ) -> Self:
        """Compare two evaluations by their rewards, shapes (P, n_a) and (P, n_b), as from_counts does by counts.

        A reward is not thresholded, so newly_solved and forgotten are None. pad makes arrays and masks of ragged lists.
        """
        if metric not in ("max_at_k", "min_at_k"):
            raise ValueError(f"metric must be one of max_at_k, min_at_k; got {metric!r}")
        (g_a, valid_a), (g_b, valid_b) = inputs.rewards(a, mask_a, "a"), inputs.rewards(b, mask_b, "b")
        if g_a.ndim != 2 or g_b.ndim != 2 or len(g_a) != len(g_b):
            raise ValueError(f"a and b must have shapes (P, n) with one P; got {g_a.shape} and {g_b.shape}")
        n_min = min(_smallest(g_a, valid_a), _smallest(g_b, valid_b))
        ks = list(default_ks(n_min) if k is None else ascending_ks(k))
        sign = 1.0 if metric == "max_at_k" else -1.0
        with np.errstate(over="ignore"):  # a difference beyond float64 is refused below, as one that is not finite
            differences = sign * (max_at_ks(sign * g_b, ks, valid_b) - max_at_ks(sign * g_a, ks, valid_a))
        return cls._of_differences(metric, ks, differences, level=level, interval=interval, seed=seed, draws=draws)

    @classmethod
    def _of_differences(
        cls,
        metric: str,
        ks: Sequence[int],
        differences: NDArray[np.float64],
        *,
        newly_solved: tuple[Hashable, ...] | None = None,
        forgotten: tuple[Hashable, ...] | None = None,
        bounds: tuple[float, float] = (-math.inf, math.inf),
        level: float,
        interval: Interval,
        seed: int,
        draws: int,
    ) -> Self:
        """The comparison of differences per problem and k, shape (P, K)."""
        means = intervals(interval, differences.T, level, bounds)
        flips = sign_flips(differences, seed=seed, draws=draws)
        return cls(
            metric=metric,
            points=tuple(
                Difference(k, mean.value, mean.standard_error, mean.low, mean.high, p, p_any)
                for k, mean, p, p_any in zip(ks, means, flips.p_values, flips.p_values_any, strict=True)
            ),
            newly_solved=newly_solved,
            forgotten=forgotten,
            problems_used=len(differences),
            level=means[0].level,
            method=means[0].method,
            test=flips.test,
            seed=None if flips.exact else int(seed),
        )


@dataclass(frozen=True)
class SignFlips:
    """The p-values of the sign-flip test for each column, alone and corrected for all of them."""

    p_values: tuple[float, ...]
    p_values_any: tuple[float, ...]
    test: str
    exact: bool  # all signs were tried


def sign_flips(differences: ArrayLike, *, seed: int = 0, draws: int = 9_999) -> SignFlips:
    """The two-sided sign-flip test that differences per problem, shape (P, K), are as likely positive as negative.

    The statistic of a column is |sum d_i| / sqrt(sum d_i^2), whose divisor no flip changes: the test of the sum is that
    of Student's t. A row has one sign in all columns, so the largest over columns gives p-values that hold for all.

    Raises:
      ValueError: differences that are not finite or not of shape (P, K), a seed that is none, or draws below 1.
    """
    array, _ = inputs.rewards(differences, name="differences")
    if array.ndim != 2:
        raise ValueError(f"differences must have shape (P, K); got {array.shape}")
    rng, draws = generator(seed), inputs.whole("draws", draws)
    array = array[array.any(axis=1)]  # a flip of zero changes nothing
    # The statistic has no unit: near 1 by a power of two, no square overflows or vanishes.
    array = np.ldexp(array, -np.frexp(np.abs(array).max(axis=0, initial=0.0))[1])
    sizes = np.sqrt(np.square(array).sum(axis=0))
    unit = np.divide(array, sizes, out=np.zeros_like(array), where=sizes > 0)
    seen = np.abs(unit.sum(axis=0))
    exact = len(unit) <= _MOST_EXACT
    test = "sign flips, all" if exact else f"sign flips, {draws} drawn"
    alone, together, flips = np.zeros(len(seen), np.int64), np.zeros(len(seen), np.int64), 0
    for sums in (
        [_all_sums(unit)] if exact else (_drawn_sums(unit, rng, rows) for rows in blocks(draws, _PARTS * len(unit)))
    ):
        # Sums that are equal in the reals may differ in the last bits here: ties count.
        reached = np.abs(sums) + 1e-9
        alone += (reached >= seen).sum(axis=0)
        together += (reached.max(axis=1, keepdims=True) >= seen).sum(axis=0)
        flips += len(sums)
    observed = 0 if exact else 1  # among all flips the data is one already
    p_values, p_values_any = (((each + observed) / (flips + observed)).tolist() for each in (alone, together))
    return SignFlips(tuple(p_values), tuple(p_values_any), test, exact)


def _all_sums(unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sums of the rows under every choice of signs, up to the sign of all, shape (2^(m-1), K)."""
    sums = unit[:1] if len(unit) else np.zeros((1, unit.shape[1]))
    for row in unit[1:]:
        sums = np.concatenate([sums + row, sums - row])
    return sums


def _drawn_sums(unit: NDArray[np.float64], rng: "np.random.Generator", rows: int) -> NDArray[np.float64]:
    signs = rng.integers(0, 2, size=(rows, len(unit))).astype(np.float64) * 2 - 1
    sums: NDArray[np.float64] = signs @ unit
    return sums


def _smallest(g: NDArray[np.float64], valid: NDArray[np.bool_] | None) -> int:
    return int(g.shape[1] if valid is None else np.count_nonzero(valid, axis=1).min())


def _per_problem(n: ArrayLike, c: ArrayLike, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    totals, passed = (np.atleast_1d(each) for each in inputs.tallies(n, c))
    if totals.ndim != 1 or totals.size == 0:
        raise ValueError(f"{name} needs one n and c for each of at least one problem; got shape {totals.shape}")
    return totals, passed


def _names(problems: Sequence[Hashable] | None, count: int) -> Sequence[Hashable]:
    names = range(count) if problems is None else problems
    if len(names) != count:
        raise ValueError(f"problems must be one name for each of {count}; got {len(names)}")
    if len(set(names)) < count:
        raise ValueError("problems must hold each name once")
    return names


_METRICS: Mapping[str, Callable[..., NDArray[np.float64]]] = {
    "pass_at_k": pass_at_k,
    "fail_at_k": fail_at_k,
    "pass_hat_k": pass_hat_k,
}
