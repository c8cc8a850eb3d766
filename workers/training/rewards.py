"""Our verifiers as a reward function of TRL's."""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pkpo.problems import Problem
from workers.verifiers import Problem as Asked
from workers.verifiers import Verification, Verifier


class Rewards:
    """What a verifier says of completions, of many at once; the same completion of a problem is judged once a call.

    As a reward function it gives None where the verifier says nothing of a completion: its reward is missing.

    Attributes:
      unsaid: why it says nothing, of each such completion of the last step.
    """

    __name__ = "verifier"  # TRL's metrics have it in their names

    def __init__(self, verifier: Verifier, problems: Mapping[str, Problem]) -> None:
        self.verifier = verifier
        self.unsaid: Sequence[str] = ()
        self._problems = {
            name: Asked(each.prompt, each.answer, each.tests, each.metadata) for name, each in problems.items()
        }
        # In threads: what takes long is done by processes that the verifier keeps.
        self._threads = ThreadPoolExecutor(os.cpu_count())

    def __call__(self, completions: Sequence[Any], problem: Sequence[str], **_: Any) -> list[float | None]:
        """The rewards of a step, as TRL asks for them."""
        found = self.verifications([_text(each) for each in completions], problem)
        self.unsaid = reasons(found)
        return [each.reward for each in found]

    def verifications(self, texts: Sequence[str], problems: Sequence[str]) -> list[Verification]:
        """What the verifier says of each text as a completion of the problem beside it."""
        keys = list(zip(problems, texts, strict=True))
        different = list(dict.fromkeys(keys))
        said = dict(zip(different, self._threads.map(self._verified, different), strict=True))
        return [said[key] for key in keys]

    def _verified(self, key: tuple[str, str]) -> Verification:
        problem, text = key
        return self.verifier.verify(text, self._problems[problem])

    def close(self) -> None:
        """End the threads; the verifier is its maker's to close."""
        self._threads.shutdown()


def reasons(found: Iterable[Verification]) -> list[str]:
    """Why there is no reward, of each completion without one."""
    return [each.unsaid for each in found if each.unsaid is not None]


def _text(completion: Any) -> str:
    """A completion's text; a chat is a list with one message."""
    return completion if isinstance(completion, str) else str(completion[-1]["content"])
