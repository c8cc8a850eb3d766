"""Trains a second model on what a trainer was trained on, with credits worked out over all subsets of each group."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch

from tests.pkpo import exact
from tests.pkpo.integrations.tiny_trl import LEARNING_RATE, LENGTH

Batch = dict[str, torch.Tensor]
CLIP = 0.2


def credited(step: Sequence[Batch], reward: Callable[[str], float | None], decode: Any, name: str, k: int) -> None:
    """Put into each batch of a generation step the credits times n, by the definition, of its rows."""
    groups: dict[tuple[int, ...], list[tuple[torch.Tensor, int, float]]] = defaultdict(list)
    for batch in step:
        batch["credits"] = torch.zeros(len(batch["prompt_ids"]))
        rows = zip(batch["prompt_ids"], batch["completion_ids"], batch["completion_mask"], strict=True)
        for row, (prompt, completion, mask) in enumerate(rows):
            value = reward(decode(completion[mask.bool()], skip_special_tokens=True))
            if value is not None:
                # TRL holds rewards in float32.
                groups[tuple(prompt.tolist())].append((batch["credits"], row, float(torch.tensor(value))))
    for members in groups.values():
        n = len(members)
        for (credits, row, _), credit in zip(
            members, exact.TRANSFORMS[name](exact.group_of(value for _, _, value in members), k), strict=True
        ):
            credits[row] = float(credit * n)


def log_probabilities(model: Any, batch: Batch) -> torch.Tensor:
    """Of each token of each completion, shape (rows, tokens)."""
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    logits = model(input_ids=ids, attention_mask=mask).logits
    first = batch["prompt_ids"].shape[1]
    every = logits[:, first - 1 : -1].log_softmax(dim=-1)
    chosen: torch.Tensor = every.gather(2, batch["completion_ids"][:, :, None])[:, :, 0]
    return chosen


def loss(model: Any, batch: Batch) -> torch.Tensor:
    """The clipped surrogate: a sum over tokens, over the longest that a completion may be, a mean over completions."""
    now = log_probabilities(model, batch)
    ratio = (now - batch.get("old", now.detach())).exp()
    credits = batch["credits"][:, None]
    gain = torch.minimum(ratio * credits, ratio.clamp(1 - CLIP, 1 + CLIP) * credits)
    return -(gain * batch["completion_mask"]).sum() / (len(credits) * LENGTH)


def learn(model: Any, step: Sequence[Batch]) -> None:
    """One step of gradient descent on the mean loss of the micro-batches."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    total = torch.stack([loss(model, batch) for batch in step]).mean()
    gradients = torch.autograd.grad(total, parameters)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= LEARNING_RATE * gradient
