"""One job of a worker: its process, the lines that it writes, and what becomes of it when the process ends."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from app.jobs import service
from app.jobs.service import Attempt, AttemptLost, Claimed
from workers.child.process import PARENT
from workers.heartbeat import Heartbeat, Lease
from workers.job_process import JobProcess, Standby, loads

POLL: Final = 0.1  # seconds
WRITTEN_EVERY: Final = 0.5  # seconds
LAST_WORDS: Final = 0.1  # seconds in which a job that is over and stays may still be heard
MOST_LINES: Final = 200  # of a job's log at once; where it writes more, the newest
LONGEST_LINE: Final = 2000  # characters
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Jobs:
    """What runs the jobs of a worker."""

    sessions: sessionmaker[Session]
    heartbeat: Heartbeat
    worker_id: int
    url: str
    lease: float
    grace: float  # seconds between SIGTERM and SIGKILL
    child: Sequence[str]
    standby: Standby
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, job_id: int) -> None:
        """Do the job in a process of its own, unless somebody else has it or it was cancelled."""
        claimed_at = time.monotonic()
        claimed = await asyncio.to_thread(self._claim, job_id)
        if claimed is None:
            return
        logger.info("job %s (%s), attempt %d", claimed.uuid, claimed.kind, claimed.attempt.number)
        lease = self.heartbeat.keep(claimed.attempt, claimed_at)
        try:
            await self._run(claimed, lease)
        finally:
            self.heartbeat.drop(claimed.attempt)

    def _claim(self, job_id: int) -> Claimed | None:
        with self.sessions.begin() as session:
            return service.claim(session, job_id, self.worker_id, self.lease)

    async def _run(self, claimed: Claimed, lease: Lease) -> None:
        attempt = claimed.attempt
        child = await self.standby.take(claimed)
        if child is None:
            environment = os.environ | {"PKPO_DATABASE_URL": self.url, PARENT: str(os.getpid())}
            child = await JobProcess.start(self.child, attempt, environment, loads(claimed))
        log = asyncio.create_task(Log(self.sessions, attempt).keep(child))
        try:
            await self._until_it_ends(child, lease)
        finally:
            stays = child.is_over and not (lease.is_over or lease.is_cancelled or self.stop.is_set())
            if not stays:
                await child.end(0.0 if lease.is_over else self.grace)
            await log
        await self._record(attempt, child, lease)
        if stays:
            self.standby.keep(child)

    async def _until_it_ends(self, child: JobProcess, lease: Lease) -> None:
        while not (child.is_over or child.has_ended or lease.is_over or lease.is_cancelled or self.stop.is_set()):
            await asyncio.sleep(POLL)

    async def _record(self, attempt: Attempt, child: JobProcess, lease: Lease) -> None:
        """Say what became of the attempt; nothing happens where it is no longer ours."""
        status = child.process.returncode
        if child.is_over or status == 0:
            outcome = partial(service.finish, attempt=attempt)
        elif self.stop.is_set() and not lease.is_cancelled:
            outcome = partial(service.give_back, attempt=attempt)
        else:
            assert status is not None
            outcome = partial(service.lose, attempt=attempt, reason=_reason(status))
        give_up = time.monotonic() + self.lease
        while True:
            try:
                await asyncio.to_thread(self._in_a_transaction, outcome)
                return
            except DBAPIError as error:
                if time.monotonic() > give_up:
                    logger.warning("what became of job %d is left to the others: %s", attempt.job_id, error)
                    return
                await asyncio.sleep(WRITTEN_EVERY)

    def _in_a_transaction(self, outcome: Callable[[Session], None]) -> None:
        with self.sessions.begin() as session:
            outcome(session)


def _reason(status: int) -> str:
    if status < 0:
        return f"Its process was killed by {signal.Signals(-status).name}."
    return f"Its process exited with status {status} before the job was done."


@dataclass
class Log:
    """The lines of a job, kept as events some at a time."""

    sessions: sessionmaker[Session]
    attempt: Attempt
    _lines: list[str] = field(default_factory=list)
    _rest: bytes = b""
    _left_out: int = 0

    async def keep(self, child: JobProcess) -> None:
        """Read what the job writes to its end, and store it."""
        written = time.monotonic()
        while not child.output.at_eof():
            try:
                patience = LAST_WORDS if child.is_over else WRITTEN_EVERY
                self._take(await asyncio.wait_for(child.output.read(65536), patience))
            except TimeoutError:
                if child.is_over:
                    break
            if time.monotonic() - written > WRITTEN_EVERY:
                await asyncio.to_thread(self._write)
                written = time.monotonic()
        self._take(b"\n" if self._rest else b"")
        await asyncio.to_thread(self._write)

    def _take(self, chunk: bytes) -> None:
        *whole, rest = (self._rest + chunk).split(b"\n")
        self._rest = _shown(rest)[: 4 * LONGEST_LINE]
        lines = (_shown(line).rstrip(b"\r").decode(errors="replace") for line in whole)
        self._lines += [line.replace("\0", "\ufffd")[:LONGEST_LINE] for line in lines]
        self._left_out += max(len(self._lines) - MOST_LINES, 0)
        self._lines = self._lines[-MOST_LINES:]

    def _write(self) -> None:
        lines, left_out = self._lines, self._left_out
        if not lines:
            return
        self._lines, self._left_out = [], 0
        note = [f"({left_out} lines were left out)"] if left_out else []
        try:
            with service.fenced(self.sessions, self.attempt) as session:
                service.record_log(session, self.attempt, note + lines)
        except (AttemptLost, DBAPIError):
            logger.warning("%d lines of job %d were not stored", len(lines), self.attempt.job_id)


def _shown(line: bytes) -> bytes:
    """What a terminal shows in the end of a line that is written over, as bars of progress are."""
    return line[line.rstrip(b"\r").rfind(b"\r") + 1 :]
