"""A small causal model that has been taught to answer: some of what it draws is right."""

import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import Qwen2ForCausalLM

from tests.workers.sampling.tiny import EOS, ids, save_tiny_model

CHARACTERS = string.printable[:95]  # up to the space; one token each
CONTEXT = 160
STEPS = 100


def save_taught_model(folder: Path, answers: Mapping[str, str]) -> Path:
    """The folder, with a model that has seen each prompt with its answer, and knows what answers look like."""
    save_tiny_model(folder, chat=False, characters=CHARACTERS, context=CONTEXT)
    model: Any = Qwen2ForCausalLM.from_pretrained(folder)
    torch.set_num_threads(1)  # the model is small, and more threads wait for each other where other work is done too
    tokens, targets = _examples(answers)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(STEPS):
        optimizer.zero_grad()
        logits = model(input_ids=tokens).logits[:, :-1]
        loss: Any = cross_entropy(logits.flatten(0, 1), targets[:, 1:].flatten(), ignore_index=-100)
        loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    return folder


def _examples(answers: Mapping[str, str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids, padded at the end, and the same where the answer stands, -100 elsewhere."""
    taught = [(ids(prompt, CHARACTERS), [*ids(answer, CHARACTERS), EOS]) for prompt, answer in answers.items()]
    longest = max(len(prompt) + len(answer) for prompt, answer in taught)
    tokens = torch.full((len(taught), longest), EOS)
    targets = torch.full_like(tokens, -100)
    for row, (prompt, answer) in enumerate(taught):
        tokens[row, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
        targets[row, len(prompt) : len(prompt) + len(answer)] = torch.tensor(answer)
    return tokens, targets


def logprobs_of(folder: Path, drawn: list[tuple[list[int], list[int]]]) -> list[float]:
    """The log-probability of each completion's tokens after its prompt, by forward passes over the whole texts."""
    model: Any = Qwen2ForCausalLM.from_pretrained(folder)
    longest = max(len(prompt) + len(completion) for prompt, completion in drawn)
    tokens: Any = torch.full((len(drawn), longest), EOS)
    for row, (prompt, completion) in enumerate(drawn):
        tokens[row, : len(prompt) + len(completion)] = torch.tensor(prompt + completion)
    with torch.inference_mode():
        logprobs = torch.cat([model(input_ids=part).logits.log_softmax(-1) for part in tokens.split(128)]).double()
    return [
        sum(float(logprobs[row, len(prompt) - 1 + at, token]) for at, token in enumerate(completion))
        for row, (prompt, completion) in enumerate(drawn)
    ]
