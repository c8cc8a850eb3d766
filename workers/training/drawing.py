"""Completions of the policy that is being trained, in batches, each drawn by its own seed.

No generator of the process is used, so that a training with evaluations in it is the same as one without. What vLLM has
drawn is scored by the model: its log-probabilities are stored, and those of vLLM must be the same.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import torch

from app.jobs.specs.training import Generation
from workers.sampling import Request, Sample
from workers.training.models import Drawn, Policy
from workers.training.vllm_colocated import check_difference

BATCH: Final = 256  # completions at once
OF_VLLM: Final = 1024  # the same, where vLLM draws and chooses how many it works on
MOST_LOGITS: Final = 2**25  # computed at once, of 8 bytes


def drawn(policy: Policy, generation: Generation, requests: Sequence[Request]) -> Iterator[Sample]:
    """The completions, in the order of the requests; OtherWeights where vLLM has others than the model."""
    was_training = policy.model.training
    policy.model.eval()
    batch, size = (_batch, BATCH) if policy.vllm is None else (_by_vllm, OF_VLLM)
    try:
        for first in range(0, len(requests), size):
            yield from batch(policy, generation, requests[first : first + size])
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


def _by_vllm(policy: Policy, generation: Generation, requests: Sequence[Request]) -> list[Sample]:
    assert policy.vllm is not None
    prompts = [prompt_ids(policy.tokenizer, request.prompt, generation.prompt) for request in requests]
    found = policy.vllm(prompts, [request.seed for request in requests], generation)
    scored = list(_scored(policy, prompts, found, generation.temperature))
    tokens = sum(len(drawn_tokens) for drawn_tokens, _ in found)
    check_difference(f"{len(found)} completions by vLLM", sum(off for _, off in scored) / tokens)
    return [
        _sample(policy, request, len(asked), drawn_tokens, logprob)
        for request, asked, (drawn_tokens, _), (logprob, _) in zip(requests, prompts, found, scored, strict=True)
    ]


@torch.inference_mode()
def _scored(
    policy: Policy, prompts: Sequence[list[int]], found: Sequence[Drawn], temperature: float
) -> Iterator[tuple[float, float]]:
    """Of each completion the sum of its log-probabilities by the model, and of how far those of vLLM are off."""
    left, right = max(map(len, prompts)), max(len(tokens) for tokens, _ in found)
    vocabulary = policy.model.config.get_text_config().vocab_size
    rows = max(1, MOST_LOGITS // ((right + 1) * vocabulary))
    for first in range(0, len(prompts), rows):
        part = slice(first, first + rows)
        yield from _scored_at_once(policy, list(zip(prompts[part], found[part], strict=True)), left, right, temperature)


def _scored_at_once(
    policy: Policy, texts: Sequence[tuple[list[int], Drawn]], left: int, right: int, temperature: float
) -> list[tuple[float, float]]:
    pad, device = policy.tokenizer.pad_token_id, policy.model.device
    lengths = [(left - len(prompt), len(tokens)) for prompt, (tokens, _) in texts]

    def padded(values: list[float]) -> list[float]:
        return values + [0.0] * (right - len(values))

    ids = torch.tensor(
        [[pad] * (left - len(a)) + a + b + [pad] * (right - len(b)) for a, (b, _) in texts], device=device
    )
    mask = torch.tensor(
        [[0] * before + [1] * (left - before + length) + [0] * (right - length) for before, length in lengths],
        device=device,
    )
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    out = policy.model(
        input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=right + 1, use_cache=False
    )
    logits, drawn_tokens = out.logits[:, -right - 1 : -1].double(), ids[:, -right:, None]
    counts = mask[:, -right:].double()
    logprobs = logits.log_softmax(dim=-1).gather(2, drawn_tokens)[..., 0] * counts
    tempered = (logits / temperature).log_softmax(dim=-1).gather(2, drawn_tokens)[..., 0] * counts
    told = torch.tensor([padded(each) for _, (_, each) in texts], dtype=torch.float64, device=device)
    off = (tempered - told).abs()
    return list(zip(logprobs.sum(dim=1).tolist(), off.sum(dim=1).tolist(), strict=True))


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
