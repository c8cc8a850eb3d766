"""A training from its first step, or from its last checkpoint, to its end."""

import hashlib
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import PrinterCallback, TrainerCallback

from app.ingest.canonical import canonical_json
from app.jobs.options.models import ModelRefused
from app.jobs.specs.training import TinyModel, TrainingSpec
from workers.sampling import Request
from workers.sampling.engine import Model
from workers.sampling.models import resolved_model
from workers.training import memory, ranks
from workers.training.checkpoints import Checkpoint, Checkpoints
from workers.training.configuration import quiet, trl_config
from workers.training.drawing import drawn, prompt_ids
from workers.training.follower import Follower, Silent
from workers.training.missing import MissingRewards
from workers.training.models import Policy, initial, merged, skeleton, with_adapter
from workers.training.origins import ORIGIN, origin
from workers.training.plans import plan
from workers.training.problems import Problems, rows
from workers.training.records import StepRecord, Tally
from workers.training.rewards import Rewards
from workers.training.teaching import teach
from workers.training.trainer import JobTrainer
from workers.training.vllm_colocated import check_heads, serve_from
from workers.training.vllm_server import draw_from, folder_for_weights

ADAPTER: Final = "adapter.safetensors"
REFERENCE: Final = "reference"
CHECKED: Final = 8  # completions by vLLM before the first step, whose log-probabilities must be the model's
ENDLESS: Final = 100_000  # steps at most, where a training ends when it is saturated
BYTES_OF_A_WEIGHT: Final = 12  # in a checkpoint: itself, and two moments of AdamW
LIBRARIES: Final = ("torch", "transformers", "trl", "accelerate", "numpy")


@dataclass(frozen=True)
class Training:
    """One seed of a spec."""

    spec: TrainingSpec
    seed: int
    problems: Problems
    rewards: Rewards
    folder: Path  # of its checkpoints
    roots: Sequence[Path] = ()  # under which models may lie

    @property
    def config(self) -> str:
        """The hash of all that decides what is computed: the spec with this seed alone, and the problems."""
        decides_nothing: dict[str, Any] = {"seeds": True, "run": True, "keep": True, "processes": True}
        decides_nothing["generation"] = {"base_url"}
        told = self.spec.model_dump(mode="json", exclude=decides_nothing) | {"seed": self.seed}
        told["problems"] = [[each.name, each.prompt] for each in self.problems.training]
        return hashlib.sha256(canonical_json(told).encode()).hexdigest()

    @property
    def steps(self) -> int:
        """At most."""
        return ENDLESS if self.spec.steps is None else self.spec.steps


def train(training: Training, follower: Follower) -> Checkpoint:
    """The last checkpoint, at the end of the training or where the follower stopped it.

    Raises:
      ModelRefused, UnsuitableProblems: nothing can be trained so.
      NoRoom, OtherTraining: as `Checkpoints`.
      TooLittleMemory: what a step needs is more than there is.
      Stopped: the follower stopped it while the model was taught.
    """
    quiet(ranks.count())
    return _Run(training, follower).go()


