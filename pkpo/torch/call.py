"""One call of pkpo.torch: from what is asked for to credits in the place of the rewards, and the look at them."""

from dataclasses import replace
from functools import cache
from types import ModuleType
from typing import Any
from warnings import warn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pkpo import transforms
from pkpo.asked import Asked
from pkpo.inputs import check_sizes
from pkpo.torch import flat
from pkpo.torch.credits import LARGEST, arithmetic_of, credits_of, form_of, rank
from pkpo.torch.groups import Groups, dtype_of, groups_of, host, labels_of, refuse
from pkpo.transforms import SCALES, Scale


def credits_for(
    what: Asked,
    g: Tensor,
    mask: Tensor | None,
    labels: Tensor | None,
    scale: Scale,
    check: bool,
    dtype: torch.dtype | None,
    baseline: Tensor | float | None = None,
) -> Tensor:
    """What is asked for, of the rewards less a baseline, one for each group, or with labels for each reward."""
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}; got {scale!r}")
    groups, ids = groups_of(g, mask), None if labels is None else labels_of(labels, g)
    shrink: Tensor | float = 1.0
    if baseline is not None:
        groups, shrink = _less(groups, _below(baseline, g, ids is not None))
    sizes = groups.sizes
    result = dtype_of(g, dtype)
    if ids is None:
        check_sizes(what.name, what.needed, what.at, tuple(g.shape), None, what.hint)
        last = baseline is None and scale != "rms"
        credits = _in_rows(what, groups, scale == "mean", result if last else groups.arithmetic.dtype)
    else:
        valid = None if groups.valid is None else groups.valid[0]
        arranged = flat.arranged(_binary_or_nan(what, groups).rewards[0], ids, valid)
        credits = flat.credits_of(arranged, what.parts, what.needed, scale == "mean", groups.arithmetic)[None]
        sizes = arranged.size
    if baseline is not None:
        credits = credits / shrink
    if scale == "rms":
        credits = unit_rms(credits, groups.valid)
    credits = credits.reshape(g.shape).to(result)
    if check and not Groups(groups.rewards, groups.valid, sizes, groups.arithmetic).are_sound(what.needed, credits):

        def look(values: NDArray[np.float64], valid: NDArray[np.bool_] | None) -> object:
            given = None if ids is None else ids.tolist()
            if baseline is None:
                return transforms.credits_for(what, values, valid, given, scale)
            return transforms.less_baseline(what, values, host(baseline), valid, given, scale)

        refuse("credits", credits.dtype, g, mask, look)
    return credits


def _in_rows(what: Asked, groups: Groups, mean: bool, dtype: torch.dtype) -> Tensor:
    """The credits of groups of shape (P, n), in this dtype or in that of the arithmetic."""
    if (kernels := _kernels(groups)) is not None:
        form = form_of(what.parts, groups.rewards, None, groups.arithmetic)
        fused: Tensor = kernels.credits_of(groups.rewards, form, mean, what.binary, dtype)
        return fused
    groups = _binary_or_nan(what, groups)
    rewards, valid, sizes, arithmetic = groups.rewards, groups.valid, groups.sizes, groups.arithmetic
    ranked = rank(rewards, valid, sizes, what.needed, arithmetic)
    if mean:
        ranked = replace(ranked, scale=ranked.scale * (rewards.shape[1] if sizes is None else sizes[:, None]))
    credits = credits_of(ranked, form_of(what.parts, rewards, sizes, arithmetic), arithmetic)
    return credits if valid is None else credits.masked_fill(~valid, 0)


def _kernels(groups: Groups) -> ModuleType | None:
    """pkpo.torch.fused where it runs and takes these groups: on a CUDA device, without a mask, none of a compiler's."""
    g = groups.rewards
    if torch.compiler.is_compiling() or not g.is_cuda or groups.valid is not None:
        return None
    if type(g) is not Tensor or torch._C._functorch.is_functorch_wrapped_tensor(g):  # torch.func.vmap has no storage
        return None
    return tried_kernels(g.device) if g.numel() > 0 and g.shape[1] <= LARGEST else None


@cache
def tried_kernels(device: torch.device) -> ModuleType | None:
    """pkpo.torch.fused, tried once; None, with a warning, where Triton is missing or does not run."""
    try:
        from pkpo.torch import fused

        fused.try_on(device)
    except (ImportError, RuntimeError) as error:
        warn(f"pkpo.torch works without its kernels, several times slower: {error}", stacklevel=6)
        return None
    return fused


def _binary_or_nan(what: Asked, groups: Groups) -> Groups:
    """The groups, with NaN for rewards that are neither 0 nor 1 where no others are allowed."""
    if not what.binary:
        return groups
    other = (groups.rewards != 0) & (groups.rewards != 1)
    return replace(groups, rewards=groups.rewards.masked_fill(other, torch.nan))


def _below(baseline: Tensor | float, g: Tensor, flat: bool) -> Tensor:
    """The baseline as a tensor that broadcasts to the rewards in rows; ValueError where shape or device are others."""
    given: Any = baseline
    if isinstance(given, int | float):  # made where it is used: a copy from the host would wait
        given = torch.full((), given, dtype=arithmetic_of(g.device).dtype, device=g.device)
    elif not isinstance(given, Tensor):
        given = torch.as_tensor(given, dtype=torch.float64)
    if isinstance(baseline, Tensor) and given.device != g.device:
        raise ValueError(f"baseline must be on the device of the rewards, {g.device}; got {given.device}")
    shape = g.shape if flat else g.shape[:-1]
    try:
        below: Tensor = given.detach().broadcast_to(shape)
    except RuntimeError as error:
        raise ValueError(
            f"baseline of shape {tuple(given.shape)} does not broadcast to groups of shape {tuple(shape)}"
        ) from error
    return below.reshape(1, -1) if flat else below.reshape(-1, 1)


def _less(groups: Groups, below: Tensor) -> tuple[Groups, Tensor]:
    """A share of the rewards less the baseline, and that share: a quarter where all of it may be beyond the type."""
    kind = groups.arithmetic.dtype
    rewards, below = groups.rewards.to(kind), below.to(device=groups.rewards.device, dtype=kind)
    if groups.valid is not None:
        rewards = rewards.masked_fill(~groups.valid, 0)
    bound = torch.finfo(kind).max / 8
    large = (rewards.abs() >= bound).any() | (below.abs() >= bound).any()
    share = torch.ones_like(large, dtype=kind).masked_fill(large, 0.25)
    return replace(groups, rewards=rewards * share - below * share), share


def unit_rms(credits: Tensor, valid: Tensor | None) -> Tensor:
    """The credits divided by their root mean square over valid entries; zeros where all are zero."""
    if credits.numel() == 0:
        return credits
    peak = credits.abs().amax()
    relative = credits / peak.masked_fill(peak == 0, 1)  # so that no square overflows or vanishes
    count = credits.numel() if valid is None else valid.sum()
    size = (relative.square().sum() / count).sqrt()
    scaled = relative / size.masked_fill(peak == 0, 1)
    return scaled if valid is None else scaled.masked_fill(~valid, 0)  # once more: 0 / NaN is NaN
