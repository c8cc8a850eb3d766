"""Countdown as token ids: problems, solutions to teach from, and exact verification of whole batches on any device.

A problem gives 3 or 4 numbers from 1 to 25 and a target from 1 to 999; a completion uses each number once, with + - *
and parentheses. As in reasoning-gym's countdown, whose scorer the tests compare with, the target comes of a chain
((a . b) . c) . d of random operators. A number is one token, a target three digits: every prompt is equally long.
It leaves out division, and the power ** that reasoning-gym's scorer reads out of two asterisks.
"""

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from stacked import END, VOCABULARY
from torch import Tensor

Integers = NDArray[np.int64]

LARGEST, HIGHEST = 25, 999
PLUS, MINUS, TIMES, OPEN, CLOSE, DIGIT, EQUALS = 26, 27, 28, 29, 30, 31, 41  # a number is its own id
SIGNS = {PLUS: "+", MINUS: "-", TIMES: "*", OPEN: "(", CLOSE: ")"}
DEPTH = 5  # levels of parentheses that are followed, more than fit into a completion
HELD_OUT_SHARE = 16  # one in so many problems is never trained on


def prompt_length(numbers: int) -> int:
    """Tokens of a prompt: the numbers, an equals sign and three digits."""
    return numbers + 4


def longest_completion(numbers: int) -> int:
    """Tokens of the longest completion with its end: a chain has 3 numbers - 3 at most; errors have room."""
    return 2 * numbers + 4


@dataclass(frozen=True)
class Problems:
    """Problems and a solution of each: prompts (P, m + 4), solutions (P, 2 m + 4), counts (P, 26), targets (P,)."""

    prompts: Tensor
    solutions: Tensor
    counts: Tensor  # how often each number is given
    targets: Tensor

    def to(self, device: str) -> "Problems":
        """The same on a device."""
        return Problems(*(each.to(device) for each in (self.prompts, self.solutions, self.counts, self.targets)))

    def __len__(self) -> int:
        return len(self.targets)

    def passed(self, chosen: Tensor, completions: Tensor) -> Tensor:
        """Whether each completion (..., n, L) solves its problem, by place (...); bool, (..., n)."""
        shape = completions.shape[:-1]
        counts, targets = self.counts[chosen][..., None, :], self.targets[chosen][..., None]
        return passed(completions, counts.expand(*shape, -1), targets.expand(shape))


@cache
def _templates(numbers: int) -> Integers:
    """Tokens of each chain of operators, shape (3^(m - 1), 2 m + 4); -1 - i stands for the i-th number."""
    rows = []
    for signs in product((PLUS, MINUS, TIMES), repeat=numbers - 1):
        text, sums = [-1], False
        for place, sign in enumerate(signs, start=1):
            if sign == TIMES and sums:
                text = [OPEN, *text, CLOSE]
            text, sums = [*text, sign, -1 - place], sign != TIMES
        rows.append(text + [END] * (longest_completion(numbers) - len(text)))
    return np.array(rows)


def _drawn(random: np.random.Generator, size: int, numbers: int) -> tuple[Integers, Integers, Integers]:
    """Terms (size', m), chains of operators (size',) and targets (size',) of those whose target is allowed."""
    terms = random.integers(1, LARGEST + 1, (size, numbers))
    chains = random.integers(0, 3 ** (numbers - 1), size)
    values = terms[:, 0].copy()
    for place in range(1, numbers):
        sign, term = chains // 3 ** (numbers - 1 - place) % 3, terms[:, place]
        values = np.choose(sign, [values + term, values - term, values * term])
    allowed = (values >= 1) & (values <= HIGHEST)
    return terms[allowed], chains[allowed], values[allowed]


def keys(terms: Integers, targets: Integers) -> Integers:
    """What makes problems equal: the numbers in any order, and the target; shape (P,)."""
    places = 32 ** np.arange(terms.shape[1], dtype=np.int64)
    return np.asarray(np.sort(terms, axis=1) @ places * 1024 + targets)


def are_held_out(of: Integers) -> NDArray[np.bool_]:
    """Which keys belong to the held-out part, by a hash of the key (splitmix64), shape (P,)."""
    mixed = of.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray((mixed ^ (mixed >> np.uint64(31))) % np.uint64(HELD_OUT_SHARE) == 0)


