"""Completions to train on by a vLLM in the training's own process, whose weights TRL exchanges before each step.

vLLM says that an exchange went well also where it did not. So what counts is that the tokens it drew are as probable
under the weights that are trained.
"""

import os
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch

from workers.sampling.swappable import keep_linear_weights
from workers.training.models import Policy
from workers.training.records import StepRecord

DIFFERENCE: Final = "sampling/logprob_difference"
MOST_DIFFERENT: Final = 0.1  # nats of a token, in the mean; kernels in bfloat16 differ by a tenth of that


class OtherWeights(RuntimeError):
    """vLLM draws from other weights than those that are trained."""


def serve_from(policy: Policy, folder: Path) -> None:
    """Have the vLLM that TRL starts load the policy from a folder, which is written."""
    import vllm
    from trl.generation import vllm_generation

    settings: dict[str, Any] = {"load_format": "safetensors"}
    if not torch.cuda.is_available():
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
        keep_linear_weights()
        # To compile takes longer than small models train; "auto" would be bfloat16.
        settings |= {"enforce_eager": True, "dtype": "float32"}
    policy.model.save_pretrained(folder)
    policy.tokenizer.save_pretrained(folder)
    policy.model.name_or_path = str(folder)
    vllm_generation.LLM = partial(vllm.LLM, **settings)


def check_parity(record: StepRecord) -> None:
    """Raise OtherWeights where the log-probabilities of the completions of a step differ between vLLM and the model."""
    found = record.metrics.get(DIFFERENCE, 0.0)
    if not found <= MOST_DIFFERENT:  # nan too
        raise OtherWeights(
            f"Step {record.step}: the log-probabilities of vLLM differ from the model's by {found:.3g} nats a token, "
            f"and at most {MOST_DIFFERENT:g} is numerical: its completions are not of the weights that are trained."
        )
