"""The credits of pkpo.offpolicy for torch tensors: the same names, formulas, refusals and defaults.

mask, groups, check and dtype are what pkpo.torch says, but that exact and truncated wait for the device where they are
given groups, whose largest they have to know. Unchecked, a group also gets NaN where a log ratio is not finite, or
where its log ratios are too far apart for products of k.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pkpo import offpolicy
from pkpo.asked import Asked, Attempts
from pkpo.inputs import check_sizes
from pkpo.offpolicy import Floats, Name, asked_exactly, cap_of, clip_of
from pkpo.torch import transform
from pkpo.torch.call import unit_rms
from pkpo.torch.credits import DOUBLE, Arithmetic, order_weights_of, power_of_two, shares_of
from pkpo.torch.groups import Groups, dtype_of, groups_of, host, labels_of
from pkpo.transforms import Scale

Valid = NDArray[np.bool_] | None

__all__ = ["exact", "first_order", "ppo", "truncated"]


def exact(
    g: Tensor,
    k: Attempts,
    log_ratios: Tensor,
    *,
    name: Name = "s",
    mask: Tensor | None = None,
    groups: Tensor | None = None,
    scale: Scale = "sum",
    check: bool = True,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Unbiased off-policy credits, as pkpo.offpolicy.exact; n steps of some kernels each, one after the other."""
    return _exact(g, k, log_ratios, name, mask, groups, scale, check, dtype, cap=None)


