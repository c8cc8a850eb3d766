"""What every sampling engine takes and gives."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self
from uuid import UUID

from app.jobs.options.engines import Options, SamplingSettings

SEED_BITS: Final = 53  # what JSON carries whole through readers that know only doubles, and every engine takes


class SamplingFailed(RuntimeError):
    """The engine could not go on; the message names the cause. What it gave before stays good."""


def completion_seed(evaluation: UUID, sampling_seed: int, problem: str, sample_index: int) -> int:
    """The seed of one completion, in [0, 2^53).

    The first 53 bits of SHA-256 over the JSON array `["pkpo-seed-1","<evaluation>",<sampling seed>,"<problem>",<sample
    index>]`, without spaces, other than ASCII escaped, the UUID in lower case. No job is in it: whichever job draws a
    completion, and however often, it draws with the same seed.
    """
    key = ["pkpo-seed-1", str(evaluation), sampling_seed, problem, sample_index]
    digest = hashlib.sha256(json.dumps(key, separators=(",", ":")).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - SEED_BITS)


@dataclass(frozen=True)
class Request:
    """One completion to draw."""

    problem: str
    prompt: str
    sample_index: int
    seed: int


@dataclass(frozen=True)
class Sample:
    """One completion that was drawn.

    Attributes:
      text: without special tokens, and ended before the stop string that ended it.
      finish_reason: `stop` (end of sequence or a stop string), `length` (max_tokens), or what a server says.
      completion_tokens: all that were generated, the end of sequence and those of a stop string among them.
      logprob: the sum over these tokens, in nats, under the model's own distribution: the softmax of its logits before
        temperature, top-k and top-p, as vLLM's `raw_logprobs`. None, like the counts, where a server does not say.
    """

    problem: str
    sample_index: int
    seed: int
    text: str
    finish_reason: str
    prompt_tokens: int | None
    completion_tokens: int | None
    logprob: float | None


@dataclass(frozen=True)
class Model:
    """A model on this machine whose files were checked.

    Attributes:
      name: what was asked for.
      folder: real, absolute, and without a symbolic link in the way.
      revision: the commit that a hub name meant; None for a folder.
      sha256: of its files, `model_sha256`.
    """

    name: str
    folder: Path
    revision: str | None
    sha256: str


class Engine(ABC):
    """A model that is loaded, or a server that is asked. It stays good for any number of calls, one at a time."""

    name: ClassVar[str]
    Options: ClassVar[type[Options]]
    model: Model | None = None  # that was loaded; None where a server has it

    @property
    def model_sha256(self) -> str | None:
        """Of the files that were loaded; None where a server has them."""
        return None if self.model is None else self.model.sha256

    @abstractmethod
    def sample(self, requests: Iterable[Request], settings: SamplingSettings) -> Iterator[Sample]:
        """The completions, each as soon as it is there, in any order.

        `n` and `seed` of the settings are not read here: `requests` holds every completion with its own seed.

        Raises:
          SamplingRefused: a request that cannot be sampled, such as a prompt that is too long.
          SamplingFailed: the engine cannot go on.
        """

    def close(self) -> None:  # noqa: B027 - most engines hold nothing but memory
        """Let go of what the engine holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def by_problem(prompts: Mapping[str, str], evaluation: UUID, settings: SamplingSettings) -> Iterator[Request]:
    """Every completion of an evaluation: n for each problem, `prompts` by problem."""
    for problem, prompt in prompts.items():
        for index in range(settings.n):
            yield Request(problem, prompt, index, completion_seed(evaluation, settings.seed, problem, index))
