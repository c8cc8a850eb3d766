"""Intervals from resampling: over problems, over problems and their completions, and for all k of a curve at once.

All are studentised: each resample is measured in its own standard errors, which holds its level where estimates per
problem are skewed and percentiles of resampled means do not (docs/intervals.md has what was measured).
"""

import math
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpo import inputs
from pkpo.estimators import pass_at_k
from pkpo.intervals import MeanInterval, fixed_interval, mean_interval, student_t, values_within
from pkpo.variance import pass_at_k_variance_estimate

# Resamples are made in blocks of about this many values, so that memory does not grow with their number.
_BLOCK = 2**20

# The resamples of a block: each row's mean and standard error. The generator's type is quoted here and elsewhere, for
# NumPy imports its random numbers, an import of its own, when they are first named.
Resample = Callable[["np.random.Generator", int], tuple[NDArray[np.float64], NDArray[np.float64]]]


def bootstrap_interval(
    values: ArrayLike,
    level: float = 0.95,
    *,
    seed: int,
    draws: int = 2000,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> MeanInterval:
    """The mean of one value per problem, with a studentised bootstrap interval over problems.

    With t* = (mean* - mean) / (sd* / sqrt(P)) of resamples of P problems, drawn with replacement, the interval is
    mean - t*_high sd / sqrt(P) to mean - t*_low sd / sqrt(P). It leans to the side to which the values are skewed.

    Args:
      values, level, bounds: as for mean_interval.
      seed: of the resamples, an integer of at least 0.
      draws: how many resamples, enough for one in each tail. Cost: draws * P.
    Raises:
      ValueError: as for mean_interval, a seed that is none, or too few draws.

    Efron and Tibshirani (1993), An Introduction to the Bootstrap, section 12.5.
    """
    plain = mean_interval(values, level, bounds=bounds)
    array, _ = inputs.rewards(values)
    _, exponent = np.frexp(np.abs(array).max())
    scaled = np.ldexp(array, -exponent)

    def resample(rng: "np.random.Generator", rows: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        chosen = scaled[rng.integers(len(scaled), size=(rows, len(scaled)))]
        return _mean_and_error(chosen)

    center = math.ldexp(plain.value, -int(exponent))
    return _studentised(plain, resample, center, math.ldexp(1.0, int(exponent)), bounds, seed, draws, "over problems")


def bootstrap_pass_at_k(
    n: ArrayLike,
    c: ArrayLike,
    k: int,
    level: float = 0.95,
    *,
    problems: Literal["sample", "fixed"] = "sample",
    seed: int,
    draws: int = 2000,
) -> MeanInterval:
    """Mean pass@k, with a studentised bootstrap interval over completions, and over problems unless they are fixed.

    The completions of a problem are resampled with replacement: c* of n passes, binomial with probability c / n. The
    mean of pass_at_k(n, c*, k) is then 1 - (1 - c/n)^k, not pass_at_k(n, c, k); t* is taken from there.

    Args:
      n, c: completions per problem and how many of them passed, shape (P,); one n may stand for all.
      k: attempts; 1 <= k <= min(n), and k < min(n) with fixed problems, for the jackknife to give their error.
      level, seed, draws: as for bootstrap_interval. Cost: draws * P, and pass_at_k of every count that is drawn.
      problems: "sample" resamples problems too, for what other problems of the kind would give; "fixed" keeps them.
    Raises:
      ValueError: counts or k out of range, an unknown kind of problems, a seed that is none, or too few draws.
    """
    totals, passed = (np.atleast_1d(each) for each in inputs.tallies(n, c))
    values = pass_at_k(totals, passed, k)
    chance = passed / np.maximum(totals, 1)
    bounds = (0.0, 1.0)
    if problems == "sample":
        plain = mean_interval(values, level, bounds=bounds)

        def resample(rng: "np.random.Generator", rows: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            chosen = rng.integers(len(totals), size=(rows, len(totals)))
            return _mean_and_error(pass_at_k(totals[chosen], rng.binomial(totals[chosen], chance[chosen]), k))

    elif problems == "fixed":
        plain = fixed_interval(values, _jackknife(totals, passed, k), level, bounds=bounds)

        def resample(rng: "np.random.Generator", rows: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            drawn = rng.binomial(totals, chance, size=(rows, len(totals)))
            all_n = np.broadcast_to(totals, drawn.shape)
            error = np.sqrt(_jackknife(all_n, drawn, k).sum(axis=1)) / len(totals)
            return pass_at_k(all_n, drawn, k).mean(axis=1), error

    else:
        raise ValueError(f"problems must be sample or fixed; got {problems!r}")
    center = float(-np.expm1(k * np.log1p(-np.minimum(chance, 1 - 2**-53))).mean())
    what = "over completions, problems fixed" if problems == "fixed" else "over problems and completions"
    return _studentised(plain, resample, center, 1.0, bounds, seed, draws, what)


def simultaneous_band(
    values: ArrayLike,
    level: float = 0.95,
    *,
    seed: int,
    draws: int = 2000,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> tuple[MeanInterval, ...]:
    """The mean of each column with an interval, all of which hold their true value at once with this level.

    The intervals are mean -+ q * standard error, q the level's quantile over resamples of problems of the largest
    |mean* - mean| / (sd* / sqrt(P)) of all columns, and at least Student's t. It grows with skewed values, and little
    with the number of columns where these are alike, as pass@k is at neighbouring k.

    Args:
      values: one per problem and k, finite, shape (P, K): np.stack([pass_at_k(n, c, k) for k in ks], axis=1).
      level, bounds: as for mean_interval; a column that is constant has an interval of no width.
      seed: of the resamples, an integer of at least 0.
      draws: how many of them. Cost: draws * P * K.
    Raises:
      ValueError: as for mean_interval, values not of shape (P, K), a seed that is none, or too few draws.

    Montiel Olea and Plagborg-Moller (2019), J. Appl. Econometrics 34, for bands by the largest t.
    """
    array, _ = inputs.rewards(values, name="values")
    if array.ndim != 2:
        raise ValueError(f"values must have shape (P, K); got {array.shape}")
    means = [mean_interval(column, level, bounds=bounds) for column in array.T]
    rng, draws = generator(seed), enough_draws(draws, means[0].level)
    method = "simultaneous, studentised bootstrap over problems"
    if len(array) < 2:
        return tuple(_renamed(mean, mean.low, mean.high, method, seed) for mean in means)
    q = max(_largest_t(array, rng, draws, means[0].level), student_t(means[0].level, len(array) - 1))
    halves = [q * mean.standard_error if mean.standard_error else 0.0 for mean in means]  # q may be infinite
    return tuple(
        _renamed(mean, max(mean.value - half, bounds[0]), min(mean.value + half, bounds[1]), method, seed)
        for mean, half in zip(means, halves, strict=True)
    )


def bootstrap_test(differences: ArrayLike, *, seed: int, draws: int = 9_999) -> float:
    """The p-value, two-sided, of the studentised bootstrap that the mean difference over problems is 0.

    With t = mean / (sd / sqrt(P)) and t* of resamples as for bootstrap_interval, p = 2 (b + 1) / (draws + 1), b the
    lesser of the numbers of t* at or above t and at or below; at most 1. It is below 1 - level where the interval of
    that level leaves 0 out. Where sign_flips tests that differences are as likely positive as negative, this tests
    their mean alone, and needs more problems.

    Args:
      differences: b - a per problem, finite, shape (P,) with P at least 2; all equal and not 0, the least p there is.
      seed: of the resamples, an integer of at least 0.
      draws: how many resamples. Cost: draws * P.
    Raises:
      ValueError: differences of another shape or not finite, one problem, a seed that is none, or draws below 1.

    Davison and Hinkley (1997), Bootstrap Methods and their Application, section 4.4.
    """
    array = values_within(differences, (-math.inf, math.inf))
    rng, draws = generator(seed), inputs.whole("draws", draws)
    P = len(array)
    if P < 2:
        raise ValueError("a bootstrap test needs the differences of at least 2 problems; got 1")
    scaled = np.ldexp(array, -np.frexp(np.abs(array).max())[1])  # t has no unit, _in_errors a least distance
    mean, error = _mean_and_error(scaled[None])
    t = _in_errors(mean, error)
    above = below = 0
    for rows in blocks(draws, P):
        means, errors = _mean_and_error(scaled[rng.integers(P, size=(rows, P))])
        drawn = _in_errors(means - mean, errors)
        above += int(np.count_nonzero(drawn >= t - 1e-9))
        below += int(np.count_nonzero(drawn <= t + 1e-9))
    return min(1.0, 2 * (min(above, below) + 1) / (draws + 1))


def generator(seed: object) -> "np.random.Generator":
    """The generator of random numbers of that seed; ValueError unless it is an integer of at least 0."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or int(seed) < 0:
        raise ValueError(f"seed must be an integer of at least 0; got {seed!r}")
    return np.random.default_rng(int(seed))


def enough_draws(draws: int, level: float) -> int:
    """draws as an int; ValueError where less than one of them falls into each tail outside level."""
    draws = inputs.whole("draws", draws)
    least = math.ceil(2 / (1 - level))
    if draws < least:
        raise ValueError(f"draws must be at least {least} at level {level}; got {draws}")
    return draws


def blocks(draws: int, size: int) -> Iterator[int]:
    """How many of the draws, of that many values each, to make at a time."""
    rows = max(1, _BLOCK // size)
    for start in range(0, draws, rows):
        yield min(rows, draws - start)


def tails(draws: NDArray[np.float64], level: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The draws between which the central level of them lies, along the first axis."""
    # The mean of two neighbours would be nan where they are -inf and inf.
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0, method="inverted_cdf")
    return low, high


def _studentised(
    plain: MeanInterval,
    resample: Resample,
    center: float,
    scale: float,
    bounds: tuple[float, float],
    seed: int,
    draws: int,
    what: str,
) -> MeanInterval:
    """plain with the interval of its t* over resamples, whose means are about center and are in units of scale."""
    rng, draws = generator(seed), enough_draws(draws, plain.level)
    method = f"studentised bootstrap {what}"
    if plain.problems < 2 and "fixed" not in what:
        return _renamed(plain, math.nan, math.nan, method, seed)
    drawn = [resample(rng, rows) for rows in blocks(draws, plain.problems)]
    away, error = np.concatenate([mean for mean, _ in drawn]) - center, np.concatenate([error for _, error in drawn])
    t_low, t_high = tails(_in_errors(away, error), plain.level)
    ends = [plain.value - (t * plain.standard_error if plain.standard_error else 0.0) for t in (t_high, t_low)]
    return _renamed(plain, max(float(ends[0]), bounds[0]), min(float(ends[1]), bounds[1]), method, seed)


def _in_errors(away: NDArray[np.float64], error: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many of its errors each resample is away: infinitely many without spread, unless it is where it should be."""
    nowhere = np.where(np.abs(away) < 1e-12, 0.0, np.copysign(np.inf, away))
    distances: NDArray[np.float64] = np.divide(away, error, out=nowhere, where=error > 0)
    return distances


def _renamed(plain: MeanInterval, low: float, high: float, method: str, seed: int) -> MeanInterval:
    return MeanInterval(plain.value, plain.standard_error, low, high, plain.level, method, plain.problems, int(seed))


def _mean_and_error(chosen: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean and the standard error of each row, exactly 0 where its values are equal."""
    error = chosen.std(axis=1, ddof=1) / math.sqrt(chosen.shape[1])
    error[np.ptp(chosen, axis=1) == 0] = 0
    return chosen.mean(axis=1), error


def _jackknife(n: NDArray[np.int64], c: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    return pass_at_k_variance_estimate(n, c, k, method="jackknife")


def _largest_t(values: NDArray[np.float64], rng: "np.random.Generator", draws: int, level: float) -> float:
    """The level's quantile of the largest |t*| of all columns over resamples of the rows."""
    values = np.ldexp(values, -np.frexp(np.abs(values).max(axis=0))[1])  # t has no unit, _in_errors a least distance
    P, means = len(values), values.mean(axis=0)
    largest = []
    for rows in blocks(draws, P):
        chosen = rng.integers(P, size=(rows, P))
        resampled = (_mean_and_error(column[chosen]) for column in values.T)
        each = [_in_errors(mean - center, error) for (mean, error), center in zip(resampled, means, strict=True)]
        largest.append(np.abs(each).max(axis=0))
    return float(np.quantile(np.concatenate(largest), level, method="inverted_cdf"))
