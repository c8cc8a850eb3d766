"""The exact expectation and covariance of a gradient estimate, over every group that a policy can draw.

A method turns the rewards of a group into credits s_i; its gradient estimate is sum_i s_i grad log p(x_i). Where x_i
comes from few categories there are finitely many groups, and its moments are sums over them: no sampling, no tolerance.
Bernoulli policies pass with chance p; categorical ones have a reward and a softmax logit for each category.

    >>> from fractions import Fraction
    >>> from pkpo import oracle, transforms
    >>> p = Fraction(1, 4)
    >>> float(oracle.bernoulli(lambda g: transforms.sloo_minus_one(g, 2), 4, p).mean), oracle.pass_at_k_gradient(2, p)
    (1.5, Fraction(3, 2))

Chances are handled exactly: as they are given where they are Fractions, and float64 as the fractions that they are.
With Fractions the results are Fractions too, and err by no more than the method's own credits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations_with_replacement, pairwise
from math import comb, factorial, lcm, prod
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpo import inputs

Number = TypeVar("Number", float, Fraction)
# Rewards to credits. float64: shape (groups, n) to the same shape. Exact: a tuple of n rewards, as given, to n numbers.
Method = Callable[[Any], Any]
Chances = Sequence[float | Fraction] | NDArray[np.float64]

MOST_REWARDS = 2**22  # in all groups that a policy can draw: seconds, and some hundred megabytes


@dataclass(frozen=True)
class Moments(Generic[Number]):
    """Of a gradient estimate for one parameter: exact mean and variance."""

    mean: Number
    variance: Number


@dataclass(frozen=True)
class VectorMoments:
    """Of a gradient estimate for several parameters: exact mean, shape (m,), and covariance, shape (m, m)."""

    mean: NDArray[Any]
    covariance: NDArray[Any]


def bernoulli(method: Method, n: int, p: Number, *, of: str = "p", ordered: bool = False) -> Moments[Number]:
    """Moments of the gradient estimate from n completions that pass, with reward 1, with chance p.

    Args:
      method: rewards to credits, as lambda g: sloo_minus_one(g, k). It is called once with all groups, an array of
        zeros and ones of shape (groups, n); with a Fraction as p for each group, with a tuple of n ints.
      n: completions in a group, at least 1.
      p: chance to pass, in (0, 1).
      of: the parameter, "p" itself or "logit", log(p / (1 - p)).
      ordered: whether credits depend on the order of the completions, as where a group is partitioned: then all 2^n
        orders are drawn up, else the n + 1 numbers of passes.
    Raises:
      ValueError: p outside (0, 1), an unknown parameter, more groups than MOST_REWARDS / n, or credits of another
        shape.
    """
    if of not in ("p", "logit"):
        raise ValueError(f"of must be p or logit; got {of!r}")
    _check_chance(p)
    both = categorical(method, n, (0, 1), [1 - p, p], ordered=ordered)
    slope = 1 if of == "logit" else p * (1 - p)  # d p / d logit; the failures' logit is the other parameter
    mean, variance = both.mean[1] / slope, both.covariance[1, 1] / slope**2
    number = type(p)  # a float, not one of NumPy's
    return Moments(number(mean), number(variance))


def categorical(
    method: Method,
    n: int,
    rewards: Sequence[Any],
    probabilities: Chances,
    *,
    ordered: bool = False,
) -> VectorMoments:
    """Moments of the gradient estimate, by the softmax logits, from n completions of m categories.

    Args:
      rewards: of each category, m real numbers.
      probabilities: of each category, all positive. Their sum is 1 but for rounding, which is divided out.
      method, n, ordered: as for bernoulli. With Fractions as probabilities rewards reach the method as they are given.
    Raises:
      ValueError: chances that are not positive or do not sum to 1, lengths that differ, more groups than
        MOST_REWARDS / n, or credits of another shape.
    """
    inputs.whole("n", n)
    chances, exact = _chances(probabilities)
    m = len(chances)
    if len(rewards) != m:
        raise ValueError(f"rewards and probabilities must be of one length; got {len(rewards)} and {m}")
    groups = m**n if ordered else comb(n + m - 1, n)
    if groups * n > MOST_REWARDS:
        raise ValueError(f"n={n} completions of {m} categories are {groups} groups; at most {MOST_REWARDS // n} fit")
    if ordered:
        categories = np.stack(np.unravel_index(np.arange(groups), (m,) * n), axis=1)
    else:
        categories = np.array(list(combinations_with_replacement(range(m), n)))
    credits = _credits(method, categories, rewards, exact)
    counts = np.stack([(categories == category).sum(axis=1) for category in range(m)], axis=1)
    weights = _weights(counts, chances, ordered, exact)
    pi = np.array(chances) if exact else np.array([float(chance) for chance in chances])
    # The score of category a is e_a - pi.
    held = [np.where(categories == category, credits, 0).sum(axis=1) for category in range(m)]
    gradients = np.stack(held, axis=1) - credits.sum(axis=1)[:, None] * pi
    mean = weights @ gradients
    centred = gradients - mean
    return VectorMoments(mean, (weights[:, None] * centred).T @ centred)


def pass_at_k_gradient(k: int, p: Number, *, of: str = "p") -> Number:
    """d pass@k / d p = k (1-p)^(k-1), or by the logit of p, times p (1-p): exact for Fractions."""
    if of not in ("p", "logit"):
        raise ValueError(f"of must be p or logit; got {of!r}")
    _check_chance(p)
    slope = inputs.attempts(k) * (1 - p) ** (k - 1)
    return slope if of == "p" else slope * p * (1 - p)


def max_at_k_gradient(k: int, rewards: Sequence[Any], probabilities: Chances) -> NDArray[Any]:
    """The gradient of max_g@k by the softmax logits of a categorical policy, shape (m,).

    max_g@k = max(g) - sum over the gaps between neighbouring rewards of gap * F^k, F being the chance of a completion
    at or below the gap; by logit a, F moves by pi_a ([a at or below] - F). Fractions where probabilities are.
    """
    inputs.attempts(k)
    chances, exact = _chances(probabilities)
    if len(rewards) != len(chances):
        raise ValueError(f"rewards and probabilities must be of one length; got {len(rewards)} and {len(chances)}")
    g = [Fraction(reward) for reward in rewards]
    levels = sorted(set(g))
    gradient = [Fraction(0)] * len(g)
    for low, high in pairwise(levels):
        below = sum(chance for chance, reward in zip(chances, g, strict=True) if reward <= low)
        for a, (chance, reward) in enumerate(zip(chances, g, strict=True)):
            gradient[a] -= (high - low) * k * below ** (k - 1) * chance * ((reward <= low) - below)
    return np.array(gradient) if exact else np.array([float(each) for each in gradient])


def factor(method: Method, n: int, k: int, p: Number, *, ordered: bool = False) -> Number:
    """E[gradient estimate] / gradient of pass@k: 1 for what is unbiased. Arguments and errors as for bernoulli."""
    return bernoulli(method, n, p, ordered=ordered).mean / pass_at_k_gradient(k, p)


def softmax(logits: ArrayLike) -> NDArray[np.float64]:
    """Probabilities of categories with these logits, shape (m,)."""
    z = np.asarray(logits, dtype=np.float64)
    if z.ndim != 1 or not np.isfinite(z).all():
        raise ValueError(f"logits must be finite and of shape (m,); got shape {z.shape}")
    weights = np.exp(z - z.max())
    return np.asarray(weights / weights.sum())


def _check_chance(p: float | Fraction) -> None:
    if not isinstance(p, Fraction):
        inputs.finite("p", p)
    if not 0 < p < 1:
        raise ValueError(f"p must be in (0, 1), where every outcome has a chance; got {p}")


def _chances(probabilities: Chances) -> tuple[list[Fraction], bool]:
    """Chances that sum to 1 exactly, and whether they came as Fractions."""
    exact = all(isinstance(each, Fraction | int) for each in probabilities)
    chances = [Fraction(each) if exact else Fraction(inputs.finite("a probability", each)) for each in probabilities]
    total = sum(chances, Fraction(0))
    if not chances or min(chances) <= 0 or abs(total - 1) > (0 if exact else Fraction(1, 10**9)):
        raise ValueError(f"probabilities must be positive and sum to 1; got {[str(each) for each in probabilities]}")
    return [chance / total for chance in chances], exact


def _credits(method: Method, categories: NDArray[np.int64], rewards: Sequence[Any], exact: bool) -> NDArray[Any]:
    """Credits of every group, as float64 or as Fractions."""
    if exact:
        given = [tuple(rewards[category] for category in group) for group in categories.tolist()]
        found = np.array([[Fraction(credit) for credit in method(group)] for group in given], dtype=object)
    else:
        found = np.asarray(method(np.array([inputs.finite("a reward", reward) for reward in rewards])[categories]))
    if found.shape != categories.shape:
        raise ValueError(f"the method must give credits of the rewards' shape {categories.shape}; got {found.shape}")
    return found


def _weights(counts: NDArray[np.int64], chances: Sequence[Fraction], ordered: bool, exact: bool) -> NDArray[Any]:
    """The chance of each group, of which counts holds how many completions of each category it has."""
    whole = lcm(*(chance.denominator for chance in chances))
    parts = [int(chance * whole) for chance in chances]
    distinct, places = np.unique(counts, axis=0, return_inverse=True)
    total = whole ** int(distinct[0].sum())
    weights: list[float | Fraction] = []
    for group in distinct.tolist():
        orders = 1 if ordered else factorial(sum(group)) // prod(map(factorial, group))
        share = orders * prod(part**count for part, count in zip(parts, group, strict=True))
        weights.append(Fraction(share, total) if exact else share / total)  # integers divide with one rounding
    return np.array(weights)[places.reshape(-1)]
