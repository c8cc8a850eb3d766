"""Two sandboxes that grade one completion at a time: one runs it, the other its tests."""

import contextlib
import json
import os
import secrets
import select
import socket
import time
from dataclasses import asdict
from types import TracebackType
from typing import Any, cast

from workers.sandbox.box import Box, Side
from workers.sandbox.bubblewrap import NotOffered
from workers.sandbox.inside.wire import MAX_BYTES, PREFIX, Ended, Refused
from workers.sandbox.memory import Cgroup, resident_bytes
from workers.sandbox.program import Limits, Program, Status, Verdict

BACKEND = "bubblewrap"
LOOK_SECONDS = 0.02  # between two looks at the memory
GRACE_SECONDS = 1.0  # for the tests to say that the time is over
SHOWN_OUTPUT = 2000
ROOM = 64 << 20  # of the zygote itself, beside what its program may have
PASSED_BOUNDS: dict[Status, str] = {
    "timeout": "the time was over",
    "oom": "its processes used more memory than they may have together",
    "output_limit": "it printed more than it may",
}


class Slot:
    """A completion's sandbox and its tests' sandbox, each with a user id of its own where the worker is root.

    Use it from one thread at a time. `close` ends both; what has broken is started anew with the next program.
    """

    def __init__(self, uid: int, limits: Limits, *, warm: bool) -> None:
        """Starts both sandboxes, with the user ids `uid` and `uid + 1`, and returns before they are ready."""
        self.limits, self._uid, self._warm = limits, uid, warm
        self._boxes: dict[Side, Box] = {}
        self._cgroups: dict[Side, Cgroup | None] = {}
        self._start()

    def _start(self) -> None:
        for offset, side in enumerate[Side](("completion", "tests")):
            self._boxes[side] = Box(side, self._uid + offset, warm=self._warm)

    def wait_until_ready(self) -> None:
        """Returns when both sandboxes take programs.

        Raises:
          NotOffered: they could not be made.
        """
        for side, box in self._boxes.items():
            if not box.ready:
                try:
                    box.wait_until_ready()
                except NotOffered:
                    self.close()
                    raise
                name = f"pkpo-{os.getpid()}-{box.uid}"
                cgroup = Cgroup.make(name, self.limits.memory_bytes + ROOM, self.limits.processes + 2)
                if cgroup:
                    cgroup.add(box.pid)
                self._cgroups[side] = cgroup

    def close(self) -> None:
        """Ends both sandboxes; returns when no process of them is left."""
        for box in self._boxes.values():
            box.control.close()
        for box in self._boxes.values():
            box.close()
        for cgroup in self._cgroups.values():
            if cgroup:
                cgroup.remove()
        self._boxes.clear()
        self._cgroups.clear()

    def __enter__(self) -> "Slot":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def grade(self, program: Program) -> Verdict:
        """The verdict on a completion.

        Raises:
          NotOffered: the sandboxes broke, and new ones could not be made.
          ValueError: the completion or its tests are larger than 4 MiB.
        """
        if not self._boxes:
            self._start()
        self.wait_until_ready()
        run = _Run(self._boxes, self._cgroups, self.limits)
        try:
            return run.grade(program)
        except Refused as refused:
            self.close()
            raise ValueError(f"a program is too large to grade: {refused}") from None
        except (Ended, TimeoutError):
            status: Status = "oom" if run.short else "infrastructure_error"
            self.close()
            return run.verdict(run.killed or status, "a sandbox ended")


