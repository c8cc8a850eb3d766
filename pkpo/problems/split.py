"""A set of problems in two: one to train on, one held out."""

from collections.abc import Sequence
from hashlib import sha256

from pkpo.problems.problem import Problem, ProblemsError


def parts_of(problems: Sequence[Problem], share: float, seed: int) -> tuple[list[Problem], list[Problem]]:
    """The share of the problems, rounded to a whole number of them, and the others, each in their order.

    Which ones is drawn by the seed and the names alone, so the order of a file does not matter.

    Raises:
      ProblemsError: one of the parts would be empty.
    """
    first = round(share * len(problems))
    if not 0 < first < len(problems):
        raise ProblemsError(f"a split of {len(problems)} problems at {share:g} leaves one part empty")
    ranked = sorted(problems, key=lambda problem: sha256(f"{seed}:{problem.name}".encode()).digest())
    chosen = {problem.name for problem in ranked[:first]}
    return [each for each in problems if each.name in chosen], [each for each in problems if each.name not in chosen]
