"""The one-dimensional problem of the paper's Figures 1, 2 and 4: a Gaussian policy and a reward that ends at a cliff.

A completion is x ~ N(theta, 0.1^2); its reward is x^2 on [0, 1] and 0 elsewhere. What is exact here is integrated by
Gauss and Legendre's rule; the variance of a gradient estimate is sampled, with a seed.

arXiv:2505.15201v4, section 5.1, Eq. (35).
"""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpo import inputs
from pkpo.oracle import Moments

Floats = NDArray[np.float64]

SIGMA = 0.1


def reward(x: ArrayLike) -> Floats:
    """x^2 where 0 <= x <= 1, else 0, in the shape of x. Eq. (35)."""
    at = np.asarray(x, dtype=np.float64)
    return np.where((at >= 0) & (at <= 1), np.square(at), 0.0)


def score(x: ArrayLike, theta: float) -> Floats:
    """d log p(x) / d theta = (x - theta) / 0.1^2, in the shape of x."""
    return np.asarray((np.asarray(x, dtype=np.float64) - theta) / SIGMA**2)


def max_at_k(theta: float, k: int) -> float:
    """max_g@k of the policy: the expected best reward of k completions, within 1e-12."""
    below, _, width = _below(theta)
    return float((width * (1 - below ** inputs.attempts(k))).sum())


def max_at_k_gradient(theta: float, k: int) -> float:
    """d max_g@k / d theta, within 1e-10."""
    below, slope, width = _below(theta)
    return float(-(width * inputs.attempts(k) * below ** (k - 1) * slope).sum())


def sampled(method: Callable[[Floats], Floats], n: int, theta: float, *, draws: int, seed: int) -> Moments[float]:
    """Mean and variance of sum_i s_i score(x_i) over this many groups of n, the s_i being method(rewards).

    Args:
      method: rewards, shape (draws, n), to credits of that shape, as lambda g: sloo_minus_one(g, 4).
      draws: groups, at least 2; the paper has 10,000.
      seed: of NumPy's default generator. The same seed gives every method the same groups.
    """
    if inputs.whole("draws", draws) < 2:
        raise ValueError(f"draws must be at least 2, which have a variance; got {draws}")
    x = np.random.default_rng(seed).normal(inputs.finite("theta", theta), SIGMA, (draws, inputs.whole("n", n)))
    estimates = (method(reward(x)) * score(x, theta)).sum(axis=1)
    return Moments(float(estimates.mean()), float(estimates.var(ddof=1)))


def _below(theta: float) -> tuple[Floats, Floats, Floats]:
    """On a grid of rewards: the chance of one at or below, its slope in theta, and the width that each stands for.

    A reward is at most t^2 unless t < x <= 1, and the width of the rewards t^2 about t is 2t dt.
    """
    inputs.finite("theta", theta)
    nodes, weights = _nodes()
    t = (nodes + 1) / 2
    z, cliff = (t - theta) / SIGMA, (1 - theta) / SIGMA
    below = 1 - _normal_cdf(cliff) + np.array([_normal_cdf(each) for each in z])
    slope = (_normal_density(cliff) - _normal_density(z)) / SIGMA
    return below, slope, weights * t


@cache
def _nodes() -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(200)
    return nodes, weights


def _normal_cdf(z: float) -> float:
    return math.erfc(-z / math.sqrt(2)) / 2


def _normal_density(z: ArrayLike) -> Floats:
    return np.asarray(np.exp(-np.square(z) / 2) / math.sqrt(2 * math.pi))
