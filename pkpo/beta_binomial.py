"""Maximum likelihood for counts of problems whose solve rates are Beta(a, b), for one or many data sets at once."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


_TERMS = 64  # of a sum over j that are added one by one; the others by Euler and Maclaurin's formula


class Tally(NamedTuple):
    """Counts of R data sets: for j < 64 how many problems have more than j, and how many have each larger count."""

    above: Floats  # (R, min(J, 64)), J the largest count
    larger: Floats  # (U,), the counts over 64 that occur
    times: Floats  # (R, U)

    @classmethod
    def of(cls, counts: Counts) -> "Tally":
        """The tally of counts of shape (R, P)."""
        width = min(int(counts.max()), _TERMS)
        distinct, place = np.unique(counts, return_inverse=True)
        rows = np.arange(len(counts))[:, None] * len(distinct)
        flat = np.bincount((rows + place.reshape(counts.shape)).ravel(), minlength=len(counts) * len(distinct))
        times = flat.reshape(len(counts), -1).astype(np.float64)
        above = times @ (distinct[:, None] > np.arange(width)).astype(np.float64)
        large = distinct > _TERMS
        return cls(above, distinct[large].astype(np.float64), times[:, large])

    def at(self, rows: NDArray[np.bool_]) -> "Tally":
        """The tally of some of the data sets."""
        return Tally(self.above[rows], self.larger, self.times[rows])

    def total(self, each: "Sums", at: Floats) -> Floats:
        """Sum over problems of the sum over j below its count of f(at + j), shape (R,), at of shape (R,)."""
        j = np.arange(self.above.shape[1])
        total: Floats = (self.above * each.term(at[:, None] + j)).sum(axis=1)
        if len(self.larger):
            total += (self.times * each.beyond(at[:, None] + _TERMS, self.larger - _TERMS)).sum(axis=1)
        return total


class Sums(NamedTuple):
    """A function f: its values, and the sum of f(x + j) over j < d, within 1e-14 of itself where x is at least 64."""

    term: Callable[[Floats], Floats]
    beyond: Callable[[Floats, Floats], Floats]


def _reciprocals(x: Floats, d: Floats) -> Floats:
    return np.asarray(np.log1p(d / x) + _reciprocal_end(1 / x) - _reciprocal_end(1 / (x + d)))


def _reciprocal_end(r: Floats) -> Floats:
    square = r * r
    return np.asarray(r / 2 + square * (1 / 12 - square * (1 / 120 - square / 252)))


def _squared_reciprocals(x: Floats, d: Floats) -> Floats:
    r, q = 1 / x, 1 / (x + d)
    return np.asarray(d * r * q + _squared_end(r) - _squared_end(q))


def _squared_end(r: Floats) -> Floats:
    square = r * r
    return np.asarray(square / 2 + square * r * (1 / 6 - square * (1 / 30 - square / 42)))


def _logarithms(x: Floats, d: Floats) -> Floats:
    y, rise = x + d, np.log1p(d / x)
    return np.asarray(d * np.log(x) + (y * rise - d) - rise / 2 - _logarithm_end(1 / x) + _logarithm_end(1 / y))


def _logarithm_end(r: Floats) -> Floats:
    square = r * r
    return np.asarray(r * (1 / 12 - square * (1 / 360 - square / 1260)))


RECIPROCALS = Sums(np.reciprocal, _reciprocals)
SQUARED_RECIPROCALS = Sums(lambda x: x**-2, _squared_reciprocals)
LOGARITHMS = Sums(np.log, _logarithms)


class Tables(NamedTuple):
    """What the likelihood needs of R data sets: of each the passes, failures and completions of its problems."""

    passes: Tally
    failures: Tally
    totals: Tally
    shares: Floats  # of all completions, those that passed, shape (R,)
    mixed: Counts  # problems with both passes and failures
    overdispersed: NDArray[np.bool_]  # whether the counts vary more than those of one rate

    @classmethod
    def of(cls, n: Counts, c: Counts) -> "Tables":
        """The tables of counts of shape (R, P)."""
        shares = c.sum(axis=1) / n.sum(axis=1)
        mixed = ((c > 0) & (c < n)).sum(axis=1)
        return cls(Tally.of(c), Tally.of(n - c), Tally.of(n), shares, mixed, _overdispersed(n, c, shares))

    def at(self, rows: NDArray[np.bool_]) -> "Tables":
        """The tables of some of the data sets."""
        passes, failures, totals = (each.at(rows) for each in (self.passes, self.failures, self.totals))
        return Tables(passes, failures, totals, self.shares[rows], self.mixed[rows], self.overdispersed[rows])


def _overdispersed(n: Counts, c: Counts, share: Floats) -> NDArray[np.bool_]:
    """Whether the likelihood rises as 1 / (a + b) leaves 0.

    Its slope there is the sum over problems of c (c-1) / (2 p) + f (f-1) / (2 (1-p)) - n (n-1) / 2 with f = n - c, at
    the pooled p: Tarone (1979), Biometrika 66.
    """
    inner = (share > 0) & (share < 1)
    p = np.where(inner, share, 0.5)
    passes, failures, expected = ((each * (each - 1.0) / 2).sum(axis=1) for each in (c, n - c, n))
    slope = passes / p + failures / (1 - p) - expected
    above: NDArray[np.bool_] = inner & (slope > 1e-9 * np.maximum(expected, 1))
    return above


def pass_at_k_of(a: Floats, b: Floats, ks: Sequence[int]) -> Floats:
    """1 - B(a, b + k) / B(a, b) for each fit and k, shape (R, K): within 1e-12 for a up to 1000, at any k."""
    return np.stack([-np.expm1(-_log_ratios(a, b, k)) for k in ks], axis=1)


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
    the likelihood rises. The digamma functions of the counts are sums over j here, of which those over 64 cost no more.
    """
    share = tables.shares
    x = np.log(np.stack([share, 1 - share], axis=1))  # a + b = 1
    open_rows, before = np.arange(len(x)), np.full(len(x), np.inf)
    for _ in range(_MOST_STEPS):
        step, rise = _climb(tables, x[open_rows])
        x[open_rows] += step
        size = np.abs(step).max(axis=1)
        # Where the likelihood is flat, rounding alone makes steps of more than 1e-9, and for ever.
        nothing_won = (size >= before / 2) & (rise <= _RESOLVED)
        going = (size > 1e-9) & ~nothing_won
        open_rows, before, tables = open_rows[going], size[going], tables.at(going)
        if not len(open_rows):
            a, b = np.exp(x.T)
            return a, b
    raise ValueError(f"the beta-binomial likelihood has no maximum within {_MOST_STEPS} steps of Newton's method")


