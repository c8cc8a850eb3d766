"""Rewards to credits in NumPy: against `np.argsort` of the same rewards, which is the least that ranking them takes."""

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ratio import Ratio, best_seconds
from pkpo.transforms import TRANSFORMS, sloo_minus_one

K = 8
SHAPES = {(4096, 16): 200, (64, 1024): 100, (1024, 1024): 7, (1, 10**6): 7}  # and how often each is run


def measure() -> Iterator[Ratio]:
    """Every transform of continuous rewards at four shapes, k = 8; beside them what others do."""
    for shape, repeats in SHAPES.items():
        rewards = np.random.default_rng(0).random(shape)
        sort = partial(np.argsort, rewards, axis=1)
        size = " × ".join(f"{length:,}" for length in shape)
        for name, transform in TRANSFORMS.items():
            given = np.round(rewards) if name == "alpha_loo" else rewards
            taken, sorting = best_seconds(partial(transform, given, K), sort, repeats=repeats)
            detail = f"{taken * 1e6:,.0f} µs, np.argsort {sorting * 1e6:,.0f} µs"
            yield Ratio(f"{name}, {size}", taken / sorting, "np.argsort", at_most=3.0, detail=detail)
        for name, other in (("Listing 1 of the paper", listing_1), ("a loop over groups, as verl's", groups_in_a_loop)):
            taken, ours = best_seconds(partial(other, rewards), partial(sloo_minus_one, rewards, K), repeats=2)
            yield Ratio(f"{name}, {size}", taken / ours, "sloo_minus_one", detail=f"{taken * 1e3:,.0f} ms")


def listing_1(rewards: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """sloo_minus_one as the paper's Listing 1 goes about it: group by group, its weights as products in Python."""
    return [_by_products(group, K) for group in rewards]


def _by_products(group: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    n = len(group)

    def share(m: int) -> float:
        """C(m, k - 1) / C(n, k): the subsets that hold rank m + 1 and else ranks up to m."""
        if m < k - 1:
            return 0.0
        product = k / n
        for j in range(k - 1):
            product *= (m - j) / (n - 1 - j)
        return product

    order = np.argsort(group)
    ranked = group[order]
    credits = np.zeros(n)
    credits[1:] = np.cumsum([share(m) for m in range(1, n)] * np.diff(ranked))
    placed = np.empty(n)
    placed[order] = credits
    return placed


def groups_in_a_loop(rewards: NDArray[np.float64]) -> dict[int, float]:
    """What verl's advantage for pass@k does at k = n: members by id, in Python, then best less second best."""
    members: dict[int, list[Any]] = defaultdict(list)
    width = rewards.shape[1]
    for place, reward in enumerate(rewards.reshape(-1)):
        members[place // width].append((reward, place))
    credits = {}
    for group in members.values():
        (second, _), (best, place) = sorted(group)[-2:]
        credits[place] = best - second
    return credits
