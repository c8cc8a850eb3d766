"""A thread that writes what a job makes, in batches, so that what makes it never waits for the database."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

T = TypeVar("T")
EVERY: Final = 1.0  # seconds between two batches, unless one is full before
MOST: Final = 2000  # in a batch
ROOM: Final = 2 * MOST  # before whoever makes more has to wait


class Writer(Generic[T]):
    """Takes things while it is entered, and has written all of them when it is left, after an error too.

    The thread sleeps between two batches: each time that it woke, it would take the interpreter from what makes more.
    """

    def __init__(self, write: Callable[[list[T]], None]) -> None:
        """By calls of `write`, all from one thread."""
        self._write = write
        self._things: list[T] = []
        self._changed = threading.Condition()
        self._no_more = self._ended = False
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._writing: Future[None] | None = None

    def put(self, thing: T) -> None:
        """Have it written; raises what a write has raised."""
        assert self._writing is not None, "it is not entered"
        with self._changed:
            self._changed.wait_for(lambda: self._ended or len(self._things) < ROOM)
            self._things.append(thing)
            if len(self._things) in (1, MOST):
                self._changed.notify_all()
        if self._ended:
            self._writing.result()

    def __enter__(self) -> Self:
        self._writing = self._threads.submit(self._run)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._writing is not None
        with self._changed:
            self._no_more = True
            self._changed.notify_all()
        self._threads.shutdown()
        if (failure := self._writing.exception()) is not None and failure is not error:
            raise failure

    def _run(self) -> None:
        written = -EVERY
        try:
            while batch := self._batch(written + EVERY):
                self._write(batch)
                written = time.monotonic()
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _batch(self, due: float) -> list[T]:
        """The next things, at the time when they are due or where there are many; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._things or self._no_more)
            self._changed.wait_for(lambda: self._no_more or len(self._things) >= MOST, due - time.monotonic())
            batch, self._things = self._things[:MOST], self._things[MOST:]
            self._changed.notify_all()
        return batch
