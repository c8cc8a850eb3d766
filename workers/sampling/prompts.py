"""Prompts as a model reads them."""

from typing import Any

from workers.sampling.engine import Request, SamplingRefused, SamplingSettings


def prompt_tokens(tokenizer: Any, request: Request, settings: SamplingSettings, context: int) -> list[int]:
    """The ids of the prompt's tokens: the same for every engine that has the tokenizer at hand.

    A raw prompt gets the special tokens that the tokenizer puts before a text, a chat is one message of the user.

    Raises:
      SamplingRefused: there is no chat template, no token at all, or no room for the prompt and max_tokens.
    """
    if settings.prompt == "raw":
        ids = tokenizer(request.prompt)["input_ids"]
    elif tokenizer.chat_template is None:
        raise SamplingRefused('The model has no chat template; sample it with prompt "raw"')
    else:
        message = {"role": "user", "content": request.prompt}
        ids = tokenizer.apply_chat_template([message], add_generation_prompt=True, return_dict=False)
    if not ids:
        raise SamplingRefused(f"Problem {request.problem!r}: its prompt has no tokens")
    if len(ids) + settings.max_tokens > context:
        raise SamplingRefused(
            f"Problem {request.problem!r}: its prompt of {len(ids)} tokens and max_tokens {settings.max_tokens} are "
            f"more than the {context} tokens that the model can hold"
        )
    return list(ids)
