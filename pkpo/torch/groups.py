"""What pkpo.torch is called with, as its arithmetic wants it, and the refusals, in NumPy's words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pkpo.torch.credits import Arithmetic, arithmetic_of


@dataclass(frozen=True)
class Groups:
    """A batch of P groups of n rewards; valid and sizes, the number of valid ones of each, where there is a mask."""

    rewards: Tensor  # (P, n)
    valid: Tensor | None  # (P, n)
    sizes: Tensor | None  # (P,)
    arithmetic: Arithmetic

    def are_sound(self, needed: int, results: Tensor) -> bool:
        """Whether each group has the rewards needed, and all results are finite: one look, for which the host waits."""
        sound = torch.isfinite(results).all()
        if self.sizes is not None:
            sound = sound & (self.sizes >= needed).all()
        return bool(sound)


# What torch.sort takes on every device. Others are converted first.
_LABELS = {torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64}
_SORTED = {torch.float16, torch.bfloat16, torch.float32, torch.float64}


def groups_of(g: Tensor, mask: Tensor | None) -> Groups:
    """The groups of shape (..., n) in one list; ValueError where type or shape are none of rewards and their mask."""
    if not isinstance(g, Tensor):
        raise ValueError(f"rewards must be a torch.Tensor; got {type(g).__name__}, which pkpo.transform may take")
    if g.is_complex():
        raise ValueError(f"rewards must be real numbers; got a tensor of {g.dtype}")
    if g.ndim == 0 or g.shape[-1] == 0:
        raise ValueError(f"rewards must have shape (..., n) with n at least 1; got shape {tuple(g.shape)}")
    arithmetic = arithmetic_of(g.device)
    rewards = g.detach().reshape(-1, g.shape[-1])
    if rewards.dtype not in _SORTED:
        rewards = rewards.to(arithmetic.dtype)
    if mask is None:
        return Groups(rewards, None, None, arithmetic)
    valid = _valid(mask, g).reshape(rewards.shape)
    return Groups(rewards, valid, valid.sum(dim=1), arithmetic)


def _valid(mask: object, g: Tensor) -> Tensor:
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        kind = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise ValueError(f"mask must be boolean, a tensor with True for a real completion; got {kind}")
    if mask.device != g.device:
        raise ValueError(f"mask must be on the device of the rewards, {g.device}; got {mask.device}")
    try:
        return mask.broadcast_to(g.shape)
    except RuntimeError as error:
        raise ValueError(
            f"mask of shape {tuple(mask.shape)} does not broadcast to rewards of shape {tuple(g.shape)}"
        ) from error


def labels_of(labels: object, g: Tensor) -> Tensor:
    """Labels of flat rewards, shape (N,); ValueError where they are no integers on their device, one for each."""
    if g.ndim != 1:
        raise ValueError(f"with groups rewards must be flat, of shape (N,); got shape {tuple(g.shape)}")
    if (
        not isinstance(labels, Tensor)
        or labels.is_floating_point()
        or labels.is_complex()
        or labels.dtype == torch.bool
    ):
        kind = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
        raise ValueError(f"groups must be a tensor of integers, equal within a group; got {kind}")
    if labels.device != g.device:
        raise ValueError(f"groups must be on the device of the rewards, {g.device}; got {labels.device}")
    if labels.shape != g.shape:
        raise ValueError(f"groups must be a label for each of {len(g)} rewards; got shape {tuple(labels.shape)}")
    return labels


def host(values: Tensor | float) -> NDArray[np.float64]:
    """A number or tensor as NumPy takes it."""
    return torch.as_tensor(values).detach().cpu().to(torch.float64).numpy()


def dtype_of(g: Tensor, dtype: torch.dtype | None) -> torch.dtype:
    """The type of results; ValueError where it is not floating."""
    if dtype is None:
        return g.dtype if g.is_floating_point() else torch.get_default_dtype()
    if not dtype.is_floating_point:
        raise ValueError(f"dtype must be a floating type; got {dtype}")
    return dtype


def refuse(
    results: str,
    dtype: torch.dtype,
    g: Tensor,
    mask: Tensor | None,
    look: Callable[[NDArray[np.float64], NDArray[np.bool_] | None], object],
) -> NoReturn:
    """ValueError: what NumPy's look at the rewards raises, or else that dtype cannot hold the results."""
    values = host(g)
    valid = None if mask is None else mask.cpu().numpy()
    look(values, valid)
    largest = np.abs(values).max(where=True if valid is None else valid, initial=0.0)
    kind = str(dtype).removeprefix("torch.")
    raise ValueError(f"{results} exceed the range of {kind}; their largest |reward| is {largest}")
