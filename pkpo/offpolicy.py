"""Credits for completions that another policy drew: rewards, and log ratios log p(x_i) / q(x_i), shape (..., n) both.

exact is unbiased for the gradient of max_g@k of p whatever q drew the completions, where q > 0 wherever p is.
first_order and ppo are not, for they leave out what the ratios of the others do to i, nor is truncated; they are here
to compare with. Where all ratios are 1, each gives the credits of pkpo.transforms.

name chooses the transform. It is "s" unless given, not "sloo_minus_one" as elsewhere, for what defines exact, the
derivative of V by log r_i, is that of "s" alone: another has its mean and not its values. And truncated has not even
the mean, for what a baseline takes off is 0 on average only under uncapped ratios. To train, give "sloo_minus_one".
ppo has that by itself: its clip goes by the sign of a credit, and "s" of rewards of 0 and 1 is never below 0.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpo import asked, inputs
from pkpo.asked import Asked, Attempts
from pkpo.inputs import Labels
from pkpo.transforms import SCALES, Scale, credits_for, unit_rms
from pkpo.weights import LIFT, binomials, order_weights

Floats = NDArray[np.float64]
Name = Literal["s", "sloo_minus_one"]
NAMES: tuple[Name, ...] = ("s", "sloo_minus_one")

# Products of k scaled ratios reach e^400 at most: times a lifted weight, 2^400, that is 1e294.
MOST_LOG_PRODUCT = 400.0
BLOCK = 1 << 17  # numbers in the largest array of a block of groups


def exact(
    g: ArrayLike,
    k: Attempts,
    log_ratios: ArrayLike,
    *,
    name: Name = "s",
    mask: ArrayLike | None = None,
    groups: Labels | None = None,
    scale: Scale = "sum",
) -> Floats:
    """Unbiased off-policy credits: r_i times the sum over the k-subsets I that hold i of max(g_I) prod r_(I without i).

    By C(n, k): the derivative by log r_i of V = sum over I of max(g_I) prod r_I / C(n, k), whose mean over q is max_g@k
    of p. "sloo_minus_one" puts max(g_I) - max(g_I without i) in place of max(g_I), which leaves the mean alone for that
    of r_i grad log p(x_i) is 0; at k = 1 (r_i / n) (g_i - mean of r_j g_j of the others). O(n k) after the sort.

    Args:
      g, k, mask, groups, scale: as for pkpo.transform; n at least what the transform of that name needs.
      log_ratios: finite, of the shape of g: those of whole completions, summed over tokens.
      name: "s", or "sloo_minus_one", which has far less variance.
    Returns:
      Credits as float64, in the place of the rewards.
    Raises:
      ValueError: what pkpo.transform refuses; log ratios of another shape, not finite, or too far apart in one group
        for products of k in float64: more than 800 / k; credits beyond float64.
    """
    return _exact(g, k, log_ratios, name, mask, groups, scale, cap=None)


def truncated(
    g: ArrayLike,
    k: Attempts,
    log_ratios: ArrayLike,
    cap: float = 2.0,
    *,
    name: Name = "s",
    mask: ArrayLike | None = None,
    groups: Labels | None = None,
    scale: Scale = "sum",
) -> Floats:
    """Biased: exact with each ratio that exceeds cap, a positive number, taken for cap, for less variance."""
    return _exact(g, k, log_ratios, name, mask, groups, scale, cap=cap_of(cap))


def first_order(
    g: ArrayLike,
    k: Attempts,
    log_ratios: ArrayLike,
    *,
    name: str = "s",
    mask: ArrayLike | None = None,
    groups: Labels | None = None,
    scale: Scale = "sum",
) -> Floats:
    """Biased but at k = 1: r_i times the on-policy credit, which takes the ratios of the others for 1.

    With s, the gradient of V to first order around equal policies. name is any of pkpo.transform's; else as for exact.
    """
    return _surrogate(g, k, log_ratios, name, mask, groups, scale, clip=None)


def ppo(
    g: ArrayLike,
    k: Attempts,
    log_ratios: ArrayLike,
    clip: float = 0.2,
    *,
    name: str = "sloo_minus_one",
    mask: ArrayLike | None = None,
    groups: Labels | None = None,
    scale: Scale = "sum",
) -> Floats:
    """Biased: the gradient of PPO's clipped surrogate with on-policy credits as advantages, arXiv:1707.06347 Eq. (7).

    That of min(r_i a_i, clamp(r_i, 1 - clip, 1 + clip) a_i): first_order, and 0 where a completion is already further
    than clip in the direction of its credit. clip is in (0, 1); else as for first_order.
    """
    return _surrogate(g, k, log_ratios, name, mask, groups, scale, clip=clip_of(clip))


def cap_of(cap: object) -> float:
    """The largest ratio of truncated as a float; ValueError where it is not above 0."""
    largest = inputs.finite("cap", cap)
    if largest <= 0:
        raise ValueError(f"cap must be above 0; got {cap}")
    return largest


def clip_of(clip: object) -> float:
    """The width of ppo's clip as a float; ValueError outside (0, 1)."""
    width = inputs.finite("clip", clip)
    if not 0 < width < 1:
        raise ValueError(f"clip must be in (0, 1); got {clip}")
    return width


