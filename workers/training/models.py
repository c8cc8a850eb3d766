"""The policy of a training: loaded by the rules of sampling, or made on the spot."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import Parameter
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from app.jobs.options.models import ModelRefused
from app.jobs.specs.training import Generation, Lora, TinyModel, TrainingSpec
from workers.sampling.engine import Model
from workers.sampling.models import not_loaded, resolved_model
from workers.training.problems import Problems
from workers.training.tiny import tiny_model, tiny_tokenizer

Drawn = tuple[list[int], list[float]]
"""The tokens of a completion, and their log-probabilities at the temperature that they were drawn with."""
Draw = Callable[[Sequence[list[int]], Sequence[int], Generation], list[Drawn]]
"""Draws a completion of each prompt, given by its tokens, by its own seed."""


@dataclass(frozen=True)
class Policy:
    """A model to train, and its tokenizer.

    Attributes:
      vllm: draws from the weights that vLLM was given last; None where the model draws by itself.
    """

    model: Any
    tokenizer: Any
    vllm: Draw | None = None


def loaded(name: str, pad_token: str | None, roots: Sequence[Path]) -> Policy:
    """The model called so, in float32; ModelRefused where it cannot be had or not be trained on batches."""
    found = resolved_model(name, roots)
    loading: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        model = AutoModelForCausalLM.from_pretrained(found.folder, use_safetensors=True, dtype=torch.float32, **loading)
        tokenizer = AutoTokenizer.from_pretrained(found.folder, **loading)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise not_loaded(found, "transformers", error) from error
    _name_pad(name, model, tokenizer, pad_token)
    return Policy(model, tokenizer)


def _name_pad(name: str, model: Any, tokenizer: Any, pad_token: str | None) -> None:
    """Give both the pad token that one of them lacks; ModelRefused where none is known."""
    if pad_token is not None:
        if pad_token not in tokenizer.get_vocab():
            raise ModelRefused(f"{name} has no token {pad_token!r} that could be its pad token")
        if pad_token == tokenizer.eos_token:
            raise ModelRefused(f"{name} ends its completions with {pad_token!r}: another token must be its pad token")
        # As it is in a checkpoint that is loaded again: no part of the text, where it is drawn.
        tokenizer.add_special_tokens({"pad_token": pad_token})
    # Some classes of tokenizers name one by default that the model has no weights for.
    if tokenizer.pad_token is None or tokenizer.pad_token_id >= model.get_input_embeddings().num_embeddings:
        raise ModelRefused(
            f"The tokenizer of {name} has no pad token, which fills up the shorter completions of a batch: name one of "
            "its tokens, that texts do not have, as pad_token in the spec"
        )
    model.config.pad_token_id = model.generation_config.pad_token_id = tokenizer.pad_token_id
    # Loaded again from a checkpoint, an architecture that looks there learns nothing of its pad token: nor before.
    with torch.device("meta"):
        again = AutoModelForCausalLM.from_config(model.config, trust_remote_code=False).get_input_embeddings()
    model.get_input_embeddings().padding_idx = getattr(again, "padding_idx", None)


def made(spec: TinyModel, problems: Problems) -> Policy:
    """The tiny model of a spec, before it is taught."""
    prompts = [each.prompt for each in (*problems.training, *problems.held_out)]
    answers = [each.answer for each in problems.training if each.answer]
    tokenizer = tiny_tokenizer(prompts, answers)
    return Policy(tiny_model(spec, tokenizer), tokenizer)


def with_adapter(model: Any, lora: Lora, seed: int) -> Any:
    """The model with an adapter, alone to be trained."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.targets or "all-linear",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            return get_peft_model(model, config)
        except ValueError as error:
            raise ModelRefused(f"The adapter does not fit the model: {error}") from error


def skeleton(model: TinyModel | Model, problems: Problems) -> Any:
    """The model without its weights, which takes no memory."""
    if isinstance(model, TinyModel):
        with torch.device("meta"):
            return made(model, problems).model
    try:
        config = AutoConfig.from_pretrained(model.folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise not_loaded(model, "transformers", error) from error


def merged(model: Any) -> Any:
    """The model with its adapter in its weights, where it has one: then a copy in the machine's memory.

    On a GPU there may be no room for a second model.
    """
    if not hasattr(model, "merge_and_unload"):
        return model
    copies = {id(each): Parameter(each.detach().to("cpu", copy=True)) for each in model.parameters()}
    return deepcopy(model, copies).cpu().merge_and_unload()


def initial(spec: TrainingSpec, problems: Problems, roots: Sequence[Path]) -> Policy:
    """The policy before its teaching and its first step, without an adapter."""
    if isinstance(spec.model, TinyModel):
        return made(spec.model, problems)
    return loaded(spec.model, spec.pad_token, roots)
