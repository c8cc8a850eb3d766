"""PKPO inside TRL: GRPOTrainer whose advantages are credits for pass@k.

    from pkpo.integrations.trl import PKPOTrainer
    PKPOTrainer(model, reward, args=GRPOConfig(..., loss_type="dr_grpo", num_generations=16), k=8, train_dataset=...)

What TRL makes of a group's rewards, less their mean and over their deviation, is replaced; nothing centres or scales
the credits afterwards, for either would change what is maximised. Tested with TRL 1.16.
"""

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence, Sized
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import GRPOTrainer

from pkpo.integrations.credits_per_step import CreditPlan, Short, StepCredits, check_settings
from pkpo.schedules import Schedule, from_spec
from pkpo.schedules.spec import Spec
from pkpo.transforms import Scale

SAVED = "pkpo.json"  # where a checkpoint keeps how far the schedule of k has come, and the past of history


class PKPOTrainer(GRPOTrainer):  # type: ignore[misc]  # TRL is not typed
    """GRPOTrainer that maximises max_g@k: pass@k where rewards are 0 and 1.

    Takes what GRPOTrainer takes, and by keyword:
      k: attempts that the objective allows, at most num_generations; a weight for each of several; or a schedule, by
        its specification or as an object of pkpo.schedules.
      transform: one of pkpo.TRANSFORMS, or another that pkpo.transform takes, as "mixed(0.25)" or "top_mean(2)"; or
        "history(0.5)", pkpo.history with a moving average, of that decay, of max_g@k of the problem's earlier steps.
      credit_scale: "mean" (default) multiplies by n, for TRL's losses average over completions; "rms" divides by the
        root mean square over the step's completions on all processes, so that k changes the direction of the step and
        not its size; "sum" keeps the paper's weights.
      k_eval: the k at which pass@k is logged while training, default 1, 2, 4, ... and num_generations.
      short: what a group does that has fewer rewards than the transform needs at k: "zero" (default) gives it no
        credit and counts it, "error" ends the training.

    A completion for which every reward function answers None has no reward: it is left out of its group and gets no
    credit. Logged beside TRL's metrics, over the groups of all processes: pkpo/k, pkpo/pass@k for each k_eval where
    all rewards are 0 or 1, pkpo/max@k for any rewards, pkpo/zero_signal_groups (their share), pkpo/mean_abs_credit,
    pkpo/missing_rewards, pkpo/short_groups, and the number of groups behind them.

    A schedule stands where optimizer steps do. It is saved with each checkpoint, and so is the past of history. What it
    observes are the completions that are trained on: max_g@k at its largest k, the mean of rewards that are 0 or 1 as
    solve rate, and the share of the training set with a reward of 1 so far as the cumulative solve rate. Problems are
    told apart by the column `problem` of the data, or by their prompts.

    Raises:
      ValueError: k outside the transform's range at num_generations; an unknown transform, scale or policy; rewards
        that are infinite; normalize_then_sum, which has no single reward to maximise; a checkpoint of another schedule.
    """

    _tag_names = ["trl", "grpo", "pkpo"]
    _name = "PKPO"

    def __init__(
        self,
        *arguments: Any,
        k: Spec | Schedule,
        transform: str = "sloo_minus_one",
        credit_scale: Scale = "mean",
        k_eval: Sequence[int] = (),
        short: Short = "zero",
        **named: Any,
    ) -> None:
        schedule = k if isinstance(k, Schedule) else from_spec(k)
        check_settings(schedule, transform, credit_scale, short, k_eval, name_of_scale="credit_scale")
        # Only now is the model loaded, which takes minutes.
        super().__init__(*arguments, **named)
        problems = len(self.train_dataset) if isinstance(self.train_dataset, Sized) else None
        self.plan = CreditPlan(self.num_generations, schedule, transform, credit_scale, short, k_eval, problems)
        self._check_loss()

    def _check_loss(self) -> None:
        if self.multi_objective_aggregation != "sum_then_normalize":
            raise ValueError(
                "pkpo maximises one reward: multi_objective_aggregation must be sum_then_normalize; "
                f"got {self.multi_objective_aggregation}"
            )
        if self.plan.scale == "rms" and self.args.steps_per_generation < self.args.gradient_accumulation_steps:
            raise ValueError(
                "credit_scale='rms' needs all completions of a step at once: steps_per_generation must be at least "
                f"gradient_accumulation_steps={self.args.gradient_accumulation_steps}; "
                f"got {self.args.steps_per_generation}"
            )
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
        step = self._credited([_problem(row) for row in inputs])
        credits = torch.from_numpy(step.credits).flatten().to(output["advantages"])
        first = self.accelerator.process_index * len(inputs)
        output["advantages"] = credits[first : first + len(inputs)]
        self._show(step)
        return output

    def _credited(self, problems: list[str]) -> StepCredits:
        """The credits of the groups that TRL has just scored, on all processes."""
        training = self.model.training
        size = self.num_generations if training else self.num_generations_eval
        per_function = self._gathered.detach().cpu().double()
        rewards = (per_function * self.reward_weights.cpu().double()).nansum(dim=1)
        rewards[per_function.isnan().all(dim=1)] = torch.nan
        groups = rewards.view(-1, size).numpy()
        names = gather_object(problems)[::size]
        return self.plan.train(groups, names, self.state.global_step) if training else self.plan.evaluate(groups, names)

    def _show(self, step: StepCredits) -> None:
        """The figures among TRL's metrics, and the credits in its table of completions."""
        metrics = self._metrics["train" if self.model.training else "eval"]
        for name, value in step.metrics.items():
            metrics[f"pkpo/{name}"].append(value)
        shown = self._logs["advantages"]
        for _ in range(min(len(shown), step.credits.size)):
            shown.pop()
        shown.extend(step.credits.ravel().tolist())

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self.args.should_save:
            folder = Path(self._get_output_dir(trial=trial)) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
            (folder / SAVED).write_text(json.dumps(self.plan.saved()))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            saved = Path(checkpoint) / SAVED
            if not saved.exists():
                raise ValueError(f"{checkpoint} holds no {SAVED}: it is no checkpoint of PKPOTrainer")
            self.plan.resume(json.loads(saved.read_text()))


def _problem(row: Mapping[str, Any]) -> str:
    """The name of a row's problem: its column `problem`, or a digest of its prompt."""
    if "problem" in row:
        return str(row["problem"])
    return hashlib.sha256(json.dumps(row.get("prompt"), sort_keys=True, default=str).encode()).hexdigest()[:16]
