"""How far an estimate of pass@k or max_g@k would vary from draw to draw of one problem's n completions."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpo import inputs
from pkpo.estimators import fail_at_k, per_count, shares_without
from pkpo.weights import LIFT, order_weights

VarianceMethod = Literal["unbiased", "jackknife", "either"]
Floats = NDArray[np.float64]

_MOST_OVERLAPS = 2**24  # a few arrays of 128 MiB


def pass_at_k_variance(n: ArrayLike, p: ArrayLike, k: int) -> NDArray[np.float64]:
    """Variance of pass_at_k, and of fail_at_k, over draws of n completions that pass with a known probability p.

    sum_{j=1..k} H(j) (q^(2k-j) - q^(2k)) with q = 1 - p and H(j) = C(k, j) C(n-k, k-j) / C(n, k): two k-subsets that
    share j completions both fail with probability q^(2k-j). Its leading term for large n, k^2 p q^(2k-1) / n, is
    Eq. (40) of arXiv:2505.15201v4: half of the variance at n=16, k=8, p=.3, a 150th at p=.8.

    Args:
      n: completions per problem, integers, of a shape that broadcasts with p.
      p: the probability that a completion passes, in [0, 1].
      k: attempts, 1 <= k <= min(n).
    Returns:
      Variances in [0, 1/4], in the broadcast shape, with a relative error below 1e-9 (tests: 1e-12 for n <= 1e6).
    Raises:
      ValueError: n or k as for pass_at_k, p outside [0, 1], or k and n - k both above 2^24, the number
        of terms that are summed.

    Hoeffding (1948), Ann. Math. Statist. 19, Eq. (5.13), with the binary kernel of pass@k.
    """
    k = inputs.attempts(k)
    totals, _ = inputs.tallies(n, 0)
    chances, _ = inputs.rewards(np.atleast_1d(p), name="p")
    if not 0 <= chances.min() <= chances.max() <= 1:
        raise ValueError(f"p must be in [0, 1]; got {chances.min() if chances.min() < 0 else chances.max()}")
    if totals.size and k > totals.min():
        raise ValueError(f"k must be at most the smallest n; got k={k}, n={totals.min()}")
    if totals.size and (overlaps := int(np.minimum(totals - k, k).max())) > _MOST_OVERLAPS:
        raise ValueError(f"min(k, n - k), how many terms the sum has, must be at most {_MOST_OVERLAPS}; got {overlaps}")
    totals, chances = np.broadcast_arrays(totals, chances if np.ndim(p) else chances[0])
    variances = np.empty(totals.shape)
    for each in np.unique(totals):
        places = totals == each
        variances[places] = _exact(int(each), chances[places], k)
    return variances[()]


def pass_at_k_variance_estimate(
    n: ArrayLike, c: ArrayLike, k: int, *, method: VarianceMethod = "unbiased"
) -> NDArray[np.float64]:
    """Estimate of that variance from the counts, for each problem; also of fail_at_k's.

    unbiased:  f(k)^2 - f(2k) with f(k) = C(n-c, k) / C(n, k), for n >= 2k.
    jackknife: (n-1)/n sum_i (rho_-i - mean)^2 over the estimates without completion i, for n >= k + 1. Its
               expectation is no less than (n-1)/n of the variance at n - 1 completions.
    either:    unbiased where n >= 2k, else jackknife.

    None is ever negative: of completions drawn without replacement, disjoint subsets are negatively associated. An
    estimate of 0 is no certainty; a problem that none or all passed has it at any p.

    Args:
      n, c, k: as for pass_at_k.
    Returns:
      Estimates, shape of n and c, with a relative error below 1e-14 (unbiased: of the integers before rounding).
    Raises:
      ValueError: an unknown method, counts that pass_at_k refuses, or fewer completions than the method needs.

    Efron and Stein (1981), Ann. Statist. 9, for the jackknife; Joag-Dev and Proschan (1983), Ann. Statist. 11, for the
    negative association.
    """
    k = inputs.attempts(k)
    totals, passed = inputs.tallies(n, c)
    for_each: dict[str, Callable[..., NDArray[np.float64]]] = {"unbiased": _unbiased, "jackknife": _jackknife}
    if totals.size:
        smallest = int(totals.min())
        _check(method, smallest, k, f"n={smallest}")
    if method != "either":
        return for_each[method](totals, passed, k)
    estimates = np.empty(totals.shape)
    for name, places in (("unbiased", totals >= 2 * k), ("jackknife", totals < 2 * k)):
        estimates[places] = for_each[name](totals[places], passed[places], k)
    return estimates[()]


def max_at_k_variance_estimate(
    g: ArrayLike, k: int, mask: ArrayLike | None = None, *, method: VarianceMethod = "unbiased"
) -> NDArray[np.float64]:
    """Estimate of the variance of max_at_k over draws of a group's n rewards.

    unbiased:  rho^2 - 2 sum_{i<j} g_(i) g_(j) C(i-1, k-1) C(j-1-k, k-1) / (C(n, k) C(n-k, k)), the second term being
               the mean over pairs of disjoint k-subsets; for n >= 2k.
    jackknife, either: as for pass_at_k_variance_estimate.

    The factors of i and of j part, so a running sum over i makes it O(n) after the sort.

    Args:
      g, k, mask: as for max_at_k. min_at_k(g, k) has the variance of max_at_k(-g, k).
    Returns:
      Estimates in squared units of g, shape (...), exactly 0 for a group of equal rewards.
    Raises:
      ValueError: rewards that max_at_k refuses, fewer of them than the method needs, or variances that float64 does not
        hold, of rewards around 1e-160 or 1e160: above 1.8e308, or all of them below 2.2e-308. Times a power of two, as
        by numpy.ldexp, the rewards lose nothing.
    """
    k = inputs.attempts(k)
    values, valid = inputs.rewards(g, mask)
    flat = values.reshape(-1, values.shape[-1])
    real = np.ones(flat.shape, dtype=np.bool_) if valid is None else valid.reshape(flat.shape)
    estimates, twos = np.empty(len(flat)), np.zeros(len(flat), dtype=np.int64)
    for groups in inputs.by_size(flat, real):
        n = groups.values.shape[1]
        _check(method, n, k, f"n={n} in group {groups.rows[0]}")
        of_max = _unbiased_of_max if method == "unbiased" or (method == "either" and n >= 2 * k) else _jackknife_of_max
        estimates[groups.rows], twos[groups.rows] = _at_scale_one(of_max, np.sort(groups.values, axis=1), k)
    return _in_squared_units(estimates, twos).reshape(values.shape[:-1])[()]


def _check(method: str, n: int, k: int, where: str) -> None:
    """ValueError for an unknown method, or for n completions where it needs more."""
    if method not in get_args(VarianceMethod):
        raise ValueError(f"method must be one of {', '.join(get_args(VarianceMethod))}; got {method!r}")
    if method == "unbiased" and n < 2 * k:
        raise ValueError(f"an unbiased variance at k={k} needs n >= {2 * k}; got {where} (jackknife: n >= {k + 1})")
    if n < k + 1:
        raise ValueError(f"a variance at k={k} needs n >= {k + 1}; got {where}")


def _exact(n: int, p: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """The variance at one n for each p, shape (P,)."""
    j = np.arange(max(0, 2 * k - n), k + 1, dtype=np.float64)
    shares = overlap_shares(n, k, j)
    with np.errstate(divide="ignore"):
        log_q = np.log1p(-p)
    # q^(2k-j) - q^(2k) as a product, for the difference would lose it; where q = 0 both are 0.
    variances = [
        (shares * np.exp((2 * k - j) * each) * -np.expm1(j * each)).sum() if np.isfinite(each) else 0.0
        for each in log_q
    ]
    return np.array(variances)


def overlap_shares(n: int, k: int, j: NDArray[np.float64]) -> NDArray[np.float64]:
    """C(k, j) C(n-k, k-j) / C(n, k) at consecutive j: how often two k-subsets of n share j."""
    rise = np.square(k - j[:-1]) / ((j[:-1] + 1) * (n - 2 * k + j[:-1] + 1))
    peak = int(np.count_nonzero(rise >= 1))  # from the largest share outwards nothing overflows
    with np.errstate(under="ignore"):
        falling = np.cumprod(rise[peak:])
        rising = np.cumprod(1 / rise[:peak][::-1])[::-1]
    shares = np.concatenate([rising, [1.0], falling])
    shares /= shares.sum()
    return shares


def _unbiased(n: NDArray[np.int64], c: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    return per_count(n, c, k, _unbiased_of_counts)


def _unbiased_of_counts(n: int, counts: Sequence[int], k: int) -> Iterator[float]:
    # The difference of nearly equal numbers: taken in integers, and rounded once.
    for (one, one_exponent), (both, both_exponent) in zip(
        shares_without(n, counts, k), shares_without(n, counts, 2 * k), strict=True
    ):
        lowest = min(2 * one_exponent, both_exponent)
        difference = (one * one << 2 * one_exponent - lowest) - (both << both_exponent - lowest)
        yield difference / (1 << -lowest)


def _jackknife(n: NDArray[np.int64], c: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    # Two values of rho_-i, c and n - c times; they differ by C(n-1-c, k-1) / C(n-1, k).
    others = np.minimum(c, n - 1)  # c = n: all rho_-i are equal, as the factor n - c says
    difference = k / (n - k) * fail_at_k(n - 1, others, k - 1) if k > 1 else 1 / (n - 1)
    variances: NDArray[np.float64] = (n - 1) / n * (c / n) * (n - c) * np.square(difference)
    return variances


def _at_scale_one(
    variance: Callable[[Floats, int], Floats], ranked: Floats, k: int
) -> tuple[Floats, NDArray[np.int64]]:
    """The variance of groups sorted ascending, shape (P, n), of rewards over the powers of two that come with it.

    So no square can overflow or vanish.
    """
    _, exponents = np.frexp(np.maximum(-ranked[:, :1], ranked[:, -1:]))
    scaled = np.maximum(variance(np.ldexp(ranked, -exponents), k), 0)  # only rounding falls below 0
    scaled[ranked[:, 0] == ranked[:, -1]] = 0
    return scaled, exponents[:, 0].astype(np.int64)


def _in_squared_units(scaled: Floats, twos: NDArray[np.int64]) -> Floats:
    """Variances times the squares of their powers of two; ValueError where float64 does not hold them."""
    with np.errstate(over="ignore", under="ignore"):
        found: Floats = np.ldexp(scaled, 2 * twos)
    high, low = int(twos.max(initial=0)), np.finfo(np.float64).tiny
    if not np.isfinite(found).all():
        raise ValueError(f"the variance of rewards near 2^{high} exceeds float64; divide them by a power of two first")
    # Beside a larger one a variance that small counts for nothing; alone it would pass for certainty.
    if (scaled > 0).any() and found.max() < low:
        high = int(twos[scaled > 0].max())
        raise ValueError(
            f"the variance of rewards near 2^{high} is below float64; multiply them by a power of two first"
        )
    return found


def _unbiased_of_max(ranked: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    n = ranked.shape[1]
    first, second = _weights(n, k), np.zeros(n)
    second[k:] = _weights(n - k, k)
    # A constant taken off all rewards changes nothing; taking off rho leaves little to cancel. Then, with a_i = first g
    # and b_j = second g, rho^2 - 2 sum_{i<j} a_i b_j is written as sum a_i^2 - 2 sum_{i<j} a_i (b_j - a_j): for n far
    # above k the second term is small where rho^2 and the double sum were all but equal.
    g = ranked - (ranked * first).sum(axis=1, keepdims=True)
    terms = g * first
    below = np.cumsum(terms, axis=1)[:, :-1]
    variances: NDArray[np.float64] = np.square(terms).sum(axis=1)
    variances -= 2 * (below * g[:, 1:] * (second - first)[1:]).sum(axis=1)
    return variances


def _jackknife_of_max(ranked: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    n = ranked.shape[1]
    # rho_-i falls by C(i-1, k-1) / C(n-1, k) (g_(i+1) - g_(i)) from i to i + 1: arXiv:2505.15201v4, Eq. (32) mended.
    without = np.zeros(ranked.shape)
    np.cumsum(_weights(n - 1, k) * np.diff(ranked, axis=1), axis=1, out=without[:, 1:])
    variances: NDArray[np.float64] = (n - 1) * without.var(axis=1)
    return variances


def _weights(n: int, k: int) -> NDArray[np.float64]:
    """C(i-1, k-1) / C(n, k) for i = 1..n."""
    weights: NDArray[np.float64] = np.ldexp(order_weights(n, k), -LIFT)
    return weights
