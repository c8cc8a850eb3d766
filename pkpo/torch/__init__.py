"""The transforms of pkpo.transforms for torch tensors: rewards to credits, on the device that holds them.

    import pkpo.torch
    advantages = pkpo.torch.sloo_minus_one(rewards, k=8, mask=finished, scale="mean", check=False)

The same names, formulas and refusals, tensors of shape (..., n) in and out, and two arguments more.

check: True looks at the rewards and raises what pkpo.transforms raises, in its words; on an accelerator the host waits
    for that look. False never waits, but in the first call with an n and k, which copies their weights to the device,
    and in the first on a CUDA device, which tries the kernels of pkpo.torch.fused there. It refuses what types and
    shapes tell. A group that holds a reward that is not finite (for alpha_loo neither 0 nor 1), or by its mask or
    labels fewer rewards than the transform needs at k, gets NaN for credits: it has no unbiased ones, and a 0 would say
    that it was credited and taught nothing. To pass over short groups, mask the whole of them: mask & (mask.sum(-1,
    keepdim=True) >= pkpo.smallest_n(name, k)). Credits beyond the range of dtype are infinite. With scale="rms" either
    reaches the whole batch, through its root mean square.
dtype: of the result. None keeps that of floating rewards and takes torch.get_default_dtype() for bool and int. The work
    is done in float64 whatever it is and rounded to it once; on MPS, which has no float64, in float32.

Credits come detached: in a policy gradient they are constants, and no gradient flows through them. What is masked gets
exactly 0 whatever it holds. Rewards that tie get equal credit, and a group of equal rewards gets exactly 0 from every
transform but s, sloo and history. In float64 credits are those of pkpo.transforms within 16 ulp, of themselves for
sloo_minus_one and of the group's largest for the others. Additions are made in an order that depends on shapes and
labels alone, so a call that is repeated gives the same bits, and torch.use_deterministic_algorithms asks nothing more.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor

from pkpo import asked, estimators
from pkpo.asked import Attempts
from pkpo.inputs import attempts, check_sizes
from pkpo.torch.call import credits_for
from pkpo.torch.credits import form_of, means_of, rank
from pkpo.torch.groups import dtype_of, groups_of, refuse
from pkpo.transforms import Scale

__all__ = [
    "TRANSFORMS",
    "Transform",
    "alpha_loo",
    "centered",
    "history",
    "l_statistic",
    "max_at_k",
    "mixed",
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
        k: Attempts,
        *,
        mask: Tensor | None = None,
        groups: Tensor | None = None,
        scale: Scale = "sum",
        check: bool = True,
        dtype: torch.dtype | None = None,
    ) -> Tensor: ...


def s(
    g: Tensor,
    k: Attempts,
    *,
    mask: Tensor | None = None,
    groups: Tensor | None = None,
    scale: Scale = "sum",
    check: bool = True,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Credits without a baseline, as pkpo.s: arXiv:2505.15201v4, Eq. (19). Arguments and errors are transform's."""
    return transform("s", g, k, mask=mask, groups=groups, scale=scale, check=check, dtype=dtype)