class _Run:
    def __init__(self, training: Training, follower: Follower) -> None:
        self.training, self.spec = training, training.spec
        self.follower = follower if ranks.is_first() else Silent()
        self.checkpoints = Checkpoints(training.folder, training.config, follower.say)
        self.last = ranks.of_first(self.checkpoints.latest)
        self.best: tuple[float, int] | None = _best(self.last)
        self.tally = Tally(self.spec.ks, len(training.problems.training))
        self.origin: str | None = ranks.of_first(self._check_machine)
        self.policy = self._policy()
        self.trainer: JobTrainer | None = None

    def go(self) -> Checkpoint:
        self.follower.begins(0 if self.last is None else self.last.step)
        if self.last is not None:
            self.follower.say(f"goes on from step {self.last.step}, {self.last.folder}")
        if self.training.steps == 0 or (self.last is not None and self.last.manifest.get("ended")):
            return self._only_evaluated()
        with self._trained_by() as self.trainer:
            self.trainer.add_callback(_Begin(self._begin))
            with suppress(_StopsBeforeAStep):
                self.trainer.train(resume_from_checkpoint=str(self.last.state) if self.last else None)
        assert self.last is not None
        return self.last

    def _only_evaluated(self) -> Checkpoint:
        if self.last is not None:
            self.follower.say("all steps were made before")
        self._longest_prompt()
        last = self.last or self._save(0)
        if self.spec.generation.engine == "transformers" or not self.training.problems.held_out:
            self._evaluate(last)
            return last
        with self._trained_by() as self.trainer:  # for its vLLM
            self._evaluate(last)
        return last

    @contextmanager
    def _trained_by(self) -> Iterator[JobTrainer]:
        served = folder_for_weights(self.training.folder)
        try:
            with tempfile.TemporaryDirectory(prefix="pkpo-trl-") as folder:
                trainer = self._trainer(folder, served)
                self.policy = replace(self.policy, vllm=trainer.vllm)
                yield trainer
        finally:
            shutil.rmtree(served, ignore_errors=True)

    def _check_vllm(self) -> None:
        """OtherWeights where the vLLM that is to draw has another model, or does not take over the weights."""
        assert self.trainer is not None
        self.trainer.exchange()
        problems = self.training.problems.training[:CHECKED]
        asked = [Request(each.name, each.prompt, 0, seed=i) for i, each in enumerate(problems)]
        if self.trainer.use_vllm:
            ranks.of_first(lambda: list(drawn(self.policy, self.spec.generation, asked)))

    def _begin(self) -> None:
        """What comes before the first step: a checkpoint of the policy as it is, and its evaluation."""
        self._check_vllm()
        self.last = self.last or self._save(0)
        if self.training.problems.held_out:
            self.follower.say(_kept(self.spec, self.last.bytes_of_weights))
        if self._is_evaluated(self.last.step):
            self._evaluate(self.last)
            if self._stops():  # after another step, this evaluation would never be completed
                raise _StopsBeforeAStep
        ranks.of_first(self._prune)  # of an earlier job, which may have kept more
        if self.trainer is not None:
            self.trainer.start_clock()

    def _told(self, record: StepRecord) -> bool:
        self.follower.recorded(record)
        step = record.step
        ends = self._ends(step)
        stops = self._stops()
        if ends or stops or step % self.spec.checkpoint_every == 0 or self._is_evaluated(step):
            self.last = self._save(step, ended=ends)
            if ends or (self._is_evaluated(step) and not stops):
                self._evaluate(self.last)
                stops = self._stops()
            ranks.of_first(self._prune)
        return ends or stops

    def _stops(self) -> bool:
        return ranks.of_any(self.follower.stops())

    def _prune(self) -> None:
        self.checkpoints.prune(self._keeps_weights)

    def _keeps_weights(self, checkpoint: Checkpoint) -> bool:
        """Whether the weights of a checkpoint stay when no training needs to go on from it any more."""
        if self.best is not None and checkpoint.step == self.best[1]:
            return True
        if not self.training.problems.held_out or not self._is_evaluated(checkpoint.step):
            return False
        if self.spec.keep == "evaluated":
            return True
        assert self.last is not None
        return (self.last.step - checkpoint.step) < self.spec.keep * self.spec.evaluate_every

    def _ends(self, step: int) -> bool:
        until = self.spec.until
        saturated = until is not None and step - self.tally.last_new >= until.saturated_for
        if saturated and step < self.training.steps:
            self.follower.say(f"no problem was solved for the first time in {step - self.tally.last_new} steps")
        return saturated or step >= self.training.steps

    def _is_evaluated(self, step: int) -> bool:
        return step % self.spec.evaluate_every == 0

    def _evaluate(self, checkpoint: Checkpoint) -> None:
        if self.trainer is not None:
            self.trainer.exchange()
        value = ranks.of_first(lambda: self.follower.evaluate(checkpoint, self.policy))
        if value is not None and (self.best is None or value > self.best[0]):
            self.best = value, checkpoint.step

    def _save(self, step: int, *, ended: bool = False) -> Checkpoint:
        rng = None if self.trainer is None else self.trainer.rng_of_all()
        weights = sum(parameter.numel() for parameter in self.policy.model.parameters())

        def write(folder: Path) -> dict[str, Any]:
            self._save_model(folder)
            if self.trainer is not None:
                self.trainer.save_state(folder / "training", rng)
            return {
                "ended": ended or self.training.steps == 0,
                "seed": self.training.seed,
                "best": self.best,
                ORIGIN: self.origin or "",
                "versions": {name: version(name) for name in LIBRARIES},
            }

        def save() -> Checkpoint:
            return self.checkpoints.save(
                step, write, lambda: self.follower.commit(step), estimate=BYTES_OF_A_WEIGHT * weights
            )

        return ranks.of_first(save)

    def _save_model(self, folder: Path) -> None:
        model = self.policy.model
        if self.spec.lora is not None:
            trained = {name: each.detach().cpu() for name, each in model.named_parameters() if each.requires_grad}
            save_file(trained, folder / "training" / ADAPTER)
        merged(model).save_pretrained(folder)
        self.policy.tokenizer.save_pretrained(folder)

    def _check_machine(self) -> str | None:
        """The sha256 of the model that the training began from."""
        found = origin(self.spec, self.training.roots, self.last)
        bare = skeleton(found, self.training.problems)
        if self.spec.generation.engine == "vllm-colocated":
            check_heads(bare.config)
        self.follower.say(memory.checked(self.spec, bare, ranks.count()))
        return found.sha256 if isinstance(found, Model) else None

    def _policy(self) -> Policy:
        spec, last = self.spec, self.last
        if spec.lora is not None:
            policy = self._initial()
            model = with_adapter(policy.model, spec.lora, self.training.seed)
            if last is not None:
                model.load_state_dict(load_file(last.state / ADAPTER), strict=False)
            return Policy(model, policy.tokenizer)
        if last is not None:
            return _of_checkpoint(last)
        policy = self._initial()
        # The others get the weights of the first before the first step.
        if isinstance(spec.model, TinyModel) and spec.model.teach is not None and ranks.is_first():
            told = (self.follower.say, self.follower.stops)
            teach(policy, spec.model.teach, self.training.problems, spec.model.seed, *told)
        return policy

    def _initial(self) -> Policy:
        return initial(self.spec, self.training.problems, self.training.roots)

    def _reference(self) -> Path:
        """The folder of the model that the KL is taken to: the one that the training began from."""
        if isinstance(self.spec.model, str):
            return resolved_model(self.spec.model, self.training.roots).folder
        folder = self.training.folder / REFERENCE
        if self.last is None:
            self.policy.model.save_pretrained(folder)
        return folder

    def _longest_prompt(self) -> int:
        """Tokens; ModelRefused where the model cannot read it, or has no room for it and a completion."""
        spec, problems = self.spec, self.training.problems
        if spec.generation.prompt == "chat" and self.policy.tokenizer.chat_template is None:
            raise ModelRefused('The model has no chat template; train it with generation.prompt "raw"')
        lengths = {
            each.name: len(prompt_ids(self.policy.tokenizer, each.prompt, spec.generation.prompt))
            for each in (*problems.training, *problems.held_out)
        }
        name = max(lengths, key=lambda each: lengths[each])
        room = getattr(self.policy.model.config.get_text_config(), "max_position_embeddings", math.inf)
        if lengths[name] + spec.generation.max_tokens > room:
            raise ModelRefused(
                f"The prompt of problem {name!r} has {lengths[name]} tokens: with generation.max_tokens = "
                f"{spec.generation.max_tokens} that is more than the {room} that the model can hold"
            )
        return lengths[name]

    def _trainer(self, folder: str, served: Path) -> JobTrainer:
        spec, problems = self.spec, self.training.problems.training
        longest = self._longest_prompt()
        if spec.kl > 0 and spec.lora is None:  # TRL loads its reference from there
            self.policy.model.config._name_or_path = str(ranks.of_first(self._reference))
        config = trl_config(self.spec, self.training.seed, self.training.steps, folder, longest)
        if spec.generation.engine == "vllm-colocated":
            serve_from(self.policy, Path(folder) / "served")
        elif spec.generation.base_url is not None:
            length = longest + spec.generation.max_tokens
            config.vllm_server_base_url = draw_from(spec.generation.base_url, served, length)
        data = rows(
            problems, self.training.steps, spec.problems_per_step, self.training.seed, spec.generation.prompt == "chat"
        )
        trainer = JobTrainer(
            model=self.policy.model,
            reward_funcs=self.training.rewards,
            args=config,
            train_dataset=data,
            processing_class=self.policy.tokenizer,
            k=1,  # until it follows the plan
        )
        trainer.remove_callback(PrinterCallback)
        missing = MissingRewards(self.training.rewards, self.follower.say)
        trainer.follow(plan(spec, len(problems)), self.tally, spec.method, missing, self._told)
        return trainer


