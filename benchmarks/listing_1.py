"""Listing 1 of arXiv:2505.15201v4 as it is printed, but for the slice of its line 40: what pkpo is measured against.

One group at a time, of float rewards, 2 <= K <= n. docs/mathematics.md says what it does with others.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def _m_normed(N: int, K: int, i: int, j: int) -> float:
    if i == j and i >= K - 1:
        return float(K / (N - K + 1) * np.prod(np.arange(i - K + 2, i + 1) / np.arange(N - K + 2, N + 1)))
    if j > i and j >= K - 1 and K >= 2:
        return float(K / (N - K + 1) * (K - 1) / N * np.prod(np.arange(j - K + 2, j) / np.arange(N - K + 2, N)))
    return 0


def _m_diagonal(N: int, K: int) -> Floats:
    return np.array([_m_normed(N, K, i, i) for i in range(N)])


def rho(g: Floats, K: int) -> float:
    """Eq. (12)."""
    return float((np.sort(g) * _m_diagonal(len(g), K)).sum())


def _delta(N: int, K: int, i: int) -> float:
    return _m_normed(N, K, i, i + 1) - _m_normed(N, K, i + 1, i + 1)


def _deltas(N: int, K: int) -> Floats:
    return np.array([_delta(N - 1, K, i) for i in range(N - 2)])


def _sorted_apply(func: Callable[[Floats, int], Floats]) -> Callable[[Floats, int], Floats]:
    def inner(x: Floats, K: int) -> Floats:
        i_sort = np.argsort(x)
        func_x = np.zeros_like(x)
        func_x[i_sort] = func(x[i_sort], K)
        return func_x

    return inner


@_sorted_apply
def s(g: Floats, K: int) -> Floats:
    """Eq. (19)."""
    N = len(g)
    c = g * _m_diagonal(N, K)
    c[: N - 1] += g[1:] * _deltas(N + 1, K)  # printed as c[:-(N-1)], which is one element
    return np.cumsum(c[::-1])[::-1]


@_sorted_apply
def _b(g: Floats, K: int) -> Floats:
    N = len(g)
    w = (_m_diagonal(N - 1, K) * np.arange(1, N)).astype(float)
    w[1:] += _deltas(N, K) * np.arange(1, N - 1)
    c1 = np.array([(w * g[1:]).sum()])
    c2 = (g[:-1] - g[1:]) * w
    return np.cumsum(np.concatenate((c1, c2)))


def sloo(g: Floats, K: int) -> Floats:
    """Eq. (29)."""
    return s(g, K) - _b(g, K) / (len(g) - 1)


def sloo_minus_one(g: Floats, K: int) -> Floats:
    """Eq. (33)."""
    return s(g, K) - _b(g, K - 1) * K / (K - 1) / len(g)
