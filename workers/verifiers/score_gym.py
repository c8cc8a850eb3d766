"""reasoning-gym's scorers, as a child process imports them."""

from typing import Any

from workers.verifiers.guard import disarm

disarm("reasoning_gym")

import reasoning_gym  # noqa: E402

disarm("reasoning_gym")


# They compare with tuples of tuples, which JSON has as lists.
BOARDS = ("arc_agi", "rearc")


def scored(task: str, answer: str, entry: dict[str, Any]) -> float:
    """The score of an answer, in [0, 1]."""
    if task in BOARDS:
        metadata = entry["metadata"]
        entry = {**entry, "metadata": {**metadata, "output": tuple(map(tuple, metadata["output"]))}}
    return min(1.0, max(0.0, float(reasoning_gym.get_score_answer_fn(task)(answer, entry))))
