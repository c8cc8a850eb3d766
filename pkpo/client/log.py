"""What a training loop logs, on its way to the server without the loop waiting for anything.

The loop puts an entry into a queue. One thread writes it to a file of the spool, one tells the disk to keep the file,
one sends the files, in order. So what a killed process loses is what it put into the queue in its last milliseconds,
and a crash of the machine what the disk had not kept yet; the rest `pkpo sync` sends.
"""

import atexit
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import httpx

from pkpo.client.connection import Connection, pause
from pkpo.client.delivery import deliver
from pkpo.client.errors import ClientError
from pkpo.client.spool import Folder, Request

logger = logging.getLogger("pkpo.client")

ATEXIT_SECONDS = 5.0
QUEUED = 1_000  # entries in memory; more only gather while the disk hangs


class Entry(Protocol):
    """One call of the training loop."""

    def requests(self) -> Iterator[tuple[str, bytes]]:
        """Paths and bodies in gzip; ValueError where the entry cannot be written."""
        ...


@dataclass(frozen=True)
class LogStatus:
    """What became of what was logged, in requests; most calls are one.

    Attributes:
      queued: calls in memory.
      spooled: on disk, to be sent.
      delivered: acknowledged by the server.
      refused: laid aside, for the server will never take them.
      dropped: lost, with calls that never became requests: the queue or the spool was full, or the disk failed.
    """

    queued: int = 0
    spooled: int = 0
    delivered: int = 0
    refused: int = 0
    dropped: int = 0

    def __add__(self, other: "LogStatus") -> "LogStatus":
        """The totals of both."""
        return LogStatus(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))