def asked_exactly(name: Name, k: Attempts, scale: Scale) -> Asked:
    """What a call of exact or truncated asks for; ValueError for a name or a scale that they do not have."""
    if name not in NAMES:
        raise ValueError(f"name must be one of {', '.join(NAMES)}; got {name!r}")
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}; got {scale!r}")
    return asked.named(name, k)


def _surrogate(
    g: ArrayLike,
    k: Attempts,
    log_ratios: ArrayLike,
    name: str,
    mask: ArrayLike | None,
    groups: Labels | None,
    scale: Scale,
    clip: float | None,
) -> Floats:
    values, valid = inputs.rewards(g, mask)
    logs = _logs(log_ratios, values.shape, valid)
    advantages = credits_for(asked.named(name, k), values, valid, groups, "sum" if scale == "rms" else scale)
    with np.errstate(over="ignore", invalid="ignore"):
        ratios = np.exp(logs)
        credits = np.where(advantages == 0, 0.0, ratios * advantages)
    if clip is not None:
        credits[((advantages > 0) & (ratios > 1 + clip)) | ((advantages < 0) & (ratios < 1 - clip))] = 0
    return _checked(credits, valid, scale)


def _exact(
    g: ArrayLike,
    k: Attempts,
    log_ratios: ArrayLike,
    name: Name,
    mask: ArrayLike | None,
    groups: Labels | None,
    scale: Scale,
    cap: float | None,
) -> Floats:
    what = asked_exactly(name, k, scale)
    values, valid = inputs.rewards(g, mask)
    logs = _logs(log_ratios, values.shape, valid)
    if cap is not None:
        logs = np.minimum(logs, np.log(cap))
    if groups is None:
        inputs.check_sizes(what.name, what.needed, what.at, values.shape, valid, what.hint)
        places = inputs.by_row(values.shape, valid)
    else:
        places = inputs.by_label(groups, values.shape, valid, what.check_size)
    credits = np.zeros(values.shape)
    flat, with_logs, into = values.reshape(-1), logs.reshape(-1), credits.reshape(-1)
    for members in places:
        factor = members.shape[1] if scale == "mean" else 1
        for _, attempts, weight in what.parts:
            into[members] += _of_size(name, attempts, flat[members], with_logs[members]) * (weight * factor)
    return _checked(credits, valid, scale)


def _logs(log_ratios: ArrayLike, shape: tuple[int, ...], valid: NDArray[np.bool_] | None) -> Floats:
    logs, _ = inputs.rewards(log_ratios, valid if np.shape(log_ratios) == shape else None, "log_ratios")
    if logs.shape != shape:
        raise ValueError(f"log_ratios must be of the rewards' shape {shape}; got {logs.shape}")
    return logs if valid is None else np.where(valid, logs, 0.0)


def _checked(credits: Floats, valid: NDArray[np.bool_] | None, scale: Scale) -> Floats:
    if not np.isfinite(credits).all():
        raise ValueError("credits exceed the range of float64; the ratios or the rewards are too large")
    return unit_rms(credits, valid) if scale == "rms" else credits


