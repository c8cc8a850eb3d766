"""Sampling from any OpenAI-compatible server: `vllm serve`, SGLang, llama.cpp."""

import random
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from email.utils import parsedate_to_datetime
from itertools import islice
from threading import Event
from time import time
from typing import Any, ClassVar, Final

import httpx
from pydantic import BaseModel, Field, FiniteFloat, ValidationError

from app.jobs.options.engines import OpenAIOptions, Options, SamplingRefused, SamplingSettings, wrong_options
from workers.sampling.engine import Engine, Request, Sample, SamplingFailed

LONGEST_WAIT: Final = 60.0  # seconds before a request is sent again, whatever the server asks


class _Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int


class _Token(BaseModel):
    logprob: FiniteFloat


class _Logprobs(BaseModel):
    token_logprobs: list[FiniteFloat] | None = None  # of /completions
    content: list[_Token] | None = None  # of /chat/completions

    def total(self) -> float | None:
        if self.token_logprobs is not None:
            return sum(self.token_logprobs)
        return None if self.content is None else sum(token.logprob for token in self.content)


class _Message(BaseModel):
    content: str | None = None  # null where the model ended before it answered, in its reasoning


class _Choice(BaseModel):
    text: str | None = None
    message: _Message | None = None
    finish_reason: str
    logprobs: _Logprobs | None = None


class _Answer(BaseModel):
    choices: list[_Choice] = Field(min_length=1, max_length=1)
    usage: _Usage | None = None


class OpenAIEngine(Engine):
    """A server that speaks OpenAI's protocol, asked for one completion at a time by many threads."""

    name = "openai"
    Options: ClassVar[type[Options]] = OpenAIOptions

    def __init__(self, model: str, options: OpenAIOptions, api_key: str | None = None) -> None:
        self._model, self._options = model, options
        self._client = httpx.Client(
            base_url=options.base_url,
            headers={} if api_key is None else {"Authorization": f"Bearer {api_key}"},
            timeout=httpx.Timeout(options.timeout, connect=min(30, options.timeout)),
            limits=httpx.Limits(max_connections=options.concurrency),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def sample(self, requests: Iterable[Request], settings: SamplingSettings) -> Iterator[Sample]:
        """The completions as they are answered; see `Engine.sample`.

        After a request that failed for good no other is sent; what is under way is still given, then the error raised.
        """
        waiting, given_up = iter(requests), Event()
        running: set[Future[Sample]] = set()
        failure: SamplingRefused | SamplingFailed | None = None
        with ThreadPoolExecutor(self._options.concurrency) as threads:
            try:
                while True:
                    room = 0 if failure else self._options.concurrency - len(running)
                    running |= {
                        threads.submit(self._completion, each, settings, given_up) for each in islice(waiting, room)
                    }
                    if not running:
                        break
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        try:
                            sample = future.result()
                        except (SamplingRefused, SamplingFailed) as error:
                            failure = failure or error
                            given_up.set()
                        else:
                            yield sample
            finally:
                given_up.set()
        if failure:
            raise failure

    def _completion(self, request: Request, settings: SamplingSettings, given_up: Event) -> Sample:
        path = "completions" if settings.prompt == "raw" else "chat/completions"
        body = self._body(request, settings)
        for attempt in range(1, self._options.attempts + 1):
            try:
                response = self._client.post(path, json=body)
            except httpx.TransportError as error:
                reason, asked = f"{type(error).__name__}: {error}", None
            else:
                if response.status_code not in (408, 429) and response.status_code < 500:
                    return self._sample(response, request)
                reason, asked = self._said(response), retry_after(response)
            if attempt == self._options.attempts or given_up.wait(delay(attempt, asked)):
                break
        raise SamplingFailed(f"{self._where(request)} failed {attempt} times, at last with {reason}")

    def _body(self, request: Request, settings: SamplingSettings) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "max_tokens": settings.max_tokens,
            "seed": request.seed,
            **self._options.extra_body,
        }
        if settings.top_k is not None:
            body["top_k"] = settings.top_k  # not OpenAI's, so only where it was asked for
        if settings.stop:
            body["stop"] = list(settings.stop)
        if settings.prompt == "raw":
            return body | {"prompt": request.prompt, "logprobs": 1}  # 0 gives none in llama.cpp
        return body | {"messages": [{"role": "user", "content": request.prompt}], "logprobs": True}

    def _sample(self, response: httpx.Response, request: Request) -> Sample:
        if response.status_code != 200:
            refused = 400 <= response.status_code < 500 and response.status_code not in (401, 403, 404)
            kind = SamplingRefused if refused else SamplingFailed
            raise kind(f"{self._where(request)} answered {self._said(response)}")
        try:
            answer = _Answer.model_validate_json(response.content)
        except ValidationError as error:
            raise SamplingFailed(
                f"{self._where(request)} answered 200 with what is not a completion: {wrong_options(error)}"
            ) from None
        [choice], usage = answer.choices, answer.usage
        text = choice.text if choice.message is None else choice.message.content or ""
        if text is None:
            raise SamplingFailed(f"{self._where(request)} answered 200 with neither text nor message")
        return Sample(
            request.problem,
            request.sample_index,
            request.seed,
            text=text,
            finish_reason=choice.finish_reason,
            prompt_tokens=usage.prompt_tokens if usage else None,
            completion_tokens=usage.completion_tokens if usage else None,
            logprob=choice.logprobs.total() if choice.logprobs else None,
        )

    def _where(self, request: Request) -> str:
        return f"Problem {request.problem!r}, completion {request.sample_index}: {self._options.base_url}"

    @staticmethod
    def _said(response: httpx.Response) -> str:
        said = " ".join(response.text[:500].split())
        return f"{response.status_code} {response.reason_phrase}: {said}".strip(": ")


def retry_after(response: httpx.Response) -> float | None:
    """The seconds that a server asks to wait, by a number or a date (RFC 9110, 10.2.3)."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return parsedate_to_datetime(value).timestamp() - time()
    except (TypeError, ValueError):
        return None


def delay(attempt: int, asked: float | None) -> float:
    """Seconds before the next attempt: what the server asks and a little, or anywhere below a bound that doubles.

    Many requests fail together, so they must not come back together.
    """
    if asked is not None:
        return min(max(asked, 0.0) + random.random(), LONGEST_WAIT)
    return random.uniform(0, min(0.5 * 2**attempt, LONGEST_WAIT))
