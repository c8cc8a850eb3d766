"""The transforms of pkpo.transforms for torch tensors: rewards to credits, on the device that holds them.

    import pkpo.torch
    advantages = pkpo.torch.sloo_minus_one(rewards, k=8, mask=finished, scale="mean", check=False)

The same names, formulas and refusals, tensors of shape (..., n) in and out, and two arguments more.

check: True looks at the rewards and raises what pkpo.transforms raises, in its words; on an accelerator the host waits
    for that look. False never waits, but in the first call with an n and k, which copies their weights to the device.
    It refuses what types and shapes tell. A group that holds a reward that is not finite, or by its mask fewer rewards
    than the transform needs at k, gets NaN for credits: it has no unbiased ones, and a 0 would say that it was credited
    and taught nothing. To pass over short groups, mask the whole of them:
    mask & (mask.sum(-1, keepdim=True) >= pkpo.smallest_n(name, k)). Credits beyond the range of dtype are infinite.
    With scale="rms" either reaches the whole batch, through its root mean square.
dtype: of the result. None keeps that of floating rewards and takes torch.get_default_dtype() for bool and int. The work
    is done in float64 whatever it is and rounded to it once; on MPS, which has no float64, in float32.

Credits come detached: in a policy gradient they are constants, and no gradient flows through them. What is masked gets
exactly 0 whatever it holds. Rewards that tie get equal credit, and a group of equal rewards gets exactly 0 from every
transform but s and sloo. In float64 credits are those of pkpo.transforms within 16 ulp, of themselves for
sloo_minus_one and of the group's largest for the others. Additions are made in an order that depends on shapes alone,
so a call that is repeated gives the same bits, and torch.use_deterministic_algorithms asks nothing more.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NoReturn, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pkpo import asked, estimators, transforms
from pkpo.asked import Asked
from pkpo.inputs import attempts, check_sizes
from pkpo.torch_credits import Arithmetic, arithmetic_of, credits_of, form_of, means_of, rank
from pkpo.transforms import SCALES, Scale

__all__ = [
    "TRANSFORMS",
    "Transform",
    "centered",
    "max_at_k",
    "multi_k",
    "plugin",
    "s",
    "sloo",
    "sloo_minus_one",
    "transform",
]


class Transform(Protocol):
    """A function from rewards, shape (..., n), to credits of the same shape."""

    def __call__(
        self,
        g: Tensor,
        k: int,
        *,
        mask: Tensor | None = None,
        scale: Scale = "sum",
        check: bool = True,
        dtype: torch.dtype | None = None,
    ) -> Tensor: ...


def s(
    g: Tensor,
    k: int,
    *,
    mask: Tensor | None = None,
    scale: Scale = "sum",
    check: bool = True,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Credits without a baseline, as pkpo.s: arXiv:2505.15201v4, Eq. (19). Arguments and errors are transform's."""
    return transform("s", g, k, mask=mask, scale=scale, check=check, dtype=dtype)


