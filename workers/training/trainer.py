"""PKPOTrainer for jobs: it tells each step, times it, and goes on from checkpoints without a pickle.

Left out: TRL's own checkpoints (`optimizer.pt`, `rng_state.pth`), whose place `workers.training.checkpoints` takes, and
so FSDP and DeepSpeed, whose states it does not know.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from accelerate.utils import gather_object
from safetensors.torch import load_file, save_file
from transformers.trainer import TRAINER_STATE_NAME

from pkpo.integrations.trl import PKPOTrainer
from workers.training import states
from workers.training.missing import MissingRewards
from workers.training.models import Draw
from workers.training.plans import RecordedPlan
from workers.training.records import StepRecord, Tally, group_records
from workers.training.vllm_colocated import check_parity, draw

TENSORS: Final = "optimizer.safetensors"
STATE: Final = "state.json"
# What TRL logs, under the names that a run's metrics have here.
OF_TRL: Final = {
    "loss": "loss",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "entropy": "entropy",
    "kl": "kl",
    "sampling/sampling_logp_difference/mean": "sampling/logprob_difference",
    "completions/mean_length": "completions/mean_tokens",
    "completions/clipped_ratio": "completions/cut_off",
}
OF_PLAN: Final = {
    "k": "k",
    "zero_signal_groups": "zero_signal_share",
    "mean_abs_credit": "mean_abs_credit",
    "missing_rewards": "missing_rewards",
    "short_groups": "short_groups",
}


class JobTrainer(PKPOTrainer):
    """Takes what PKPOTrainer takes; `follow` makes it tell its steps."""

    def follow(
        self,
        plan: RecordedPlan,
        tally: Tally,
        method: str,
        missing: MissingRewards,
        told: Callable[[StepRecord], bool],
    ) -> None:
        """Make credits by this plan, and call `told` after every step; the training stops where that says so."""
        self.plan: RecordedPlan = plan
        self._missing = missing
        self._tally, self._method, self._told = tally, method, told
        self._seconds = dict.fromkeys(("sampling", "verifying", "pkpo"), 0.0)
        self._tokens = 0
        self.start_clock()

    def start_clock(self) -> None:
        """The next step begins now."""
        self._since = time.perf_counter()

    @property
    def vllm(self) -> Draw | None:
        """Draws with the vLLM of the training; None where there is none, or another process asks its server."""
        if not self.use_vllm:
            return None
        if self.vllm_mode == "colocate":
            return partial(draw, self.vllm_generation.llm)
        return self.vllm_generation.vllm_client.draw if self.accelerator.is_main_process else None

    def exchange(self) -> None:
        """Give vLLM, where it draws, the weights as they are now; every process must ask."""
        step: int = self.state.global_step
        if self.use_vllm and self._last_loaded_step != step:
            self.vllm_generation.sync_weights()
            self._last_loaded_step: int = step  # so that TRL need not do it again

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self._seconds[part] += time.perf_counter() - begun

    def _generate(self, prompts: list[Any]) -> Any:
        with self._timed("sampling"):
            made = super()._generate(prompts)
        self._tokens += sum(gather_object([len(ids) for ids in made[1]]))
        return made

    def _calculate_rewards(self, *arguments: Any) -> Any:
        with self._timed("verifying"):
            made = super()._calculate_rewards(*arguments)
        self._missing.check(self.state.global_step + 1, made)
        return made

    def _credited(self, problems: list[str]) -> Any:
        with self._timed("pkpo"):
            return super()._credited(problems)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Tell the step; what the trainer logs at its end is no step."""
        super().log(logs, start_time)
        self.state.log_history.clear()  # it would grow into every checkpoint
        if "loss" not in logs:
            return
        record = self._record(logs)
        check_parity(record)
        if self._told(record):
            self.control.should_training_stop = True
        self.start_clock()

    def _record(self, logs: dict[str, float]) -> StepRecord:
        step, plan = self.state.global_step, self.plan
        wall = time.perf_counter() - self._since
        with self._timed("pkpo"):
            figures = self._tally.add(step, plan.rewards, plan.names)
            figures |= {
                name: plan.made.metrics[theirs] for theirs, name in OF_PLAN.items() if theirs in plan.made.metrics
            }
            groups = group_records(plan.rewards, plan.made.credits, plan.names, plan.ks)
        # TRL has None for a mean over nothing.
        figures |= {
            name: float("nan") if logs[theirs] is None else logs[theirs]
            for theirs, name in OF_TRL.items()
            if theirs in logs
        }
        figures["tokens"] = float(self._tokens)
        figures |= {f"seconds/{part}": spent for part, spent in self._seconds.items()}
        figures["seconds/learning"] = max(0.0, wall - sum(self._seconds.values()))
        self._seconds = dict.fromkeys(self._seconds, 0.0)
        self._tokens = 0
        return StepRecord(step, groups, self._method, plan.scale, figures)

    def rng_of_all(self) -> list[Any]:
        """The states of the random number generators of every process, in JSON; all must ask."""
        return list(gather_object([states.rng_state()]))

    def save_state(self, folder: Path, rng: Any) -> None:
        """Write what the training needs beside the weights to go on from here."""
        tensors, groups = states.optimizer_state(self.optimizer)
        save_file(tensors, folder / TENSORS)
        state = {
            "optimizer": groups,
            "scheduler": states.scheduler_state(self.lr_scheduler),
            "rng": rng,
            "plan": self.plan.saved(),
            "tally": self._tally.saved(),
        }
        (folder / STATE).write_text(json.dumps(state))
        self.state.save_to_json(str(folder / TRAINER_STATE_NAME))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Nothing: the model was made from the checkpoint."""

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        saved = json.loads((Path(checkpoint) / STATE).read_text())
        states.load_optimizer_state(self.optimizer, load_file(Path(checkpoint) / TENSORS), saved["optimizer"])
        states.load_scheduler_state(self.lr_scheduler, saved["scheduler"])
        self.plan.resume(saved["plan"])
        self._tally.resume(saved["tally"])

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            saved = json.loads((Path(checkpoint) / STATE).read_text())["rng"]
            if len(saved) == self.accelerator.num_processes:  # others draw other completions
                states.set_rng_state(saved[self.accelerator.process_index])

    def _load_scaler(self, checkpoint: str | None) -> None:
        """Nothing: bfloat16 needs none."""