def sloo(
    g: Tensor,
    k: Attempts,
    *,
    mask: Tensor | None = None,
    groups: Tensor | None = None,
    scale: Scale = "sum",
    check: bool = True,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Credits less the paper's leave-one-out baseline, as pkpo.sloo: Eq. (29). Arguments and errors are transform's."""
    return transform("sloo", g, k, mask=mask, groups=groups, scale=scale, check=check, dtype=dtype)


def sloo_minus_one(
    g: Tensor,
    k: Attempts,
    *,
    mask: Tensor | None = None,
    groups: Tensor | None = None,
    scale: Scale = "sum",
    check: bool = True,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """What holding each completion gains, as pkpo.sloo_minus_one: Eq. (33). Arguments and errors are transform's."""
    return transform("sloo_minus_one", g, k, mask=mask, groups=groups, scale=scale, check=check, dtype=dtype)


def centered(
    g: Tensor,
    k: Attempts,
    *,
    mask: Tensor | None = None,
    groups: Tensor | None = None,
    scale: Scale = "sum",
    check: bool = True,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Credits that sum to 0 in each group, as pkpo.centered. Arguments and errors are transform's."""
    return transform("centered", g, k, mask=mask, groups=groups, scale=scale, check=check, dtype=dtype)


def plugin(
    g: Tensor,
    k: Attempts,
    *,
    mask: Tensor | None = None,
    groups: Tensor | None = None,
    scale: Scale = "sum",
    check: bool = True,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Credits less the V-statistic's baseline, as pkpo.plugin. Arguments and errors are transform's."""
    return transform("plugin", g, k, mask=mask, groups=groups, scale=scale, check=check, dtype=dtype)


def alpha_loo(
    g: Tensor,
    k: Attempts,
    *,
    mask: Tensor | None = None,
    groups: Tensor | None = None,
    scale: Scale = "sum",
    check: bool = True,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Leave-one-out Pass@K-GRPO of passes and failures, as pkpo.alpha_loo. Arguments and errors are transform's."""
    return transform("alpha_loo", g, k, mask=mask, groups=groups, scale=scale, check=check, dtype=dtype)


def multi_k(
    g: Tensor,
    k: Mapping[int, float],
    *,
    name: str = "sloo_minus_one",
    mask: Tensor | None = None,
    groups: Tensor | None = None,
    scale: Scale = "sum",
    check: bool = True,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """The sum over k of weight_k times the named transform at k, as pkpo.multi_k; else as transform."""
    return transform(name, g, k, mask=mask, groups=groups, scale=scale, check=check, dtype=dtype)


def mixed(
    g: Tensor,
    k: Attempts,
    lam: float,
    *,
    mask: Tensor | None = None,
    groups: Tensor | None = None,
    scale: Scale = "sum",
    check: bool = True,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Credits less a mixture of baselines, as pkpo.mixed. The other arguments, and errors, are transform's."""
    return credits_for(asked.mixed(k, lam), g, mask, groups, scale, check, dtype)


def history(
    g: Tensor,
    k: Attempts,
    baseline: Tensor | float,
    *,
    mask: Tensor | None = None,
    groups: Tensor | None = None,
    scale: Scale = "sum",
    check: bool = True,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Credits less a baseline from elsewhere, as pkpo.history; a tensor is on the device of the rewards.

    Unchecked, a group whose baseline is not finite gets NaN. The other arguments, and errors, are transform's.
    """
    return credits_for(asked.history(k), g, mask, groups, scale, check, dtype, baseline)


def l_statistic(
    g: Tensor,
    k: int,
    weights: Iterable[float],
    *,
    mask: Tensor | None = None,
    groups: Tensor | None = None,
    scale: Scale = "sum",
    check: bool = True,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Credits for an L-statistic of k attempts, as pkpo.l_statistic. Its arguments and errors, and transform's."""
    return credits_for(asked.l_statistic(k, weights), g, mask, groups, scale, check, dtype)


TRANSFORMS: Mapping[str, Transform] = MappingProxyType(
    {
        "s": s,
        "sloo": sloo,
        "sloo_minus_one": sloo_minus_one,
        "centered": centered,
        "plugin": plugin,
        "alpha_loo": alpha_loo,
    }
)


def transform(
    name: str,
    g: Tensor,
    k: Attempts,
    *,
    mask: Tensor | None = None,
    groups: Tensor | None = None,
    scale: Scale = "sum",
    check: bool = True,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Credits of the named transform.

    Args:
      name: one of TRANSFORMS, or another that pkpo.transform takes, as "mixed(0.25)".
      g: rewards, shape (..., n), bool, int or floating, on any device; with groups shape (N,).
      k: attempts that the objective allows, smallest_n(name, k) <= n; or between two, or a weight for each of several,
        as for pkpo.transform.
      mask: bool, broadcasts to g, on its device; True for a real completion.
      groups: integers, shape (N,), on its device, equal for the completions of one group: of any size, in any order.
      scale: "sum", "mean" or "rms", as for pkpo.transform; "rms" is that of this tensor, not of other processes'.
      check, dtype: what the top of this module says.
    Returns:
      Credits in the order of the rewards, shape (..., n), on their device, detached.
    Raises:
      ValueError: what pkpo.transform raises it for, and credits beyond the range of dtype; with check=False, only what
        names, types and shapes tell.
    """
    return credits_for(asked.named(name, k), g, mask, groups, scale, check, dtype)


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
    groups = groups_of(g, mask)
    check_sizes("max_at_k", k, f"k={k}", tuple(g.shape), None)
    ranked = rank(groups.rewards, groups.valid, groups.sizes, k, groups.arithmetic)
    form = form_of((("max_at_k", k, 1.0),), groups.rewards, groups.sizes, groups.arithmetic)
    means = means_of(ranked, form, groups.arithmetic).reshape(g.shape[:-1]).to(dtype_of(g, dtype))
    if check and not groups.are_sound(k, means):
        refuse("estimates", means.dtype, g, mask, lambda g, mask: estimators.max_at_k(g, k, mask))
    return means
