"""Rewards to credits: each group's rewards g become s with E[sum_i s_i grad log p(x_i)] = grad max_g@k, exactly.

Sorted ascending, with gaps d_m = g_(m+1) - g_(m) and w_m = C(m-1, k-1) / C(n, k), every transform has the form

    credit_(i) = sum_j level_j g_(j)  +  sum_{m < i} below_m d_m  -  sum_{m >= i} above_m d_m

with below and above never negative. So ties get equal credit, a group of equal rewards gets exactly 0 from those
without a level, and no credit is the small difference of two large sums that the formula does not itself call for.

In a trainer the credits replace the advantages. Nothing may centre them or scale them per group: the other credits of a
group depend on x_i, so that would change what is maximised.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpo import inputs
from pkpo.estimators import range_exponents
from pkpo.weights import LIFT, ByteCache, order_weights

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
    never negative at k >= 2, exactly 0 for the k - 1 lowest; each credit within 16 ulp of itself. At k = 1, where the
    formula has no smaller subset, (g_i - mean of the others) / n, the leave-one-out REINFORCE baseline.
    Arguments and errors are those of transform.

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
    weights = _weights(name, k)
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}; got {scale!r}")
    values, valid = inputs.rewards(g, mask)
    _check_range(name, weights, values.shape, valid)
    width = values.shape[-1]
    credits = np.empty(values.shape)
    flat_mask = None if valid is None else valid.reshape(-1, width)
    flat_credits = credits.reshape(-1, width)
    with np.errstate(over="ignore", invalid="ignore"):
        for groups in inputs.by_size(values.reshape(-1, width), flat_mask):
            form = _form(name, groups.n, weights)
            groups.scatter(_credits(groups.values, form, groups.n if scale == "mean" else 1), flat_credits)
    if not np.isfinite(credits).all():
        largest = np.abs(values).max(where=True if valid is None else valid, initial=0.0)
        raise ValueError(f"credits exceed the range of float64; their largest |reward| is {largest}")
    return _unit_rms(credits, valid) if scale == "rms" else credits


def smallest_n(name: str, k: int | Mapping[int, float]) -> int:
    """The smallest group that the named transform can credit at k, or at each of several k."""
    weights = _weights(name, k)
    return max(_smallest_n(name, attempts) for attempts, _ in weights)


TRANSFORMS: Mapping[str, Transform] = MappingProxyType(
    {"s": s, "sloo": sloo, "sloo_minus_one": sloo_minus_one, "centered": centered, "plugin": plugin}
)

_Weights = tuple[tuple[int, float], ...]


def _weights(name: str, k: int | Mapping[int, float]) -> _Weights:
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


def _check_range(name: str, weights: _Weights, shape: tuple[int, ...], valid: NDArray[np.bool_] | None) -> None:
    k = max(attempts for attempts, _ in weights)
    hint = "; sloo_minus_one allows k = n" if name in ("sloo", "centered") else ""
    inputs.check_sizes(name, _smallest_n(name, k), f"k={k}", shape, valid, hint)


@dataclass(frozen=True)
class _Form:
    """Weights of the credits of sorted groups (see the top of this file), each times 2^LIFT."""

    below: NDArray[np.float64]  # (n - 1,)
    above: NDArray[np.float64] | None = None  # (n - 1,)
    level: NDArray[np.float64] | None = None  # (n,)

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in (self.below, self.above, self.level) if part is not None)


_forms: ByteCache[_Form] = ByteCache(64 * 2**20)


def _form(name: str, n: int, weights: _Weights) -> _Form:
    return _forms.get((name, n, weights), lambda: _total([(_form_at(name, n, k), weight) for k, weight in weights]))


def _total(forms: list[tuple[_Form, float]]) -> _Form:
    """The sum of weight times form: credits are linear in them."""
    if len(forms) == 1 and forms[0][1] == 1:
        return forms[0][0]

    def total(part: str) -> NDArray[np.float64] | None:
        terms = [values * weight for form, weight in forms if (values := getattr(form, part)) is not None]
        return np.sum(terms, axis=0) if terms else None

    below = total("below")
    assert below is not None
    return _Form(below, total("above"), total("level"))


def _form_at(name: str, n: int, k: int) -> _Form:
    w = order_weights(n, k)
    if name == "s":
        return _Form(w[:-1], level=_lowest_credit(w, k))
    if name == "sloo_minus_one" and k > 1:
        return _Form(w[1:])  # C(m, k-1) / C(n, k) is w_(m+1)
    m = np.arange(1, n)
    if name == "plugin" and k > 1:
        return _Form(m * w[1:] / (n - 1), (n - m) * w[:-1] / (n - 1))
    # At k = 1 sloo_minus_one and plugin are centered: (g_i - mean of the others) / n.
    form = _Form(m * w[:-1] / (n - k), (n - m) * w[:-1] / (n - k))
    if name == "sloo":
        return _with_sloo_remainder(form, w, n, k)
    return form


def _lowest_credit(w: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """The lowest reward's s as weights of the sorted rewards: C(j-2, k-2) / C(n, k), those it shares with top j."""
    n = len(w)
    level = np.zeros(n)
    if k == 1:
        level[0] = w[0]
    else:
        level[1:] = w[1:] * (k - 1) / np.arange(1, n)
    return level


