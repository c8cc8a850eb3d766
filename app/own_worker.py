"""The worker that `pkpo serve --worker` keeps: its packages, installed while the service answers, then its process.

A part that cannot be installed is named on the first page, and the worker does without it.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from app.embedded_postgres import child_process
from app.embedded_postgres.data_folder import bound_log, last_lines, open_log
from app.worker_state import FILE, NotInstalled, WorkerState

CHECKOUT: Final = Path(__file__).resolve().parent.parent
WORKER: Final = (sys.executable, "-m", "workers", "--queue", "gpu", "--queue", "cpu")
MOST_SHORT_LIVES: Final = 5  # in a row; then the worker is given up, and the service goes on
SHORT_LIFE: Final = 30.0  # seconds
LONGEST_WAIT: Final = 30.0  # seconds
DRAIN: Final = ((signal.SIGTERM, 25.0), (signal.SIGKILL, 10.0))  # a job has 10 s of it
INTERRUPT: Final = ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
LONGEST_REASON: Final = 300  # characters
COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
MOST_OUTPUT: Final = 200  # lines of an installer, among which the cause is looked for
ERROR: Final = re.compile(r"(error: |ERROR: |E: |× )\s*")  # how uv, pip and apt begin to say what is wrong
OF_PYTHON: Final = re.compile(r"\w+Error: ")


@dataclass(frozen=True)
class Step:
    """A part of what a worker needs."""

    what: str
    command: tuple[str, ...]
    program: str | None = None
    """What must be there when the command has succeeded."""


# vLLM before torch: it decides which torch.
STEPS: Final = (
    Step("vLLM", ("requirements/install.sh", "vllm")),
    Step("torch", ("requirements/install.sh", "torch")),
    Step("TRL", ("requirements/install.sh", "trl")),
    Step("math-verify and reasoning-gym", ("requirements/install.sh", "workers")),
    Step("bubblewrap", ("requirements/system.sh", "bubblewrap"), program="bwrap"),
)


class OwnWorker:
    """A worker on this machine.

    `tend`, called often once the service answers, installs what it needs and keeps it alive.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str],
        say: Callable[[str], None],
        steps: Sequence[Step] = STEPS,
        command: Sequence[str] = WORKER,
    ) -> None:
        self._folder = folder
        self._environment = {**os.environ, **settings}
        self._say = say
        self._steps = steps
        self._command = command
        self._log = folder / "worker.log"
        self._install_log = folder / "worker-install.log"
        self._not_installed: list[NotInstalled] = []
        self._life = self._live()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._life.close()
        with suppress(OSError):
            (self._folder / FILE).unlink()

    def tend(self) -> None:
        """Do what is due, and wait for nothing."""
        try:
            next(self._life)
        except OSError as error:
            self._life = self._given_up(f"{error.strerror} ({error.filename or self._folder})")

    # Each yield below is a turn of the launcher; what runs is ended where it closes the generator.

    def _live(self) -> Generator[None, None, None]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for done, step in enumerate(self._steps):
            self._write("installing", step=step.what, done=done, steps=len(self._steps), log=str(self._install_log))
            yield from self._install(step)
        short_lives, cause = 0, ""
        while short_lives < MOST_SHORT_LIVES:
            self._write("started", log=str(self._log))
            began = time.monotonic()
            status = yield from self._run(self._command, self._log, DRAIN)
            cause = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"exited with status {status}"
            short_lives = short_lives + 1 if time.monotonic() - began < SHORT_LIFE else 0
            if short_lives < MOST_SHORT_LIVES:
                self._say(f"The worker {cause}; starting it again.")
                yield from self._pause(min(2.0**short_lives / 4, LONGEST_WAIT) if short_lives > 1 else 0.0)
        said = COLOURS.sub("", last_lines(self._log, count=1))
        yield from self._given_up(f"it died {short_lives} times in a row; the last time it {cause}: {said}")

    def _install(self, step: Step) -> Generator[None, None, None]:
        begin = self._install_log.stat().st_size if self._install_log.exists() else 0
        self._say(f"For the worker: {step.what}.")
        status = yield from self._run(step.command, self._install_log, INTERRUPT)
        if status != 0 or (step.program is not None and shutil.which(step.program) is None):
            said = cause(last_lines(self._install_log, since=begin, count=MOST_OUTPUT))[:LONGEST_REASON]
            self._not_installed.append(NotInstalled(step.what, said or f"status {status}"))
            self._say(f"Not installed: {step.what}. {said}")

    def _run(
        self, command: Sequence[str], log: Path, escalation: Sequence[tuple[signal.Signals, float]]
    ) -> Generator[None, None, int]:
        """The exit status of the command, once it has ended."""
        with open_log(log) as file:
            tied = child_process.tied_to_us(command, signal.SIGKILL)
            process = child_process.spawn(tied, self._environment, file, str(CHECKOUT))
        try:
            while process.poll() is None:
                yield
                bound_log(log)
        finally:
            _end_group(process, escalation)
        return int(process.returncode)

    def _pause(self, seconds: float) -> Generator[None, None, None]:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            yield

    def _given_up(self, why: str) -> Generator[None, None, None]:
        self._say(f"There is no worker: {why}\n`make worker` starts one.")
        with suppress(OSError):
            self._write("given_up", why=why[:LONGEST_REASON], log=str(self._log))
        while True:
            yield

    def _write(
        self,
        phase: Literal["installing", "started", "given_up"],
        step: str = "",
        done: int = 0,
        steps: int = 0,
        why: str = "",
        log: str = "",
    ) -> None:
        not_installed = tuple(self._not_installed)
        WorkerState(phase, os.getpid(), step, done, steps, not_installed, why, log).write(self._folder)


def cause(output: str) -> str:
    """Why an installer failed: where its error begins, for after that come hints; else its last line.

    Where what it ran was a program in Python, the error of that is added.
    """
    lines = [line for each in COLOURS.sub("", output).splitlines() if (line := each.strip())]
    begin = next((i for i, line in enumerate(lines) if ERROR.match(line)), None)
    if begin is None:
        return lines[-1].removeprefix("==>").strip() if lines else ""
    of_python = next((line for line in lines[begin:] if OF_PYTHON.match(line)), None)
    return ": ".join(filter(None, (ERROR.sub("", lines[begin], count=1), of_python)))


def _end_group(process: subprocess.Popen[bytes], escalation: Sequence[tuple[signal.Signals, float]]) -> None:
    """Returns when the process is gone, its group having had each signal in turn."""
    for number, seconds in escalation:
        if process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
