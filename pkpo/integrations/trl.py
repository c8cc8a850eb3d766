"""PKPO inside TRL: GRPOTrainer whose advantages are credits for pass@k.

    from pkpo.integrations.trl import PKPOTrainer
    PKPOTrainer(model, reward, args=GRPOConfig(..., loss_type="dr_grpo", num_generations=16), k=8, train_dataset=...)

What TRL makes of a group's rewards, less their mean and over their deviation, is replaced; nothing centres or scales
the credits afterwards, for either would change what is maximised. Tested with TRL 1.16.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from trl import GRPOTrainer

from pkpo.curves import default_ks
from pkpo.integrations.credits_per_step import Short, StepCredits, check_settings, step_credits
from pkpo.transforms import Scale, smallest_n


class PKPOTrainer(GRPOTrainer):  # type: ignore[misc]  # TRL is not typed
    """GRPOTrainer that maximises max_g@k: pass@k where rewards are 0 and 1.

    Takes what GRPOTrainer takes, and by keyword:
      k: attempts that the objective allows, at most num_generations; a weight for each of several; or a schedule, by
        its specification or as an object of pkpo.schedules.
      transform: one of pkpo.TRANSFORMS.
      credit_scale: "mean" (default) multiplies by n, for TRL's losses average over completions; "rms" divides by the
        root mean square over the step's completions on all processes, so that k turns the step and not its length;
        "sum" keeps the paper's weights.
      k_eval: the k at which pass@k is logged while training, default 1, 2, 4, ... and num_generations.
      short: what a group does that has fewer rewards than the transform needs at k: "zero" (default) gives it no
        credit and counts it, "error" ends the training.

    A completion for which every reward function answers None has no reward: it is left out of its group and gets no
    credit. Logged beside TRL's metrics, over the groups of all processes: pkpo/k, pkpo/pass@k for each k_eval where
    all rewards are 0 or 1, pkpo/max@k for any rewards, pkpo/zero_signal_groups (their share), pkpo/mean_abs_credit,
    pkpo/missing_rewards, pkpo/short_groups, and the number of groups behind them.

    Raises:
      ValueError: k outside the transform's range at num_generations; an unknown transform, scale or policy; rewards
        that are infinite; normalize_then_sum, which has no single reward to maximise.
    """

    _tag_names = ["trl", "grpo", "pkpo"]
    _name = "PKPO"

    def __init__(
        self,
        *arguments: Any,
        k: int | Mapping[int, float],
        transform: str = "sloo_minus_one",
        credit_scale: Scale = "mean",
        k_eval: Sequence[int] | None = None,
        short: Short = "zero",
        **named: Any,
    ) -> None:
        check_settings(credit_scale, short)
        super().__init__(*arguments, **named)
        self._transform, self._credit_scale, self._short = transform, credit_scale, short
        self._k = k
        self._k_eval = tuple(k_eval or default_ks(self.num_generations))
        self._check()

    def _check(self) -> None:
        if self.multi_objective_aggregation != "sum_then_normalize":
            raise ValueError(
                "pkpo maximises one reward: multi_objective_aggregation must be sum_then_normalize; "
                f"got {self.multi_objective_aggregation}"
            )
        n, needed = self.num_generations, smallest_n(self._transform, self._k)
        if n < needed:
            raise ValueError(f"{self._transform} at k={self._k} needs num_generations of at least {needed}; got {n}")
        if max(self._k_eval) > n:
            raise ValueError(f"k_eval must be at most num_generations={n}; got {max(self._k_eval)}")
        if self.loss_type != "dr_grpo":
            warnings.warn(
                f"loss_type={self.loss_type!r} weighs completions by their lengths; "
                "loss_type='dr_grpo' leaves the gradient of pass@k unbiased",
                stacklevel=3,
            )

    def _calculate_rewards(self, *arguments: Any) -> Any:
        # The rewards of every process, group after group: TRL gathers them before it normalises.
        self._gathered = super()._calculate_rewards(*arguments)
        return self._gathered

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        step = self._credited()
        credits = torch.from_numpy(step.credits).flatten().to(output["advantages"])
        first = self.accelerator.process_index * len(inputs)
        output["advantages"] = credits[first : first + len(inputs)]
        self._show(step)
        return output

    def _credited(self) -> StepCredits:
        """The credits of the groups that TRL has just scored, on all processes."""
        training = self.model.training
        size = self.num_generations if training else self.num_generations_eval
        per_function = self._gathered.detach().cpu().double()
        rewards = (per_function * self.reward_weights.cpu().double()).nansum(dim=1)
        rewards[per_function.isnan().all(dim=1)] = torch.nan
        return step_credits(
            rewards.view(-1, size).numpy(),
            k=self._k,
            name=self._transform,
            scale=self._credit_scale,
            short=self._short if training else "zero",
            k_eval=[k for k in self._k_eval if k <= size],
        )

    def _show(self, step: StepCredits) -> None:
        """The figures among TRL's metrics, and the credits in its table of completions."""
        metrics = self._metrics["train" if self.model.training else "eval"]
        in_force = {f"weight@{k}": w for k, w in self._k.items()} if isinstance(self._k, Mapping) else {"k": self._k}
        for name, value in (in_force | step.metrics).items():
            metrics[f"pkpo/{name}"].append(value)
        shown = self._logs["advantages"]
        for _ in range(min(len(shown), step.credits.size)):
            shown.pop()
        shown.extend(step.credits.ravel().tolist())
