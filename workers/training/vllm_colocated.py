"""Completions to train on by a vLLM in the training's own process, whose weights TRL exchanges before each step.

vLLM says that an exchange went well also where it did not. So what counts is that the tokens it drew are as probable
under the weights that are trained.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import torch
from pydantic import ValidationError

from app.jobs.specs.training import Generation
from workers.sampling import SamplingFailed
from workers.sampling.swappable import keep_linear_weights
from workers.training import ranks, states
from workers.training.models import Drawn, Policy, merged
from workers.training.records import StepRecord

DIFFERENCE: Final = "sampling/logprob_difference"
MOST_DIFFERENT: Final = 0.1  # nats of a token, in the mean; kernels in bfloat16 differ by a tenth of that
LONGEST: Final = 500  # characters of what vLLM says


class OtherWeights(RuntimeError):
    """vLLM draws from other weights than those that are trained."""


def require_vllm() -> None:
    """Raise SamplingFailed where vLLM is not installed."""
    if find_spec("vllm") is None:
        raise SamplingFailed("vLLM is not installed here: requirements/install.sh vllm does it")


def check_heads(config: Any) -> None:
    """Raise SamplingFailed where vLLM on this processor has no attention for heads of the model's size."""
    require_vllm()
    told = config.get_text_config()
    heads: int | None = getattr(told, "num_attention_heads", None)
    if torch.cuda.is_available() or heads is None or hasattr(told, "kv_lora_rank"):
        return  # it has other kernels there
    from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

    served = CPUAttentionBackend.get_supported_head_sizes()
    size = getattr(told, "head_dim", None) or told.hidden_size // heads
    if size not in served:
        raise SamplingFailed(
            f"vLLM on a processor serves heads of {', '.join(map(str, served))}, and those of this model have {size} "
            f"(hidden {told.hidden_size}, heads {heads}): take a model of such a size, a tiny one by its hidden and "
            'heads, or generation.engine "transformers"'
        )


@contextmanager
def _told() -> Iterator[None]:
    """What keeps vLLM from its start, as a sentence."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, AssertionError, ImportError) as error:
        # Of several processes it may be the end of another that this one hears of: that costs an attempt.
        if ranks.count() > 1 and isinstance(error, RuntimeError):
            raise
        raise SamplingFailed(f"vLLM does not start here: {_last_line(error)}") from error


def _last_line(error: Exception) -> str:
    # Of pydantic's the last line is where to read about pydantic.
    told = error.errors()[0]["msg"].removeprefix("Value error, ") if isinstance(error, ValidationError) else str(error)
    lines = told.strip().splitlines()
    return lines[-1][:LONGEST] if lines else type(error).__name__


def serve_from(policy: Policy, folder: Path) -> None:
    """Have the vLLM that TRL starts load the policy from a folder, which the first process writes for all."""
    require_vllm()
    import vllm
    from trl.generation import vllm_generation

    def made(**of_trl: Any) -> Any:
        with _told():
            return vllm.LLM(**of_trl | _settings(of_trl))

    def written() -> str:
        merged(policy.model).save_pretrained(folder)
        policy.tokenizer.save_pretrained(folder)
        return str(folder)

    policy.model.name_or_path = ranks.of_first(written)
    vllm_generation.LLM = made


def _settings(of_trl: dict[str, Any]) -> dict[str, Any]:
    """What vLLM is told beside what TRL tells it, or otherwise."""
    if torch.cuda.is_available():
        return {"load_format": "safetensors"}
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    keep_linear_weights()
    return {
        "load_format": "safetensors",
        # To compile takes longer than small models train; "auto" would be bfloat16.
        "enforce_eager": True,
        "dtype": "float32",
        # There vLLM cannot read a prompt in parts for a request with a seed, so one prompt must be a part.
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(of_trl["max_num_batched_tokens"], of_trl["max_model_len"]),
    }


def draw(llm: Any, prompts: Sequence[list[int]], seeds: Sequence[int], told: Generation) -> list[Drawn]:
    """A completion of each prompt, by its own seed.

    The generators of the process, by which vLLM draws what is trained on, are left as they were: on a processor it
    turns them also where every request has a seed.
    """
    from vllm import SamplingParams

    params = [
        SamplingParams(temperature=told.temperature, max_tokens=told.max_tokens, seed=seed, logprobs=0)
        for seed in seeds
    ]
    asked = [{"prompt_token_ids": prompt} for prompt in prompts]
    before = states.rng_state()
    try:
        found = [each.outputs[0] for each in llm.generate(asked, sampling_params=params, use_tqdm=False)]
    finally:
        states.set_rng_state(before)
    return [
        (list(each.token_ids), [told[token].logprob for token, told in zip(each.token_ids, each.logprobs, strict=True)])
        for each in found
    ]


def check_parity(record: StepRecord) -> None:
    """Raise OtherWeights where the log-probabilities of the completions of a step differ between vLLM and the model."""
    check_difference(f"Step {record.step}", record.metrics.get(DIFFERENCE, 0.0))


def check_difference(where: str, found: float) -> None:
    """Raise OtherWeights where the log-probabilities of vLLM differ from the model's by so many nats a token."""
    if not found <= MOST_DIFFERENT:  # nan too
        raise OtherWeights(
            f"{where}: the log-probabilities of vLLM differ from the model's by {found:.3g} nats a token, and at most "
            f"{MOST_DIFFERENT:g} is numerical: its completions are not of the weights that are trained."
        )
