"""Rewards to credits: each group's rewards g become s with E[sum_i s_i grad log p(x_i)] = grad max_g@k, exactly.

In a trainer the credits replace the advantages. Nothing may centre them or scale them per group: the other credits of a
group depend on x_i, so that would change what is maximised.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpo import asked, inputs
from pkpo.asked import Asked, Attempts
from pkpo.credits import credits_of, form
from pkpo.estimators import best_of
from pkpo.inputs import Labels

Scale = Literal["sum", "mean", "rms"]
SCALES: tuple[Scale, ...] = ("sum", "mean", "rms")

_FOR_OTHERS = "; plugin takes any"  # rewards that are not binary


class Transform(Protocol):
    """A function from rewards, shape (..., n), to credits of the same shape."""

    def __call__(
        self,
        g: ArrayLike,
        k: Attempts,
        *,
        mask: ArrayLike | None = None,
        groups: Labels | None = None,
        scale: Scale = "sum",
    ) -> NDArray[np.float64]: ...


def s(
    g: ArrayLike,
    k: Attempts,
    *,
    mask: ArrayLike | None = None,
    groups: Labels | None = None,
    scale: Scale = "sum",
) -> NDArray[np.float64]:
    """Credits without a baseline: s_i = sum over the k-subsets I that hold i of max(g_I) / C(n, k).

    Unbiased for 1 <= k <= n; they sum to k * max_at_k. Arguments and errors are those of transform.

    arXiv:2505.15201v4, Eq. (19) to (21).
    """
    return transform("s", g, k, mask=mask, groups=groups, scale=scale)


def sloo(
    g: ArrayLike,
    k: Attempts,
    *,
    mask: ArrayLike | None = None,
    groups: Labels | None = None,
    scale: Scale = "sum",
) -> NDArray[np.float64]:
    """Credits less the paper's leave-one-out baseline: s_i - k / (n - 1) * max_at_k of the others.

    Unbiased for 1 <= k <= n - 1. Its baseline is n / (n - 1) times what would centre s, so a constant t added to the
    rewards adds -t k / (n (n - 1)); centered has no such remainder. Arguments and errors are those of transform.

    arXiv:2505.15201v4, Eq. (29).
    """
    return transform("sloo", g, k, mask=mask, groups=groups, scale=scale)


def sloo_minus_one(
    g: ArrayLike,
    k: Attempts,
    *,
    mask: ArrayLike | None = None,
    groups: Labels | None = None,
    scale: Scale = "sum",
) -> NDArray[np.float64]:
    """What holding i gains: sum over the k-subsets I that hold i of (max(g_I) - max(g_I without i)) / C(n, k).

        >>> pkpo.sloo_minus_one([0, 1, 0, 0.5], k=2, scale="mean").round(4)
        array([0.    , 1.6667, 0.    , 0.6667])

    Sorted, the running sum of C(m, k - 1) / C(n, k) * (g_(m+1) - g_(m)) over m < i. Unbiased for 1 <= k <= n, n >= 2;
    never negative at k >= 2, exactly 0 for the k - 1 lowest; each credit within 16 ulp of itself for rewards up to
    1e100; beyond, credits below 1e-300 of the largest may lose digits. At k = 1, where the formula has no smaller
    subset, (g_i - mean of the others) / n, the leave-one-out REINFORCE baseline. Arguments and errors are those of
    transform.

    arXiv:2505.15201v4, Eq. (33).
    """
    return transform("sloo_minus_one", g, k, mask=mask, groups=groups, scale=scale)


def centered(
    g: ArrayLike,
    k: Attempts,
    *,
    mask: ArrayLike | None = None,
    groups: Labels | None = None,
    scale: Scale = "sum",
) -> NDArray[np.float64]:
    """Credits less a leave-one-out baseline of their own scale: s_i - (k / n) * max_at_k of the others.

    Unbiased for 1 <= k <= n - 1; they sum to 0 and ignore a constant added to the rewards. Equal to n / (n - k) times
    s less its mean: centring s without that factor shrinks the gradient by 1 - k / n. Arguments and errors are those
    of transform.
    """
    return transform("centered", g, k, mask=mask, groups=groups, scale=scale)


def plugin(
    g: ArrayLike,
    k: Attempts,
    *,
    mask: ArrayLike | None = None,
    groups: Labels | None = None,
    scale: Scale = "sum",
) -> NDArray[np.float64]:
    """Credits less the V-statistic's leave-one-out baseline: ((n - k) centered + (k - 1) sloo_minus_one) / (n - 1).

    The baseline is (k / n) [a * max_at_k + (1 - a) * max_at_(k - 1)] of the others with a = (n - k) / (n - 1). Unbiased
    for 1 <= k <= n, n >= 2: at k = 1 the second term has weight 0 and plugin is centered; at k = n it is
    sloo_minus_one. Arguments and errors are those of transform.
    """
    return transform("plugin", g, k, mask=mask, groups=groups, scale=scale)


def alpha_loo(
    g: ArrayLike,
    k: Attempts,
    *,
    mask: ArrayLike | None = None,
    groups: Labels | None = None,
    scale: Scale = "sum",
) -> NDArray[np.float64]:
    """Leave-one-out Pass@K-GRPO, of rewards 0 and 1: (1 / n) alpha (g_i - c / (n - 1)), c of the others having passed.

    alpha = k C(n - 1 - c, k - 1) / C(n - 1, k - 1), the unbiased estimate of k (1 - p)^(k - 1) from the others.
    Unbiased for 1 <= k <= n, n >= 2. It is what plugin is for such rewards, and refuses others; arguments and errors
    are else those of transform.
    """
    return transform("alpha_loo", g, k, mask=mask, groups=groups, scale=scale)


def l_statistic(
    g: ArrayLike,
    k: int,
    weights: Iterable[float],
    *,
    mask: ArrayLike | None = None,
    groups: Labels | None = None,
    scale: Scale = "sum",
) -> NDArray[np.float64]:
    """Credits for the mean of sum_j weights_j x_(j), x_(1) <= ... <= x_(k) being k fresh completions' rewards, sorted.

    What holding i changes, over the k-subsets I that hold it: sum (h(I) - mean of h(I with a copy of another member of
    I in i's place)) / C(n, k), h being that weighted sum. Unbiased for 1 <= k <= n, n >= 2, for any weights; at k = 1
    the copy is of another of the group. With weights (0, ..., 0, 1) it is sloo_minus_one. pkpo.l_statistics makes the
    weights of the mean of the best m, of the worst share (CVaR) and of the median. O(n k) once for each n.

    Args:
      k: a whole number of attempts.
      weights: k finite numbers, that of the lowest first. The others, and errors, are those of transform.
    """
    return credits_for(asked.l_statistic(k, weights), g, mask, groups, scale)


def multi_k(
    g: ArrayLike,
    k: Mapping[int, float],
    *,
    name: str = "sloo_minus_one",
    mask: ArrayLike | None = None,
    groups: Labels | None = None,
    scale: Scale = "sum",
) -> NDArray[np.float64]:
    """Credits for several k at once: sum over k of weight_k times the named transform at k, in one pass.

    Unbiased for the gradient of sum_k weight_k max_g@k. With weights 1 / k over 1..n that is MaxRL's objective. The
    k = 1 term of sloo_minus_one is its leave-one-out mean, never its running sum at k = 1, whose baseline min(g)
    depends on x_i. Arguments and errors are those of transform.
    """
    return transform(name, g, k, mask=mask, groups=groups, scale=scale)


def mixed(
    g: ArrayLike,
    k: Attempts,
    lam: float,
    *,
    mask: ArrayLike | None = None,
    groups: Labels | None = None,
    scale: Scale = "sum",
) -> NDArray[np.float64]:
    """Credits less a mixture of baselines: s_i - (k / n) [lam * max_at_k + (1 - lam) * max_at_(k - 1)] of the others.

    lam times centered and 1 - lam times sloo_minus_one; at k = 1, where there is no smaller subset, both are (g_i -
    mean of the others) / n. Unbiased for any lam that does not depend on this group's rewards, for 1 <= k <= n - 1, and
    at lam = 0 for k = n too; n >= 2. plugin is lam = (n - k) / (n - 1).

    Args:
      lam: a finite real number, of any sign. The others, and errors, are those of transform.
    """
    return credits_for(asked.mixed(k, lam), g, mask, groups, scale)


def history(
    g: ArrayLike,
    k: Attempts,
    baseline: ArrayLike,
    *,
    mask: ArrayLike | None = None,
    groups: Labels | None = None,
    scale: Scale = "sum",
) -> NDArray[np.float64]:
    """Credits less a baseline from elsewhere: s_i - (k / n) * baseline, which is s of the rewards less the baseline.

    Unbiased for 1 <= k <= n where the baseline depends on nothing of this group: an estimate of max_g@k from the
    problem's earlier steps, say. Taken from this group, as its own max_at_k, it would bias the gradient.

    Args:
      baseline: finite, one for all groups or one for each: what broadcasts to the shape of g without its last axis, or
        with groups to that of g, where the members of a group should have the same. The others, and errors, are those
        of transform.
    """
    return less_baseline(asked.history(k), g, baseline, mask, groups, scale)


def transform(
    name: str,
    g: ArrayLike,
    k: Attempts,
    *,
    mask: ArrayLike | None = None,
    groups: Labels | None = None,
    scale: Scale = "sum",
) -> NDArray[np.float64]:
    """Credits of the named transform.

        >>> pkpo.transform("sloo_minus_one", [0, 1, 1, 0, 1], k=2, groups=["a", "a", "b", "b", "b"]).round(4)
        array([0.    , 1.    , 0.3333, 0.    , 0.3333])

    Args:
      name: one of TRANSFORMS, "mixed(0.25)" for mixed with that lam, or an L-statistic as pkpo.l_statistics names it:
        "top_mean(2)", "cvar(0.5)", "median".
      g: rewards, shape (..., n), bool, int or float; with groups shape (N,).
      k: attempts that the objective allows, smallest_n(name, k) <= n. Between two whole numbers it stands for both:
        credits at floor(k) with weight ceil(k) - k, and at ceil(k) with k - floor(k), unbiased for that mixture of the
        two max_g@k, the straight line between them. A mapping has a weight for each of several.
      mask: booleans that broadcast to g, True for a real completion. What is masked is as if it were not there: it has
        no term in the gradient, its credit is exactly 0, and its group's n is the number of the others.
      groups: the group of each reward by a label that can be hashed, shape (N,): groups of any size, in any order.
      scale: "sum" keeps the paper's weights, for a loss that sums over a group's completions. "mean" multiplies by the
        group's n, for a loss that averages over them, so that k = 1 is g_i less the mean of the others. "rms" divides
        by one positive number, the root mean square over the valid entries of the whole batch, and so keeps the
        direction of the batch's gradient; a batch of zeros stays zero.
    Returns:
      Credits as float64 in the order of the rewards, shape (..., n).
    Raises:
      ValueError: an unknown name or scale, k out of its range for some group, weights that are not finite, rewards
        that are not finite real numbers, labels that are missing, or credits beyond the range of float64.
    """
    return credits_for(asked.named(name, k), g, mask, groups, scale)


def transform_and_max_at_k(
    name: str, g: NDArray[np.float64], k: Mapping[int, float], factor: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Factor times the credits of groups, shape (P, n), and sum over k of weight_k times max_at_k, shape (P,).

    One sort serves both. For rewards that are known to be finite and a k that is in range: nothing is checked, but that
    alpha_loo has rewards of 0 and 1, and what exceeds the range of float64 comes back as inf or nan.
    """
    what = asked.named(name, k)
    if what.binary:
        inputs.check_binary(name, g, None, _FOR_OTHERS)
    ks, weights = zip(*asked.weights_of(k), strict=True)
    best = np.empty((len(g), len(ks)))

    def estimate(rows: slice, ranked: NDArray[np.float64]) -> None:
        best[rows] = best_of(ranked, ks)

    with np.errstate(over="ignore", invalid="ignore"):
        credits = credits_of(g, form(what.parts, g.shape[1]), factor, estimate)
        return credits, best @ np.array(weights)


def smallest_n(name: str, k: Attempts) -> int:
    """The smallest group that the named transform can credit at k, or at each of several k."""
    return asked.named(name, k).needed


TRANSFORMS: Mapping[str, Transform] = MappingProxyType(
    {
        "s": s,
        "sloo": sloo,
        "sloo_minus_one": sloo_minus_one,
        "centered": centered,
        "plugin": plugin,
        "alpha_loo": alpha_loo,
    }
)


def less_baseline(
    what: Asked, g: ArrayLike, baseline: ArrayLike, mask: ArrayLike | None, groups: Labels | None, scale: Scale
) -> NDArray[np.float64]:
    """What is asked for, of the rewards less the baseline of their group."""
    values, valid = inputs.rewards(g, mask)
    if groups is not None:
        below = inputs.for_each("baseline", baseline, values.shape)
    else:
        below = inputs.for_each("baseline", baseline, values.shape[:-1])[..., None]
    return credits_for(what, values, valid, groups, scale, below)


def credits_for(
    what: Asked,
    g: ArrayLike,
    mask: ArrayLike | None,
    groups: Labels | None,
    scale: Scale,
    baseline: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """What is asked for, of the rewards less a baseline that broadcasts to them."""
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}; got {scale!r}")
    values, valid = inputs.rewards(g, mask)
    if what.binary:
        inputs.check_binary(what.name, values, valid, _FOR_OTHERS)
    with np.errstate(over="ignore", invalid="ignore"):  # refused below, in a sentence
        if baseline is None:
            credits = _spread(what, values, valid, groups, scale)
        else:
            # Near the end of float64 a difference is beyond it, and k / n of that may not be: so a quarter of it first.
            shrink = 0.25 if max(_largest(values, valid), np.abs(baseline).max(initial=0.0)) >= 2.0**1000 else 1.0
            credits = _spread(what, values * shrink - baseline * shrink, valid, groups, scale) / shrink
    if not np.isfinite(credits).all():
        largest = _largest(values, valid)
        raise ValueError(f"credits exceed the range of float64; their largest |reward| is {largest}")
    return unit_rms(credits, valid) if scale == "rms" else credits


def _largest(values: NDArray[np.float64], valid: NDArray[np.bool_] | None) -> float:
    return float(np.abs(values).max(where=True if valid is None else valid, initial=0.0))


def _spread(
    what: Asked, values: NDArray[np.float64], valid: NDArray[np.bool_] | None, groups: Labels | None, scale: Scale
) -> NDArray[np.float64]:
    """The credits of all groups, by the size of the group, before they are brought to unit RMS."""

    def of_size(g: NDArray[np.float64]) -> NDArray[np.float64]:
        n = g.shape[1]
        return credits_of(g, form(what.parts, n), n if scale == "mean" else 1)

    if groups is not None:
        credits = np.zeros(values.shape)
        for places in inputs.by_label(groups, values.shape, valid, what.check_size):
            credits[places] = of_size(values[places])
        return credits
    inputs.check_sizes(what.name, what.needed, what.at, values.shape, valid, what.hint)
    width = values.shape[-1]
    if valid is None:
        return of_size(values.reshape(-1, width)).reshape(values.shape)
    credits = np.zeros((values[..., 0].size, width))
    for same in inputs.by_size(values.reshape(-1, width), valid.reshape(-1, width)):
        same.scatter(of_size(same.values), credits)
    return credits.reshape(values.shape)


def unit_rms(credits: NDArray[np.float64], valid: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """The credits of a whole batch divided by their root mean square over valid entries; zeros where all are zero."""
    peak = np.abs(credits).max(initial=0.0)
    if peak == 0:
        return credits
    relative: NDArray[np.float64] = credits / peak  # so that no square overflows or vanishes
    count = credits.size if valid is None else np.count_nonzero(valid)
    relative /= np.sqrt(np.square(relative).sum() / count)
    return relative
