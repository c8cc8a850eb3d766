"""The supervised phase of a model made on the spot: it learns to write answers such as its problems have."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch

from app.jobs.specs.training import Teaching
from pkpo.problems import Problem
from workers.training.models import Policy
from workers.training.problems import Problems, UnsuitableProblems, fresh

TOLD_EVERY: Final = 10.0  # seconds
IGNORED: Final = -100  # what cross entropy leaves out


class Stopped(Exception):
    """It was asked to end before the model had learned; the next time it is taught from the beginning."""


def teach(
    policy: Policy,
    teaching: Teaching,
    problems: Problems,
    seed: int,
    say: Callable[[str], None],
    stops: Callable[[], bool],
) -> None:
    """Train the model on answers, with the loss on their tokens alone. The same arguments teach the same.

    Raises:
      Stopped: `stops` said so, which is asked before every step.
    """
    texts = _texts(teaching, problems)
    encoded = [_encoded(policy.tokenizer, each.prompt, str(each.answer)) for each in texts]
    say(f"The model is taught {teaching.steps} steps of {teaching.batch} answers, from {len(encoded)} problems")
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=teaching.lr, weight_decay=0.01, betas=(0.9, 0.95))
    policy.model.train()
    told = time.monotonic()
    for step in range(teaching.steps):
        if stops():
            raise Stopped
        for group in optimizer.param_groups:
            group["lr"] = teaching.lr * _share(step, teaching.steps)
        chosen = torch.randint(len(encoded), (teaching.batch,), generator=generator).tolist()
        loss = _loss(policy, [encoded[i] for i in chosen])
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(policy.model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if time.monotonic() - told > TOLD_EVERY:
            told = time.monotonic()
            say(f"taught {step + 1} of {teaching.steps} steps, loss {loss.item():.4f}")


def _texts(teaching: Teaching, problems: Problems) -> Sequence[Problem]:
    found = [each for each in problems.training if each.answer]
    if teaching.problems:
        found += [each for each in fresh(problems, teaching.problems) if each.answer]
    if not found:
        raise UnsuitableProblems("None of the problems has an answer that the model could be taught.")
    return found


def _share(step: int, steps: int) -> float:
    """Of the highest rate: up in the first twentieth, then down half a cosine."""
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _encoded(tokenizer: Any, prompt: str, answer: str) -> tuple[list[int], list[int]]:
    asked = tokenizer(prompt)["input_ids"]
    answered = [*tokenizer(answer)["input_ids"], tokenizer.eos_token_id]
    return asked + answered, [IGNORED] * len(asked) + answered


def _loss(policy: Policy, batch: Sequence[tuple[list[int], list[int]]]) -> torch.Tensor:
    """Cross entropy of the answers' tokens, a mean over them. Padded on the right, where nothing looks."""
    width = max(len(ids) for ids, _ in batch)
    pad = policy.tokenizer.pad_token_id
    ids = torch.tensor([tokens + [pad] * (width - len(tokens)) for tokens, _ in batch])
    labels = torch.tensor([tokens + [IGNORED] * (width - len(tokens)) for _, tokens in batch])
    logits = policy.model(input_ids=ids).logits[:, :-1]
    loss: torch.Tensor = torch.nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1), ignore_index=IGNORED
    )
    return loss
