"""Order-statistic weights C(i-1, k-1) / C(n, k), each rounded once.

lgamma is off by 2e-4 at n = 1e6 and the recursion in float64 drifts by thousands of ulp. Here the recursion runs in
Python integers: a mantissa of at least 108 bits and an exponent, so that a million steps lose less than 2^-88.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pkpo.byte_cache import ByteCache

# Weights reach far below the smallest float64 (1 / C(1100, 550) does already). They are kept times 2^400 and the
# factor is taken off the finished sum, so that what is small is rounded once, at the end.
LIFT = 400
_BITS = 128

# Where a group's largest |reward| reaches 2^500 its rewards are first multiplied by 2^-524: no difference, product with
# a lifted weight, or sum of such products then overflows.
_LARGE, _SHRINK = 2.0**500, -524


def binomial_ratios(n: int, k: int, first: tuple[int, int] = (1, 1)) -> Iterator[tuple[int, int]]:
    """(mantissa, exponent) of first * C(n - t, k) / C(n, k) for t = 0, 1, ..., ending where the ratio becomes zero.

    first is a fraction (numerator, denominator) with denominator at most 2^32. A ratio below 2^-1600 counts as zero.
    """
    mantissa, exponent = (first[0] << 2 * _BITS) // first[1], -2 * _BITS
    for m in range(n, k, -1):
        yield mantissa, exponent
        mantissa = mantissa * (m - k) // m
        if mantissa < 1 << _BITS:
            if exponent < -1600 - _BITS:
                return
            mantissa, exponent = mantissa << 64, exponent - 64
    yield mantissa, exponent


def order_weights(n: int, k: int) -> NDArray[np.float64]:
    """w_i = C(i - 1, k - 1) / C(n, k) times 2^400 for i = 1..n, shape (n,), read-only: each within 0.5 ulp.

    w_i is the share of the k-subsets of n rewards, sorted ascending, whose maximum is the i-th.
    arXiv:2505.15201v4, Eq. (12) and (13).
    """
    return _order_weights.get((n, k), lambda: _compute(n, k))


def _compute(n: int, k: int) -> NDArray[np.float64]:
    # From the top: w_n = k / n, and C(i - 1, k - 1) falls as i does.
    ratios = binomial_ratios(n - 1, k - 1, (k, n))
    falling = [math.ldexp(mantissa, exponent + LIFT) for mantissa, exponent in ratios]
    weights = np.zeros(n)
    weights[n - len(falling) :] = falling[::-1]
    weights.flags.writeable = False
    return weights


@dataclass(frozen=True)
class Binomials:
    """C(t, a) for t = 0..count-1 as mantissa * 2^exponent, mantissa 0 or in [0.5, 1), each within 0.5 ulp."""

    mantissa: NDArray[np.float64]  # (count,)
    exponent: NDArray[np.int64]  # (count,)

    @property
    def nbytes(self) -> int:
        """Bytes of both."""
        return self.mantissa.nbytes + self.exponent.nbytes


def binomials(a: int, count: int) -> Binomials:
    """C(t, a) for t = 0..count-1, at any size."""
    return _binomials.get((a, count), lambda: _compute_binomials(a, count))


def _compute_binomials(a: int, count: int) -> Binomials:
    pairs = [(0.0, 0)] * min(a, count)
    product, shift = 1 << _BITS, -_BITS
    for t in range(a, count):
        mantissa, exponent = math.frexp(product)
        pairs.append((mantissa, exponent + shift))
        product = product * (t + 1) // (t + 1 - a)
        if product >> _BITS + 64:
            product, shift = product >> 64, shift + 64
    mantissas, exponents = zip(*pairs, strict=True)
    return Binomials(np.array(mantissas), np.array(exponents))


def range_exponents(ranked: NDArray[np.float64]) -> NDArray[np.int64] | None:
    """The power of two to multiply each sorted group by before it is summed, shape (P, 1); None where all are 0."""
    peaks = np.maximum(-ranked[:, :1], ranked[:, -1:])
    if not (peaks >= _LARGE).any():
        return None
    return np.where(peaks >= _LARGE, _SHRINK, 0)


# Up to so many rewards in a group, NumPy is faster on one column after the other than on one row after the other, most
# of all where columns are contiguous.
NARROW = 24


def weighted_sums(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of each row's products with the weights, added in one order whatever the layout and the other rows."""
    products = values * weights
    if products.shape[1] > NARROW:
        total: NDArray[np.float64] = products.sum(axis=1)
        return total
    total = products[:, 0]
    for column in products.T[1:]:
        total += column
    return total


_order_weights: ByteCache[NDArray[np.float64]] = ByteCache(32 * 2**20)
_binomials: ByteCache[Binomials] = ByteCache(32 * 2**20)
