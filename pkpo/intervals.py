"""Means over problems with their standard error and Student t interval, from NumPy and the standard library alone."""

import math
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from pkpo import inputs


@dataclass(frozen=True)
class MeanInterval:
    """A mean over problems; standard_error, low and high are nan where one problem says nothing about the spread."""

    value: float
    standard_error: float
    low: float
    high: float


def mean_interval(
    values: ArrayLike, level: float = 0.95, *, bounds: tuple[float, float] = (-math.inf, math.inf)
) -> MeanInterval:
    """The mean of one value per problem, its standard error sd / sqrt(P), and mean -+ t * standard error.

    Problems are taken as a sample: t is the two-sided Student quantile at level with P - 1 degrees of freedom.

    Args:
      values: one per problem, finite, shape (P,) with P at least 1.
      level: the interval's confidence level, in (0, 1).
      bounds: what the quantity cannot leave; the interval is clipped to it.
    Raises:
      ValueError: no values, values that are not finite or not within bounds, or a level outside (0, 1).
    """
    level = inputs.level_of(level)
    array, _ = inputs.rewards(values, name="values")
    if array.ndim != 1:
        raise ValueError(f"values must have shape (P,); got {array.shape}")
    if not bounds[0] <= array.min() <= array.max() <= bounds[1]:
        raise ValueError(f"values must be within bounds {bounds}; got {array.min()} to {array.max()}")
    if len(array) < 2:
        return MeanInterval(float(array[0]), math.nan, math.nan, math.nan)
    # Brought near 1 by a power of two, no sum overflows and no square vanishes.
    exponent = int(np.frexp(np.abs(array).max())[1])
    scaled = np.ldexp(array, -exponent)
    # Clipped, for the mean of equal values to be that value: the rounded quotient of their rounded sum may miss it.
    mean = float(np.clip(math.fsum(scaled.tolist()) / len(scaled), scaled.min(), scaled.max()))
    spread = math.sqrt(math.fsum(np.square(scaled - mean).tolist()) / (len(scaled) - 1))
    error = spread / math.sqrt(len(scaled))
    half = student_t(level, len(scaled) - 1) * error
    with np.errstate(over="ignore"):  # an end beyond float64 is infinite, which is no lie
        value, error, low, high = np.ldexp([mean, error, mean - half, mean + half], exponent).tolist()
    return MeanInterval(value, error, max(low, bounds[0]), min(high, bounds[1]))


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
