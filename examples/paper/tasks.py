"""What a policy may be trained on: a module for each task, by its name in a study's setting."""

from typing import Protocol

import arc_1d
import countdown
from torch import Tensor


class Problems(Protocol):
    """P problems with a solution of each, which a policy is taught from."""

    @property
    def prompts(self) -> Tensor:
        """Tokens, (P, T)."""

    @property
    def solutions(self) -> Tensor:
        """Tokens with their end, (P, L)."""

    def to(self, device: str) -> "Problems":
        """The same on a device."""

    def __len__(self) -> int: ...

    def passed(self, chosen: Tensor, completions: Tensor) -> Tensor:
        """Whether each completion (..., n, L) solves its problem, by place (...); bool, (..., n)."""


class Task(Protocol):
    """`numbers` is how large its problems are: the numbers of countdown, the cells of a row of arc_1d."""

    def problems(self, size: int, numbers: int, /, seed: int, held_out: bool, distinct: bool = True) -> Problems:
        """Problems of one part, from a seed; distinct where no two may be equal."""

    def prompt_length(self, numbers: int, /) -> int:
        """Tokens of a prompt."""

    def longest_completion(self, numbers: int, /) -> int:
        """Tokens of the longest completion with its end."""


TASKS: dict[str, Task] = {"countdown": countdown, "arc_1d": arc_1d}


def sequence_length(task: str, numbers: int) -> int:
    """Tokens of the longest prompt with its completion."""
    return TASKS[task].prompt_length(numbers) + TASKS[task].longest_completion(numbers)
