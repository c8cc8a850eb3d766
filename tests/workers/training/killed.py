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

STEPS = 60


def attempt(folder: Path) -> int:
    """The pid of a process that goes on with the training."""
    from tests.workers.training import small  # TRL, which looks for vLLM when it is imported

    pid = os.fork()
    if pid == 0:
        small.trained(folder, small.spec(steps=STEPS, evaluate_every=20, checkpoint_every=3))
        os._exit(0)
    return pid


def killed(pid: int, folder: Path, generator: random.Random) -> bool:
    """Whether the process was killed, somewhere after the next checkpoint or while that is written."""
    before = len(list(folder.glob("step-*"))), max(folder.glob("step-*"), default=None)
    while (len(list(folder.glob("step-*"))), max(folder.glob("step-*"), default=None)) == before:
        if os.waitpid(pid, os.WNOHANG)[0] != 0:
            return False
        time.sleep(0.002)
    time.sleep(generator.uniform(0, 0.3))
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
