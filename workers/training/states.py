"""What a training needs besides the weights to go on bit for bit, as tensors and JSON: never a pickle."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

Tensors = dict[str, torch.Tensor]


def rng_state() -> dict[str, Any]:
    """The state of every random number generator of this process, in JSON."""
    kind, keys, *rest = np.random.get_state()
    version, internal, gauss = random.getstate()
    found: dict[str, Any] = {
        "python": [version, list(internal), gauss],
        "numpy": [kind, [int(key) for key in keys], *rest],
        "torch": _hex(torch.get_rng_state()),
    }
    if torch.cuda.is_available():
        found["cuda"] = [_hex(each) for each in torch.cuda.get_rng_state_all()]
    return found


def set_rng_state(saved: Mapping[str, Any]) -> None:
    """Go on from what rng_state() gave."""
    version, internal, gauss = saved["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, *rest = saved["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(_tensor(saved["torch"]))
    if "cuda" in saved and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([_tensor(each) for each in saved["cuda"]])


def _hex(state: torch.Tensor) -> str:
    return state.numpy().tobytes().hex()


def _tensor(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray.fromhex(text), dtype=torch.uint8)


def optimizer_state(optimizer: Any) -> tuple[Tensors, Any]:
    """The tensors of an optimizer by parameter and name, and its groups of settings in JSON."""
    state = optimizer.state_dict()
    tensors = {
        f"{index}.{name}": value.detach().cpu().contiguous()
        for index, values in state["state"].items()
        for name, value in values.items()
    }
    return tensors, state["param_groups"]


def load_optimizer_state(optimizer: Any, tensors: Tensors, groups: Any) -> None:
    """Go on from what optimizer_state() gave."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    for group in groups:
        if "betas" in group:
            group["betas"] = tuple(group["betas"])  # JSON has lists only
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def scheduler_state(scheduler: Any) -> dict[str, Any]:
    """How far a schedule of the learning rate has come, in JSON."""
    return {name: value for name, value in scheduler.state_dict().items() if name != "lr_lambdas"}


def load_scheduler_state(scheduler: Any, saved: Mapping[str, Any]) -> None:
    """Go on from what scheduler_state() gave."""
    scheduler.load_state_dict({**scheduler.state_dict(), **saved})
