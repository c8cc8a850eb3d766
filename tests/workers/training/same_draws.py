"""Trains with completions that depend on no process: `python -m tests.workers.training.same_draws FOLDER PROCESSES`.

Each is drawn by a seed of its own, made of the step and of its place in it, where TRL draws from one generator for each
process. All else is the training as jobs have it.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from workers.training import launch, leave_vllm_out

STEPS = 6


def by_place(trainer: Any, prompts: list[list[int]], *_: Any) -> tuple[list[list[int]], None]:
    """The completions of this process, in the place of TRL's `_generate_single_turn`."""
    from workers.training import drawing
    from workers.training.models import Policy

    policy = Policy(trainer.accelerator.unwrap_model(trainer.model), trainer.processing_class)
    width = max(map(len, prompts))
    left = [width - len(each) for each in prompts]
    pad = policy.tokenizer.pad_token_id
    ids = torch.tensor([[pad] * lacking + each for lacking, each in zip(left, prompts, strict=True)])
    mask = torch.tensor([[0] * lacking + [1] * (width - lacking) for lacking in left])
    first = 1000 * trainer.state.global_step + PartialState().process_index * len(prompts)
    uniform = torch.stack([drawing._uniform(first + i, trainer.max_completion_length) for i in range(len(prompts))])
    with torch.no_grad():
        return drawing._tokens(policy, ids, mask, uniform, trainer.temperature)[0], None


def told() -> Any:
    """A training of six steps of a model that solves some of the problems."""
    from tests.workers.training import small

    model = small.TINY | {"teach": {"steps": 150, "batch": 16, "lr": 0.01}}
    return small.spec(model=model, steps=STEPS, evaluate_every=100, checkpoint_every=100, micro_batch=2)


def main(folder: Path, processes: int) -> None:
    """Train in so many processes; 0 in one of several that there are already."""
    leave_vllm_out()
    from tests.workers.training import small
    from workers.training.trainer import JobTrainer

    JobTrainer._generate_single_turn = by_place
    command = [sys.executable, "-m", "tests.workers.training.same_draws", str(folder), "0"]
    with launch.beside(command, max(processes, 1), print, print):
        _, follower = small.trained(folder, told())
    if processes:
        print(json.dumps([[group.rewards for group in each.groups] for each in follower.records]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