def _of_size(name: Name, k: int, g: Floats, logs: Floats) -> Floats:
    """The credits of groups of one size, shape (P, n)."""
    n = g.shape[1]
    centre = _centres(k, logs)
    _, exponents = np.frexp(np.abs(g).max(axis=1, keepdims=True))
    order = np.argsort(g, axis=1)
    rewards = np.take_along_axis(np.ldexp(g, -exponents), order, axis=1)
    ratios = np.exp(np.take_along_axis(logs, order, axis=1) - centre)
    of_ranked = _s if name == "s" else _sloo_minus_one if k > 1 else _one
    ranked = np.empty(g.shape)
    step = max(1, BLOCK // (n * k))
    for start in range(0, len(g), step):
        rows = slice(start, start + step)
        ranked[rows] = of_ranked(k, rewards[rows], ratios[rows])
    credits = np.empty(g.shape)
    np.put_along_axis(credits, order, ranked, axis=1)
    twos = np.rint(k * centre / np.log(2))
    with np.errstate(over="ignore"):
        scaled: Floats = np.ldexp(
            credits * np.exp(k * centre - twos * np.log(2)), exponents + twos.astype(np.int64) - LIFT
        )
    return scaled


def _centres(k: int, logs: Floats) -> Floats:
    """What to take off the log ratios of each group so that products of k of them stay in float64, shape (P, 1)."""
    high, low = logs.max(axis=1, keepdims=True), logs.min(axis=1, keepdims=True)
    if (k * (high - low) > 2 * MOST_LOG_PRODUCT).any():
        apart = float((high - low).max())
        raise ValueError(
            f"log ratios of a group must be at most {2 * MOST_LOG_PRODUCT / k:g} apart at k={k}; got {apart}"
        )
    return np.where(k * np.maximum(high, -low) > MOST_LOG_PRODUCT, (high + low) / 2, 0.0)


def _one(k: int, g: Floats, ratios: Floats) -> Floats:
    """sloo_minus_one at k = 1, with the others' weighted mean for a baseline."""
    n, weighted = g.shape[1], ratios * g
    others = (weighted.sum(axis=1, keepdims=True) - weighted) / (n - 1)
    credits: Floats = 2.0**LIFT / n * ratios * (g - others)
    return credits


def _sloo_minus_one(k: int, g: Floats, ratios: Floats) -> Floats:
    """The running sum of the gaps, each times C(m, k - 1) / C(n, k) and the mean product of k - 1 of the m below it."""
    means = np.stack([each[:, k - 1] for each in _products(k, ratios)], axis=1)  # of the lowest t, t = 0..n-1
    terms = np.zeros(g.shape)
    terms[:, 1:] = (g[:, 1:] - g[:, :-1]) * order_weights(g.shape[1], k)[1:] * means[:, 1:]
    credits: Floats = ratios * np.cumsum(terms, axis=1)
    return credits


def _s(k: int, g: Floats, ratios: Floats) -> Floats:
    """For each rank, over how many members are below it: the share of subsets, the mean products below and above."""
    n = g.shape[1]
    below = list(_products(k, ratios))
    shares = _shares(n, k)
    credits = np.empty(g.shape)
    above = np.zeros((len(g), k))  # mean over m-subsets above t of their products and best reward, m = 0..k-1
    m = np.arange(1, k)
    for t in range(n - 1, -1, -1):
        above[:, 0] = g[:, t]
        credits[:, t] = ratios[:, t] * ((below[t] * above[:, ::-1]) @ shares[t]) * (k / n)
        count = n - t
        above[:, 1:] = ((count - m) * above[:, 1:] + m * ratios[:, t, None] * above[:, :-1]) / count
    return credits


def _products(k: int, ratios: Floats) -> Iterator[Floats]:
    """For t = 0..n-1 the mean product of j of the lowest t ratios, j = 0..k-1, shape (P, k); 0 where j > t."""
    means = np.zeros((len(ratios), k))
    means[:, 0] = 1.0
    j = np.arange(1, k)
    for t in range(ratios.shape[1]):
        yield means.copy()
        means[:, 1:] = ((t + 1 - j) * means[:, 1:] + j * ratios[:, t, None] * means[:, :-1]) / (t + 1)


def _shares(n: int, k: int) -> Floats:
    """C(t, j) C(n - 1 - t, k - 1 - j) / C(n - 1, k - 1) times 2^LIFT, shape (n, k): j of k - 1 others below rank t."""
    columns = [binomials(j, n) for j in range(k)]
    whole = columns[-1]
    shares = [
        np.ldexp(
            low.mantissa * high.mantissa[::-1] / whole.mantissa[-1],
            low.exponent + high.exponent[::-1] - whole.exponent[-1] + LIFT,
        )
        for low, high in zip(columns, reversed(columns), strict=True)
    ]
    return np.stack(shares, axis=1)
