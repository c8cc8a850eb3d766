"""Means over problems with their standard error and interval, from NumPy and the standard library alone.

mean_interval takes the problems as a sample, alone or in clusters; fixed_interval as the only ones that there are.
"""

import math
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpo import inputs


@dataclass(frozen=True)
class MeanInterval:
    """A mean over problems; standard_error, low and high are nan where one problem says nothing about the spread."""

    value: float
    standard_error: float
    low: float
    high: float
    level: float
    method: str  # "t", "clustered t", "normal, problems fixed", or of the bootstrap
    problems: int
    seed: int | None = None  # of what is drawn at random


def mean_interval(
    values: ArrayLike,
    level: float = 0.95,
    *,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    clusters: ArrayLike | None = None,
) -> MeanInterval:
    """The mean of one value per problem, its standard error sd / sqrt(P), and mean -+ t * standard error.

    Problems are taken as a sample: t is the two-sided Student quantile at level with P - 1 degrees of freedom. In
    clusters, the sample is of the G clusters: with S_g the sum of value - mean over cluster g the standard error is
    sqrt(G / (G-1) sum_g S_g^2) / P, and t has G - 1 degrees of freedom. G / (G-1) is the correction CR1, which makes
    clusters of one problem each the same as none.

    Args:
      values: one per problem, finite, shape (P,) with P at least 1.
      level: the interval's confidence level, in (0, 1).
      bounds: what the quantity cannot leave; the interval is clipped to it.
      clusters: which cluster each problem belongs to, integers or strings, shape (P,).
    Raises:
      ValueError: no values, values that are not finite or not within bounds, a level outside (0, 1), or not one cluster
        for each problem.

    Miller (2024), arXiv:2411.00640, sections 2.1 and 2.2 (there without the correction).
    """
    level = inputs.level_of(level)
    array = values_within(values, bounds)
    groups = None if clusters is None else _clusters(clusters, len(array))
    method, G = ("t", len(array)) if groups is None else ("clustered t", int(groups.max()) + 1)
    # Brought near 1 by a power of two, no sum overflows and no square vanishes.
    exponent = int(np.frexp(np.abs(array).max())[1])
    scaled = np.ldexp(array, -exponent)
    mean = _mean(scaled)
    if G < 2:
        return MeanInterval(math.ldexp(mean, exponent), math.nan, math.nan, math.nan, level, method, len(array))
    deviations = scaled - mean
    sums = deviations if groups is None else np.bincount(groups, weights=deviations)
    spread = math.sqrt(math.fsum(np.square(sums).tolist()) / (G - 1))
    error = spread / (math.sqrt(G) if groups is None else len(array) / math.sqrt(G))
    half = student_t(level, G - 1) * error
    with np.errstate(over="ignore"):  # an end beyond float64 is infinite, which is no lie
        value, error, low, high = np.ldexp([mean, error, mean - half, mean + half], exponent).tolist()
    return MeanInterval(value, error, max(low, bounds[0]), min(high, bounds[1]), level, method, len(array))


