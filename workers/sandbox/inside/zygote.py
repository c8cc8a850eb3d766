"""The first process of a sandbox: it never runs what it is sent, but forks, for each program, a process that does.

Each program gets PID, mount and IPC namespaces of its own inside those of the sandbox, no capability, limits and a
seccomp filter.
Orders come as messages over descriptor 3, with the program's descriptors beside them; the worker's end closing ends
all.
"""

import array
import os
import resource
import select
import signal
from _socket import CMSG_SPACE, SCM_RIGHTS, SOL_SOCKET, SocketType
from typing import Any

from workers.sandbox.inside import kernel
from workers.sandbox.inside.wire import Ended, receive, send

CONTROL = 3
MOST_FILES = 64
SCRATCH = "/tmp"  # noqa: S108 - an empty one for each program


def main(descriptor: int) -> None:
    """Serves until the worker closes the control socket, which comes as this descriptor."""
    os.dup2(descriptor, CONTROL)
    os.closerange(CONTROL + 1, MOST_FILES)
    os.umask(0o077)
    control = SocketType(fileno=CONTROL)
    setup = receive(CONTROL)
    for name in setup["preload"]:
        __import__(name)
    side = setup["side"]
    run = __import__(f"workers.sandbox.inside.{side}", fromlist=["run"]).run
    send(CONTROL, {"ready": True})
    while True:
        try:
            job, descriptors = _next_job(control)
        except Ended:
            os._exit(0)
        pid = kernel.fork_into_namespaces()
        if pid == 0:
            _first_of_namespace(run, job, descriptors, setup)
        for descriptor in descriptors:
            os.close(descriptor)
        _until_gone(pid)


def _next_job(control: SocketType) -> tuple[dict[str, Any], list[int]]:
    """The next job and its descriptors, which travel beside a byte of their own. A `kill` that came too late is
    passed over.
    """
    while True:
        mark, beside, _, _ = control.recvmsg(1, CMSG_SPACE(3 * 4))
        if not mark:
            raise Ended
        if mark == b"J":
            break
    descriptors = array.array("i")
    for level, kind, content in beside:
        if (level, kind) == (SOL_SOCKET, SCM_RIGHTS):
            descriptors.frombytes(content)
    return receive(CONTROL), list(descriptors)


def _until_gone(pid: int) -> None:
    """Waits for the program's namespace to be empty, killing it at the worker's word, and tells how it ended."""
    gone = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(gone, select.POLLIN)
    poll.register(CONTROL, select.POLLIN)
    while gone not in (ready := dict(poll.poll())):
        if CONTROL in ready:
            ended = not os.read(CONTROL, 1)
            os.kill(pid, signal.SIGKILL)
            if ended:
                os._exit(0)
    os.close(gone)
    _, status = os.waitpid(pid, 0)
    send(CONTROL, {"exit": os.waitstatus_to_exitcode(status)})


def _first_of_namespace(run: Any, job: dict[str, Any], descriptors: list[int], setup: dict[str, Any]) -> None:
    """Starts the program as its child, so that signals mean to the program what they mean elsewhere, and ends with
    it.
    """
    output, *others = descriptors
    for source, target in [(output, 1), (output, 2), *zip(others, range(CONTROL, CONTROL + len(others)), strict=True)]:
        os.dup2(source, target)
    os.closerange(CONTROL + len(others), MOST_FILES)
    limits = job["limits"]
    kernel.mount_tmpfs(SCRATCH, limits["disk_bytes"], limits["files"])
    os.chdir(SCRATCH)
    kernel.become(setup["uid"])
    pid = os.fork()
    if pid == 0:
        _program(run, job, bytes.fromhex(setup["seccomp"]))
    os.closerange(0, MOST_FILES)
    while True:
        ended, status = os.wait()
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _program(run: Any, job: dict[str, Any], seccomp: bytes) -> None:
    try:
        limits = job["limits"]
        for name, value in {
            "CORE": 0,
            "CPU": int(limits["seconds"]) + 2,
            "AS": limits["memory_bytes"],
            "FSIZE": limits["disk_bytes"],
            "NOFILE": MOST_FILES,
            "NPROC": limits["processes"],
        }.items():
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
        kernel.filter_system_calls(seccomp)
        run(job)
        os._exit(0)
    finally:
        os._exit(1)