def truncated(
    g: Tensor,
    k: Attempts,
    log_ratios: Tensor,
    cap: float = 2.0,
    *,
    name: Name = "s",
    mask: Tensor | None = None,
    groups: Tensor | None = None,
    scale: Scale = "sum",
    check: bool = True,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Biased: exact with ratios above cap taken for cap, as pkpo.offpolicy.truncated."""
    return _exact(g, k, log_ratios, name, mask, groups, scale, check, dtype, cap=cap_of(cap))


def first_order(
    g: Tensor,
    k: Attempts,
    log_ratios: Tensor,
    *,
    name: str = "s",
    mask: Tensor | None = None,
    groups: Tensor | None = None,
    scale: Scale = "sum",
    check: bool = True,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Biased: each ratio times the on-policy credit, as pkpo.offpolicy.first_order."""
    return _surrogate(g, k, log_ratios, name, mask, groups, scale, check, dtype, clip=None)


def ppo(
    g: Tensor,
    k: Attempts,
    log_ratios: Tensor,
    clip: float = 0.2,
    *,
    name: str = "sloo_minus_one",
    mask: Tensor | None = None,
    groups: Tensor | None = None,
    scale: Scale = "sum",
    check: bool = True,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Biased: the gradient of PPO's clipped surrogate, as pkpo.offpolicy.ppo."""
    return _surrogate(g, k, log_ratios, name, mask, groups, scale, check, dtype, clip=clip_of(clip))


def _surrogate(
    g: Tensor,
    k: Attempts,
    log_ratios: Tensor,
    name: str,
    mask: Tensor | None,
    labels: Tensor | None,
    scale: Scale,
    check: bool,
    dtype: torch.dtype | None,
    clip: float | None,
) -> Tensor:
    groups = groups_of(g, mask)
    own: Scale = "sum" if scale == "rms" else scale
    advantages = transform(name, g, k, mask=mask, groups=labels, scale=own, check=check, dtype=groups.arithmetic.dtype)
    ratios = _logs(log_ratios, g, groups).exp().reshape(g.shape)
    credits = (ratios * advantages).masked_fill(advantages == 0, 0)
    if clip is not None:
        far = ((advantages > 0) & (ratios > 1 + clip)) | ((advantages < 0) & (ratios < 1 - clip))
        credits = credits.masked_fill(far, 0)

    def look(rewards: Floats, logs: Floats, valid: Valid) -> object:
        return offpolicy.first_order(rewards, k, logs, name=name, mask=valid, groups=_listed(labels))

    return _finished(credits.reshape(groups.rewards.shape), g, log_ratios, groups, 1, scale, check, dtype, look)


def _exact(
    g: Tensor,
    k: Attempts,
    log_ratios: Tensor,
    name: Name,
    mask: Tensor | None,
    labels: Tensor | None,
    scale: Scale,
    check: bool,
    dtype: torch.dtype | None,
    cap: float | None,
) -> Tensor:
    what, given = asked_exactly(name, k, scale), groups_of(g, mask)
    logs = _logs(log_ratios, g, given)
    if cap is not None:
        logs = logs.clamp(max=math.log(cap))
    groups, place = given, None
    if labels is None:
        check_sizes(what.name, what.needed, what.at, tuple(g.shape), None, what.hint)
    else:
        groups, logs, place = _in_rows(given, logs, labels_of(labels, g), what.needed)
    credits = _credits(what, groups, logs)
    if scale == "mean":
        credits = credits * (groups.rewards.shape[1] if groups.sizes is None else groups.sizes[:, None])
    if groups.valid is not None:
        credits = credits.masked_fill(~groups.valid, 0)
    if place is not None:
        credits = credits.view(-1)[place][None]

    def look(rewards: Floats, logs: Floats, valid: Valid) -> object:
        capped = logs if cap is None else np.minimum(logs, np.log(cap))
        return offpolicy.exact(rewards, k, capped, name=name, mask=valid, groups=_listed(labels))

    given = replace(given, sizes=groups.sizes)
    return _finished(credits, g, log_ratios, given, what.needed, scale, check, dtype, look)


def _in_rows(flat: Groups, logs: Tensor, ids: Tensor, least: int) -> tuple[Groups, Tensor, Tensor]:
    """Groups by label and their log ratios as rows, padded to the largest and to the least; the place of each."""
    _, group, counts = torch.unique(ids, return_inverse=True, return_counts=True)
    width = max(int(counts.max()), least)
    order = torch.sort(group, stable=True).indices
    rank = torch.arange(len(ids), device=ids.device) - (counts.cumsum(0) - counts)[group[order]]
    place = group * width
    place[order] += rank

    def padded(values: Tensor) -> Tensor:
        rows = values.new_zeros(len(counts) * width)
        rows[place] = values
        return rows.view(-1, width)

    valid = padded(torch.ones_like(ids, dtype=torch.bool) if flat.valid is None else flat.valid[0])
    groups = Groups(padded(flat.rewards[0]), valid, valid.sum(dim=1), flat.arithmetic)
    return groups, padded(logs[0]), place


def _listed(labels: Tensor | None) -> list[int] | None:
    return None if labels is None else labels.tolist()


def _logs(log_ratios: object, g: Tensor, groups: Groups) -> Tensor:
    """Log ratios in rows as the rewards are; ValueError where they are of another shape, type or device."""
    if not isinstance(log_ratios, Tensor) or not log_ratios.is_floating_point():
        kind = log_ratios.dtype if isinstance(log_ratios, Tensor) else type(log_ratios).__name__
        raise ValueError(f"log_ratios must be a floating tensor; got {kind}")
    if log_ratios.shape != g.shape:
        raise ValueError(f"log_ratios must be of the rewards' shape {tuple(g.shape)}; got {tuple(log_ratios.shape)}")
    if log_ratios.device != g.device:
        raise ValueError(f"log_ratios must be on the device of the rewards, {g.device}; got {log_ratios.device}")
    logs = log_ratios.detach().reshape(groups.rewards.shape).to(groups.arithmetic.dtype)
    return logs if groups.valid is None else logs.masked_fill(~groups.valid, 0)


def _finished(
    credits: Tensor,
    g: Tensor,
    log_ratios: Tensor,
    groups: Groups,
    needed: int,
    scale: Scale,
    check: bool,
    dtype: torch.dtype | None,
    look: Callable[[Floats, Floats, Valid], object],
) -> Tensor:
    if scale == "rms":
        credits = unit_rms(credits, groups.valid)
    credits = credits.reshape(g.shape).to(dtype_of(g, dtype))
    if check and not groups.are_sound(needed, credits):
        valid = None if groups.valid is None else groups.valid.reshape(g.shape).cpu().numpy()
        look(host(g), host(log_ratios), valid)
        kind = str(credits.dtype).removeprefix("torch.")
        raise ValueError(f"credits exceed the range of {kind}; the ratios or the rewards are too large")
    return credits


def _credits(what: Asked, groups: Groups, logs: Tensor) -> Tensor:
    """The credits of groups of shape (P, n), NaN where there are none; what is masked gets anything."""
    kind = groups.arithmetic
    n = (
        torch.full((1, 1), groups.rewards.shape[1], device=logs.device)
        if groups.sizes is None
        else groups.sizes[:, None]
    )
    real = torch.arange(groups.rewards.shape[1], device=logs.device) < n
    rewards = groups.rewards.to(kind.dtype)
    if groups.valid is not None:
        lowest = rewards.masked_fill(~groups.valid, -torch.inf).amax(dim=1, keepdim=True)
        rewards = torch.where(groups.valid, rewards, lowest)
    order = _last(groups, rewards)
    rewards, logs = rewards.gather(1, order), logs.gather(1, order)
    peak = torch.maximum(rewards[:, :1].abs(), rewards[:, -1:].abs())
    exponent = torch.frexp(peak).exponent.to(kind.integer).clamp(min=-1000 if kind is DOUBLE else -120)
    rewards = rewards * power_of_two(-exponent - kind.lift, kind)
    total = torch.zeros_like(rewards)
    for _, k, weight in what.parts:
        centre, apart = _centres(k, logs, real, kind)
        ratios = (logs - centre).exp().masked_fill(~real, 0)
        of_ranked = _s if what.name == "s" else _sloo_minus_one
        ranked = of_ranked(k, rewards, ratios, n, kind)
        twos = (k * centre / _LN2).round()
        ranked = ranked * 2.0**-kind.lift * (k * centre - twos * _LN2).exp()
        power = (twos.to(kind.integer) + exponent).clamp(max=2 * kind.bias)
        half = torch.div(power, 2, rounding_mode="floor")
        for part in (half, power - half):
            ranked = ranked * power_of_two(part - kind.lift, kind)
        total = total + ranked.masked_fill(apart, torch.nan) * weight
    total = total + 0 * (peak + logs.sum(dim=1, keepdim=True))  # 0 times what is not finite is NaN
    total = total.masked_fill(n < what.needed, torch.nan)
    return torch.empty_like(total).scatter_(1, order, total)


_LN2 = 0.6931471805599453


def _last(groups: Groups, rewards: Tensor) -> Tensor:
    """The order of rising rewards, masked ones last."""
    if groups.valid is None:
        return torch.sort(rewards, dim=1).indices
    by_reward = torch.sort(rewards, dim=1).indices
    masked = (~groups.valid).gather(1, by_reward).to(torch.int8)
    return by_reward.gather(1, torch.sort(masked, dim=1, stable=True).indices)


def _centres(k: int, logs: Tensor, real: Tensor, kind: Arithmetic) -> tuple[Tensor, Tensor]:
    """As pkpo.offpolicy; and whether a group's are too far apart."""
    most = offpolicy.MOST_LOG_PRODUCT if kind is DOUBLE else 25.0
    high = logs.masked_fill(~real, -torch.inf).amax(dim=1, keepdim=True)
    low = logs.masked_fill(~real, torch.inf).amin(dim=1, keepdim=True)
    centre = ((high + low) / 2).masked_fill(k * torch.maximum(high, -low) <= most, 0)
    apart = ~(k * (high - low) <= 2 * most)
    return centre.masked_fill(apart, 0), apart


def _sloo_minus_one(k: int, g: Tensor, ratios: Tensor, n: Tensor, kind: Arithmetic) -> Tensor:
    if k == 1:
        weighted, size = ratios * g, n.to(g.dtype)
        return 2.0**kind.lift / size * ratios * (g - (weighted.sum(dim=1, keepdim=True) - weighted) / (size - 1))
    width = len(range(g.shape[1]))
    means = torch.stack([each[:, k - 1] for each in _products(k, ratios)], dim=1)[:, 1:]
    w = order_weights_of(k, torch.arange(2, width + 1, device=g.device), n, width, kind, type(g) is Tensor)
    gaps = (g[:, 1:] - g[:, :-1]) * w * means
    credits = [torch.zeros_like(g[:, 0])]
    for t in range(width - 1):
        credits.append(credits[-1] + gaps[:, t])
    return ratios * torch.stack(credits, dim=1)


def _s(k: int, g: Tensor, ratios: Tensor, n: Tensor, kind: Arithmetic) -> Tensor:
    width = len(range(g.shape[1]))
    below = list(_products(k, ratios))
    shares = shares_of(k, n, width, kind, type(g) is Tensor)  # (P, n, k)
    m = torch.arange(1, k, device=g.device)
    above = g.new_zeros(len(g), k - 1)
    credits = []
    for t in range(width - 1, -1, -1):
        whole = torch.cat([g[:, t : t + 1], above], dim=1)
        credits.append(ratios[:, t] * (below[t] * whole.flip(1) * shares[:, t]).sum(dim=1) * (k / n[:, 0].to(g.dtype)))
        count = (n - t).clamp(min=1)
        above = ((count - m) * above + m * ratios[:, t, None] * whole[:, :-1]) / count  # masked ones have ratio 0
    return torch.stack(credits[::-1], dim=1)


def _products(k: int, ratios: Tensor) -> Iterator[Tensor]:
    """As pkpo.offpolicy."""
    means = ratios.new_zeros(len(ratios), k - 1)
    one = ratios.new_ones(len(ratios), 1)
    j = torch.arange(1, k, device=ratios.device)
    for t in range(len(range(ratios.shape[1]))):
        whole = torch.cat([one, means], dim=1)
        yield whole
        means = ((t + 1 - j) * means + j * ratios[:, t, None] * whole[:, :-1]) / (t + 1)