def _with_sloo_remainder(form: _Form, w: NDArray[np.float64], n: int, k: int) -> _Form:
    """centered less k / (n (n-1)) * max_at_k of the others, which falls from that of all but the lowest as i rises."""
    remainder = k / ((n - 1) * (n - k))
    assert form.above is not None
    level = np.zeros(n)
    j = np.arange(2, n + 1)
    level[1:] = -remainder * w[1:] * (j - k) / (j - 1)
    level[:k] = 0.0
    return _Form(form.below + remainder * w[:-1], form.above, level)


# Rewards in a block: its arrays (order, sorted rewards, gaps, credits) fit the second-level cache together.
_BLOCK = 1 << 14
# Below this many terms a plain running sum is within the error target on its own.
_PLAIN = 24


def _credits(g: NDArray[np.float64], form: _Form, factor: int) -> NDArray[np.float64]:
    """factor times the credits of each row of g, shape (P, n)."""
    credits = np.empty(g.shape)
    rows = max(1, _BLOCK // g.shape[1])
    for start in range(0, len(g), rows):
        block = np.ascontiguousarray(g[start : start + rows])
        order = np.argsort(block, axis=1)
        order += np.arange(len(block))[:, None] * g.shape[1]  # positions in the flat block
        credits[start : start + rows].reshape(-1)[order] = _ranked_credits(block.reshape(-1)[order], form, factor)
    return credits


def _ranked_credits(ranked: NDArray[np.float64], form: _Form, factor: int) -> NDArray[np.float64]:
    """factor times the credits of groups sorted ascending."""
    unlift: float | NDArray[np.float64] = 2.0**-LIFT * factor
    exponents = range_exponents(ranked)
    if exponents is not None:
        ranked = np.ldexp(ranked, exponents)
        unlift = np.ldexp(float(factor), -LIFT - exponents)
    gaps = np.diff(ranked, axis=1)
    credits = np.zeros(ranked.shape)
    credits[:, 1:] = _running_sum(gaps * form.below)
    if form.above is not None:
        credits[:, :-1] -= _running_sum((gaps * form.above)[:, ::-1])[:, ::-1]
    if form.level is not None:
        credits += (ranked * form.level).sum(axis=1, keepdims=True)
    credits *= unlift
    return credits


def _running_sum(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cumulative sum along each row, compensated where it is long: each entry within about an ulp."""
    total = np.cumsum(terms, axis=1)
    if terms.shape[1] > _PLAIN:
        # What each addition lost, exactly (Knuth's two-sum of the sum before and the term).
        before, after = total[:, :-1], total[:, 1:]
        added = after - before
        lost = (before - (after - added)) + (terms[:, 1:] - added)
        total[:, 1:] += np.cumsum(lost, axis=1)
    return total


def _unit_rms(credits: NDArray[np.float64], valid: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    """The credits divided by their root mean square over valid entries; zeros where all are zero."""
    peak = np.abs(credits).max(initial=0.0)
    if peak == 0:
        return credits
    relative: NDArray[np.float64] = credits / peak  # so that no square overflows or vanishes
    count = credits.size if valid is None else np.count_nonzero(valid)
    relative /= np.sqrt(np.square(relative).sum() / count)
    return relative
