"""Completions of the policy that is being trained, in batches, each drawn by its own seed.

No generator of the process is used, so that a training with evaluations in it is the same as one without.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import torch

from app.jobs.specs.training import Generation
from workers.sampling import Request, Sample
from workers.training.models import Policy

BATCH: Final = 256  # completions at once


def drawn(policy: Policy, generation: Generation, requests: Sequence[Request]) -> Iterator[Sample]:
    """The completions, in the order of the requests."""
    was_training = policy.model.training
    policy.model.eval()
    try:
        for first in range(0, len(requests), BATCH):
            yield from _batch(policy, generation, requests[first : first + BATCH])
    finally:
        policy.model.train(was_training)


@torch.inference_mode()
def _batch(policy: Policy, generation: Generation, requests: Sequence[Request]) -> list[Sample]:
    prompts = [prompt_ids(policy.tokenizer, request.prompt, generation.prompt) for request in requests]
    device = policy.model.device
    width = max(map(len, prompts))
    padding = [width - len(ids) for ids in prompts]
    pad = policy.tokenizer.pad_token_id
    ids = torch.tensor([[pad] * left + ids for left, ids in zip(padding, prompts, strict=True)], device=device)
    mask = torch.tensor([[0] * left + [1] * (width - left) for left in padding], device=device)
    uniform = torch.stack([_uniform(request.seed, generation.max_tokens) for request in requests]).to(device)
    tokens, logprobs = _tokens(policy, ids, mask, uniform, generation.temperature)
    return [
        _sample(policy, request, len(asked), completion, logprob)
        for request, asked, completion, logprob in zip(requests, prompts, tokens, logprobs, strict=True)
    ]


def prompt_ids(tokenizer: Any, prompt: str, kind: str) -> list[int]:
    """The tokens of a prompt, as it stands or by the chat template."""
    if kind == "chat":
        message = [{"role": "user", "content": prompt}]
        return list(tokenizer.apply_chat_template(message, add_generation_prompt=True, return_dict=False))
    return list(tokenizer(prompt)["input_ids"])


def _uniform(seed: int, count: int) -> torch.Tensor:
    return torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _tokens(
    policy: Policy, ids: torch.Tensor, mask: torch.Tensor, uniform: torch.Tensor, temperature: float
) -> tuple[list[list[int]], list[float]]:
    """Of each row the tokens drawn, the end among them, and the sum of their log-probabilities without temperature."""
    ends = torch.tensor(sorted(end_tokens(policy)), device=ids.device)
    rows = len(ids)
    going = torch.ones(rows, dtype=torch.bool, device=ids.device)
    logprobs = torch.zeros(rows, dtype=torch.float64, device=ids.device)
    drawn_tokens: list[list[int]] = [[] for _ in range(rows)]
    cache, following = None, ids
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    for step in range(uniform.shape[1]):
        out = policy.model(
            input_ids=following, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
        )
        cache, logits = out.past_key_values, out.logits[:, -1].double()
        cumulative = (logits / temperature).softmax(dim=-1).cumsum(dim=-1)
        # By the last entry, which rounding leaves a little off 1.
        token = torch.searchsorted(cumulative, uniform[:, step, None] * cumulative[:, -1:], right=True)[:, 0]
        token = token.clamp(max=logits.shape[-1] - 1)
        logprobs += torch.where(going, logits.log_softmax(dim=-1).gather(1, token[:, None])[:, 0], 0.0)
        for row, each in enumerate(token.tolist()):
            if going[row]:
                drawn_tokens[row].append(each)
        going = going & ~torch.isin(token, ends)
        if not going.any():
            break
        following, positions = token[:, None], positions[:, -1:] + 1
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
    return drawn_tokens, logprobs.tolist()


def end_tokens(policy: Policy) -> set[int]:
    """The tokens that end a completion."""
    of_model = policy.model.generation_config.eos_token_id
    found = of_model if isinstance(of_model, list) else [of_model]
    return {token for token in (*found, policy.tokenizer.eos_token_id) if token is not None}


def _sample(policy: Policy, request: Request, prompt_tokens: int, tokens: list[int], logprob: float) -> Sample:
    return Sample(
        request.problem,
        request.sample_index,
        request.seed,
        text=policy.tokenizer.decode(tokens, skip_special_tokens=True),
        finish_reason="stop" if tokens[-1] in end_tokens(policy) else "length",
        prompt_tokens=prompt_tokens,
        completion_tokens=len(tokens),
        logprob=logprob,
    )