def fixed_interval(
    values: ArrayLike,
    variances: ArrayLike,
    level: float = 0.95,
    *,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> MeanInterval:
    """The mean over these very problems, with what only the draw of completions leaves open.

    Standard error sqrt(sum of variances) / P; mean -+ z * standard error with z the normal quantile. It says how far
    the same evaluation would vary if it was drawn again on the same problems, and nothing about other problems.

    Args:
      values: one per problem, finite, shape (P,) with P at least 1.
      variances: of each value over draws of its completions, shape (P,): pass_at_k_variance_estimate or
        max_at_k_variance_estimate. Estimates below 0 are taken as they are, as long as the sum is not.
      level, bounds: as for mean_interval.
    Raises:
      ValueError: as for mean_interval, not one variance for each value, or variances with a sum below 0, which give no
        standard error.
    """
    mean = mean_interval(values, level, bounds=bounds)
    spreads, _ = inputs.rewards(variances, name="variances")
    if spreads.shape != (mean.problems,):
        raise ValueError(f"variances must have the shape of values, ({mean.problems},); got {spreads.shape}")
    total = math.fsum(spreads.tolist())
    if total < 0:
        raise ValueError(f"variances must not have a sum below 0, for which there is no standard error; got {total}")
    error = math.sqrt(total) / mean.problems
    half = NormalDist().inv_cdf((1 + mean.level) / 2) * error
    low, high = max(mean.value - half, bounds[0]), min(mean.value + half, bounds[1])
    return MeanInterval(mean.value, error, low, high, mean.level, "normal, problems fixed", mean.problems)


def values_within(values: ArrayLike, bounds: tuple[float, float]) -> NDArray[np.float64]:
    """One finite value per problem, shape (P,); ValueError where one is not within bounds."""
    array, _ = inputs.rewards(values, name="values")
    if array.ndim != 1:
        raise ValueError(f"values must have shape (P,); got {array.shape}")
    if not bounds[0] <= array.min() <= array.max() <= bounds[1]:
        raise ValueError(f"values must be within bounds {bounds}; got {array.min()} to {array.max()}")
    return array


def _mean(values: NDArray[np.float64]) -> float:
    # Clipped, for the mean of equal values to be that value: the rounded quotient of their rounded sum may miss it.
    return float(np.clip(math.fsum(values.tolist()) / len(values), values.min(), values.max()))


def _clusters(clusters: ArrayLike, problems: int) -> NDArray[np.int64]:
    """The number of each problem's cluster, from 0 on."""
    names = np.asarray(clusters)
    if names.shape != (problems,) or names.dtype.kind not in "iuUS":
        raise ValueError(
            f"clusters must be one integer or string for each of {problems} problems;"
            f" got {names.dtype} of shape {names.shape}"
        )
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def student_t(level: float, df: int) -> float:
    """The t with P(|T| <= t) = level for Student's T with df degrees of freedom, within an ulp.

    Raises:
      ValueError: level outside (0, 1), or df no integer of at least 1.
    """
    return _quantile(inputs.level_of(level), inputs.whole("df", df))


@lru_cache(maxsize=1024)
def _quantile(level: float, df: int) -> float:
    # Newton's method from the left: the central probability is concave in t, so no step passes the root. Decimals
    # carry the digits that a level near 1 or a large df cost. Abramowitz and Stegun, 26.5.4 and 26.7.1.
    with localcontext(Context(prec=50)):
        nu, target, t = Decimal(df), Decimal(level), Decimal(0)
        peak = _density_at_zero(nu)
        while True:
            outer = nu / (nu + t * t)
            density = peak * (outer.ln() * (nu + 1) / 2).exp()
            step = (target - _central_probability(t, nu, peak)) / (2 * density)
            t += step
            if step <= t * _TINY:
                return float(t)


_TINY = Decimal("1e-30")
_PI = Decimal("3.14159265358979323846264338327950288419716939937510582")
# (1 - 4^-j) B_2j / (j (2j - 1)) for j = 1..8: ln(Gamma(x) sqrt(x) / Gamma(x + 1/2)) in odd powers of 1 / x.
_GAMMA_RATIO = [
    Decimal(numerator) / denominator
    for numerator, denominator in (
        (1, 8), (-1, 192), (1, 640), (-17, 14336), (31, 18432), (-691, 180224), (5461, 425984), (-929569, 15728640),
    )
]  # fmt: skip


def _density_at_zero(nu: Decimal) -> Decimal:
    """Gamma((nu + 1) / 2) / (sqrt(nu pi) Gamma(nu / 2)), by the expansion at large nu and the recurrence below."""
    factor, x = 1 / (nu * _PI).sqrt(), nu / 2
    while x < 100:
        factor *= x / (x + Decimal("0.5"))
        x += 1
    series = sum((c / x ** (2 * j + 1) for j, c in enumerate(_GAMMA_RATIO)), Decimal(0))
    return factor * x.sqrt() * (-series).exp()


def _central_probability(t: Decimal, nu: Decimal, peak: Decimal) -> Decimal:
    """P(|T| <= t), by the series of the incomplete beta function in whichever of its two arguments is the smaller."""
    inner, outer = t * t / (nu + t * t), nu / (nu + t * t)
    scale = 2 * peak * nu.sqrt() * (inner.sqrt() * (outer.ln() * nu / 2).exp())
    if inner < outer:
        return scale * _series((nu + 1) / 2, Decimal("1.5"), inner)
    return 1 - scale / nu * _series((nu + 1) / 2, nu / 2 + 1, outer)


def _series(a: Decimal, b: Decimal, z: Decimal) -> Decimal:
    """sum_n (a)_n / (b)_n z^n, (a)_n = a (a + 1) ... (a + n - 1), for 0 <= z <= 1/2."""
    term = total = Decimal(1)
    n = 0
    while term > total * _TINY / 100 or (a + n) * z > b + n:
        term *= (a + n) / (b + n) * z
        total += term
        n += 1
    return total
