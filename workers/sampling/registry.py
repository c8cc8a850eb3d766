"""Engines by name."""

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from app.jobs.options.engines import (
    EngineName,
    OpenAIOptions,
    SamplingRefused,
    TransformersOptions,
    VllmOptions,
    wrong_options,
)
from workers.sampling.engine import Engine
from workers.sampling.models import resolved_model

NEEDS: Final[Mapping[EngineName, tuple[str, ...]]] = {
    "vllm": ("vllm",),
    "openai": ("httpx",),
    "transformers": ("torch", "transformers"),
}
BASE_URL, API_KEY = "PKPO_OPENAI_BASE_URL", "PKPO_OPENAI_API_KEY"


def offered_engines() -> list[EngineName]:
    """The engines whose libraries are installed here; none is imported."""
    return [name for name, modules in NEEDS.items() if all(map(find_spec, modules))]


def sampling_engine(name: EngineName, model: str, options: Mapping[str, Any], roots: Sequence[Path]) -> Engine:
    """The engine with the model loaded; for `openai` the model is what the server calls it.

    The key of `PKPO_OPENAI_API_KEY` is sent to the server of `PKPO_OPENAI_BASE_URL` alone, not to others that options
    may name.

    Raises:
      SamplingRefused: the engine is not installed, does not take an option, or `ModelRefused`.
      SamplingFailed: the hub does not answer.
    """
    missing = [module for module in NEEDS.get(name, ()) if find_spec(module) is None]
    if missing or name not in NEEDS:
        why = f"for want of {', '.join(missing)}" if missing else f"there are {', '.join(NEEDS)}"
        raise SamplingRefused(f"The engine {name} is not offered here: {why}")
    try:
        if name == "openai":
            return _openai(model, options)
        if name == "vllm":
            from workers.sampling.vllm_engine import VllmEngine

            vllm_options = VllmOptions.model_validate(dict(options))
            return VllmEngine(resolved_model(model, roots), vllm_options)
        from workers.sampling.transformers_engine import TransformersEngine

        transformers_options = TransformersOptions.model_validate(dict(options))
        return TransformersEngine(resolved_model(model, roots), transformers_options)
    except ValidationError as error:
        raise SamplingRefused(f"{name}: {wrong_options(error)}") from None


def _openai(model: str, options: Mapping[str, Any]) -> Engine:
    from workers.sampling.openai_engine import OpenAIEngine

    own = os.environ.get(BASE_URL)
    if not own and "base_url" not in options:
        raise SamplingRefused(f"Which server? Name it in engine_options as base_url, or to the worker as {BASE_URL}")
    validated = OpenAIOptions.model_validate(({"base_url": own} if own else {}) | dict(options))
    key = os.environ.get(API_KEY) if validated.base_url == own else None
    return OpenAIEngine(model, validated, key)
