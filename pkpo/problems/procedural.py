"""Problems that reasoning-gym makes: as many as wanted, by task, configuration and seed, without a network.

Stojanovski et al. (2025), arXiv:2505.24760; https://github.com/open-thought/reasoning-gym.
"""

import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import fields
from difflib import get_close_matches
from importlib.metadata import version
from typing import Any

from pkpo.problems.problem import Problem, ProblemsError
from pkpo.readers.rows import shown

OWN = ("seed", "size")  # settings that every task has, and that are asked for apart
REFUSALS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def problems(task: str, size: int, seed: int, config: Mapping[str, Any]) -> Iterator[Problem]:
    """The problems 0 to size - 1 of a task, called task/seed/index; the same arguments make the same ones.

    The metadata are reasoning-gym's, as JSON, with `form`, and with the version, task, config, seed and index under
    `reasoning_gym`. `reasoning_gym.get_score_answer_fn(task)` scores an answer by them, the prompt and the answer.

    Raises:
      ProblemsError: reasoning-gym is not installed, or does not know the task or the configuration.
    """
    made = _dataset(task, size, seed, config)
    told = {"version": version("reasoning-gym"), "task": task, "config": dict(config), "seed": seed}
    for i in range(size):
        try:
            entry = made[i]
        except REFUSALS as error:
            raise _refused(task, config, error) from error
        # As the service will give them back: a tuple is a list in JSON, and a whole key a text.
        metadata = json.loads(json.dumps(entry["metadata"]))
        yield Problem(
            f"{task}/{seed}/{i}",
            entry["question"],
            answer=entry["answer"],
            metadata={**metadata, "form": "reasoning-gym@1", "reasoning_gym": told | {"index": i}},
        )


def _dataset(task: str, size: int, seed: int, config: Mapping[str, Any]) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of a library under it, when it is first compiled
            from reasoning_gym.factory import DATASETS, create_dataset
    except ModuleNotFoundError as error:
        if error.name != "reasoning_gym":
            raise
        raise ProblemsError(
            "Problems of reasoning-gym need the library: pip install reasoning-gym, or requirements/install.sh workers"
        ) from error
    if task not in DATASETS:
        near = get_close_matches(task, DATASETS, n=3) or sorted(DATASETS)
        raise ProblemsError(f"reasoning-gym has no task {shown(task)}; there are {', '.join(near)}")
    settings = [field.name for field in fields(DATASETS[task][1]) if field.name not in OWN]
    if unknown := [name for name in config if name not in settings]:
        there = ", ".join(settings) or "none"
        raise ProblemsError(f"{task} of reasoning-gym has no setting {shown(unknown[0])}; there are {there}")
    try:
        return create_dataset(task, **config, seed=seed, size=size)
    except REFUSALS as error:
        raise _refused(task, config, error) from error


def _refused(task: str, config: Mapping[str, Any], error: Exception) -> ProblemsError:
    reason = str(error) or type(error).__name__
    return ProblemsError(f"reasoning-gym cannot make {task} with the configuration {shown(dict(config))}: {reason}")
