"""Sampling with vLLM in this process."""

import os
from collections.abc import Iterable, Iterator
from itertools import count, islice
from typing import Any, ClassVar, Final

from app.jobs.options.engines import Options, SamplingSettings, VllmOptions
from workers.sampling.engine import Engine, Model, Request, Sample, SamplingFailed
from workers.sampling.models import not_loaded
from workers.sampling.prompts import Prompts

MOST_CACHE: Final = 4 * 2**30  # bytes
IN_FLIGHT: Final = 2048  # more than vLLM runs at once, so that it never waits for us


class VllmEngine(Engine):
    """A model in this process, by vLLM, one of its requests a completion.

    The engine inside `vllm.LLM` is stepped here: `LLM.generate` does so too, but gives nothing before all have ended.
    A seed need not repeat a text under another batch: vLLM's sums are taken in the order that the batch makes.
    """

    name = "vllm"
    Options: ClassVar[type[Options]] = VllmOptions

    def __init__(self, model: Model, options: VllmOptions) -> None:
        import vllm  # gigabytes, and seconds to import
        from vllm.v1.engine.exceptions import EngineDeadError

        self.model = model
        self._vllm: Any = vllm
        self._dead: type[Exception] = EngineDeadError
        self._names = map(str, count())  # of requests, never twice
        try:
            self._llm: Any = vllm.LLM(
                model=str(model.folder),
                load_format="safetensors",
                trust_remote_code=False,
                disable_log_stats=True,
                seed=0,
                **_on_this_machine(options) | options.model_dump(exclude_none=True),
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise not_loaded(model, "vLLM", error) from error
        self._prompts = Prompts(self._llm.get_tokenizer(), int(self._llm.model_config.max_model_len))

    def sample(self, requests: Iterable[Request], settings: SamplingSettings) -> Iterator[Sample]:
        """The completions as they end; see `Engine.sample`. Requests are read as there is room."""
        waiting, engine = iter(requests), self._llm.llm_engine
        running: dict[str, Request] = {}
        try:
            while True:
                for request in islice(waiting, IN_FLIGHT - len(running)):
                    running[self._enqueue(request, settings)] = request
                if not running:
                    return
                for output in self._step():
                    if output.finished:
                        yield sample_of(output, running.pop(output.request_id))
        finally:
            engine.abort_request(list(running))  # whoever stops reading leaves nothing behind that computes

    def _enqueue(self, request: Request, settings: SamplingSettings) -> str:
        prompt = self._vllm.TokensPrompt(prompt_token_ids=self._prompts.tokens(request, settings))
        name = next(self._names)
        self._llm.llm_engine.add_request(name, prompt, self.params(request, settings))
        return name

    def params(self, request: Request, settings: SamplingSettings) -> Any:
        """The `vllm.SamplingParams` of a request."""
        return self._vllm.SamplingParams(
            temperature=settings.temperature,
            top_p=settings.top_p,
            top_k=settings.top_k or 0,  # 0: all
            max_tokens=settings.max_tokens,
            stop=list(settings.stop),
            seed=request.seed,
            logprobs=0,  # of the token drawn only
            flat_logprobs=True,  # else vLLM makes two objects a token, which nobody reads: only the sum is stored
            output_kind=self._vllm.sampling_params.RequestOutputKind.FINAL_ONLY,
        )

    def _step(self) -> list[Any]:
        try:
            return list(self._llm.llm_engine.step())
        except (self._dead, RuntimeError) as error:
            raise SamplingFailed(f"vLLM stopped: {error}") from error

    def close(self) -> None:
        """End vLLM's engine, and with it its processes."""
        self._llm.llm_engine.engine_core.shutdown()


def _on_this_machine(options: VllmOptions) -> dict[str, Any]:
    """What vLLM must be told where it computes on a processor."""
    import psutil  # type: ignore[import-untyped]
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return {}
    # A prompt in parts takes back what was drawn after a part, which vLLM cannot do to the generator of a seed there.
    told: dict[str, Any] = {"enable_chunked_prefill": False}
    if options.gpu_memory_utilization is None and not os.environ.get("VLLM_CPU_KVCACHE_SPACE"):
        # vLLM's own default is nearly all memory there is, and it refuses to start where some of it is in use.
        told["kv_cache_memory_bytes"] = min(MOST_CACHE, psutil.virtual_memory().available // 4)
    return told


def sample_of(output: Any, request: Request) -> Sample:
    """A finished `vllm.RequestOutput` as a sample."""
    [completion] = output.outputs
    return Sample(
        request.problem,
        request.sample_index,
        request.seed,
        text=completion.text,
        finish_reason=completion.finish_reason,
        prompt_tokens=len(output.prompt_token_ids),
        completion_tokens=len(completion.token_ids),
        logprob=float(completion.cumulative_logprob),
    )
