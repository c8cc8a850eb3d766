"""No process of a job outlives its worker, however that ends: what a job starts, as engines of vLLM, holds memory."""

import ctypes
import os
import select
import signal
import sys
from contextlib import suppress
from typing import Final

PR_SET_PDEATHSIG: Final = 1


def end_with(worker: int) -> None:
    """Be killed when the worker is, by kill -9 too, with all of this process group, which this process leads.

    Call it before there are threads. Elsewhere than on Linux the fence alone holds.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != worker:
        os.kill(os.getpid(), signal.SIGKILL)  # it died before we asked
    if os.getpgrp() == os.getpid():
        _leave_a_watcher([os.pidfd_open(worker), os.pidfd_open(os.getpid())])


def _leave_a_watcher(watched: list[int]) -> None:
    """A process that kills the group, itself with it, when either of those two is gone."""
    if os.fork() > 0:
        for descriptor in watched:
            os.close(descriptor)
        return
    try:
        # What others read to its end must not be held open; nor may a drain, told to the group, end who watches it.
        for descriptor in {*map(int, os.listdir("/proc/self/fd"))} - {*watched}:
            with suppress(OSError):  # the one that listed them is closed already
                os.close(descriptor)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        waiting = select.poll()
        for descriptor in watched:
            waiting.register(descriptor, select.POLLIN)
        waiting.poll()
        os.killpg(0, signal.SIGKILL)
    finally:
        os._exit(1)
