"""What a job's own process works with: its spec, transactions that the attempt fences, and how far it is."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy.orm import Session, sessionmaker

from app.config import Settings
from app.jobs import service
from app.jobs.service import Attempt

TOLD_EVERY: Final = 0.5  # seconds between two events of progress
LATELY: Final = 20.0  # seconds over which the rate is taken


class JobFailed(Exception):
    """A reason that another attempt would meet too, in a sentence: the job fails, and is not tried again."""


@dataclass
class Progress:
    """How much is done of how much, by all attempts, and how fast by this one."""

    done: int = 0
    total: int | None = None
    _by_this: int = 0
    _marks: deque[tuple[float, int]] = field(default_factory=deque)
    _told: float = -TOLD_EVERY

    def advance(self, done: int) -> None:
        """Count so many more. What comes before the first, such as the loading of a model, is in no rate."""
        self.done += done
        self._by_this += done  # `done` may be set to what earlier attempts did, or past what need not be done
        if self._by_this == 0:
            self._marks.clear()
        self._marks.append((time.monotonic(), self._by_this))
        while len(self._marks) > 2 and self._marks[-1][0] - self._marks[1][0] > LATELY:
            self._marks.popleft()

    @property
    def rate(self) -> float | None:
        """Done in a second; None where it is too early to say."""
        if len(self._marks) < 2:
            return None
        (since, first), (until, last) = self._marks[0], self._marks[-1]
        return (last - first) / (until - since) if until > since else None

    def is_to_be_told(self) -> bool:
        """Whether it is time to tell who follows the job."""
        now = time.monotonic()
        if now - self._told < TOLD_EVERY and self.done != self.total:
            return False
        self._told = now
        return True


def storable(text: str) -> str:
    """A text as Postgres can have it: without NUL, and in whole characters."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


class Closable(Protocol):
    """What can be let go of."""

    def close(self) -> None:
        """Let go of what it holds."""


T = TypeVar("T", bound=Closable)


class Shelf:
    """What a job leaves loaded for the next one of its process, where there is a next one."""

    def __init__(self) -> None:
        self._kept: tuple[Any, Closable] | None = None

    @property
    def holds_something(self) -> bool:
        """Whether the process is worth keeping."""
        return self._kept is not None

    def take(self, key: Any, kind: type[T]) -> T | None:
        """What was kept under this key; what was kept under another is let go."""
        kept, self._kept = self._kept, None
        if kept is None:
            return None
        if kept[0] == key and isinstance(kept[1], kind):
            return kept[1]
        kept[1].close()
        return None

    def keep(self, key: Any, thing: Closable) -> None:
        """Keep it."""
        self._kept = key, thing

    def clear(self) -> None:
        """Let go of it."""
        if self._kept is not None:
            self._kept[1].close()
        self._kept = None


@dataclass(frozen=True)
class Work:
    """A job, as its own process sees it."""

    sessions: sessionmaker[Session]
    settings: Settings
    attempt: Attempt
    project_id: int
    kind: str
    spec: dict[str, Any]
    progress: Progress = field(default_factory=Progress)
    shelf: Shelf = field(default_factory=Shelf)

    @contextmanager
    def fenced(self, done: int = 0) -> Iterator[Session]:
        """A transaction that only this attempt can commit; then `done` more are done. AttemptLost where it is not its.

        Everything that a job writes goes through it.
        """
        with service.fenced(self.sessions, self.attempt) as session:
            yield session
            self.progress.advance(done)
            # Last: what it locks, the heartbeat of the job waits for.
            session.flush()
            progress = self.progress
            tell = progress.is_to_be_told()
            service.record_progress(session, self.attempt, progress.done, progress.total, progress.rate, tell=tell)

    def say(self, line: str) -> None:
        """A line of the job's log."""
        print(line, flush=True)
