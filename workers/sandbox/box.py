"""One sandbox: a bubblewrap process with a zygote in it, which runs one program after the other."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from workers.sandbox import bubblewrap
from workers.sandbox.bubblewrap import NotOffered
from workers.sandbox.inside.wire import Ended, receive, send
from workers.sandbox.seccomp import compiled_filter

Side = Literal["completion", "tests"]
# Imported once in a warm sandbox, so that programs find them there: what completions and tests import most.
COMMON = """
    bisect collections copy datetime decimal fractions functools hashlib heapq itertools
    math operator random re statistics string typing
"""
START_SECONDS = 30.0
END_SECONDS = 10.0


class Box:
    """A sandbox that runs. The worker's end of the control socket closing ends it, and so does the worker's death."""

    def __init__(self, side: Side, uid: int, *, warm: bool) -> None:
        """Starts the sandbox, and returns before it is ready.

        Raises:
          NotOffered: there is no bubblewrap or no libseccomp here.
        """
        try:
            seccomp = compiled_filter()
        except (ImportError, RuntimeError, OSError) as error:
            raise NotOffered(f"grading code needs libseccomp: {error}. {bubblewrap.HOW_TO_GET_IT}") from error
        control, inner = socket.socketpair()
        try:
            command = bubblewrap.command(uid, inner.fileno())
        except NotOffered:
            control.close()
            inner.close()
            raise
        with inner, open(os.devnull, "r+b") as nothing:
            self._told, tell = os.pipe()
            self._errors, errors = os.pipe()
            self._process = _spawn(command, inner.fileno(), tell, nothing.fileno(), errors)
            os.close(tell)
            os.close(errors)
            os.set_blocking(self._errors, False)
        self.control = control
        self._descriptors = [self._told, self._errors]
        self.uid = uid
        self.ready = False
        preload = COMMON.split() if warm else []
        with contextlib.suppress(Ended):  # told, with the reason, to who waits until it is ready
            self._send({"side": side, "uid": uid, "seccomp": seccomp.hex(), "preload": preload})

    def wait_until_ready(self) -> None:
        """Returns when the zygote takes programs.

        Raises:
          NotOffered: bubblewrap could not make the sandbox; the message ends with its own words.
        """
        try:
            receive(self.control.fileno(), time.monotonic() + START_SECONDS)
            # Opened while the zygote lives: the number then cannot come to mean another process.
            self.pid = int(json.loads(os.read(self._told, 4096))["child-pid"])
            self._alive = os.pidfd_open(self.pid)
            self._descriptors.append(self._alive)
        except (Ended, TimeoutError, ValueError, ProcessLookupError):
            self._process.kill()
            self._process.wait()
            said = "it said nothing"
            with contextlib.suppress(BlockingIOError):
                said = os.read(self._errors, 2000).decode(errors="replace").strip() or said
            raise NotOffered(f"bubblewrap made no sandbox: {said}") from None
        self.ready = True

    def start(self, job: Mapping[str, Any], descriptors: Sequence[int]) -> None:
        """Has the program run with these descriptors: its output, its channel, and for tests the verdict's.

        Raises:
          Ended: the sandbox is gone.
          Refused: the job is over 4 MiB.
        """
        try:
            socket.send_fds(self.control, [b"J"], list(descriptors))
        except (BrokenPipeError, ConnectionResetError):
            raise Ended from None
        self._send(job)

    def kill(self) -> None:
        """Ends the program that runs; its end is then told as any other."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.control.send(b"K")

    def wait(self, seconds: float) -> None:
        """Returns when the program has ended, or the time is over."""
        select.select([self.control], [], [], seconds)

    def ended(self) -> int:
        """The exit code of the program, once no process of its is left: 128 + n for signal n, 137 or -9 where it was
        killed.

        Raises:
          Ended, TimeoutError: the sandbox is gone, or does not answer.
        """
        return int(receive(self.control.fileno(), time.monotonic() + END_SECONDS)["exit"])

    def close(self) -> None:
        """Ends the sandbox, and returns when no process of it is left."""
        self.control.close()
        if self.ready:
            self.ready = False
            # The first process of a PID namespace is gone only when all the others are; bubblewrap itself goes earlier.
            if not select.select([self._alive], [], [], 1.0)[0]:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._alive, signal.SIGKILL)
                select.select([self._alive], [], [], END_SECONDS)
        self._process.wait()
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _send(self, message: Any) -> None:
        send(self.control.fileno(), message)


def _spawn(command: list[str], control: int, told: int, nothing: int, errors: int) -> subprocess.Popen[bytes]:
    """bubblewrap with an empty environment: the first process's one could be read from inside, whatever is cleared
    later.
    """
    arguments = [command[0], "--info-fd", str(told), *command[1:]]
    return subprocess.Popen(arguments, stdin=nothing, stdout=nothing, stderr=errors, env={}, pass_fds=(control, told))
