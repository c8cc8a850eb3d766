"""Rewards to credits in NumPy: against `np.argsort` of the same rewards, which is the least that ranking them takes."""

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import listing_1
from benchmarks.ratio import Ratio, best_seconds
from pkpo.transforms import TRANSFORMS, sloo_minus_one

K = 8
SOME = 1 << 12  # rewards
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
        some = max(1, SOME // shape[1])  # groups of Listing 1, which takes half a minute for a million rewards
        for name, other, groups in (
            ("Listing 1 of the paper", of_listing_1, some),
            ("a loop over groups, as verl's", groups_in_a_loop, shape[0]),
        ):
            work, ours = partial(other, rewards[:groups]), partial(sloo_minus_one, rewards, K)
            taken, by_us = best_seconds(work, ours, repeats=2)
            taken *= shape[0] / groups
            yield Ratio(f"{name}, {size}", taken / by_us, "sloo_minus_one", detail=f"{taken * 1e3:,.0f} ms")


def of_listing_1(rewards: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """sloo_minus_one by the paper's Listing 1, group by group."""
    return [listing_1.sloo_minus_one(group, K) for group in rewards]


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
