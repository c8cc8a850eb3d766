"""Rewards to credits: each group's rewards g become s with E[sum_i s_i grad log p(x_i)] = grad max_g@k, exactly.

In a trainer the credits replace the advantages. Nothing may centre them or scale them per group: the other credits of a
group depend on x_i, so that would change what is maximised.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpo import inputs
from pkpo.credits import credits_of, form
from pkpo.estimators import best_of

Scale = Literal["sum", "mean", "rms"]
SCALES: tuple[Scale, ...] = ("sum", "mean", "rms")


class Transform(Protocol):
    """A function from rewards, shape (..., n), to credits of the same shape."""

    def __call__(
        self, g: ArrayLike, k: int, *, mask: ArrayLike | None = None, scale: Scale = "sum"
    ) -> NDArray[np.float64]: ...


def s(g: ArrayLike, k: int, *, mask: ArrayLike | None = None, scale: Scale = "sum") -> NDArray[np.float64]:
    """Credits without a baseline: s_i = sum over the k-subsets I that hold i of max(g_I) / C(n, k).

    Unbiased for 1 <= k <= n; they sum to k * max_at_k. Arguments and errors are those of transform.

    arXiv:2505.15201v4, Eq. (19) to (21).
    """
    return transform("s", g, k, mask=mask, scale=scale)


def sloo(g: ArrayLike, k: int, *, mask: ArrayLike | None = None, scale: Scale = "sum") -> NDArray[np.float64]:
    """Credits less the paper's leave-one-out baseline: s_i - k / (n - 1) * max_at_k of the others.

    Unbiased for 1 <= k <= n - 1. Its baseline is n / (n - 1) times what would centre s, so a constant t added to the
    rewards adds -t k / (n (n - 1)); centered has no such remainder. Arguments and errors are those of transform.

    arXiv:2505.15201v4, Eq. (29).
    """
    return transform("sloo", g, k, mask=mask, scale=scale)


def sloo_minus_one(g: ArrayLike, k: int, *, mask: ArrayLike | None = None, scale: Scale = "sum") -> NDArray[np.float64]:
    """What holding i gains: sum over the k-subsets I that hold i of (max(g_I) - max(g_I without i)) / C(n, k).

    Sorted, the running sum of C(m, k - 1) / C(n, k) * (g_(m+1) - g_(m)) over m < i. Unbiased for 1 <= k <= n, n >= 2;
    never negative at k >= 2, exactly 0 for the k - 1 lowest; each credit within 16 ulp of itself for rewards up to
    1e100; beyond, credits below 1e-300 of the largest may lose digits. At k = 1, where the formula has no smaller
    subset, (g_i - mean of the others) / n, the leave-one-out REINFORCE baseline. Arguments and errors are those of
    transform.

    arXiv:2505.15201v4, Eq. (33).
    """
    return transform("sloo_minus_one", g, k, mask=mask, scale=scale)


def centered(g: ArrayLike, k: int, *, mask: ArrayLike | None = None, scale: Scale = "sum") -> NDArray[np.float64]:
    """Credits less a leave-one-out baseline of their own scale: s_i - (k / n) * max_at_k of the others.

    Unbiased for 1 <= k <= n - 1; they sum to 0 and ignore a constant added to the rewards. Equal to n / (n - k) times
    s less its mean: centring s without that factor shrinks the gradient by 1 - k / n. Arguments and errors are those
    of transform.
    """
    return transform("centered", g, k, mask=mask, scale=scale)


def plugin(g: ArrayLike, k: int, *, mask: ArrayLike | None = None, scale: Scale = "sum") -> NDArray[np.float64]:
    """Credits less the V-statistic's leave-one-out baseline: ((n - k) centered + (k - 1) sloo_minus_one) / (n - 1).

    The baseline is (k / n) [a * max_at_k + (1 - a) * max_at_(k - 1)] of the others with a = (n - k) / (n - 1). Unbiased
    for 1 <= k <= n, n >= 2: at k = 1 the second term has weight 0 and plugin is centered; at k = n it is
    sloo_minus_one. Arguments and errors are those of transform.
    """
    return transform("plugin", g, k, mask=mask, scale=scale)


def multi_k(
    g: ArrayLike,
    k: Mapping[int, float],
    *,
    name: str = "sloo_minus_one",
    mask: ArrayLike | None = None,
    scale: Scale = "sum",
) -> NDArray[np.float64]:
    """Credits for several k at once: sum over k of weight_k times the named transform at k, in one pass.

    Unbiased for the gradient of sum_k weight_k max_g@k. With weights 1 / k over 1..n that is MaxRL's objective. The
    k = 1 term of sloo_minus_one is its leave-one-out mean, never its running sum at k = 1, whose baseline min(g)
    depends on x_i. Arguments and errors are those of transform.
    """
    return transform(name, g, k, mask=mask, scale=scale)


def transform(
    name: str,
    g: ArrayLike,
    k: int | Mapping[int, float],
    *,
    mask: ArrayLike | None = None,
    scale: Scale = "sum",
) -> NDArray[np.float64]:
    """Credits of the named transform.

    Args:
      name: one of TRANSFORMS.
      g: rewards, shape (..., n), bool, int or float.
      k: attempts that the objective allows, smallest_n(name, k) <= n; or a weight for each of several.
      mask: booleans that broadcast to g, True for a real completion. What is masked is as if it were not there: it has
        no term in the gradient, its credit is exactly 0, and its group's n is the number of the others.
      scale: "sum" keeps the paper's weights, for a loss that sums over a group's completions. "mean" multiplies by the
        group's n, for a loss that averages over them, so that k = 1 is g_i less the mean of the others. "rms" divides
        by one positive number, the root mean square over the valid entries of the whole batch, and so keeps the
        direction of the batch's gradient; a batch of zeros stays zero.
    Returns:
      Credits as float64 in the order of the rewards, shape (..., n).
    Raises:
      ValueError: an unknown name or scale, k out of its range for some group, weights that are not finite, rewards
        that are not finite real numbers, or credits beyond the range of float64.
    """
    weights = weights_of(name, k)
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}; got {scale!r}")
    values, valid = inputs.rewards(g, mask)
    check_range(name, weights, values.shape, valid)
    width = values.shape[-1]
    flat_valid = None if valid is None else valid.reshape(-1, width)
    with np.errstate(over="ignore", invalid="ignore"):  # refused below, in a sentence
        credits = _credited(name, weights, values.reshape(-1, width), flat_valid, scale).reshape(values.shape)
    if not np.isfinite(credits).all():
        largest = np.abs(values).max(where=True if valid is None else valid, initial=0.0)
        raise ValueError(f"credits exceed the range of float64; their largest |reward| is {largest}")
    return unit_rms(credits, valid) if scale == "rms" else credits


def transform_and_max_at_k(
    name: str, g: NDArray[np.float64], k: Mapping[int, float], factor: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Factor times the credits of groups, shape (P, n), and sum over k of weight_k times max_at_k, shape (P,).

    One sort serves both. For rewards that are known to be finite and a k that is in range: nothing is checked, and what
    exceeds the range of float64 comes back as inf or nan.
    """
    weights = weights_of(name, k)
    ks = [attempts for attempts, _ in weights]
    best = np.empty((len(g), len(ks)))

    def estimate(rows: slice, ranked: NDArray[np.float64]) -> None:
        best[rows] = best_of(ranked, ks)

    with np.errstate(over="ignore", invalid="ignore"):
        credits = credits_of(g, form(name, g.shape[1], weights), factor, estimate)
        return credits, best @ np.array([weight for _, weight in weights])


