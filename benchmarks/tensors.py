"""Rewards to credits in torch, unchecked: against `torch.sort` of the same rewards on the device; bound on a GPU."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

import pkpo.torch
from benchmarks.ratio import Ratio, best_seconds

K = 8
SHAPES = {(4096, 16): 100, (64, 1024): 100, (1024, 1024): 7, (1, 10**6): 7}  # and how often each is run


def measure() -> Iterator[Ratio]:
    """Every transform at four shapes, in rows and, at the first, by label. On a GPU a call that waits is an error."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    most = 2.0 if device.type == "cuda" else None
    for shape, repeats in SHAPES.items():
        rewards = torch.rand(shape, device=device, dtype=torch.float32)
        size = " × ".join(f"{length:,}" for length in shape)
        for name, transform in pkpo.torch.TRANSFORMS.items():
            given = rewards.round() if name == "alpha_loo" else rewards
            work = partial(transform, given, K, check=False)
            yield _ratio(f"{name}, {size}", work, rewards, most, repeats)
    rewards = torch.rand(2**16, device=device)
    labels = torch.arange(2**16, device=device) // 16
    labelled = partial(pkpo.torch.sloo_minus_one, rewards, K, groups=labels, check=False)
    yield _ratio("sloo_minus_one, 65,536 by label", labelled, rewards, None, 20)


def _ratio(name: str, work: Callable[[], Tensor], rewards: Tensor, most: float | None, repeats: int) -> Ratio:
    work()  # copies the weights
    if rewards.is_cuda:
        torch.cuda.set_sync_debug_mode("error")
        work()
        torch.cuda.set_sync_debug_mode("default")
    sort = partial(torch.sort, rewards, dim=-1)
    taken, sorting = best_seconds(partial(_finished, work), partial(_finished, sort), repeats=repeats)
    detail = f"{taken * 1e6:,.0f} µs, torch.sort {sorting * 1e6:,.0f} µs, {rewards.device.type}"
    return Ratio(name, taken / sorting, "torch.sort", at_most=most, detail=detail)


def _finished(work: Callable[[], object]) -> None:
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
