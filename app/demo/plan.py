"""The demo as data: its problem sets, its jobs, and which of them waits for which."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

from app.jobs.specs import Queue

Size = Literal["full", "small"]
Study = Literal["compare", "anneal"]
PartName = Literal["taught", "k1", "k8", "8-to-1"]

TAG: Final = "demo"  # of the runs that are the demo's
STUDIES: Final[Mapping[Study, tuple[PartName, ...]]] = {
    "compare": ("taught", "k1", "k8"),
    "anneal": ("taught", "8-to-1"),
}
# Countdown with three numbers, small enough that each problem has few ways and a model of a million weights learns it.
TASK: Final = "countdown"
CONFIG: Final[Mapping[str, Any]] = {
    "min_numbers": 3,
    "max_numbers": 3,
    "min_value": 1,
    "max_value": 15,
    "min_target": 1,
    "max_target": 100,
    "operators": ["+", "-", "*"],
}
TRAINING_SEED: Final = 1_000_000  # reasoning-gym's problem i of seed s is its problem 0 of seed s + i: keep them apart
HELD_OUT_SEED: Final = 2
KS: Final = (1, 2, 4, 8, 12, 16)


@dataclass(frozen=True)
class Scale:
    """How much of everything a demo of a size has."""

    suffix: str
    """Of the names of its runs and problem sets."""
    made: int
    """Problems that are made to train on; equal ones and those that are held out are left out."""
    held_out: int
    model: Mapping[str, Any]
    steps: int
    evaluate_every: int
    problems_per_step: int
    n: int
    micro_batch: int
    minutes: int
    """About how long the comparison takes on two cores."""


SCALES: Final[Mapping[Size, Scale]] = {
    "full": Scale(
        suffix="",
        made=24_000,
        held_out=800,
        # Heads of 32, for vLLM on a processor takes none of 24.
        # Taught for so short that much is left to be found: after 1500 steps pass@16 is .96, and no k could raise it.
        model={"hidden": 96, "layers": 3, "heads": 3, "teach": {"steps": 350, "batch": 64, "lr": 2e-3}},
        steps=400,
        evaluate_every=100,
        problems_per_step=32,
        n=16,
        micro_batch=256,
        minutes=15,
    ),
    # To see every part at work, not an effect.
    "small": Scale(
        suffix="-small",
        made=240,
        held_out=16,
        model={"hidden": 32, "layers": 1, "heads": 1, "teach": {"steps": 60, "batch": 32, "lr": 3e-3}},
        steps=4,
        evaluate_every=2,
        problems_per_step=4,
        n=16,
        micro_batch=64,
        minutes=1,
    ),
}
OBJECTIVES: Final[Mapping[PartName, Any]] = {
    "k1": 1,
    "k8": 8,
    "8-to-1": {"schedule": "linear", "from": 8, "to": 1},
}


@dataclass(frozen=True)
class Demo:
    """A demo of a size, with the seed of its model and its trainings."""

    size: Size = "full"
    seed: int = 0

    @property
    def scale(self) -> Scale:
        """How much of everything it has."""
        return SCALES[self.size]

    @property
    def problem_set(self) -> str:
        """The problems to learn from."""
        return f"countdown-3{self.scale.suffix}@1"

    @property
    def held_out(self) -> str:
        """The problems that curves are drawn of."""
        return f"countdown-3{self.scale.suffix}.held-out@1"

    def run(self, part: PartName) -> str:
        """The name of a part's run."""
        return f"demo-{part}{self.scale.suffix}-seed-{self.seed}"

    def spec(self, part: PartName, checkpoints: Path) -> dict[str, Any]:
        """The training job of a part, whose runs leave checkpoints in the project's folder."""
        scale = self.scale
        common: dict[str, Any] = {
            "run": self.run(part),
            "seeds": [self.seed],
            "problem_set": self.problem_set,
            "held_out": self.held_out,
            "verifier": "reasoning-gym@1",
            "n": scale.n,
            "k_eval": list(KS),
            "generation": {"max_tokens": 16},
        }
        if part == "taught":
            model = {"init": "tiny", "seed": self.seed, **scale.model}
            return common | {"model": model, "problems_per_step": 1, "k": 1, "steps": 0}
        return common | {
            "model": str(checkpoints / self.run("taught") / "step-000000000"),
            "problems_per_step": scale.problems_per_step,
            "micro_batch": scale.micro_batch,
            "transform": "sloo_minus_one",
            "k": _objective(part, scale.steps),
            "credit_scale": "rms",
            "steps": scale.steps,
            "evaluate_every": scale.evaluate_every,
            "checkpoint_every": scale.evaluate_every,
            "optimizer": {"lr": 2e-4, "schedule": "linear"},
        }

    @classmethod
    def of_run(cls, name: str) -> tuple[Self, PartName] | None:
        """The demo and the part that a run of this name is; None where no demo has such a run."""
        found = re.fullmatch(r"demo-(taught|k1|k8|8-to-1)(-small)?-seed-(0|[1-9][0-9]{0,9})", name)
        if found is None or int(found[3]) >= 2**32:
            return None
        part: Any = found[1]
        return cls("small" if found[2] else "full", int(found[3])), part


def queue_of(part: PartName) -> Queue | None:
    """Where a part waits: a worker takes one job from each queue at a time, so that k = 1 and k = 8 train side by side.

    None is the queue of all trainings.
    """
    return "cpu" if part == "k1" else None


def _objective(part: PartName, steps: int) -> Any:
    k = OBJECTIVES[part]
    return k | {"over": steps} if isinstance(k, dict) else k
