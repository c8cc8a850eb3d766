"""Trains in processes that are killed, each at another moment: `python -m tests.workers.training.killed FOLDER KILLS`.

The libraries are loaded once, and each attempt is a fork of the process that has them.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from workers.training import leave_vllm_out

STEPS, CHECKPOINT_EVERY = 60, 2  # 30 checkpoints: each attempt leaves two at most, or three


def attempt(folder: Path) -> int:
    """The pid of a process that goes on with the training."""
    from tests.workers.training import small  # TRL, which looks for vLLM when it is imported

    pid = os.fork()
    if pid == 0:
        small.trained(folder, small.spec(steps=STEPS, evaluate_every=20, checkpoint_every=CHECKPOINT_EVERY))
        os._exit(0)
    return pid


def written(folder: Path) -> tuple[int, Path | None]:
    """What tells that another checkpoint is there: their number, and the last one."""
    checkpoints = sorted(folder.glob("step-*"))
    return len(checkpoints), checkpoints[-1] if checkpoints else None


def killed(pid: int, folder: Path, generator: random.Random) -> bool:
    """Whether the process was killed: a while after its first checkpoint, or as soon as there is a second one."""
    before = written(folder)
    while (first := written(folder)) == before:
        if os.waitpid(pid, os.WNOHANG)[0] != 0:
            return False
        time.sleep(0.002)
    moment = time.monotonic() + generator.uniform(0, 0.3)
    while time.monotonic() < moment and written(folder) == first:
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def main(folder: Path, kills: int) -> None:
    leave_vllm_out()
    generator, done = random.Random(0), 0
    while done < kills:
        if not killed(attempt(folder), folder, generator):
            sys.exit(f"the training came to its end after {done} kills")
        done += 1
    _, status = os.waitpid(attempt(folder), 0)
    print(f"killed {done} times, then exited with {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
