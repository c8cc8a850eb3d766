"""The research note's Pass@K-GRPO: a weight of the solve rate on GRPO's advantage, and the solve rates it may take."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpo import inputs
from pkpo.baselines.groups import Floats, binary_rewards, credited, deviations, over_std
from pkpo.transforms import Scale, unit_rms

Weight = Literal["alpha", "surrogate"]


def pass_k_grpo(
    g: ArrayLike,
    k: int,
    *,
    solve_rate: ArrayLike | None = None,
    std: bool = True,
    weight: Weight = "alpha",
    mask: ArrayLike | None = None,
    scale: Scale = "sum",
) -> Floats:
    """weight(p) * (g_i - mean) / standard deviation: the note's Pass@K-GRPO. Binary, n >= 2.

    Args:
      solve_rate: p for each group, shape that broadcasts to (...): what moving_solve_rate or counted_solve_rate
        gave before this step. None is the plug-in, the share of this group that passed.
      std: divide by the group's standard deviation.
      weight: "alpha" is K (1-p)^(K-1); "surrogate" is w_K(p) = K (1-p)^(K-1) / (1 - (1-p)^K), which is for log pass@K.

    Biased. Plug-in: alpha is convex in p, so its estimate is too large on average, by 1.19 at n = 16, K = 4, p = .5 and
    48.9 at n = K = 16; and it depends on the completion it weighs. std makes it another objective,
    K B(p; 1/2, K - 1/2) for large n. With a solve rate from earlier steps alone and std=False it is 1 - 1/n times the
    gradient of pass@K at the p that was given. Groups of equal rewards get 0.

    Other arguments and errors are those of transforms.transform; rewards other than 0 and 1 are refused, and so are
    solve rates outside [0, 1].
    """
    weigh = {"alpha": alpha, "surrogate": surrogate_weight}.get(weight)
    if weigh is None:
        raise ValueError(f"weight must be alpha or surrogate; got {weight!r}")
    inputs.attempts(k)
    unshaped: Scale = "sum" if scale == "rms" else scale

    def advantages(g: Floats) -> Floats:
        return over_std(deviations(g), g) if std else deviations(g)

    credits = credited("pass_k_grpo", g, mask, unshaped, 2, advantages, binary=True)
    mixed = credits.any(axis=-1)
    rates = moving_solve_rate(None, g, mask) if solve_rate is None else _rates(solve_rate, mixed.shape)
    weights = np.zeros(mixed.shape)
    weights[mixed] = weigh(rates[mixed], k)
    credits *= weights[..., None]
    return unit_rms(credits, inputs.rewards(g, mask)[1]) if scale == "rms" else credits


def alpha(p: ArrayLike, k: int) -> Floats:
    """K (1-p)^(K-1), the derivative of pass@K by p: what pass@K weighs the gradient of p with; 1 at K = 1.

    Raises:
      ValueError: p outside [0, 1], or k < 1.
    """
    return np.asarray(inputs.attempts(k) * (1 - _rates(p)) ** (k - 1))


def surrogate_weight(p: ArrayLike, k: int) -> Floats:
    """w_K(p) = K (1-p)^(K-1) / (1 - (1-p)^K), the derivative of log pass@K by p; 1/p at K = 1.

    The note gives it for pass@K itself, whose weight is alpha. It has no bound as p goes to 0.

    Raises:
      ValueError: p outside (0, 1], or k < 1.
    """
    rates = _rates(p)
    if (rates == 0).any():
        raise ValueError("surrogate_weight needs p above 0, where log pass@k is finite; got p=0")
    with np.errstate(divide="ignore"):  # log(0) at p = 1, whose pass@k is 1
        passing = -np.expm1(inputs.attempts(k) * np.log1p(-rates))
    return np.asarray(alpha(rates, k) / passing)


def moving_solve_rate(
    previous: ArrayLike | None, g: ArrayLike, mask: ArrayLike | None = None, *, decay: float = 0.9
) -> Floats:
    """decay * previous + (1 - decay) * the share of each group that passed: the note's moving average, shape (...).

    The state is what it returns. previous None, as for problems not met before, gives the share alone. To keep
    pass_k_grpo unbiased but for its alpha, hand it the rate from before this step, then call this.

    Raises:
      ValueError: rewards other than 0 and 1, an empty group, previous outside [0, 1], or decay outside [0, 1).
    """
    values, valid = binary_rewards("moving_solve_rate", g, mask)
    passed, drawn = _counts(values, valid)
    if not drawn.all():
        raise ValueError("moving_solve_rate needs a completion in every group; got a group without any")
    if not 0 <= inputs.finite("decay", decay) < 1:
        raise ValueError(f"decay must be in [0, 1); got {decay}")
    share = passed / drawn
    return share if previous is None else decay * _rates(previous, share.shape) + (1 - decay) * share


def counted_solve_rate(
    counts: tuple[int, int], g: ArrayLike, mask: ArrayLike | None = None
) -> tuple[tuple[int, int], float]:
    """(passed, drawn) with this batch added, and their ratio: the note's global estimate. Begin with (0, 0).

    Raises:
      ValueError: rewards other than 0 and 1, counts that are no 0 <= passed <= drawn, or nothing drawn at all.
    """
    if any(type(count) is not int for count in counts) or not 0 <= counts[0] <= counts[1]:
        raise ValueError(f"counts must be integers with 0 <= passed <= drawn; got {counts}")
    passed, drawn = (int(each.sum()) for each in _counts(*binary_rewards("counted_solve_rate", g, mask)))
    total = (counts[0] + passed, counts[1] + drawn)
    if total[1] == 0:
        raise ValueError("counted_solve_rate needs a completion; got none in counts and none in the rewards")
    return total, total[0] / total[1]


def _counts(values: Floats, valid: NDArray[np.bool_] | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each group, how many passed and how many there are, shape (...)."""
    there = np.ones(values.shape, dtype=bool) if valid is None else valid
    return np.asarray(((values == 1) & there).sum(axis=-1)), np.asarray(there.sum(axis=-1))


def _rates(p: ArrayLike, shape: tuple[int, ...] | None = None) -> Floats:
    """Solve rates as float64, broadcast to a shape; ValueError unless in [0, 1]."""
    rates = np.asarray(p, dtype=np.float64)
    if not ((rates >= 0) & (rates <= 1)).all():
        raise ValueError(f"solve rates must be in [0, 1]; got {rates[~((rates >= 0) & (rates <= 1))].flat[0]}")
    if shape is None:
        return rates
    try:
        return np.broadcast_to(rates, shape)
    except ValueError as error:
        raise ValueError(f"solve rates of shape {rates.shape} do not broadcast to groups of shape {shape}") from error