class Log:
    """The queue, the spool and the two threads between them."""

    def __init__(self, connection: Connection, spool: Path, spool_limit: int) -> None:
        self._connection = connection
        self._folder = Folder.make(spool)
        self._limit = spool_limit
        self._changed = threading.Condition()
        # All below belongs to who holds _changed.
        self._queue: deque[Entry] = deque()
        self._writing = 0
        self._files: deque[tuple[Path, int]] = deque()
        self._bytes = 0
        self._delivered = self._refused = self._dropped = 0
        self._retry_at = 0.0
        self._closing = False
        self._give_up = float("inf")
        self._warned: set[str] = set()
        self._unsynced: list[Path] = []
        work = (self._write, self._sync, self._send)
        self._running = len(work)
        self._threads = [threading.Thread(target=self._run, args=(each,), daemon=True) for each in work]
        for thread in self._threads:
            thread.start()
        _open.add(self)

    def put(self, entry: Entry) -> None:
        """Take the entry; never waits."""
        with self._changed:
            if len(self._queue) < QUEUED and not self._closing:
                self._queue.append(entry)
                self._changed.notify_all()
                return
        self._drop(1, "the disk does not keep up: the queue is full" if not self._closing else "the client is closed")

    def status(self) -> LogStatus:
        """What became of what was put."""
        with self._changed:
            queued, spooled = len(self._queue) + self._writing, len(self._files)
            return LogStatus(queued, spooled, self._delivered, self._refused, self._dropped)

    def flush(self, timeout: float) -> bool:
        """Try now to send all; returns whether nothing waits any more, after `timeout` seconds at most."""
        with self._changed:
            self._retry_at = 0.0
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._idle() or not self._running, timeout)
            return self._idle()

    def close(self, timeout: float) -> None:
        """Try to send all, for `timeout` seconds at most, then say what is left where."""
        _open.discard(self)
        give_up = time.monotonic() + timeout
        with self._changed:
            self._closing, self._retry_at, self._give_up = True, 0.0, give_up
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(max(give_up - time.monotonic(), 0.01))
        self._report()

    def _written(self) -> bool:
        """Whether no further file will come."""
        return self._closing and not (self._queue or self._writing)

    def _idle(self) -> bool:
        return not (self._queue or self._writing or self._files)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()
                last = not self._running
            if last:
                self._folder.release()

    def _write(self) -> None:
        """The thread from the queue to files."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closing)
                if not self._queue:
                    return
                entry = self._queue.popleft()
                self._writing = 1
            try:
                for path, body in entry.requests():
                    self._spool(Request(self._connection.url, path, str(uuid4()), body))
            except (ValueError, TypeError, OSError) as error:
                self._drop(1, str(error))
            with self._changed:
                self._writing = 0
                self._changed.notify_all()

    def _spool(self, request: Request) -> None:
        size = len(request.body)
        with self._changed:
            room = self._bytes + size <= self._limit
        if not room:
            self._drop(1, f"the spool {self._folder.path} has reached its {self._limit:,} bytes")
            return
        file = self._folder.add(request)
        with self._changed:
            self._files.append((file, size))
            self._unsynced.append(file)
            self._bytes += size
            self._changed.notify_all()

    def _sync(self) -> None:
        """The thread that has the disk keep the files: it may take long, and a killed process needs it not."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._unsynced or self._written())
                files, self._unsynced = self._unsynced, []
            if not files:
                return
            try:
                self._folder.sync(files)
            except OSError as error:
                self._warn("disk", f"What this run logs may not outlive a crash of the machine: {error}")

    def _send(self) -> None:
        """The thread from files to the server."""
        failures = 0
        while (file := self._next()) is not None:
            try:
                refused = deliver(self._folder, file, self._once).refused
            except FileNotFoundError:
                self._drop(1, f"{file} has been removed")
                self._done()
            except (ClientError, OSError) as error:
                self._wait(error, failures)
                failures += 1
            else:
                failures = 0
                if refused:
                    self._warn("refused", f"The server refuses what this run logs: {refused}")
                self._done(delivered=not refused, refused=bool(refused))

    def _once(self, request: Request) -> httpx.Response:
        return self._connection.send_once(request.call(), self._connection.timeout)

    def _done(self, delivered: bool = False, refused: bool = False) -> None:
        with self._changed:
            self._bytes -= self._files.popleft()[1]
            self._delivered += delivered
            self._refused += refused
            self._changed.notify_all()

    def _next(self) -> Path | None:
        """The oldest file, when it is time to send it; None at the end."""
        with self._changed:
            while True:
                now = time.monotonic()
                if now > self._give_up or (self._written() and not self._files):
                    return None
                if self._files and now >= self._retry_at:
                    return self._files[0][0]
                self._changed.wait(min(self._retry_at, self._give_up) - now if self._files else None)

    def _wait(self, error: Exception, failures: int) -> None:
        """Let time pass before the next attempt; while closing there is none."""
        self._warn("away", f"{error}\nWhat this run logs is kept in {self._folder.path} until the server takes it.")
        with self._changed:
            if self._closing:
                self._give_up = 0.0
            else:
                self._retry_at = time.monotonic() + pause(error, failures)

    def _drop(self, count: int, reason: str) -> None:
        with self._changed:
            self._dropped += count
        self._warn("dropped", f"Something that this run logged is lost: {reason}")

    def _warn(self, kind: str, message: str) -> None:
        """Say it the first time: a loop logs at every step."""
        with self._changed:
            first = kind not in self._warned
            self._warned.add(kind)
        if first:
            logger.warning(message)

    def _report(self) -> None:
        status = self.status()
        if left := status.queued + status.spooled:
            logger.warning(
                "%d requests of this run's log are not sent; they are in %s. `pkpo sync --spool %s` sends them.",
                left, self._folder.path, self._folder.path.parent,
            )  # fmt: skip
        if status.refused:
            logger.error("%d requests of this run's log were refused by the server.", status.refused)
        if status.dropped:
            logger.error("%d requests of this run's log are LOST.", status.dropped)

    def let_go(self) -> None:
        """In a process forked off: the folder and its lock are the parent's."""
        self._folder.forget()


_open: set[Log] = set()  # its threads keep a log alive, when its client is gone too


def _after_fork() -> None:
    for log in _open:
        log.let_go()
    _open.clear()


def _at_exit() -> None:
    for log in list(_open):
        log.close(ATEXIT_SECONDS)


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
