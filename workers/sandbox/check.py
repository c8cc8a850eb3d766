"""Tries the sandbox before anything is trusted to it: a worker offers to grade code only where every one of these
holds.
"""

import os
from dataclasses import dataclass, replace
from functools import cache

from workers.sandbox import bubblewrap
from workers.sandbox.bubblewrap import NotOffered
from workers.sandbox.memory import Cgroup
from workers.sandbox.pool import Sandboxes
from workers.sandbox.program import Limits, Program, Status
from workers.sandbox.slot import BACKEND

# Ends like the other statuses, but within the patience of a start.
QUICK = Limits(seconds=3.0, memory_bytes=128 << 20)
PATIENT = replace(QUICK, seconds=20.0)
REFUSED = """
def refused(action):
    try:
        action()
    except (OSError, ImportError) as error:
        return True
    return False
"""


@dataclass(frozen=True)
class Check:
    """One thing that must hold, and whether it does; `detail` says what was seen instead, `late` that time ran out."""

    name: str
    passed: bool
    detail: str = ""
    late: bool = False


@dataclass(frozen=True)
class Report:
    """What the self-check found. `offered` is whether code may be graded here; `reason` why not."""

    checks: tuple[Check, ...]
    reason: str = ""

    @property
    def offered(self) -> bool:
        return not self.reason and all(check.passed for check in self.checks)


def _refused(action: str) -> Program:
    return Program(
        f"{REFUSED}\ndef probe():\n    import os\n    return refused(lambda: {action})", "assert probe() is True"
    )


FORGERY = """
class Everything:
    def __eq__(self, other): return True
def answer(): return Everything()
"""
MANY = """
import os, time
def answer():
    for _ in range(6):
        if os.fork() == 0:
            taken = b"x" * (40 << 20)
            time.sleep(1)
            os._exit(0)
    time.sleep(1)
    return 42
"""
TRIALS: dict[str, tuple[Program, Status]] = {
    "a right completion passes": (Program("def answer(): return 42", "assert answer() == 42"), "passed"),
    "a wrong completion fails": (Program("def answer(): return None", "assert answer() == 42"), "failed"),
    "an object that equals everything fails": (Program(FORGERY, "assert answer() == 42"), "failed"),
    "a completion that exits is a crash": (Program("import os; os._exit(0)", "assert answer() == 42"), "crash"),
    "a loop ends in time": (Program("while True: pass", "assert answer() == 42"), "timeout"),
    "processes share one bound on memory": (Program(MANY, "assert answer() == 42"), "oom"),
    "printing is bounded": (Program("while True: print('x' * 999)", "assert answer() == 42"), "output_limit"),
    "no socket opens": (_refused("__import__('socket').socket()"), "passed"),
    "/ cannot be written": (_refused("open('/written', 'w')"), "passed"),
    "/usr cannot be written": (_refused("open('/usr/written', 'w')"), "passed"),
    "the host's /etc is not there": (_refused("os.listdir('/etc')"), "passed"),
    "the host's processes are not there": (_refused("os.listdir('/proc')"), "passed"),
    "no namespace can be made": (
        Program("import os\ndef probe(): return os.system('unshare -U true')", "assert probe() != 0"),
        "passed",
    ),
    "it cannot become root": (_refused("os.setuid(0)"), "passed"),
    "something is left in /tmp": (
        Program("open('/tmp/left', 'w')\ndef answer(): return 42", "assert answer() == 42"),
        "passed",
    ),
    "and the next one does not find it": (_refused("open('/tmp/left')"), "passed"),
}


def check() -> Report:
    """Runs every trial in a pair of warm sandboxes; all again with more time where nothing but that was short."""
    try:
        report = _tried(QUICK)
        only_late = not report.offered and all(check.passed or check.late for check in report.checks)
        return _tried(PATIENT) if only_late else report
    except NotOffered as error:
        return Report((), str(error))


def _tried(limits: Limits) -> Report:
    with Sandboxes(slots=1, limits=limits) as sandboxes:
        return Report(tuple(_trial(sandboxes, name) for name in TRIALS))


def _trial(sandboxes: Sandboxes, name: str) -> Check:
    program, expected = TRIALS[name]
    verdict = sandboxes.grade(program)
    detail = f"{verdict.status} instead of {expected}: {verdict.detail}"
    return Check(name, verdict.status == expected, detail, late=verdict.status == "timeout")


def checked_sandboxes(slots: int = 2, limits: Limits | None = None) -> Sandboxes:
    """Sandboxes on a machine where the self-check has passed, once in this process.

    Raises:
      NotOffered: it has not; the message says what failed.
    """
    _require_passed_check()
    return Sandboxes(slots, limits)


@cache
def _require_passed_check() -> None:
    report = check()  # what it raises is not cached: a machine may be mended
    if not report.offered:
        failed = "; ".join(f"{check.name}: {check.detail}" for check in report.checks if not check.passed)
        raise NotOffered(report.reason or f"the sandbox does not hold: {failed}")


def description() -> str:
    """The sandbox that this machine gives, in words."""
    users = "user ids of its own" if bubblewrap.privileged() else "a user namespace"
    cgroup = Cgroup.make(f"pkpo-{os.getpid()}-check", QUICK.memory_bytes, QUICK.processes)
    if cgroup:
        cgroup.remove()
    return f"{BACKEND}, {users}, memory bounded by {f'cgroup v{cgroup.version}' if cgroup else 'adding it up'}"
