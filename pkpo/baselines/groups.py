"""What all baselines share: rewards checked, groups gathered by their size, credits brought to a scale."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpo import inputs
from pkpo.transforms import SCALES, Scale, transform, unit_rms

Floats = NDArray[np.float64]
Published = Literal["sum", "mean"]  # over the completions of a group: what the loss of a publication does


def credited(
    name: str,
    g: ArrayLike,
    mask: ArrayLike | None,
    scale: Scale,
    smallest_n: int,
    of_size: Callable[[Floats], Floats],
    *,
    k: int | None = None,
    binary: bool = False,
    published: Published = "mean",
) -> Floats:
    """What of_size makes of the groups of each size, shape (P, n), brought from the published scale to this one."""
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}; got {scale!r}")
    values, valid = binary_rewards(name, g, mask) if binary else inputs.rewards(g, mask)
    at = "any k" if k is None else f"k={inputs.attempts(k)}"
    inputs.check_sizes(name, smallest_n, at, values.shape, valid)

    def scaled(groups: Floats) -> Floats:
        factor = groups.shape[1] if published == "sum" else 1 / groups.shape[1]
        as_published = (scale == "mean") == (published == "mean")
        return of_size(groups) if as_published else of_size(groups) * factor

    credits = np.zeros(values.shape)
    width = values.shape[-1]
    rows = credits.reshape(-1, width)
    with np.errstate(over="ignore", invalid="ignore"):  # refused below, in a sentence
        if valid is None:
            rows[:] = scaled(values.reshape(-1, width))
        else:
            for groups in inputs.by_size(values.reshape(-1, width), valid.reshape(-1, width)):
                groups.scatter(scaled(groups.values), rows)
    if not np.isfinite(credits).all():
        largest = np.abs(values).max(where=True if valid is None else valid, initial=0.0)
        raise ValueError(f"credits exceed the range of float64; their largest |reward| is {largest}")
    return unit_rms(credits, valid) if scale == "rms" else credits


def by_sets(name: str, k: int, credits: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
    """Credits of sets, shape (P, n / k, k), as those of their groups."""
    inputs.attempts(k)

    def of_size(g: Floats) -> Floats:
        groups, n = g.shape
        if n % k:
            raise ValueError(f"{name} at k={k} needs n, the rewards of a group, to be a multiple of k; got n={n}")
        return credits(g.reshape(groups, n // k, k)).reshape(groups, n)

    return of_size


def deviations(g: Floats) -> Floats:
    """g_i less the mean of its group: exactly 0 where all are equal, which subtracting a rounded mean is not."""
    n = g.shape[1]
    return np.asarray(transform("centered", g, 1) * (n - 1))


def over_std(credits: Floats, g: Floats) -> Floats:
    """Credits over the deviation of each group's rewards; 0 in groups of equal rewards."""
    centred = deviations(g)
    peak = np.abs(centred).max(axis=1, keepdims=True)  # so that no square overflows or vanishes
    relative = np.divide(centred, peak, out=np.zeros_like(g), where=peak > 0)
    std = peak * np.sqrt(np.square(relative).sum(axis=1, keepdims=True) / (g.shape[1] - 1))
    return np.asarray(np.divide(credits, std, out=np.zeros_like(g), where=std > 0))


def binary_rewards(name: str, g: ArrayLike, mask: ArrayLike | None) -> tuple[Floats, NDArray[np.bool_] | None]:
    """As inputs.rewards, and ValueError where one is neither 0 nor 1."""
    values, valid = inputs.rewards(g, mask)
    inputs.check_binary(name, values, valid)
    return values, valid
