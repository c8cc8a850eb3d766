"""Rewards to credits in NumPy: against `np.argsort` of the same rewards, which is the least that ranking them takes."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks.ratio import Ratio, best_seconds
from pkpo.transforms import TRANSFORMS

SHAPE, K = (4096, 16), 8


def measure() -> Iterator[Ratio]:
    """Every transform of 4096 groups of 16 rewards, k = 8."""
    rewards = np.random.default_rng(0).random(SHAPE)
    for name, transform in TRANSFORMS.items():
        taken, sorting = best_seconds(partial(transform, rewards, K), partial(np.argsort, rewards, axis=1), repeats=200)
        detail = f"{taken * 1e6:.0f} µs, np.argsort {sorting * 1e6:.0f} µs"
        yield Ratio(f"{name}, {SHAPE[0]} × {SHAPE[1]}", taken / sorting, "np.argsort", at_most=4.0, detail=detail)