def sloo(
    g: Tensor,
    k: int,
    *,
    mask: Tensor | None = None,
    scale: Scale = "sum",
    check: bool = True,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Credits less the paper's leave-one-out baseline, as pkpo.sloo: Eq. (29). Arguments and errors are transform's."""
    return transform("sloo", g, k, mask=mask, scale=scale, check=check, dtype=dtype)


def sloo_minus_one(
    g: Tensor,
    k: int,
    *,
    mask: Tensor | None = None,
    scale: Scale = "sum",
    check: bool = True,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """What holding each completion gains, as pkpo.sloo_minus_one: Eq. (33). Arguments and errors are transform's."""
    return transform("sloo_minus_one", g, k, mask=mask, scale=scale, check=check, dtype=dtype)


def centered(
    g: Tensor,
    k: int,
    *,
    mask: Tensor | None = None,
    scale: Scale = "sum",
    check: bool = True,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Credits that sum to 0 in each group, as pkpo.centered. Arguments and errors are transform's."""
    return transform("centered", g, k, mask=mask, scale=scale, check=check, dtype=dtype)


def plugin(
    g: Tensor,
    k: int,
    *,
    mask: Tensor | None = None,
    scale: Scale = "sum",
    check: bool = True,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Credits less the V-statistic's baseline, as pkpo.plugin. Arguments and errors are transform's."""
    return transform("plugin", g, k, mask=mask, scale=scale, check=check, dtype=dtype)


def multi_k(
    g: Tensor,
    k: Mapping[int, float],
    *,
    name: str = "sloo_minus_one",
    mask: Tensor | None = None,
    scale: Scale = "sum",
    check: bool = True,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """The sum over k of weight_k times the named transform at k, as pkpo.multi_k; else as transform."""
    return transform(name, g, k, mask=mask, scale=scale, check=check, dtype=dtype)


TRANSFORMS: Mapping[str, Transform] = MappingProxyType(
    {"s": s, "sloo": sloo, "sloo_minus_one": sloo_minus_one, "centered": centered, "plugin": plugin}
)


def transform(
    name: str,
    g: Tensor,
    k: int | Mapping[int, float],
    *,
    mask: Tensor | None = None,
    scale: Scale = "sum",
    check: bool = True,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Credits of the named transform.

    Args:
      name: one of TRANSFORMS.
      g: rewards, shape (..., n), bool, int or floating, on any device.
      k: attempts that the objective allows, smallest_n(name, k) <= n; or a weight for each of several.
      mask: bool, broadcasts to g, on its device; True for a real completion.
      scale: "sum", "mean" or "rms", as for pkpo.transform; "rms" is that of this tensor, not of other processes'.
      check, dtype: what the top of this module says.
    Returns:
      Credits in the order of the rewards, shape (..., n), on their device, detached.
    Raises:
      ValueError: what pkpo.transform raises it for, and credits beyond the range of dtype; with check=False, only what
        names, types and shapes tell.
    """
    what = asked.named(name, k)
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}; got {scale!r}")
    groups = _groups(g, mask)
    check_sizes(what.name, what.needed, what.at, tuple(g.shape), None, what.hint)
    credits = _credited(what, groups, scale).reshape(g.shape).to(_dtype_of(g, dtype))
    if check and not groups.are_sound(what.needed, credits):
        _refuse(
            "credits", credits.dtype, g, mask, lambda g, mask: transforms.transform(name, g, k, mask=mask, scale=scale)
        )
    return credits


def max_at_k(
    g: Tensor, k: int, mask: Tensor | None = None, *, check: bool = True, dtype: torch.dtype | None = None
) -> Tensor:
    """Unbiased estimate of max_g@k from each group, as pkpo.max_at_k; of passes as bool it is pass@k.

    Args:
      g: rewards, shape (..., n), bool, int or floating, on any device.
      k: attempts allowed, 1 <= k <= n.
      mask: bool, broadcasts to g, on its device; True for a real completion.
      check, dtype: what the top of this module says; a group without an estimate gets NaN.
    Returns:
      Estimates within the range of each group's rewards, shape (...), on their device, detached.
    Raises:
      ValueError: what pkpo.max_at_k raises it for; with check=False, only what types and shapes tell.
    """
    k = attempts(k)
    groups = _groups(g, mask)
    check_sizes("max_at_k", k, f"k={k}", tuple(g.shape), None)
    ranked = rank(groups.rewards, groups.valid, groups.sizes, k, groups.arithmetic)
    form = form_of((("max_at_k", k, 1.0),), groups.rewards, groups.sizes, groups.arithmetic)
    means = means_of(ranked, form, groups.arithmetic).reshape(g.shape[:-1]).to(_dtype_of(g, dtype))
    if check and not groups.are_sound(k, means):
        _refuse("estimates", means.dtype, g, mask, lambda g, mask: estimators.max_at_k(g, k, mask))
    return means


@dataclass(frozen=True)
class _Groups:
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
_SORTED = {torch.float16, torch.bfloat16, torch.float32, torch.float64}


def _groups(g: Tensor, mask: Tensor | None) -> _Groups:
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
        return _Groups(rewards, None, None, arithmetic)
    valid = _valid(mask, g).reshape(rewards.shape)
    return _Groups(rewards, valid, valid.sum(dim=1), arithmetic)


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


def _dtype_of(g: Tensor, dtype: torch.dtype | None) -> torch.dtype:
    if dtype is None:
        return g.dtype if g.is_floating_point() else torch.get_default_dtype()
    if not dtype.is_floating_point:
        raise ValueError(f"dtype must be a floating type; got {dtype}")
    return dtype


def _credited(what: Asked, groups: _Groups, scale: Scale) -> Tensor:
    rewards, valid, sizes, arithmetic = groups.rewards, groups.valid, groups.sizes, groups.arithmetic
    ranked = rank(rewards, valid, sizes, what.needed, arithmetic)
    if scale == "mean":
        ranked = replace(ranked, scale=ranked.scale * (rewards.shape[1] if sizes is None else sizes[:, None]))
    credits = credits_of(ranked, form_of(what.parts, rewards, sizes, arithmetic), arithmetic)
    if valid is not None:
        credits = credits.masked_fill(~valid, 0)
    if scale == "rms":
        credits = _unit_rms(credits, valid)
    return credits


def _unit_rms(credits: Tensor, valid: Tensor | None) -> Tensor:
    """The credits divided by their root mean square over valid entries; zeros where all are zero."""
    if credits.numel() == 0:
        return credits
    peak = credits.abs().amax()
    relative = credits / peak.masked_fill(peak == 0, 1)  # so that no square overflows or vanishes
    count = credits.numel() if valid is None else valid.sum()
    size = (relative.square().sum() / count).sqrt()
    scaled = relative / size.masked_fill(peak == 0, 1)
    return scaled if valid is None else scaled.masked_fill(~valid, 0)  # once more: 0 / NaN is NaN


def _refuse(
    results: str,
    dtype: torch.dtype,
    g: Tensor,
    mask: Tensor | None,
    look: Callable[[NDArray[np.float64], NDArray[np.bool_] | None], object],
) -> NoReturn:
    """ValueError: what NumPy's look at the rewards raises, or else that dtype cannot hold the results."""
    values = g.detach().cpu().to(torch.float64).numpy()
    valid = None if mask is None else mask.cpu().numpy()
    look(values, valid)
    largest = np.abs(values).max(where=True if valid is None else valid, initial=0.0)
    kind = str(dtype).removeprefix("torch.")
    raise ValueError(f"{results} exceed the range of {kind}; their largest |reward| is {largest}")
