"""arc_1d of reasoning-gym as token ids: examples of a rule on rows of cells, a row that it is to be applied to.

A rule is one of 70, such as a move by two cells, gravity, or a recolouring by size. A prompt has three rows with what
the rule makes of each and one row more; a solution is what it makes of that. A cell is a token, so that all prompts of
one width are equally long. reasoning-gym's own answers are the solutions; the tests compare with its scorer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from reasoning_gym.arc.arc_1d import Arc1DConfig, Arc1DDataset
from stacked import END
from torch import Tensor

EXAMPLES = 3
COLOURS = 10
CELL, ARROW, ROW = 1, 11, 12  # a cell of colour c is CELL + c
HELD_OUT_SHARE = 16  # one in so many problems is never trained on
FAR = 10_000_000  # reasoning-gym's seeds count problems: those of two seeds of ours must not meet


def prompt_length(cells: int) -> int:
    """Tokens of a prompt: of each example two rows and two signs, then a row and a sign."""
    return EXAMPLES * 2 * (cells + 1) + cells + 1


def longest_completion(cells: int) -> int:
    """Tokens of a completion: a row and its end."""
    return cells + 1


@dataclass(frozen=True)
class Problems:
    """Problems and the solution of each: prompts (P, 7 cells + 7), solutions (P, cells + 1)."""

    prompts: Tensor
    solutions: Tensor

    def to(self, device: str) -> "Problems":
        """The same on a device."""
        return Problems(self.prompts.to(device), self.solutions.to(device))

    def __len__(self) -> int:
        return len(self.prompts)

    def passed(self, chosen: Tensor, completions: Tensor) -> Tensor:
        """Whether each completion (..., n, L) is the solution of its problem, by place (...); bool, (..., n)."""
        return (completions == self.solutions[chosen][..., None, :]).all(-1)


def problems(size: int, cells: int, seed: int, held_out: bool, distinct: bool = True) -> Problems:
    """Problems of one part, from a seed; distinct where no two may be equal."""
    found: dict[Any, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
    for place, (prompt, solution) in enumerate(_drawn(cells, seed)):
        digest = blake2b(prompt.tobytes(), digest_size=8).digest()
        if (int.from_bytes(digest) % HELD_OUT_SHARE == 0) == held_out:
            found.setdefault(digest if distinct else place, (prompt, solution))
        if len(found) == size:
            break
    prompts, solutions = zip(*found.values(), strict=True)
    return Problems(torch.from_numpy(np.stack(prompts)), torch.from_numpy(np.stack(solutions)))


def text(tokens: Tensor) -> str:
    """A completion as reasoning-gym reads it, to its end; what is no cell is a question mark."""
    row = tokens.tolist()
    row = row[: row.index(END)] if END in row else row
    return " ".join(str(token - CELL) if CELL <= token < CELL + COLOURS else "?" for token in row)


def _drawn(cells: int, seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Prompts and solutions without end."""
    config = Arc1DConfig(min_size=cells, max_size=cells, num_train=EXAMPLES, seed=seed * FAR, size=FAR)
    for item in Arc1DDataset(config):
        known, asked = item["metadata"]["train_examples"], item["metadata"]["test_example"]
        shown = chain.from_iterable([*_row(each["input"]), ARROW, *_row(each["output"]), ROW] for each in known)
        prompt = [*shown, *_row(asked["input"]), ARROW]
        yield np.array(prompt), np.array([*_row(asked["output"]), END])


def _row(colours: list[int]) -> list[int]:
    return [CELL + colour for colour in colours]