_MOST_STEPS = 200
_RESOLVED = 1e-13  # of the likelihood's logarithm: smaller differences are those of rounding


def log_likelihood(tables: Tables, a: Floats, b: Floats) -> Floats:
    """Of each data set at its a and b, up to the binomials, shape (R,)."""
    total: Floats = (
        tables.passes.total(LOGARITHMS, a)
        + tables.failures.total(LOGARITHMS, b)
        - tables.totals.total(LOGARITHMS, a + b)
    )
    return total


def _climb(tables: Tables, x: Floats) -> tuple[Floats, Floats]:
    """A step of log a and log b that raises the likelihood, or one of no size at its top, shape (R, 2); and its rise.

    The rise of the likelihood's logarithm is given as a part of itself, shape (R,).
    """
    step = _newton_step(tables, x)
    start = log_likelihood(tables, *np.exp(x.T))
    for _ in range(50):
        rise = (log_likelihood(tables, *np.exp((x + step).T)) - start) / np.abs(start)
        # At the top a step is within rounding: it may seem to lose what the sums cannot resolve.
        lost = rise < -_RESOLVED
        if not lost.any():
            break
        step[lost] /= 2
    return step, rise


def _newton_step(tables: Tables, x: Floats) -> Floats:
    a, b = np.exp(x.T)
    tallies = ((tables.passes, a), (tables.failures, b), (tables.totals, a + b))
    once = [tally.total(RECIPROCALS, at) for tally, at in tallies]
    twice = [tally.total(SQUARED_RECIPROCALS, at) for tally, at in tallies]
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