class _StopsBeforeAStep(Exception):
    """The follower stopped the training before its first step."""


class _Begin(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Calls a function when everything that a step needs is there."""

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin = begin

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._begin()


def _kept(spec: TrainingSpec, weights: int) -> str:
    """What of checkpoints stays on the disk, and how much that is."""
    told = f"{weights / 1e6:.1f} MB each"
    if spec.keep == "evaluated":
        which, count = "every checkpoint that is evaluated", spec.steps and spec.steps // spec.evaluate_every + 1
    else:
        which, count = f"the last {spec.keep} checkpoints that are evaluated, and of the best", spec.keep + 1
    total = "" if count is None else f", {count * weights / 1e6:.1f} MB in all at most"
    return f"on disk stay the weights of {which}: {told}{total}, which keep decides, and the last two checkpoints whole"


def _best(last: Checkpoint | None) -> tuple[float, int] | None:
    if last is None or last.manifest.get("best") is None:
        return None
    value, step = last.manifest["best"]
    return (value, step) if (last.folder.parent / f"step-{step:09d}").is_dir() else None


def _of_checkpoint(checkpoint: Checkpoint) -> Policy:
    loading: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    model = transformers.AutoModelForCausalLM.from_pretrained(
        checkpoint.folder, use_safetensors=True, dtype=torch.float32, **loading
    )
    return Policy(model, transformers.AutoTokenizer.from_pretrained(checkpoint.folder, **loading))
