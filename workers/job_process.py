"""The process that does a job; and one that stays after it, with its model loaded, for a next job that needs the same.

A process that stays talks with the worker over a pair of sockets: it says `over` at the end of a job, is told the id
and attempt of the next one, and says `taken`. It is ended when it was idle for a while, when a job comes that needs
something else, when the worker stops, and after every job that did not come to a good end.
"""

import asyncio
import getpass
import os
import signal
import socket
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Self

from app.ingest.canonical import canonical_json
from app.jobs.service import Attempt, Claimed
from workers.child.process import LINE, OVER, TAKEN

QUEUE_OF_MODELS: Final = "gpu"
PATIENCE: Final = 5.0  # seconds in which a process that waits for a job takes it


def loads(claimed: Claimed) -> str | None:
    """What the job keeps loaded, in words that only a job with the same use; None where that is nothing."""
    if claimed.kind != "sampling" or claimed.spec["engine"] == "openai":
        return None
    return canonical_json([claimed.spec[member] for member in ("engine", "model", "engine_options")])


@dataclass
class JobProcess:
    """A process, from its start to its end."""

    process: Process
    loads: str | None
    _scratch: tempfile.TemporaryDirectory[str]
    _line: asyncio.StreamWriter | None = None
    _listening: asyncio.Task[None] | None = None
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _taken: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    async def start(
        cls, command: Sequence[str], attempt: Attempt, environment: Mapping[str, str], loads: str | None
    ) -> Self:
        """One that does the job, and stays after it where there is something to keep loaded."""
        scratch = tempfile.TemporaryDirectory(prefix="job-", ignore_cleanup_errors=True)
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                str(attempt.job_id),
                str(attempt.number),
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=STDOUT,
                env=_temporary(scratch.name, environment) | ({} if loads is None else {LINE: str(theirs.fileno())}),
                pass_fds=() if loads is None else (theirs.fileno(),),
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            scratch.cleanup()
            raise
        finally:
            theirs.close()
        made = cls(process, loads, scratch)
        if loads is None:
            ours.close()
        else:
            reader, made._line = await asyncio.open_unix_connection(sock=ours)
            made._listening = asyncio.create_task(made._listen(reader))
        return made

    @property
    def is_over(self) -> bool:
        """Whether it has done its job, and lives."""
        return self._over.is_set()

    @property
    def has_ended(self) -> bool:
        """Whether there is no process any more."""
        return self.process.returncode is not None

    @property
    def output(self) -> asyncio.StreamReader:
        """What it writes, in all of its jobs."""
        assert self.process.stdout is not None
        return self.process.stdout

    async def give(self, attempt: Attempt) -> bool:
        """Have it do another job; False where it does not take it, because somebody has killed or frozen it."""
        assert self._line is not None, "it was not asked to stay"
        assert self._listening is not None
        self._over.clear()
        self._taken.clear()
        self._line.write(f"{attempt.job_id} {attempt.number}\n".encode())
        taken = asyncio.create_task(self._taken.wait())
        await asyncio.wait({taken, self._listening}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        taken.cancel()
        return self._taken.is_set()

    async def end(self, grace: float) -> None:
        """Return when the process is gone, all of its group are killed, and its temporary files are removed."""
        if not self.has_ended and grace > 0:
            self._signal(signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), grace)
        self._signal(signal.SIGKILL)
        await self.process.wait()
        if self._line is not None and self._listening is not None:
            self._listening.cancel()
            self._line.close()
        await asyncio.to_thread(self._scratch.cleanup)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):
            while line := await reader.readline():
                {OVER: self._over, TAKEN: self._taken}[line].set()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)  # it leads a group of its own


def _temporary(folder: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process whose temporary files lie in the folder, but for the kernels that it compiles.

    vLLM leaves sockets behind, and whatever is killed leaves what it had. torch would compile its kernels for each job.
    """
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = f"uid_{os.getuid()}"
    kernels = os.path.join(tempfile.gettempdir(), f"torchinductor_{user}")  # where torch itself keeps them
    return {"TORCHINDUCTOR_CACHE_DIR": kernels} | dict(environment) | {"TMPDIR": folder}


class Standby:
    """The process that the last job has left with its model loaded, if there is one."""

    def __init__(self, idle: float, grace: float) -> None:
        """Ended after `idle` seconds without a job; `grace` is between SIGTERM and SIGKILL."""
        self._idle, self._grace = idle, grace
        self._kept: JobProcess | None = None
        self._expiry: asyncio.Task[None] | None = None

    async def take(self, claimed: Claimed) -> JobProcess | None:
        """It, at work on the job, where it has loaded what that needs; else it is ended, for the job needs its room."""
        if claimed.queue != QUEUE_OF_MODELS or (child := self._pop()) is None:
            return None
        if child.loads == loads(claimed) and not child.has_ended and await child.give(claimed.attempt):
            return child
        await child.end(self._grace)
        return None

    def keep(self, child: JobProcess) -> None:
        """Have it wait for the next job."""
        assert self._kept is None, "one job at a time loads a model"
        self._kept = child
        self._expiry = asyncio.create_task(self._expire(child))

    async def end(self) -> None:
        """End it."""
        if (child := self._pop()) is not None:
            await child.end(self._grace)

    def _pop(self) -> JobProcess | None:
        if self._expiry is not None:
            self._expiry.cancel()
        child, self._kept, self._expiry = self._kept, None, None
        return child

    async def _expire(self, child: JobProcess) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(child.process.wait(), self._idle)
        self._kept = self._expiry = None
        await child.end(self._grace)
