"""Credits of each step, by a transform or a baseline, and what they were made of."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.jobs.specs.training import TrainingSpec
from pkpo.baselines import BASELINES, baseline
from pkpo.integrations.credits_per_step import CreditPlan, StepCredits, step_credits
from pkpo.schedules import mixture
from pkpo.transforms import unit_rms


class UnsuitableRewards(ValueError):
    """Rewards of which the method makes no credits; the sentence says why."""


class RecordedPlan(CreditPlan):
    """A plan that keeps the last step: its rewards, shape (P, n), problems, credits, and the k of each group."""

    rewards: NDArray[np.float64]
    names: Sequence[str]
    ks: Sequence[Mapping[int, float]]
    made: StepCredits

    def train(self, rewards: NDArray[np.float64], problems: Sequence[str], step: int) -> StepCredits:
        """As CreditPlan."""
        self.rewards, self.names = rewards, problems
        try:
            self.made = self._made(rewards, problems, step)
        except ValueError as error:
            raise UnsuitableRewards(f"Step {step + 1}: {error}") from error
        self.ks = [mixture(self.schedule.k(self.state, problem)) for problem in problems]
        return self.made

    def _made(self, rewards: NDArray[np.float64], problems: Sequence[str], step: int) -> StepCredits:
        return super().train(rewards, problems, step)


class BaselinePlan(RecordedPlan):
    """Credits of one of pkpo.baselines; of a group with fewer than two rewards, or than k, there are none."""

    def __init__(self, name: str, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._name = name
        self._k = int(self.schedule.largest) if BASELINES[name].claims == "pass@k" else None

    def _made(self, rewards: NDArray[np.float64], problems: Sequence[str], step: int) -> StepCredits:
        valid = ~np.isnan(rewards)
        enough = valid.sum(axis=1) >= max(self._k or 2, 2)
        credits = np.zeros(rewards.shape)
        if enough.any():
            scale = "sum" if self.scale == "rms" else self.scale
            credits[enough] = baseline(self._name, rewards[enough], self._k, mask=valid[enough], scale=scale)
        if self.scale == "rms":
            credits = unit_rms(credits, valid)
        # The figures of the rewards do not depend on who makes the credits.
        figures = step_credits(rewards, [{1: 1.0}] * len(rewards), "s", "sum", "zero", self.k_eval).metrics
        told = {
            "k": float(self._k or 1),
            "short_groups": float((~enough).sum()),
            "zero_signal_groups": float((credits == 0).all(axis=1).mean()),
            "mean_abs_credit": float(np.abs(credits[valid]).mean()) if valid.any() else 0.0,
        }
        return StepCredits(credits, figures | told)


def plan(spec: TrainingSpec, problems: int) -> RecordedPlan:
    """The plan of a spec, whose training set has so many problems."""
    settings: dict[str, Any] = {"scale": spec.credit_scale, "k_eval": spec.ks, "problems": problems}
    if spec.baseline is not None:
        # Its own transform is never asked for credits, but must suit the group.
        return BaselinePlan(spec.baseline, spec.n, spec.schedule, "s", **settings)
    return RecordedPlan(spec.n, spec.schedule, spec.method, **settings)