def problems(size: int, numbers: int, seed: int, held_out: bool, distinct: bool = True) -> Problems:
    """Problems of one part, from a seed; distinct where no two may be equal.

    Raises:
      ValueError: where so many do not come up.
    """
    random = np.random.default_rng(seed)
    draws = 4 * size * (HELD_OUT_SHARE if held_out else 1) + 1000
    terms, chains, targets = _drawn(random, draws, numbers)
    found = keys(terms, targets)
    places = np.flatnonzero(are_held_out(found) == held_out)
    if distinct:
        places = places[np.sort(np.unique(found[places], return_index=True)[1])]
    if len(places) < size:
        raise ValueError(f"{size} problems of {numbers} numbers are asked for; {len(places)} came up")
    places = places[:size]
    return _of(terms[places], chains[places], targets[places], random)


def _of(terms: Integers, chains: Integers, targets: Integers, random: np.random.Generator) -> Problems:
    template = _templates(terms.shape[1])[chains]
    solutions = np.where(template < 0, np.take_along_axis(terms, np.maximum(-1 - template, 0), axis=1), template)
    shown = random.permuted(terms, axis=1)
    digits = DIGIT + targets[:, None] // np.array([100, 10, 1]) % 10
    prompts = np.concatenate([shown, np.full((len(terms), 1), EQUALS), digits], axis=1)
    counts = (terms[:, :, None] == np.arange(LARGEST + 1)).sum(1)
    return Problems(*map(torch.from_numpy, (prompts, solutions, counts, targets)))


def text(tokens: Tensor) -> str:
    """A completion as reasoning-gym reads it, to its end; an id that means nothing there is a question mark."""
    row = tokens.tolist()
    row = row[: row.index(END)] if END in row else row
    return " ".join(str(token) if 1 <= token <= LARGEST else SIGNS.get(token, "?") for token in row)


def values(completions: Tensor) -> tuple[Tensor, Tensor]:
    """The value of each expression and whether it is one, both of shape (B,), of completions of shape (B, L).

    A machine with a stack that reads all rows at once: at each level of parentheses it has the sum so far and the
    product that is being made, sign included, as in Python's grammar of + - * and parentheses.
    """
    B = len(completions)
    sums = torch.zeros(B, DEPTH, dtype=torch.int64, device=completions.device)
    products = torch.ones_like(sums)
    level = torch.zeros_like(completions[:, 0])
    result = torch.zeros_like(level)
    wants = torch.ones_like(level, dtype=torch.bool)  # an operand, or else an operator
    sound, ended = torch.ones_like(wants), torch.zeros_like(wants)
    for token in completions.unbind(1):
        sum_, product_ = (each.gather(1, level[:, None])[:, 0] for each in (sums, products))
        number = (token >= 1) & (token <= LARGEST) & wants
        signed = (token == PLUS) | (token == MINUS)
        adds, signs, times = signed & ~wants, signed & wants, (token == TIMES) & ~wants
        opens, closes = (token == OPEN) & wants & (level < DEPTH - 1), (token == CLOSE) & ~wants & (level > 0)
        ends = (token == END) & ~wants & (level == 0) & ~ended
        sound &= number | signed | times | opens | closes | ends | ended
        result = torch.where(ends, sum_ + product_, result)
        ended |= ends
        level = level + opens.long() - closes.long()
        sign = torch.where(token == MINUS, -1, 1)
        below_sum, below_product = (each.gather(1, level[:, None])[:, 0] for each in (sums, products))
        new_sum = torch.where(adds, sum_ + product_, torch.where(closes, below_sum, sum_)) * ~opens
        new_product = torch.where(number, product_ * token, torch.where(adds, sign, product_))
        new_product = torch.where(signs, product_ * sign, new_product)
        new_product = torch.where(closes, below_product * (sum_ + product_), new_product)
        new_product = torch.where(opens, 1, new_product)
        sums.scatter_(1, level[:, None], new_sum[:, None])
        products.scatter_(1, level[:, None], new_product[:, None])
        wants = torch.where(number | closes, False, wants | adds | times)
    return result, sound & ended


def passed(completions: Tensor, counts: Tensor, targets: Tensor) -> Tensor:
    """Whether each completion (..., L) solves its problem: counts (..., 26), targets (...); bool, shape (...)."""
    flat = completions.reshape(-1, completions.shape[-1])
    used = torch.zeros(len(flat), VOCABULARY, dtype=torch.int64, device=flat.device)
    used.scatter_add_(1, flat, torch.ones_like(flat))
    value, sound = values(flat)
    same = (used[:, 1 : LARGEST + 1] == counts.reshape(-1, LARGEST + 1)[:, 1:]).all(1)
    return (sound & same & (value == targets.reshape(-1))).reshape(completions.shape[:-1])
