"""The problems of a training: those to learn from and those held out, which never meet."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from datasets import Dataset

from app.problem_sets.held_out import split as held_out_split
from pkpo.problems import Problem, procedural

FRESH_SEED: Final = 1_000_003  # of problems made to be taught, and of no set


class UnsuitableProblems(ValueError):
    """Problems with which no training can be had; the sentence says why."""


@dataclass(frozen=True)
class Problems:
    """What is trained on, and what checkpoints are evaluated on."""

    training: Sequence[Problem]
    held_out: Sequence[Problem] = ()


def split(problems: Sequence[Problem], held_out: float) -> Problems:
    """The problems in two, by their names alone; where two have one prompt, the later one is left out.

    Raises:
      UnsuitableProblems: one of the parts would be empty.
    """
    try:
        training, out = held_out_split(problems, held_out)
    except ValueError as error:
        raise UnsuitableProblems(f"{error}.") from error
    return Problems(training, out)


def check(problems: Problems, problems_per_step: int) -> None:
    """Raise UnsuitableProblems where a step has too few problems, one has no prompt, or the two parts meet."""
    if len(problems.training) < problems_per_step:
        raise UnsuitableProblems(
            f"A step takes problems_per_step = {problems_per_step} different problems; there are "
            f"{len(problems.training)} to train on."
        )
    for part, found in (("trained on", problems.training), ("held out", problems.held_out)):
        if empty := [each.name for each in found if not each.prompt]:
            raise UnsuitableProblems(
                f"Of the problems that are {part} {len(empty)} have no prompt, {empty[0]!r} among them: send prompts."
            )
    prompts = {each.prompt: each.name for each in problems.training}
    for each in problems.held_out:
        if each.prompt in prompts:
            raise UnsuitableProblems(
                f"The held-out problem {each.name!r} is also trained on, as {prompts[each.prompt]!r}: what it measures "
                "would have been learned by heart."
            )


def rows(problems: Sequence[Problem], steps: int, problems_per_step: int, seed: int, chat: bool) -> Any:
    """A data set of TRL's with the problems of all steps, one after the other: the step is the cursor.

    A step has different problems: what is left of an order at its end, and is less than a step, is left out.
    """
    whole = len(problems) // problems_per_step * problems_per_step
    generator = np.random.default_rng(seed)
    needed = max(steps, 1) * problems_per_step
    orders = [generator.permutation(len(problems))[:whole] for _ in range(-(-needed // whole))]
    prompt: Callable[[str], Any] = (lambda text: [{"role": "user", "content": text}]) if chat else (lambda text: text)
    data = Dataset.from_dict(
        {"prompt": [prompt(each.prompt) for each in problems], "problem": [each.name for each in problems]}
    )
    return data.select(np.concatenate(orders)[:needed])


def fresh(problems: Problems, count: int) -> Iterator[Problem]:
    """Other problems of the kind that these are, which are not held out; UnsuitableProblems where nobody knows how."""
    made = problems.training[0].metadata.get("reasoning_gym")
    if not isinstance(made, dict):
        raise UnsuitableProblems("Only of problems that reasoning-gym made can fresh ones be had: leave out problems.")
    held_out = {each.prompt for each in problems.held_out}
    for each in procedural.problems(made["task"], count, FRESH_SEED, made["config"]):
        if each.prompt not in held_out:
            yield each
