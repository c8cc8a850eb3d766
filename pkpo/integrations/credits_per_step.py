"""What any trainer needs of pkpo at each step: credits for its groups, and what to log of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pkpo.curves import default_ks
from pkpo.estimators import max_at_ks
from pkpo.transforms import SCALES, Scale, smallest_n, transform, unit_rms

Short = Literal["zero", "error"]


@dataclass(frozen=True)
class StepCredits:
    """The credits of one training step and its figures, both over the groups of all processes.

    credits: shape (P, n), 0 where the reward is missing or the group too short.
    metrics: name to number; a metric that the step's groups do not define is not there.
    """

    credits: NDArray[np.float64]
    metrics: dict[str, float]


def step_credits(
    rewards: NDArray[np.float64],
    *,
    k: int | Mapping[int, float],
    name: str = "sloo_minus_one",
    scale: Scale = "mean",
    short: Short = "zero",
    k_eval: Sequence[int] | None = None,
) -> StepCredits:
    """Credits of one step's groups, and pass@k or max_g@k at each k_eval as the policy stands at this step.

    Args:
      rewards: shape (P, n), nan where a reward is missing: it then has no credit and its group has one fewer.
      k, name, scale: as for pkpo.transform.
      short: what a group with fewer rewards than the transform needs at k does: "zero" gives it no credit and counts
        it, "error" raises.
      k_eval: the k that are logged, default_ks(n) unless given.
    Raises:
      ValueError: what pkpo.transform refuses; with short="error" a short group too.
    """
    valid = ~np.isnan(rewards)
    needed = smallest_n(name, k)
    enough = valid.sum(axis=1) >= needed
    if short == "error" and not enough.all():
        transform(name, rewards, k, mask=valid, scale=scale)  # raises, naming the group and the bound
    credits = np.zeros(rewards.shape)
    if enough.any():
        # The rms is over every completion that has a reward, so that short groups count as the zeros that they are.
        per_group: Scale = "sum" if scale == "rms" else scale
        credits[enough] = transform(name, rewards[enough], k, mask=valid[enough], scale=per_group)
    if scale == "rms":
        credits = unit_rms(credits, valid)
    return StepCredits(credits, _metrics(rewards, valid, enough, credits, k_eval or default_ks(rewards.shape[1])))


def _metrics(
    rewards: NDArray[np.float64],
    valid: NDArray[np.bool_],
    enough: NDArray[np.bool_],
    credits: NDArray[np.float64],
    k_eval: Sequence[int],
) -> dict[str, float]:
    of_valid = np.abs(credits[valid])
    metrics = {
        "groups": float(len(rewards)),
        "missing_rewards": float((~valid).sum()),
        "short_groups": float((~enough).sum()),
        "zero_signal_groups": float((credits == 0).all(axis=1).mean()),
        "mean_abs_credit": float(of_valid.mean()) if of_valid.size else 0.0,
    }
    whole = valid.sum(axis=1) >= max(k_eval)  # one set of groups for every k
    if not whole.any():
        return metrics
    estimates = max_at_ks(np.where(valid, rewards, 0.0)[whole], k_eval, valid[whole])
    binary = np.isin(rewards[valid], (0.0, 1.0)).all()
    for k, each in zip(k_eval, estimates.T, strict=True):
        metrics[f"max@{k}"] = math.fsum(each.tolist()) / len(each)
        if binary:
            metrics[f"pass@{k}"] = metrics[f"max@{k}"]
    metrics["groups_estimated"] = float(whole.sum())
    return metrics


def check_settings(scale: str, short: str) -> None:
    """ValueError for a setting that no step could use, before the first step is sampled."""
    if scale not in SCALES:
        raise ValueError(f"credit_scale must be one of {', '.join(SCALES)}; got {scale!r}")
    if short not in ("zero", "error"):
        raise ValueError(f"short must be zero or error; got {short!r}")
