"""A training small enough for seconds: sums, a model of 5,000 parameters, and a follower that keeps all in a list."""

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from app.jobs.specs.training import TrainingSpec
from pkpo.problems import Problem
from workers.training.checkpoints import Checkpoint
from workers.training.follower import Follower
from workers.training.loop import Training, train
from workers.training.models import Policy
from workers.training.problems import Problems, split
from workers.training.records import StepRecord
from workers.training.rewards import Rewards
from workers.verifiers import verifier

torch.set_num_threads(1)

SUMS = [Problem(f"{a}+{b}", f"{a}+{b}=", answer=str(a + b)) for a in range(6) for b in range(6)]
TINY = {"init": "tiny", "hidden": 16, "layers": 1, "heads": 2, "teach": {"steps": 30, "batch": 16}}


def spec(**more: Any) -> TrainingSpec:
    """A training of eight steps."""
    told = {
        "run": "sums",
        "model": TINY,
        "problem_set": "sums",
        "verifier": "exact-match",
        "n": 4,
        "problems_per_step": 4,
        "k": 2,
        "steps": 8,
        "evaluate_every": 4,
        "checkpoint_every": 2,
        "optimizer": {"lr": 0.01, "schedule": "linear"},
        "generation": {"max_tokens": 4},
    }
    found: TrainingSpec = TypeAdapter(TrainingSpec).validate_python(told | more)
    return found


class Listening(Follower):
    """Keeps what it is told; says stop after the step `stop_after`, and from the evaluation of `stop_in` on.

    `values` are those of evaluations by step.
    """

    def __init__(
        self, stop_after: int | None = None, stop_in: int | None = None, values: Mapping[int, float] | None = None
    ) -> None:
        self.records: list[StepRecord] = []
        self.evaluated: list[int] = []
        self.lines: list[str] = []
        self._stop_after, self._stop_in, self._values = stop_after, stop_in, values or {}

    def begins(self, step: int) -> None:
        self.lines.append(f"begins after {step}")

    def recorded(self, record: StepRecord) -> None:
        self.records.append(record)

    def commit(self, step: int) -> AbstractContextManager[Any]:
        return nullcontext()

    def evaluate(self, checkpoint: Checkpoint, policy: Policy) -> float | None:
        self.evaluated.append(checkpoint.step)
        return self._values.get(checkpoint.step)

    def stops(self) -> bool:
        return self._stop_in in self.evaluated or (bool(self.records) and self.records[-1].step == self._stop_after)

    def say(self, line: str) -> None:
        self.lines.append(line)


@contextmanager
def training(folder: Path, told: TrainingSpec, problems: Problems | None = None) -> Iterator[Training]:
    """The training of a spec on three quarters of the sums, ready to go."""
    problems = problems or split(SUMS, 0.25)
    with verifier(told.verifier, told.verifier_options) as judge:
        rewards = Rewards(judge, {each.name: each for each in (*problems.training, *problems.held_out)})
        yield Training(told, 0, problems, rewards, folder)
        rewards.close()


def trained(
    folder: Path, told: TrainingSpec, *, problems: Problems | None = None, **follows: Any
) -> tuple[Checkpoint, Listening]:
    """The last checkpoint, and what was told on the way to a follower that is made with the rest."""
    follower = Listening(**follows)
    with training(folder, told, problems) as ready:
        return train(ready, follower), follower


def weights(checkpoint: Checkpoint) -> bytes:
    return (checkpoint.folder / "model.safetensors").read_bytes()


def state(checkpoint: Checkpoint) -> Any:
    return json.loads((checkpoint.state / "state.json").read_text())
