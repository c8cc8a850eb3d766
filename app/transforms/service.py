"""Credits for ragged groups."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.errors import MOST_ERRORS, AppError
from app.transforms.schemas import TransformOptions
from app.transforms.wire import Groups
from pkpo.asked import Asked, named
from pkpo.estimators import max_at_ks
from pkpo.transforms import transform_and_max_at_k, unit_rms

# Each k of a weighted sum is another estimate of every group.
MOST_ESTIMATES = 8_388_608


class GroupTooShort(AppError):
    """A group that has no unbiased credit at this k."""

    status, type = 422, "group-too-short"

    def __init__(self, name: str, what: Asked, sizes: NDArray[np.int64]) -> None:
        short = np.flatnonzero(sizes < what.needed)
        super().__init__(
            f"{name} at {what.at} needs at least {what.needed} rewards per group{what.hint}. "
            f"{len(short)} of {len(sizes)} groups have fewer, the smallest {sizes.min()}; short=zero gives such groups "
            "credits of 0.",
            [(f"/rewards/{i}", f"{sizes[i]} rewards, {what.needed} needed") for i in short[:MOST_ERRORS].tolist()],
        )


class NotBinary(AppError):
    """A reward other than 0 and 1 where the transform knows no other."""

    status, type = 422, "not-binary"

    def __init__(self, name: str, groups: Groups, places: NDArray[np.int64]) -> None:
        ends = np.cumsum(groups.sizes)
        rows = np.searchsorted(ends, places, side="right")
        starts = (ends - groups.sizes)[rows]
        super().__init__(
            f"{name} takes rewards of 0 and 1; {len(places)} are others. plugin takes any, and is the same for these.",
            [
                (f"/rewards/{row}/{place}", "neither 0 nor 1")
                for row, place in zip(rows.tolist(), (places - starts).tolist(), strict=True)
            ][:MOST_ERRORS],
        )


class TooManyAttempts(AppError):
    """A weighted sum over more k than so many rewards allow."""

    status, type = 422, "too-many-k"

    def __init__(self, most: int) -> None:
        super().__init__(f"So many rewards can be weighted over at most {most} k.", [("/k", f"at most {most}")])


class BeyondFloat64(AppError):
    """Credits that no float64 can hold."""

    status, type = 422, "beyond-float64"

    def __init__(self) -> None:
        super().__init__("Some credits exceed the range of float64; scale the rewards, or the weights, down.")


@dataclass(frozen=True)
class Credits:
    """What groups of rewards became."""

    credits: NDArray[np.float64]  # end to end as the rewards were; nan where one is missing
    max_at_k: NDArray[np.float64]  # of each group, weighted over k; nan where the group has fewer than k rewards


def credit(groups: Groups, options: TransformOptions) -> Credits:
    """The credits of all groups; GroupTooShort where one has too few rewards and the options do not allow for it."""
    most = max(1, MOST_ESTIMATES // max(1, len(groups.rewards)))
    if len(options.weights) > most:
        raise TooManyAttempts(most)
    missing = np.isnan(groups.rewards)
    if options.transform == "alpha_loo":
        other = np.flatnonzero(~missing & (groups.rewards != 0) & (groups.rewards != 1))
        if other.size:
            raise NotBinary(options.transform, groups, other)
    if not missing.any():
        return _credit(groups, options)
    present = ~missing
    result = _credit(Groups(groups.rewards[present], _true_by_group(present, groups.sizes)), options)
    credits = np.full(len(present), np.nan)
    credits[present] = result.credits
    return Credits(credits, result.max_at_k)


def _credit(groups: Groups, options: TransformOptions) -> Credits:
    """The credits of groups without a missing reward."""
    weights, what = options.weights, named(options.transform, options.weights)
    if options.short == "error" and groups.sizes.min() < what.needed:
        raise GroupTooShort(options.transform, what, groups.sizes)
    credits, best = np.zeros(len(groups.rewards)), np.full(len(groups.sizes), np.nan)
    for n, rows, places in _by_size(groups.sizes):
        rewards = groups.rewards[places].reshape(-1, n)
        if n >= what.needed:  # and so at least the largest k
            factor = n if options.scale == "mean" else 1
            each, estimates = transform_and_max_at_k(options.transform, rewards, weights, factor)
            credits[places], best[rows] = _finite(each.reshape(-1)), _finite(estimates)
        elif n >= max(weights):
            best[rows] = _max_at_k(rewards, weights)
    return Credits(unit_rms(credits) if options.scale == "rms" else credits, best)


Index = NDArray[np.int64] | slice


def _by_size(sizes: NDArray[np.int64]) -> Iterator[tuple[int, Index, Index]]:
    """Each size but 0, the groups that have it, and the places of their rewards.

    So one long group does not pad all others to its length.
    """
    if (sizes == sizes[0]).all():
        if sizes[0]:
            yield int(sizes[0]), slice(None), slice(None)
        return
    order, starts = np.argsort(sizes, kind="stable"), np.cumsum(sizes) - sizes
    distinct, firsts = np.unique(sizes[order], return_index=True)
    for n, rows in zip(distinct.tolist(), np.split(order, firsts[1:]), strict=True):
        if n:
            yield n, rows, (starts[rows, None] + np.arange(n)).ravel()


def _max_at_k(rewards: NDArray[np.float64], weights: dict[int, float]) -> NDArray[np.float64]:
    with np.errstate(over="ignore", invalid="ignore"):
        return _finite(max_at_ks(rewards, list(weights)) @ np.array(list(weights.values())))


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    if not np.isfinite(values).all():
        raise BeyondFloat64
    return values


def _true_by_group(values: NDArray[np.bool_], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many are true in each group."""
    before, ends = np.concatenate([[0], np.cumsum(values)]), np.cumsum(sizes)
    counts: NDArray[np.int64] = before[ends] - before[ends - sizes]
    return counts
