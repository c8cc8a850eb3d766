"""A thread that writes what a job makes, in batches, so that what makes it never waits for the database."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, Full, Queue
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

T = TypeVar("T")
EVERY: Final = 1.0  # seconds between two batches, unless one is full before
MOST: Final = 200  # in a batch
ROOM: Final = 4000  # before whoever makes more has to wait
LOOK: Final = 0.2  # seconds


class Writer(Generic[T]):
    """Takes things while it is entered, and has written all of them when it is left, after an error too."""

    def __init__(self, write: Callable[[list[T]], None]) -> None:
        """By calls of `write`, all from one thread."""
        self._write = write
        self._queue: Queue[T] = Queue(ROOM)
        self._no_more = threading.Event()
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._writing: Future[None] | None = None

    def put(self, thing: T) -> None:
        """Have it written; raises what a write has raised."""
        assert self._writing is not None, "it is not entered"
        while not self._writing.done():
            with suppress(Full):
                self._queue.put(thing, timeout=LOOK)
                return
        self._writing.result()

    def __enter__(self) -> Self:
        self._writing = self._threads.submit(self._run)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._writing is not None
        self._no_more.set()
        self._threads.shutdown()
        if (failure := self._writing.exception()) is not None and failure is not error:
            raise failure

    def _run(self) -> None:
        written = -EVERY
        while batch := self._batch(written + EVERY):
            self._write(batch)
            written = time.monotonic()

    def _batch(self, due: float) -> list[T]:
        """The next things, at the time when they are due or where there are many; none at the end."""
        batch: list[T] = []
        while len(batch) < MOST and not (batch and time.monotonic() >= due):
            try:
                batch.append(self._queue.get(timeout=LOOK))
            except Empty:
                if self._no_more.is_set():
                    break
        return batch
