"""Prompts as a model reads them."""

from functools import lru_cache
from typing import Any

from app.jobs.options.engines import SamplingRefused, SamplingSettings
from workers.sampling.engine import Request


class Prompts:
    """The tokens of prompts, the same for every engine that has the tokenizer at hand."""

    def __init__(self, tokenizer: Any, context: int) -> None:
        self._tokenizer, self._context = tokenizer, context
        self._remembered = lru_cache(maxsize=64)(self._ids)  # the completions of a problem follow each other

    def tokens(self, request: Request, settings: SamplingSettings) -> list[int]:
        """The ids of a prompt's tokens.

        A raw prompt gets the special tokens that the tokenizer puts before a text, a chat is one message of the user.

        Raises:
          SamplingRefused: there is no chat template, no token at all, or no room for the prompt and max_tokens.
        """
        ids = self._remembered(request.prompt, settings.prompt == "chat")
        if not ids:
            raise SamplingRefused(f"Problem {request.problem!r}: its prompt has no tokens")
        if len(ids) + settings.max_tokens > self._context:
            raise SamplingRefused(
                f"Problem {request.problem!r}: its prompt of {len(ids)} tokens and max_tokens {settings.max_tokens} "
                f"are more than the {self._context} tokens that the model can hold"
            )
        return list(ids)

    def _ids(self, prompt: str, as_chat: bool) -> tuple[int, ...]:
        if not as_chat:
            return tuple(self._tokenizer(prompt)["input_ids"])
        if self._tokenizer.chat_template is None:
            raise SamplingRefused('The model has no chat template; sample it with prompt "raw"')
        message = {"role": "user", "content": prompt}
        return tuple(self._tokenizer.apply_chat_template([message], add_generation_prompt=True, return_dict=False))