def smallest_n(name: str, k: int | Mapping[int, float]) -> int:
    """The smallest group that the named transform can credit at k, or at each of several k."""
    weights = weights_of(name, k)
    return max(_smallest_n(name, attempts) for attempts, _ in weights)


TRANSFORMS: Mapping[str, Transform] = MappingProxyType(
    {"s": s, "sloo": sloo, "sloo_minus_one": sloo_minus_one, "centered": centered, "plugin": plugin}
)

Weights = tuple[tuple[int, float], ...]


def weights_of(name: str, k: int | Mapping[int, float]) -> Weights:
    """(k, weight) in ascending k, for a k alone with weight 1."""
    if name not in TRANSFORMS:
        raise ValueError(f"transform must be one of {', '.join(TRANSFORMS)}; got {name!r}")
    if not isinstance(k, Mapping):
        return ((inputs.attempts(k), 1.0),)
    if not k:
        raise ValueError("k must name at least one number of attempts; got an empty mapping")
    return tuple(sorted((inputs.attempts(each), inputs.finite("a weight of k", weight)) for each, weight in k.items()))


def _smallest_n(name: str, k: int) -> int:
    if name in ("sloo", "centered"):
        return k + 1
    return k if name == "s" else max(k, 2)


def check_range(name: str, weights: Weights, shape: tuple[int, ...], valid: NDArray[np.bool_] | None) -> None:
    """ValueError naming the first group that is too small for the named transform at the largest k."""
    k = max(attempts for attempts, _ in weights)
    hint = "; sloo_minus_one allows k = n" if name in ("sloo", "centered") else ""
    inputs.check_sizes(name, _smallest_n(name, k), f"k={k}", shape, valid, hint)


def _credited(
    name: str, weights: Weights, values: NDArray[np.float64], valid: NDArray[np.bool_] | None, scale: Scale
) -> NDArray[np.float64]:
    """The credits of groups of shape (P, n), before they are brought to unit RMS."""

    def of_size(g: NDArray[np.float64]) -> NDArray[np.float64]:
        n = g.shape[1]
        return credits_of(g, form(name, n, weights), n if scale == "mean" else 1)

    if valid is None:
        return of_size(values)
    credits = np.zeros(values.shape)
    for groups in inputs.by_size(values, valid):
        groups.scatter(of_size(groups.values), credits)
    return credits


def unit_rms(credits: NDArray[np.float64], valid: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """The credits of a whole batch divided by their root mean square over valid entries; zeros where all are zero."""
    peak = np.abs(credits).max(initial=0.0)
    if peak == 0:
        return credits
    relative: NDArray[np.float64] = credits / peak  # so that no square overflows or vanishes
    count = credits.size if valid is None else np.count_nonzero(valid)
    relative /= np.sqrt(np.square(relative).sum() / count)
    return relative
