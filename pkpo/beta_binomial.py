"""Maximum likelihood for counts of problems whose solve rates are Beta(a, b), for one or many data sets at once."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Tables(NamedTuple):
    """What the likelihood needs of R data sets, shape (R, J): how many problems have more than j = 0, 1, ... of it."""

    passes: Floats
    failures: Floats
    totals: Floats

    @classmethod
    def of(cls, n: NDArray[np.int64], c: NDArray[np.int64]) -> "Tables":
        """The tables of counts of shape (R, P)."""
        J = int(n.max())
        return cls(*(_more_than(counts, J) for counts in (c, n - c, n)))

    def at(self, rows: NDArray[np.bool_]) -> "Tables":
        """The tables of some of the data sets."""
        return Tables(*(each[rows] for each in self))

    @property
    def shares(self) -> Floats:
        """The share of all completions that passed, shape (R,)."""
        shares: Floats = self.passes.sum(axis=1) / self.totals.sum(axis=1)
        return shares

    @property
    def mixed(self) -> Floats:
        """How many problems had both passes and failures."""
        return self.passes[:, 0] + self.failures[:, 0] - self.totals[:, 0]

    @property
    def overdispersed(self) -> NDArray[np.bool_]:
        """Whether the counts vary more than those of one rate: the likelihood rises as 1 / (a + b) leaves 0.

        Its slope there is the sum over problems of c (c-1) / (2 p) + f (f-1) / (2 (1-p)) - n (n-1) / 2 with f = n - c,
        at the pooled p: Tarone (1979), Biometrika 66.
        """
        j = np.arange(self.totals.shape[1])
        share = self.shares
        inner = (share > 0) & (share < 1)
        p = np.where(inner, share, 0.5)
        passes, failures, expected = ((each * j).sum(axis=1) for each in self)
        slope = passes / p + failures / (1 - p) - expected
        above: NDArray[np.bool_] = inner & (slope > 1e-9 * np.maximum(expected, 1))
        return above


def pass_at_k_of(a: Floats, b: Floats, ks: Sequence[int]) -> Floats:
    """1 - B(a, b + k) / B(a, b) for each fit and k, shape (R, K): within 1e-12 for a up to 1000, at any k."""
    return np.stack([-np.expm1(-_log_ratios(a, b, k)) for k in ks], axis=1)


_TERMS = 64


def _log_ratios(a: Floats, b: Floats, k: int) -> Floats:
    """log(B(a, b) / B(a, b + k)) for each fit: the sum over j < k of log(1 + a / (b + j)), each term above 0.

    From the 64th term on by Euler and Maclaurin's formula. Differences of lgamma would lose what k has in digits.
    """
    first = np.arange(min(k, _TERMS), dtype=np.float64)
    total: Floats = np.log1p(a[:, None] / (b[:, None] + first)).sum(axis=1)
    if k <= _TERMS:
        return total
    low, high = b + _TERMS, b + float(k)
    tail = a * np.log1p((high - low) / (a + low))  # with the next line the integral
    tail += high * np.log1p(a / high) - low * np.log1p(a / low)
    for x, sign in ((low, 1), (high, -1)):
        y = a + x
        tail += sign * (np.log1p(a / x) / 2 + (1 / x - 1 / y) / 12 - (x**-3 - y**-3) / 360 + (x**-5 - y**-5) / 1260)
    total += tail
    return total


def fit(tables: Tables) -> tuple[Floats, Floats]:
    """The a and b of greatest likelihood for each data set, which must be overdispersed and have a mixed problem.

    Newton's method on log a and log b, its matrix shifted where the likelihood is not concave and its step halved until
    the likelihood rises. The digamma functions of the counts are sums over j here.
    """
    share = tables.shares
    x = np.log(np.stack([share, 1 - share], axis=1))  # a + b = 1
    open_rows = np.arange(len(x))
    for _ in range(_MOST_STEPS):
        step = _climb(tables, x[open_rows])
        x[open_rows] += step
        going = np.abs(step).max(axis=1) > 1e-9
        open_rows, tables = open_rows[going], tables.at(going)
        if not len(open_rows):
            a, b = np.exp(x.T)
            return a, b
    raise ValueError(f"the beta-binomial likelihood has no maximum within {_MOST_STEPS} steps of Newton's method")


_MOST_STEPS = 200


def log_likelihood(tables: Tables, a: Floats, b: Floats) -> Floats:
    """Of each data set at its a and b, up to the binomials, shape (R,)."""
    j = np.arange(tables.totals.shape[1])
    terms = ((tables.passes, a), (tables.failures, b), (-tables.totals, a + b))
    total: Floats = np.sum([(count * np.log(at[:, None] + j)).sum(axis=1) for count, at in terms], axis=0)
    return total


def _climb(tables: Tables, x: Floats) -> Floats:
    """A step of log a and log b that raises the likelihood, or one of no size at its top, shape (R, 2)."""
    step = _newton_step(tables, x)
    start = log_likelihood(tables, *np.exp(x.T))
    for _ in range(50):
        after = log_likelihood(tables, *np.exp((x + step).T))
        # At the top a step is within rounding: it may seem to lose what the sums cannot resolve.
        lost = after < start - 1e-13 * np.abs(start)
        if not lost.any():
            break
        step[lost] /= 2
    return step


def _newton_step(tables: Tables, x: Floats) -> Floats:
    a, b = np.exp(x.T)
    j = np.arange(tables.totals.shape[1])
    once, twice = [], []
    for count, at in ((tables.passes, a), (tables.failures, b), (tables.totals, a + b)):
        reciprocals = 1 / (at[:, None] + j)
        once.append((count * reciprocals).sum(axis=1))
        twice.append((count * reciprocals**2).sum(axis=1))
    slope_a, slope_b = a * (once[0] - once[2]), b * (once[1] - once[2])
    # Minus the second derivatives by log a and log b: the matrix must be positive definite for the step to climb.
    aa = a * a * (twice[0] - twice[2]) - slope_a
    bb = b * b * (twice[1] - twice[2]) - slope_b
    ab = -a * b * twice[2]
    least = (aa + bb) / 2 - np.hypot((aa - bb) / 2, ab)
    shift = np.where(least <= 0, 1e-3 * (np.abs(aa) + np.abs(bb)) - least, 0.0)
    aa, bb = aa + shift, bb + shift
    det = aa * bb - ab * ab
    step = np.stack([(bb * slope_a - ab * slope_b) / det, (aa * slope_b - ab * slope_a) / det], axis=1)
    limited: Floats = step * np.minimum(1, 2 / np.maximum(np.abs(step).max(axis=1, keepdims=True), 1e-300))
    return limited


def _more_than(counts: NDArray[np.int64], J: int) -> Floats:
    """How many of each row of counts exceed j, for j < J."""
    rows = np.arange(len(counts))[:, None] * (J + 1)
    each = np.bincount((rows + counts).ravel(), minlength=len(counts) * (J + 1)).reshape(-1, J + 1)
    above: Floats = each[:, :0:-1].cumsum(axis=1)[:, ::-1].astype(np.float64)
    return above
