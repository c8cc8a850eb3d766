"""Unbiased estimates of pass@k and its relatives, one per problem, from n completions of which k attempts are drawn."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice, starmap

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpo import inputs
from pkpo.weights import LIFT, binomial_ratios, order_weights, range_exponents, weighted_sums

# The likeliest number of passes, in units that leave over 300 bits to the smallest float64, 2^-1074.
_LARGEST = 1 << 1400
_SEVERAL = "PassAtKCurve.from_counts"


def pass_at_k(n: ArrayLike, c: ArrayLike, k: int) -> NDArray[np.float64]:
    """Unbiased estimate of pass@k for each problem: 1 - C(n - c, k) / C(n, k).

        >>> pkpo.pass_at_k(8, [0, 1, 4], k=4).round(4)
        array([0.    , 0.5   , 0.9857])

    Args:
      n: completions drawn per problem, integers, shape (P,) or any that broadcasts with c; at most 2^31 - 1.
      c: completions that passed, 0 <= c <= n.
      k: attempts allowed, 1 <= k <= min(n).
    Returns:
      Estimates in [0, 1], in the broadcast shape (a NumPy float for two scalars), each within 1 ulp.
    Raises:
      ValueError: counts that are not integers, c outside [0, n], or k outside [1, min(n)], where no unbiased estimate
        exists.

    Chen et al. (2021), arXiv:2107.03374, Eq. (1); arXiv:2505.15201v4, Eq. (6) and Corollary 2.
    """
    return per_count(n, c, k, lambda *counts: starmap(_complement, shares_without(*counts)))


def fail_at_k(n: ArrayLike, c: ArrayLike, k: int) -> NDArray[np.float64]:
    """Unbiased estimate of 1 - pass@k for each problem: C(n - c, k) / C(n, k).

    1 - pass_at_k(n, c, k) would lose it where pass@k is near 1. Arguments, shapes and errors are those of pass_at_k.
    """
    return per_count(n, c, k, _fail)


def pass_hat_k(n: ArrayLike, c: ArrayLike, k: int) -> NDArray[np.float64]:
    """Unbiased estimate of pass^k, the chance that k attempts all pass: C(c, k) / C(n, k).

        >>> pkpo.pass_hat_k(8, [0, 4, 8], k=2).round(4)
        array([0.    , 0.2143, 1.    ])

    (c / n)^k would be biased. Arguments, shapes and errors are those of pass_at_k.

    Yao et al. (2024), arXiv:2406.12045, section 4.
    """
    return per_count(n, c, k, lambda n, c, k: [*_fail(n, [n - each for each in reversed(c)], k)][::-1])


def g_pass_at_k(n: ArrayLike, c: ArrayLike, k: int, tau: float) -> NDArray[np.float64]:
    """Unbiased estimate of G-Pass@k_tau, the chance that at least the share tau of k attempts pass.

    sum_j C(c, j) C(n - c, k - j) / C(n, k) over j >= max(1, ceil(tau k)): pass@k at tau = 0, pass^k at tau = 1.

    Args:
      tau: in [0, 1]. Within 4 float64 spacings of j / k it is j / k: 0.28 of 25 attempts is 7, though 0.28 * 25 > 7.
    Raises:
      ValueError: tau outside [0, 1], or what pass_at_k refuses. The other arguments, shapes and bounds are its too.

    Liu et al. (2024), arXiv:2412.13147, the definition of G-Pass@k_tau.
    """
    k = inputs.attempts(k, _SEVERAL)
    needed = max(1, _share_of(k, tau))
    return per_count(n, c, k, lambda n, c, k: (_mean_over_subsets(n, each, k, needed, lambda _: 1) for each in c))


def mg_pass_at_k(n: ArrayLike, c: ArrayLike, k: int) -> NDArray[np.float64]:
    """Unbiased estimate of mG-Pass@k: (2 / k) * sum of G-Pass@k at tau = i / k over i = ceil(k / 2) + 1 .. k.

    For even k this is twice the integral of G-Pass@k_tau over tau from 1/2 to 1. For odd k the published sum is lower,
    by 1 / k of G-Pass@k at tau = (k + 1) / (2 k): compare values of even k only with values of even k.

    Raises:
      ValueError: k = 1, where the sum has no term, or what pass_at_k refuses. Shapes and bounds are those of pass_at_k.

    Liu et al. (2024), arXiv:2412.13147, the definition of mG-Pass@k.
    """
    k = inputs.attempts(k, _SEVERAL)
    if k == 1:
        raise ValueError("mg_pass_at_k needs k of at least 2, for its sum has no term at k = 1; got k=1")
    half = (k + 1) // 2
    # A subset with j passes counts once for each i up to j.
    return per_count(
        n,
        c,
        k,
        lambda n, c, k: (_mean_over_subsets(n, each, k, half + 1, lambda j: 2 * (j - half), divisor=k) for each in c),
    )


def max_at_k(g: ArrayLike, k: int, mask: ArrayLike | None = None) -> NDArray[np.float64]:
    """Unbiased estimate of max_g@k, the mean of the best of k rewards: sum_i C(i - 1, k - 1) / C(n, k) * g_(i).

        >>> pkpo.max_at_k([[0, 0.25, 1, 0.5], [1, 0, 0, 0]], k=2).round(4)
        array([0.7083, 0.5   ])

    Args:
      g: rewards, shape (..., n), bool, int or float; g_(1) <= ... <= g_(n) are one group's, sorted.
      k: attempts allowed, 1 <= k <= n.
      mask: booleans that broadcast to g, True for a real completion; what is masked is as if it were not there.
    Returns:
      Estimates within the range of each group's rewards, shape (...), each within 8 ulp of max|g|.
    Raises:
      ValueError: rewards that are not finite real numbers, an empty group, or k outside [1, n] for some group.

    arXiv:2505.15201v4, Eq. (12) to (14).
    """
    k = inputs.attempts(k, "PassAtKCurve.from_rewards")
    estimates: NDArray[np.float64] = max_at_ks(g, [k], mask)[..., 0][()]
    return estimates


def min_at_k(g: ArrayLike, k: int, mask: ArrayLike | None = None) -> NDArray[np.float64]:
    """Unbiased estimate of the mean of the worst of k rewards: -max_at_k(-g, k), with its arguments and errors."""
    values, valid = inputs.rewards(g, mask)
    return -max_at_k(-values, k, valid)


def max_at_ks(g: ArrayLike, ks: Sequence[int], mask: ArrayLike | None = None) -> NDArray[np.float64]:
    """max_at_k for each of several k, shape (..., len(ks)), sorting the rewards once."""
    values, valid = inputs.rewards(g, mask)
    ks = [inputs.attempts(k) for k in ks]
    if ks:
        inputs.check_sizes("max_at_k", max(ks), f"k={max(ks)}", values.shape, valid)
    estimates = np.empty((values[..., 0].size, len(ks)))
    flat = values.reshape(-1, values.shape[-1])
    if valid is None:
        estimates[...] = best_of(np.sort(flat, axis=1), ks)
    else:
        for groups in inputs.by_size(flat, valid.reshape(flat.shape)):
            estimates[groups.rows] = best_of(np.sort(groups.values, axis=1), ks)
    return estimates.reshape(*values.shape[:-1], len(ks))


def best_of(ranked: NDArray[np.float64], ks: Sequence[int]) -> NDArray[np.float64]:
    """sum_i w_i g_(i) for groups sorted ascending, shape (P, n), and each k: shape (P, len(ks))."""
    lowest, highest = ranked[:, 0], ranked[:, -1]
    exponents = range_exponents(ranked)
    factor: float | NDArray[np.float64] = 2.0**-LIFT
    if exponents is not None:
        ranked = np.ldexp(ranked, exponents)
        factor = np.ldexp(1.0, -LIFT - exponents[:, 0])
    means = np.empty((len(ranked), len(ks)))
    for column, k in zip(means.T, ks, strict=True):
        np.multiply(weighted_sums(ranked, order_weights(ranked.shape[1], k)), factor, out=column)
        np.minimum(np.maximum(column, lowest, out=column), highest, out=column)
    return means


def per_count(
    n: ArrayLike, c: ArrayLike, k: int, of_size: Callable[[int, list[int], int], Iterable[float]]
) -> NDArray[np.float64]:
    """The estimates of of_size(n, all c that occur with it, ascending, k), each in the places of its (n, c)."""
    k = inputs.attempts(k, _SEVERAL)
    totals, passed = inputs.tallies(n, c)
    if totals.size and k > totals.min():
        raise ValueError(f"k must be at most the smallest n; got k={k}, n={totals.min()}")
    pairs, inverse = np.unique(totals << 32 | passed, return_inverse=True)
    by_size = groupby(pairs.tolist(), lambda pair: pair >> 32)
    estimates = [each for n, group in by_size for each in of_size(n, [pair & 0xFFFFFFFF for pair in group], k)]
    each: NDArray[np.float64] = np.array(estimates, dtype=np.float64)[inverse.reshape(totals.shape)]
    return each


def shares_without(n: int, counts: Sequence[int], k: int) -> Iterator[tuple[int, int]]:
    """(mantissa, exponent) of C(n - c, k) / C(n, k), the share of k-subsets without a pass, for each c, ascending."""
    if counts[-1] <= sum(min(c, k) for c in counts):  # one walk over all c is the shorter
        walk = enumerate(binomial_ratios(n, k))
        at, share = next(walk)
        for c in counts:
            while at < c and share[0]:
                at, share = next(walk, (c, (0, 0)))
            yield share
        return
    for c in counts:
        few, many = sorted((c, k))  # the product is the same with c and k in each other's place
        # It ends where k is above n - c, and below 2^-1600, which counts as zero.
        yield next(islice(binomial_ratios(n, many), few, None), (0, 0)) if n - many >= few else (0, 0)


def _fail(n: int, counts: Sequence[int], k: int) -> Iterator[float]:
    return starmap(math.ldexp, shares_without(n, counts, k))


def _complement(mantissa: int, exponent: int) -> float:
    # In integers 1 - x loses nothing, and Python rounds a quotient of integers once.
    whole = 1 << -exponent
    return (whole - mantissa) / whole


def _share_of(k: int, tau: float) -> int:
    """The fewest of k attempts that are the share tau: ceil(tau k), without the rounding error of tau."""
    share = inputs.finite("tau", tau)
    if not 0 <= share <= 1:
        raise ValueError(f"tau must be in [0, 1]; got {tau}")
    nearest = round(share * k)
    if abs(share - nearest / k) <= 4 * float(np.spacing(np.asarray(tau))):
        return nearest
    return math.ceil(share * k)


def _mean_over_subsets(n: int, c: int, k: int, least: int, weight: Callable[[int], int], divisor: int = 1) -> float:
    """The sum of weight(j) C(c, j) C(n - c, k - j) / (C(n, k) divisor) over j >= least, rounded once."""
    wanted = total = 0
    for j, term in _passes_among(n, c, k):
        total += term
        if j >= least:
            wanted += weight(j) * term
    return wanted / (total * divisor)


def _passes_among(n: int, c: int, k: int) -> Iterator[tuple[int, int]]:
    """(j, C(c, j) C(n - c, k - j)) for the numbers j of passes among k, the latter in units of 2^-1400 of the largest.

    Outwards from the largest: nothing overflows however large n is, and what falls below the unit ends it.
    """
    mode = (k + 1) * (c + 1) // (n + 2)
    term = _LARGEST
    yield mode, term
    for j in range(mode + 1, min(c, k) + 1):
        term = term * (c - j + 1) * (k - j + 1) // (j * (n - c - k + j))
        if not term:
            break
        yield j, term
    term = _LARGEST
    for j in range(mode - 1, max(0, k - n + c) - 1, -1):
        term = term * (j + 1) * (n - c - k + j + 1) // ((c - j) * (k - j))
        if not term:
            break
        yield j, term
