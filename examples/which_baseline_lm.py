"""A small language model, trained in part, whose completions of one problem have true gradients: for which_baseline.py.

A problem is a sum of three numbers, and a completion adds two of them, in an order of its own, and then the third:
`7+58+9=58+9,67+7,74.` A transformer of 0.1 million parameters learns from such lines. It stops while it still errs, and
so that problems differ in how often it solves them. What counts for a baseline is the Gram matrix of the gradients of
a problem's completions: it gives |sum_i s_i grad log p(x_i)|^2 for any credits s and any group.

It leaves out what a large model would have beside: tokenizers, dropout, precision below float32, per-token losses.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

Floats = NDArray[np.float64]

END, PAD = ".", " "
ALPHABET = "0123456789+=,." + PAD
CODE = {character: place for place, character in enumerate(ALPHABET)}
WIDTH, HEADS, LAYERS = 64, 4, 2
LONGEST = 36  # characters of a problem and its completion: 99+99+99=99+99,198+99,297.
ANSWER = re.compile(r"\d+\+\d+,\d+\+\d+,(\d+)\.")


class Problem(NamedTuple):
    """Three numbers to be added."""

    terms: tuple[int, int, int]

    @property
    def text(self) -> str:
        """What the model is given."""
        return "+".join(map(str, self.terms)) + "="

    def worked(self, order: Sequence[int]) -> str:
        """The completion that adds the terms in this order."""
        first, second, third = (self.terms[place] for place in order)
        return f"{first}+{second},{first + second}+{third},{sum(self.terms)}{END}"

    def rewards(self, completion: str) -> tuple[float, float]:
        """Whether the answer is right, 0 or 1, and how near it is: exp(-|error| / 10), or 0 without an answer."""
        found = ANSWER.fullmatch(completion)
        error = abs(int(found[1]) - sum(self.terms)) if found else np.inf
        return float(error == 0), float(np.exp(-error / 10))


def problems(random: np.random.Generator, size: int, below: Sequence[int]) -> list[Problem]:
    """Problems each of whose terms is below one of these numbers: (10, 100) gives one or two digits."""
    highest = random.choice(below, (size, 3))
    return [Problem((a, b, c)) for a, b, c in random.integers(0, highest).tolist()]


class Block(nn.Module):
    """Causal attention and a perceptron, each after a layer norm and added to what came in."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.queries_keys_values, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.perceptron = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        *batch, T, _ = x.shape
        q, k, v = self.queries_keys_values(self.before(x)).view(*batch, T, 3, HEADS, -1).unbind(-3)
        q, k, v = (each.transpose(-2, -3) for each in (q, k, v))
        later = torch.ones(T, T, dtype=torch.bool).triu(1)
        attention = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).masked_fill(later, -torch.inf).softmax(-1)
        x = x + self.out((attention @ v).transpose(-2, -3).reshape(*batch, T, WIDTH))
        mixed: Tensor = x + self.perceptron(self.between(x))
        return mixed


class LanguageModel(nn.Module):
    """Logits of the next character, shape (..., T, len(ALPHABET)), from codes of shape (..., T)."""

    def __init__(self) -> None:
        super().__init__()
        self.characters, self.places = nn.Embedding(len(ALPHABET), WIDTH), nn.Embedding(LONGEST, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, len(ALPHABET))

    def forward(self, codes: Tensor) -> Tensor:
        x = self.characters(codes) + self.places(torch.arange(codes.shape[-1]))
        logits: Tensor = self.head(self.norm(self.blocks(x)))
        return logits


def encoded(texts: Sequence[str]) -> Tensor:
    """Codes of shape (len(texts), the longest), padded at the end."""
    width = max(map(len, texts))
    return torch.tensor([[CODE[character] for character in text.ljust(width, PAD)] for text in texts])


def log_likelihood(model: nn.Module, codes: Tensor, prompt: int, weights: dict[str, Tensor] | None = None) -> Tensor:
    """log p of what follows the first `prompt` characters, padding aside, shape (...)."""
    read, following = codes[..., :-1], codes[..., 1:]
    logits = model(read) if weights is None else functional_call(model, weights, (read,))
    log_p: Tensor = logits.log_softmax(-1).gather(-1, following.unsqueeze(-1)).squeeze(-1)
    counts = (following != CODE[PAD]) & (torch.arange(following.shape[-1]) >= prompt - 1)
    return (log_p * counts).sum(-1)


def train(steps: int, seed: int, below: Sequence[int], batch: int = 128) -> Iterator[LanguageModel]:
    """The same model after every step of Adam on a batch of worked problems."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    model = LanguageModel()
    orders = list(permutations(range(3)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    warm = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 50))
    for _ in range(steps):
        drawn = zip(problems(random, batch, below), random.integers(0, len(orders), batch), strict=True)
        codes = encoded([problem.text + problem.worked(orders[order]) for problem, order in drawn])
        loss = -log_likelihood(model, codes, prompt=1).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 20.0)
        optimizer.step()
        warm.step()
        yield model


@torch.no_grad()
def completions(model: LanguageModel, problem: Problem, size: int, generator: torch.Generator) -> list[str]:
    """Independent completions at temperature 1, to the end mark or the longest length."""
    codes = encoded([problem.text] * size)
    ended = torch.zeros(size, dtype=torch.bool)
    while codes.shape[1] < LONGEST and not ended.all():
        following = torch.multinomial(model(codes)[:, -1].softmax(-1), 1, generator=generator)[:, 0]
        codes = torch.cat([codes, following.where(~ended, torch.tensor(CODE[PAD]))[:, None]], dim=1)
        ended |= following == CODE[END]
    written = ["".join(ALPHABET[code] for code in row) for row in codes[:, len(problem.text) :].tolist()]
    return [text.rstrip(PAD) for text in written]


def gradients(model: LanguageModel, problem: Problem, texts: Sequence[str]) -> Tensor:
    """grad log p of each completion by all parameters, shape (len(texts), parameters)."""
    weights = {name: each.detach() for name, each in model.named_parameters()}
    prompt = len(problem.text)

    def of_one(given: dict[str, Tensor], codes: Tensor) -> Tensor:
        return log_likelihood(model, codes, prompt, given)

    each = vmap(grad(of_one), in_dims=(None, 0))
    parts = []
    codes = encoded([problem.text + text for text in texts])
    for start in range(0, len(texts), 64):  # so many at once fit in the processor's cache
        found = each(weights, codes[start : start + 64])
        parts.append(torch.cat([found[name].flatten(1) for name in weights], dim=1))
    return torch.cat(parts)


@dataclass(frozen=True)
class Pool:
    """Independent completions of one problem: rewards, each of shape (size,), and the Gram matrix of their scores."""

    passed: Floats
    nearness: Floats
    gram: Floats
    distinct: int
    cosine: float  # mean over the pairs of completions


def pool(model: LanguageModel, problem: Problem, size: int, generator: torch.Generator) -> Pool:
    """Draws the completions and takes their gradients; a completion that came twice has the same gradient."""
    drawn = completions(model, problem, size, generator)
    distinct = sorted(set(drawn))
    place = [distinct.index(text) for text in drawn]
    found = gradients(model, problem, distinct)
    gram = (found @ found.T).double().numpy()[np.ix_(place, place)]
    passed, nearness = np.array([problem.rewards(text) for text in drawn]).T
    lengths = np.sqrt(gram.diagonal())
    cosines = gram / lengths[:, None] / lengths
    return Pool(passed, nearness, gram, len(distinct), float((cosines.sum() - size) / (size * (size - 1))))
