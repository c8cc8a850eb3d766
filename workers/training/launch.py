"""The other processes of a training on one machine, started by the first as torch's `env://` has it.

They are started into its process group, which is ended as one, and are gone when it is. One that cannot go on, for a
reason that another attempt would meet too, says so with `refuse`, and is ended.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Final

import torch
from torch.distributed import TCPStore  # type: ignore[attr-defined]  # documented, but not declared

from app.jobs.specs.training import TrainingSpec

GRACE: Final = 20.0  # seconds in which the first may tell by itself what ended another
SETTLING: Final = 3.0  # seconds in which the others end that refused, once the first cannot go on
LONGEST: Final = 2**20  # bytes of a sentence
REFUSAL: Final = "PKPO_TRAINING_REFUSAL"  # the descriptor of a file for the sentence of a process that refuses


class UnsuitableProcesses(ValueError):
    """So many processes cannot train this here; the sentence says why."""


def processes(spec: TrainingSpec) -> int:
    """How many are to train: as many as the spec says, else one for each GPU, of which a step can be shared alike."""
    gpus = torch.cuda.device_count()
    if spec.processes is None:
        shares = spec.of_a_step // (spec.micro_batch or spec.n)
        return max((count for count in range(1, gpus + 1) if shares % count == 0), default=1)
    if gpus and spec.processes > gpus:
        raise UnsuitableProcesses(f"There is a GPU for each of {gpus} processes; the spec wants {spec.processes}")
    return spec.processes


@contextmanager
def beside(
    command: Sequence[str], count: int, say: Callable[[str], None], fail: Callable[[str], None]
) -> Iterator[None]:
    """Have `count` − 1 processes of this command besides this one, which becomes the first; return when all are done.

    Where one of them fails and this one does not, its whole process group is killed; where it refused, `fail` is told
    the sentence, and this process exits with 0.
    """
    if count == 1 and torch.cuda.device_count() < 2:
        yield
        return
    # One process beside several GPUs is told its own too: else TRL would spread its batch over them.
    # The store that `env://` uses too, for the port is this process's: one found to be free could be another's by then.
    meeting = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, multi_tenant=True)
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(meeting.port)}
    shared |= {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
    os.environ.update(shared | _rank(0))
    others = [_Other.start(command, rank) for rank in range(1, count)]
    leaves = Event()
    watches = [Thread(target=_watch, args=(other, leaves, say, fail), daemon=True) for other in others]
    for watch in watches:
        watch.start()
    try:
        yield
        for watch in watches:
            watch.join()
    except Exception:
        # Of what ended another this one may know no more than that a connection was closed.
        until = time.monotonic() + SETTLING
        for other in others:
            other.refused_nothing.wait(max(0.0, until - time.monotonic()))
        raise
    finally:
        leaves.set()
        for other in others:
            other.process.kill()


def refuse(sentence: str) -> None:
    """Say, in a process that is not the first, why it cannot go on; then it must end, and not with 0."""
    os.write(int(os.environ[REFUSAL]), sentence.encode())


@dataclass(frozen=True)
class _Other:
    rank: int
    process: "subprocess.Popen[bytes]"
    _refusal: int  # the descriptor of what it writes its sentence to
    refused_nothing: Event = field(default_factory=Event)  # set once it has ended so

    @classmethod
    def start(cls, command: Sequence[str], rank: int) -> "_Other":
        refusal = os.memfd_create("refusal")
        environment = os.environ | _rank(rank) | {REFUSAL: str(refusal)}
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, pass_fds=(refusal,))
        return cls(rank, process, refusal)

    def refusal(self) -> str:
        """What it said when it refused, once it has ended; nothing where it did not."""
        return os.pread(self._refusal, LONGEST, 0).decode()


def _rank(rank: int) -> dict[str, str]:
    return {"RANK": str(rank), "LOCAL_RANK": str(rank)}


def _watch(other: _Other, leaves: Event, say: Callable[[str], None], fail: Callable[[str], None]) -> None:
    status = other.process.wait()
    if sentence := other.refusal():
        _end(sentence, fail)
    other.refused_nothing.set()
    if status == 0 or leaves.is_set():
        return
    why = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    say(f"process {other.rank} of the training {why}: without it no step can be made")
    if not leaves.wait(GRACE):
        os.killpg(0, signal.SIGKILL)


def _end(sentence: str, fail: Callable[[str], None]) -> None:
    try:
        fail(sentence)
        os._exit(0)  # the thread that trains may wait for what the other would have sent, and for ever
    finally:
        os.killpg(0, signal.SIGKILL)
