"""Which problems of a set are held out of a training, where a spec names a fraction."""

from collections.abc import Sequence
from typing import Final

from pkpo.problems import Problem, parts_of

SPLIT_SEED: Final = 0  # the same for all trainings: those of a set have the same problems held out


def split(problems: Sequence[Problem], held_out: float) -> tuple[list[Problem], list[Problem]]:
    """The problems to train on and those held out, by their names alone; of two with one prompt the later is left out.

    Raises:
      ProblemsError: one of the parts would be empty.
    """
    by_prompt: dict[str, Problem] = {}
    for each in sorted(problems, key=lambda each: each.name):
        by_prompt.setdefault(each.prompt, each)
    out, training = parts_of(list(by_prompt.values()), held_out, SPLIT_SEED)
    return training, out
