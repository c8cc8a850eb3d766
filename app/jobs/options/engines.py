"""How completions are drawn, and what each sampling engine is told."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, field_validator

from app.ingest.canonical import Text

EngineName = Literal["vllm", "openai", "transformers"]
COLDEST: Final = 0.01  # vLLM raises a temperature between 0 and this one, with a line in its log only
MOST_N: Final = 2**20
Stop = Annotated[Text, Field(min_length=1, max_length=1000)]
PromptForm = Annotated[Literal["raw", "chat"], Field(description="As it stands, or by the model's chat template")]


class SamplingRefused(ValueError):
    """What was asked cannot be sampled; the message names the problem or the setting."""


class Options(BaseModel):
    """Options of an engine: validated, complete, and none that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, protected_namespaces=())


class Draws(Options):
    """How each completion is drawn; the same words for every engine."""

    temperature: float = Field(default=1.0, ge=0, le=100, description="0 takes the likeliest token")
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=1, le=2**31 - 1, description="Draw among so many tokens; null: all")
    max_tokens: int = Field(default=1024, ge=1, le=2**20)
    # JSON has no tuples: a strict model would want one ready-made.
    stop: Annotated[tuple[Stop, ...], Field(strict=False, max_length=64)] = ()
    seed: int = Field(default=0, ge=0, lt=2**63)

    @field_validator("temperature")
    @classmethod
    def _is_what_it_says(cls, temperature: float) -> float:
        if 0 < temperature < COLDEST:
            raise ValueError(f"vLLM would draw with {COLDEST} instead; give 0, or {COLDEST} and more")
        return temperature


class SamplingSettings(Draws):
    """How the completions of an evaluation are drawn."""

    n: int = Field(default=1, ge=1, le=MOST_N, description="Completions per problem, the same for all")
    prompt: PromptForm = "raw"


class VllmOptions(Options):
    """What is passed to `vllm.LLM`, each under vLLM's name; None is vLLM's own default.

    A list of what is safe rather than of what is not: others of vLLM's load code, or models that were not checked.
    """

    tensor_parallel_size: int | None = Field(default=None, ge=1)
    pipeline_parallel_size: int | None = Field(default=None, ge=1)
    dtype: Literal["auto", "float32", "bfloat16", "float16"] | None = None
    quantization: str | None = Field(default=None, pattern=r"^[a-z0-9_-]{1,50}$")
    kv_cache_dtype: str | None = Field(default=None, pattern=r"^[a-z0-9_]{1,50}$")
    gpu_memory_utilization: float | None = Field(default=None, gt=0, le=1)
    kv_cache_memory_bytes: int | None = Field(default=None, ge=2**20)
    cpu_offload_gb: float | None = Field(default=None, ge=0)
    max_model_len: int | None = Field(default=None, ge=1)
    max_num_seqs: int | None = Field(default=None, ge=1)
    max_num_batched_tokens: int | None = Field(default=None, ge=1)
    block_size: int | None = Field(default=None, ge=1)
    enforce_eager: bool | None = None
    enable_prefix_caching: bool | None = None
    disable_custom_all_reduce: bool | None = None


OURS: Final = {
    *("model", "prompt", "messages", "temperature", "top_p", "top_k", "max_tokens", "stop", "seed", "logprobs", "n"),
    "stream",
}


def server_address(url: str) -> str:
    """The URL as it is; ValueError where no server can have its host or port."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")
    except (ValueError, UnicodeError):
        host, port = "", None
    if not host or port == 0:
        raise ValueError("base_url must have the host, and where it is not the usual one the port, of a server")
    return url


class OpenAIOptions(Options):
    """Which server, and how it is asked."""

    base_url: Annotated[
        str, Field(pattern=r"^https?://[^\s?#@]+$", description="Up to and with /v1"), AfterValidator(server_address)
    ]
    concurrency: int = Field(default=32, ge=1, le=1024, description="Requests at once")
    attempts: int = Field(default=6, ge=1, le=20, description="How often one request is sent before it fails")
    timeout: float = Field(default=600, gt=0, le=86400, description="Seconds for one answer")
    extra_body: dict[str, JsonValue] = Field(default={}, description="Further fields of each request's body")

    @field_validator("extra_body")
    @classmethod
    def _adds_only(cls, extra_body: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if taken := sorted(OURS & extra_body.keys()):
            raise ValueError(f"{', '.join(taken)}: the sampling settings say this")
        return extra_body


class TransformersOptions(Options):
    """Where the model computes, and in which precision; `auto` is that of its files."""

    device: str = Field(default="cpu", pattern=r"^(cpu|cuda(:\d{1,2})?)$")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"


ENGINE_OPTIONS: Final[Mapping[EngineName, type[Options]]] = {
    "vllm": VllmOptions,
    "openai": OpenAIOptions,
    "transformers": TransformersOptions,
}


def wrong_options(error: Any) -> str:
    """What a ValidationError says, in one line: each option, and what is wrong with it."""
    return "; ".join(f"{'.'.join(map(str, one['loc'])) or 'options'}: {one['msg']}" for one in error.errors())
