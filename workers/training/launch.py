"""The other processes of a training on one machine, started by the first as torch's `env://` has it.

They are started into its process group, which is ended as one, and are gone when it is.
"""

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final

import torch

from app.jobs.specs.training import TrainingSpec

GRACE: Final = 20.0  # seconds in which the first may tell by itself what ended another


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
def beside(command: Sequence[str], count: int, say: Callable[[str], None]) -> Iterator[None]:
    """Have `count` − 1 processes of this command besides this one, which becomes the first; return when all are done.

    Where one of them fails and this one does not, its whole process group is killed.
    """
    if count == 1 and torch.cuda.device_count() < 2:
        yield
        return
    # One process beside several GPUs is told its own too: else TRL would spread its batch over them.
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    shared |= {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
    os.environ.update(shared | _rank(0))
    others = [subprocess.Popen(command, env=os.environ | _rank(i), stdin=subprocess.DEVNULL) for i in range(1, count)]
    leaves = Event()
    watches = [Thread(target=_watch, args=(i, other, leaves, say), daemon=True) for i, other in enumerate(others, 1)]
    for watch in watches:
        watch.start()
    try:
        yield
        for watch in watches:
            watch.join()
    finally:
        leaves.set()
        for other in others:
            other.kill()


def _rank(rank: int) -> dict[str, str]:
    return {"RANK": str(rank), "LOCAL_RANK": str(rank)}


def _watch(rank: int, process: "subprocess.Popen[bytes]", leaves: Event, say: Callable[[str], None]) -> None:
    status = process.wait()
    if status == 0 or leaves.is_set():
        return
    why = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    say(f"process {rank} of the training {why}: without it no step can be made")
    if not leaves.wait(GRACE):
        os.killpg(0, signal.SIGKILL)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
