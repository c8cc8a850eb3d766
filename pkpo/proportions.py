"""Intervals for one problem: for its solve rate, and from there for its pass@k at any k."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from pkpo import inputs

ProportionMethod = Literal["wilson", "jeffreys", "clopper-pearson"]


@dataclass(frozen=True)
class ProblemInterval:
    """An interval for pass@k of one problem, of whose n completions c passed."""

    n: int
    c: int
    k: int
    low: float
    high: float
    level: float
    method: str


def pass_at_k_interval(
    n: int, c: int, k: int = 1, level: float = 0.95, *, method: ProportionMethod = "wilson"
) -> ProblemInterval:
    """An interval for pass@k = 1 - (1-p)^k of one problem, from one for its solve rate p.

    As pass@k rises with p, the ends are those for p put into the formula, and the interval holds pass@k just when the
    other holds p. So k may exceed n, where no unbiased estimate exists: the interval only gets wide.

    wilson:          |c/n - p| <= z sqrt(p (1-p) / n), solved for p. Near its level on average over p.
    jeffreys:        quantiles of Beta(c + 1/2, n - c + 1/2); from 0 where c = 0, to 1 where c = n. Shorter near 0
                     and 1.
    clopper-pearson: the p that neither tail of the binomial rejects: quantiles of Beta(c, n-c+1) and Beta(c+1, n-c).
                     Never below its level, and wider for it.

    Args:
      n: completions, at least 1.
      c: how many passed, in [0, n].
      k: attempts, at least 1.
      level: the interval's confidence level, in (0, 1).
    Raises:
      ValueError: n, c, k or level out of range, or an unknown method.

    Wilson (1927), J. Amer. Statist. Assoc. 22; Brown, Cai and DasGupta (2001), Statist. Sci. 16, sections 3 and 4;
    Clopper and Pearson (1934), Biometrika 26.
    """
    n, k, level = inputs.whole("n", n), inputs.attempts(k), inputs.level_of(level)
    _, passed = inputs.tallies(n, c)
    if passed.shape:
        raise ValueError(f"c must be the count of one problem; got shape {passed.shape}")
    if method not in _METHODS:
        raise ValueError(f"method must be one of {', '.join(_METHODS)}; got {method!r}")
    c, lower = int(passed), _METHODS[method]
    # The upper end for p is that for the share which failed, from 1: near p = 1 only so the power keeps its digits.
    low, high = -math.expm1(k * math.log1p(-lower(n, c, level))), 1 - lower(n, n - c, level) ** k
    return ProblemInterval(n, c, k, low, high, level, method)


def beta_quantile(probability: float, a: float, b: float) -> float:
    """The x with P(X <= x) = probability for X ~ Beta(a, b), by bisection: 8 digits for a, b <= 1e6."""
    low, high = 0.0, 1.0
    while (middle := (low + high) / 2) not in (low, high) and high - low > 1e-12 * low:
        if beta_probability(middle, a, b) < probability:
            low = middle
        else:
            high = middle
    return middle


def beta_probability(x: float, a: float, b: float) -> float:
    """P(X <= x) for X ~ Beta(a, b): the regularized incomplete beta function.

    Its continued fraction, from the end where it converges. Press et al. (2007), Numerical Recipes, section 6.4.
    """
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_probability(1 - x, b, a)
    if x == 0:
        return 0.0
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(front) / a * _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    # Lentz's method: c and d are ratios of successive numerators and denominators.
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    value, m = d, 0
    while True:
        m += 1
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + term * d)
            c = 1 + term / c
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            return value


def _wilson(n: int, c: int, level: float) -> float:
    z = NormalDist().inv_cdf((1 + level) / 2)
    # The lower root of (c/n - p)^2 = z^2 p (1-p) / n, without the difference that loses it at small c.
    return 0.0 if c == 0 else c * c / n / (c + z * z / 2 + z * math.sqrt(z * z / 4 + c * (n - c) / n))


def _jeffreys(n: int, c: int, level: float) -> float:
    return 0.0 if c == 0 else beta_quantile((1 - level) / 2, c + 0.5, n - c + 0.5)


def _clopper_pearson(n: int, c: int, level: float) -> float:
    return 0.0 if c == 0 else beta_quantile((1 - level) / 2, c, n - c + 1)


# The lower end of each interval for p.
_METHODS: Mapping[str, Callable[[int, int, float], float]] = {
    "wilson": _wilson,
    "jeffreys": _jeffreys,
    "clopper-pearson": _clopper_pearson,
}
