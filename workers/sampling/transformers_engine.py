"""Sampling with transformers, one completion at a time: slow, and for checking others against.

One at a time is the point. In a batch, sums are taken in another order for every batch, and a token near a threshold
changes with its neighbours; alone, a completion depends on its prompt, the settings and its seed.
"""

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Final

import torch
import transformers

from app.jobs.options.engines import Options, SamplingSettings, TransformersOptions
from workers.sampling.engine import Engine, Model, Request, Sample
from workers.sampling.models import not_loaded
from workers.sampling.prompts import Prompts

LOADING: Final[dict[str, Any]] = {"local_files_only": True, "trust_remote_code": False}


class TransformersEngine(Engine):
    """A model in this process, by transformers."""

    name = "transformers"
    Options: ClassVar[type[Options]] = TransformersOptions

    def __init__(self, model: Model, options: TransformersOptions) -> None:
        self.model = model
        transformers.utils.logging.disable_progress_bar()  # it is drawn for a terminal, and a job has a log
        try:
            self._network = transformers.AutoModelForCausalLM.from_pretrained(
                model.folder, use_safetensors=True, dtype=options.dtype, **LOADING
            ).to(options.device)
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(model.folder, **LOADING)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise not_loaded(model, "transformers", error) from error
        self._network.eval()
        self._prompts = Prompts(self._tokenizer, int(self._network.config.get_text_config().max_position_embeddings))
        self._ends = self._end_tokens()

    def _end_tokens(self) -> frozenset[int]:
        of_model = self._network.generation_config.eos_token_id
        found = of_model if isinstance(of_model, list) else [of_model]
        return frozenset(token for token in (*found, self._tokenizer.eos_token_id) if token is not None)

    def sample(self, requests: Iterable[Request], settings: SamplingSettings) -> Iterator[Sample]:
        """The completions in the order of the requests; see `Engine.sample`."""
        for request in requests:
            ids = self._prompts.tokens(request, settings)
            yield self._completion(ids, request, settings)

    @torch.inference_mode()
    def _completion(self, prompt: list[int], request: Request, settings: SamplingSettings) -> Sample:
        generator = torch.Generator().manual_seed(request.seed)
        drawn: list[int] = []
        logprob, text, finish_reason, cache = 0.0, "", "length", None
        following = prompt
        while len(drawn) < settings.max_tokens:
            input_ids = torch.tensor([following], device=self._network.device)
            out = self._network(input_ids=input_ids, past_key_values=cache, use_cache=True)
            cache, logits = out.past_key_values, out.logits[0, -1].double().cpu()
            token = draw(logits, settings, generator)
            logprob += float(logits.log_softmax(-1)[token])
            drawn.append(token)
            following = [token]
            text = self._tokenizer.decode(drawn, skip_special_tokens=True)
            if token in self._ends:
                finish_reason = "stop"
                break
            if (end := stops_at(text, settings.stop)) is not None:
                text, finish_reason = text[:end], "stop"
                break
        counts = {"prompt_tokens": len(prompt), "completion_tokens": len(drawn)}
        return Sample(
            request.problem,
            request.sample_index,
            request.seed,
            text=text,
            finish_reason=finish_reason,
            logprob=logprob,
            **counts,
        )


def stops_at(text: str, stop: tuple[str, ...]) -> int | None:
    """Where the first stop string in the text begins."""
    return min((at for each in stop if (at := text.find(each)) >= 0), default=None)


def draw(logits: torch.Tensor, settings: SamplingSettings, generator: torch.Generator) -> int:
    """A token, from logits of shape (vocabulary,): temperature, then top-k, then top-p, in vLLM's order."""
    if settings.temperature == 0:
        return int(logits.argmax())
    ordered, tokens = (logits / settings.temperature).sort(descending=True, stable=True)
    if settings.top_k is not None and settings.top_k < len(ordered):
        ordered = ordered.masked_fill(ordered < ordered[settings.top_k - 1], float("-inf"))  # equals of the last stay
    probabilities = ordered.softmax(-1)
    # Kept is what begins before top_p is reached, so the likeliest always.
    kept = probabilities.cumsum(-1) - probabilities < settings.top_p
    return int(tokens[torch.multinomial(probabilities * kept, 1, generator=generator)])
