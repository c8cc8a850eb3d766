"""Groups by label on a device: flat rewards, sorted by group and in it by reward, and summed group by group.

No shape depends on a value, so the host never waits: groups are not padded to the largest, which it would have to know.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pkpo.credits import Parts
from pkpo.torch.credits import Arithmetic, gap_form, level_form


@dataclass(frozen=True)
class Flat:
    """Rewards sorted by group, in each group ascending with masked ones last; all of shape (N,)."""

    rewards: Tensor  # 0 where masked
    real: Tensor
    order: Tensor  # the places that they came from
    start: Tensor  # where their group starts
    stop: Tensor  # where it ends
    size: Tensor  # how many of it are not masked

    def count(self, what: Tensor) -> Tensor:
        """Of how many of its group's members a tensor of bool is True."""
        until = torch.cat([what.new_zeros(1, dtype=torch.int64), what.cumsum(0)])
        return until[self.stop] - until[self.start]

    def total(self, terms: Tensor) -> Tensor:
        """The sum of the terms of its group."""
        return self.running(terms)[self.stop - 1]

    def running(self, terms: Tensor) -> Tensor:
        """The sum of the terms of its group up to its own: by halves of blocks, as for groups in rows."""
        count = len(terms)
        width = 1 << (count - 1).bit_length()
        sums = torch.cat([terms, terms.new_zeros(width - count)])
        start = torch.cat([self.start, torch.arange(count, width, device=terms.device)])
        half = 1
        while half < width:
            blocks, starts = sums.view(-1, 2, half), start.view(-1, 2, half)
            middle = torch.arange(half, width, 2 * half, device=terms.device)[:, None]
            carried = torch.where(starts[:, 1] < middle, blocks[:, 0, -1:], 0)
            sums = torch.stack([blocks[:, 0], blocks[:, 1] + carried], dim=1).view(-1)
            half *= 2
        return sums[:count]


def arranged(g: Tensor, labels: Tensor, valid: Tensor | None) -> Flat:
    """Rewards g by label, each of shape (N,)."""
    key = g if valid is None else g.masked_fill(~valid, torch.inf)
    by_reward = torch.sort(key).indices
    ids, by_label = torch.sort(labels[by_reward], stable=True)
    order = by_reward[by_label]
    real = torch.ones_like(order, dtype=torch.bool) if valid is None else valid[order]
    start, stop = torch.searchsorted(ids, ids), torch.searchsorted(ids, ids, right=True)
    flat = Flat(g[order].masked_fill(~real, 0), real, order, start, stop, start)
    return Flat(flat.rewards, real, order, start, stop, flat.count(real))


def credits_of(flat: Flat, parts: Parts, needed: int, mean: bool, arithmetic: Arithmetic) -> Tensor:
    """The credits of groups by label, shape (N,), in the places of the rewards; NaN where there are none."""
    n, rank = flat.size, torch.arange(len(flat.order), device=flat.order.device) - flat.start + 1
    rewards = flat.rewards.to(arithmetic.dtype)
    sound = (n >= needed) & (flat.count(flat.real & ~torch.isfinite(rewards)) == 0)
    peak = torch.maximum(-rewards[flat.start], rewards[(flat.start + n - 1).clamp(min=0)])
    shrink = torch.ones_like(rewards).masked_fill(peak >= arithmetic.large, 2.0**arithmetic.shrink)
    rewards = rewards * shrink
    inner = flat.real & (rank > 1)
    gaps = (rewards - rewards.roll(1)).masked_fill(~inner, 0)
    width = 1 << (len(range(flat.order.shape[0])) - 1).bit_length()  # weights for a few widths, not for every N
    keep = type(flat.order) is Tensor
    form = gap_form(parts, rank - 1, n, width, arithmetic, keep)
    assert form.below is not None
    credits = flat.running(_times(gaps, form.below, inner))
    if form.middle is not None:
        credits = credits - flat.total(_times(gaps, form.middle, inner))
    level = level_form(parts, rank, n, width, arithmetic, keep)
    if level is not None:
        credits = credits + flat.total(_times(rewards, level, flat.real))
    credits = credits * 2.0**-arithmetic.lift / shrink * (n if mean else 1)
    credits = credits.masked_fill(~sound, torch.nan).masked_fill(~flat.real, 0)
    return torch.empty_like(credits).scatter_(0, flat.order, credits)


def _times(values: Tensor, weights: Tensor, where: Tensor) -> Tensor:
    """The products, and 0 elsewhere, where a weight may be anything."""
    return (values * weights).masked_fill(~where, 0)