class _Run:
    """One completion on its way through two sandboxes."""

    def __init__(self, boxes: dict[Side, Box], cgroups: dict[Side, Cgroup | None], limits: Limits) -> None:
        self.boxes, self.limits = boxes, limits
        self._killed_before = [(cgroup, cgroup.out_of_memory()) for cgroup in cgroups.values() if cgroup]
        self.began = time.monotonic()
        self.output = bytearray()
        self.told = bytearray()
        self.killed: Status | None = None
        self.nonce = secrets.token_hex(16)

    def grade(self, program: Program) -> Verdict:
        with contextlib.ExitStack() as ends:
            printed, verdict = self._launch(program, ends)
            self._watch(printed, verdict)
        found = None if self.killed else self._found()
        if found and found["status"] == "crash":
            self.boxes["completion"].wait(GRACE_SECONDS)  # for its own exit code, before the kill
        for box in self.boxes.values():
            box.kill()
        exits = {side: box.ended() for side, box in self.boxes.items()}
        return self._judged(found, exits)

    @property
    def short(self) -> bool:
        """Whether the kernel has killed a process of either side for memory since this run began."""
        return any(cgroup.out_of_memory() > count for cgroup, count in self._killed_before)

    def _launch(self, program: Program, ends: contextlib.ExitStack) -> tuple[int, int]:
        """Starts both programs; the descriptors at which the completion's output and the verdict come out."""
        printed, print_to = os.pipe()
        ends.callback(os.close, printed)
        verdict, verdict_to = os.pipe()
        ends.callback(os.close, verdict)
        limits = asdict(self.limits)
        with contextlib.ExitStack() as sent:
            for descriptor in (print_to, verdict_to):
                sent.callback(os.close, descriptor)
            here, there = (sent.enter_context(end) for end in socket.socketpair())
            nowhere = sent.enter_context(open(os.devnull, "wb"))
            self.boxes["completion"].start({"source": program.source, "limits": limits}, [print_to, here.fileno()])
            job = {
                "tests": program.tests,
                "helpers": program.helpers,
                "entry_point": program.entry_point,
                "nonce": self.nonce,
                "seconds": self.limits.seconds,
                "limits": {**limits, "seconds": limits["seconds"] + GRACE_SECONDS},
            }
            self.boxes["tests"].start(job, [nowhere.fileno(), there.fileno(), verdict_to])
        return printed, verdict

    def _watch(self, printed: int, verdict: int) -> None:
        """Reads until the verdict is whole, and ends the wait where a bound is passed."""
        deadline = self.began + self.limits.seconds + GRACE_SECONDS
        poll = select.poll()
        for descriptor in (printed, verdict):
            poll.register(descriptor, select.POLLIN)
        look = self.began
        while self.killed is None:
            ready = [descriptor for descriptor, _ in poll.poll(LOOK_SECONDS * 1000)]
            now = time.monotonic()
            if printed in ready:
                self._read_output(poll, printed)
            if verdict in ready:
                piece = os.read(verdict, 1 << 16)
                self.told += piece
                if not piece:
                    return
            if now > deadline:
                self.killed = "timeout"
            elif now > look + LOOK_SECONDS:
                look = now
                if any(resident_bytes(box.pid) > self.limits.memory_bytes for box in self.boxes.values()):
                    self.killed = "oom"

    def _read_output(self, poll: select.poll, printed: int) -> None:
        piece = os.read(printed, 1 << 16)
        self.output += piece
        if not piece:
            poll.unregister(printed)
        elif len(self.output) > self.limits.output_bytes:
            self.killed = "output_limit"

    def _judged(self, found: dict[str, Any] | None, exits: dict[Side, int]) -> Verdict:
        if self.killed:
            return self.verdict(self.killed, PASSED_BOUNDS[self.killed])
        # Also where it seems to have passed: a program whose children the kernel killed was over its memory.
        if self.short:
            return self.verdict("oom", PASSED_BOUNDS["oom"])
        if found is None:
            return self.verdict(
                "infrastructure_error", f"the tests ended with {_ending(exits['tests'])} and no verdict"
            )
        detail = found["detail"]
        if found["status"] == "crash":
            detail = f"{detail}, with {_ending(exits['completion'])}"
        return self.verdict(found["status"], detail, found["passed_tests"], found["total_tests"])

    def _found(self) -> dict[str, Any] | None:
        """What the tests wrote, if they came to write it."""
        size = int.from_bytes(self.told[:PREFIX], "big")
        if len(self.told) <= PREFIX or len(self.told) != PREFIX + size or size > MAX_BYTES:
            return None
        found = json.loads(self.told[PREFIX:])
        return cast("dict[str, Any]", found) if found["nonce"] == self.nonce else None

    def verdict(self, status: Status, detail: str, passed: int = 0, total: int = 0) -> Verdict:
        output = _storable(self.output[:SHOWN_OUTPUT].decode(errors="replace"))
        return Verdict(status, passed, total, _storable(detail), output, time.monotonic() - self.began, BACKEND)


def _storable(text: str) -> str:
    """Without what no database takes as text: NUL, and halves of surrogate pairs."""
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")


def _ending(code: int) -> str:
    return f"signal {abs(code) % 128}" if code < 0 or code > 128 else f"exit code {code}"
