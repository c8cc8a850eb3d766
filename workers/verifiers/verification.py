"""What every verifier takes and gives."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

from app.jobs.options.identity import not_default, stored_name
from app.jobs.options.verifiers import Options

Status = Literal["passed", "failed", "scored", "timeout", "oom", "output_limit", "crash", "infrastructure_error"]


@dataclass(frozen=True)
class Problem:
    """What a verifier may know of a problem; `tests` is any JSON, in the form that the verifier documents."""

    prompt: str | None = None
    answer: str | None = None
    tests: Any = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verification:
    """A verifier's result on a completion.

    Attributes:
      status: `scored` where there is a reward and no pass; `infrastructure_error` says nothing about the completion.
      reward: None exactly where the status is `infrastructure_error`.
      passed: None for `scored` and `infrastructure_error`.
      answer: what was taken for the answer, where one was found.
      detail: anything else; for what did not pass, `reason` in words.
    """

    status: Status
    reward: float | None
    passed: bool | None
    answer: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def unsaid(self) -> str | None:
        """Why there is no reward; None where there is one."""
        return None if self.reward is not None else str(self.detail.get("reason", "nothing"))


def judged(passed: bool, answer: str | None, reward: float | None = None, **detail: Any) -> Verification:
    """A verification by pass or fail; the reward is 1 or 0 unless given."""
    return Verification(
        "passed" if passed else "failed", float(passed) if reward is None else reward, passed, answer, detail
    )


def unanswered(reason: str) -> Verification:
    """A completion in which no answer was found: it failed."""
    return judged(False, None, reason=reason)


def infrastructure_error(reason: str) -> Verification:
    """Nothing was learnt about the completion."""
    return Verification("infrastructure_error", None, None, None, {"reason": reason})


class Verifier(ABC):
    """A function from a completion and its problem to a verification, with a version that changes whenever its
    results may.

    Use it in a `with` block: some keep processes. `verify` may be called from several threads at once.
    """

    name: str
    version: str = "1"
    Options: ClassVar[type[Options]] = Options

    def __init__(self, options: Any) -> None:
        self.options = options

    @property
    def told(self) -> dict[str, Any]:
        """Its options that are not the defaults, as JSON."""
        return not_default(self.options)

    @property
    def full_name(self) -> str:
        """Under which results are stored: `name@version`, with options `name@version-` and eight digits of theirs."""
        return stored_name(self.name, self.version, self.told)

    @abstractmethod
    def verify(self, completion: str, problem: Problem) -> Verification:
        """What becomes of the completion. A problem that does not suit the verifier is an `infrastructure_error`."""

    def close(self) -> None:  # noqa: B027 - most keep nothing running
        """Ends what the verifier keeps running."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
