"""What a verdict says, and that grading leaves nothing behind."""

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from workers.sandbox import Limits, NotOffered, Program, Sandboxes
from workers.sandbox import check as self_check
from workers.sandbox.check import check, checked_sandboxes
from workers.sandbox.slot import _Run

RIGHT = Program("def double(x):\n    return 2 * x", "assert double(2) == 4\nassert double(3) == 6")


LIAR = """
class Liar:
    def startswith(self, start): return True
def f(): return Liar()
"""
STACK = """
class Stack:
    def __init__(self): self.items = []
    def push(self, x): self.items.append(x)
    def pop(self): return self.items.pop()
    def __eq__(self, other): return True
    @classmethod
    def of(cls, x):
        made = cls()
        made.push(x)
        return made
"""


@pytest.mark.parametrize(
    ("source", "tests", "status", "passed", "total"),
    [
        ("def f(x): return x", "assert f(1) == 1\nassert f(2) == 2", "passed", 2, 2),
        ("def f(x): return 1", "assert f(1) == 1\nassert f(2) == 2", "failed", 1, 2),
        ("def f(x): return 1", "assert f(2) == 2\nassert f(1) == 1", "failed", 1, 2),
        ("def f(x): return 1 / x", "assert f(0) == 2\nassert f(1) == 1", "failed", 1, 2),
        ("def f(x): return x", "for i in range(9):\n    assert f(i) == i\nassert f(0)", "failed", 1, 2),
        ("def f(x): return x", "def check(g):\n    assert g(1) == 1\n    assert g(1) == 2\ncheck(f)", "failed", 1, 2),
        ("def f(x): return x", "if f(1) != 2:\n    raise ValueError", "failed", 0, 1),
        ("def f(x): return x", "if f(1) == 1:\n    assert f(1) == 1\nelse:\n    assert f(2) == 3", "passed", 2, 2),
        ("def f(x): raise KeyError(x)", "try:\n    f(1)\n    assert False\nexcept KeyError:\n    pass", "passed", 1, 1),
        ("def f(x): raise SystemExit", "assert f(1) is None", "failed", 0, 1),
        ("def f(x) return x", "assert f(1) == 1", "failed", 0, 1),
        ("g = 3", "assert f(1) == 1", "failed", 0, 1),
        ("", "assert f(1) == 1", "failed", 0, 1),
        (
            "class P:\n    def __init__(s, x): s.x = x\ndef f(ps): return ps[0].x",
            "assert f([P(3)]) == 3",
            "passed",
            1,
            1,
        ),
        (
            STACK,
            "s = Stack()\ns.push(3)\nassert s.pop() == 3\nassert s.items == []\nassert Stack.of(4).pop() == 4",
            "passed",
            3,
            3,
        ),
        (STACK, "s = Stack()\nassert s.push(3) is None\nassert s.pop() == 4\nassert s.peek() == 3", "failed", 1, 3),
        (STACK, "import copy\ns = Stack()\nassert s == copy.copy(s)", "failed", 0, 1),
        (LIAR, "assert f().startswith('a')", "failed", 0, 1),
        (LIAR, "assert f()", "passed", 1, 1),
        ("def f(x): x", "assert f(1) is None\nassert True, 'never counted'", "passed", 1, 1),
        ("def f(x): return x", "assert f(lambda: 1)", "infrastructure_error", 0, 1),
        ("def f(x): return x", "assert f(1", "infrastructure_error", 0, 1),
        ("def f(x): return x", "import nothing_of_that_name", "infrastructure_error", 0, 1),
        ("def f(x): return x", "x = 3", "infrastructure_error", 0, 1),
    ],
)
def test_verdicts(sandboxes: Sandboxes, source: str, tests: str, status: str, passed: int, total: int) -> None:
    verdict = sandboxes.grade(Program(source, tests))
    assert (verdict.status, verdict.passed_tests, verdict.total_tests) == (status, passed, total), verdict
    assert verdict.passed == (status == "passed")
    assert verdict.sandbox == "bubblewrap"


def test_the_detail_names_the_first_test_that_failed(sandboxes: Sandboxes) -> None:
    tests = "assert f(1) == 1\nassert f(2) == 3, 'two'\nassert f(3) == 4"
    verdict = sandboxes.grade(Program("def f(x): return x", tests))
    assert verdict.detail == "assert f(2) == 3, 'two': AssertionError: two"


def test_a_failure_that_cannot_be_told_is_one_all_the_same(sandboxes: Sandboxes) -> None:
    verdict = sandboxes.grade(Program("def f(): return 10**5000", "x = {}[f()]"))
    assert (verdict.status, verdict.detail) == ("failed", "KeyError")


def test_what_a_completion_prints_is_kept(sandboxes: Sandboxes) -> None:
    assert (
        sandboxes.grade(Program("print('loud', flush=True)\ndef f(): return 1", "assert f() == 1")).output == "loud\n"
    )


def test_helpers_are_the_problems_and_not_the_completions(sandboxes: Sandboxes) -> None:
    helpers = "def encoded(x):\n    return x + 1\n\ndef decoded(x):\n    '''The inverse.'''\n"
    tests = "assert decoded(encoded(1)) == 1"
    right = "def encoded(x): return x + 1\ndef decoded(x): return x - 1"
    cheating = "def encoded(x): return x\ndef decoded(x): return x"
    assert sandboxes.grade(Program(right, tests, helpers, entry_point="decoded")).passed
    assert not sandboxes.grade(Program(cheating, tests, helpers, entry_point="decoded")).passed


def test_a_completion_finds_nothing_that_another_left(sandboxes: Sandboxes) -> None:
    left = (
        "import builtins, math, os\nopen('/tmp/left', 'w')\nbuiltins.left = math.left = 1\nos.environ['LEFT'] = '1'\n"
    )
    assert sandboxes.grade(Program(f"{left}def f(): return 1", "assert f() == 1")).passed
    found = (
        "import builtins, math, os\n"
        "def f(): return os.listdir('/tmp'), hasattr(builtins, 'left'), hasattr(math, 'left'), 'LEFT' in os.environ"
    )
    assert sandboxes.grade(Program(found, "assert f() == ([], False, False, False)")).passed


def test_the_same_completion_gets_the_same_verdict(sandboxes: Sandboxes) -> None:
    program = Program(
        "def f(): return list({'a', 'b', 'c', 'd'})", "import random\nassert f()[0] == random.choice('abcd')"
    )
    assert len({sandboxes.grade(program).passed for _ in range(6)}) == 1


def test_a_program_over_4_mib_is_refused_and_the_next_one_graded(sandboxes: Sandboxes) -> None:
    with pytest.raises(ValueError, match="too large to grade"):
        sandboxes.grade(Program("#" * (5 << 20), "assert f() == 1"))
    assert sandboxes.grade(RIGHT).passed


def test_a_sandbox_that_died_is_an_infrastructure_error_and_started_anew(sandboxes: Sandboxes) -> None:
    seen: list[str] = []
    slow = Program("import time\ndef f(): time.sleep(2)", "assert f() is None")
    thread = threading.Thread(target=lambda: seen.append(sandboxes.grade(slow).status))
    thread.start()
    time.sleep(0.5)
    os.kill(sandboxes._slots[0]._boxes["completion"].pid, 9)
    thread.join()
    assert seen == ["infrastructure_error"]
    assert sandboxes.grade(RIGHT).passed


def test_threads_share_the_slots(sandboxes: Sandboxes) -> None:
    with Sandboxes(slots=2) as two, ThreadPoolExecutor(6) as threads:
        programs = [Program("def f(x): return x", f"assert f({i}) == {i % 3}") for i in range(12)]
        assert [verdict.passed for verdict in threads.map(two.grade, programs)] == [i < 3 for i in range(12)]


CLOSED = """
import os, sys
from pathlib import Path
from workers.sandbox import Program, Sandboxes

def held():
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text(), len(os.listdir("/proc/self/fd"))

before = held()
with Sandboxes(slots=1, warm=sys.argv[1] == "True") as sandboxes:
    assert sandboxes.grade(Program("def f(): return 1", "assert f() == 1")).passed
    assert not sandboxes.grade(Program("import os\\nwhile True: os.fork()", "assert f() == 1")).passed
assert held() == before, (before, held())
"""


@pytest.mark.parametrize("warm", [True, False])
def test_closing_leaves_no_process_and_no_descriptor(sandboxes: Sandboxes, warm: bool) -> None:
    """In a process of its own: in this one other tests' threads open and close some."""
    done = subprocess.run([sys.executable, "-c", CLOSED, str(warm)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_self_check_passes_here(sandboxes: Sandboxes) -> None:
    report = check()
    assert report.offered, report
    assert len(report.checks) >= 16
    with checked_sandboxes(slots=1) as checked:
        assert checked.grade(RIGHT).passed


def test_a_self_check_that_ran_out_of_time_is_made_again_with_more(
    sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_check, "TRIALS", {"right": (RIGHT, "passed")})
    monkeypatch.setattr(self_check, "QUICK", replace(self_check.QUICK, seconds=0.001))
    assert check().offered
    monkeypatch.setattr(self_check, "PATIENT", self_check.QUICK)
    assert [tried.late for tried in check().checks] == [True]


def test_a_trial_that_fails_in_time_is_not_tried_again(sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_check, "TRIALS", {"right": (RIGHT, "passed"), "never": (RIGHT, "failed")})
    monkeypatch.setattr(self_check, "QUICK", self_check.PATIENT)
    monkeypatch.setattr(self_check, "PATIENT", None)
    assert [tried.passed for tried in check().checks] == [True, False]


def test_without_bubblewrap_nothing_is_offered_and_nothing_weaker_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotOffered, match="apt-get install bubblewrap"):
        Sandboxes(slots=1)
    report = check()
    assert not report.offered
    assert "apt-get install bubblewrap" in report.reason
    with pytest.raises(NotOffered, match="apt-get install bubblewrap"):
        checked_sandboxes()


def test_a_sandbox_that_cannot_be_made_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(NotOffered, match="No permissions to create new namespace"):
        Sandboxes(slots=1)


def test_what_is_told_can_be_stored(sandboxes: Sandboxes) -> None:
    source = "print('a\\0b', flush=True)\ndef f(): raise ValueError('x\\0y\\ud800')"
    verdict = sandboxes.grade(Program(source, "assert f() == 1"))
    assert verdict.output == "a\ufffdb\n"
    assert verdict.detail == "assert f() == 1: ValueError: x\ufffdy?"


@pytest.mark.parametrize("change", ["nonce", "length", "half"])
def test_a_verdict_with_another_nonce_or_length_is_none(change: str) -> None:
    run = _Run({}, {}, Limits())
    nonce = "" if change == "nonce" else run.nonce
    body = json.dumps({"nonce": nonce, "status": "passed"}).encode()
    told = (len(body) + (change == "length")).to_bytes(4, "big") + body
    run.told += told[: len(told) // 2] if change == "half" else told
    assert run._found() is None
    run.nonce = nonce
    run.told[:] = len(body).to_bytes(4, "big") + body
    assert run._found() == {"nonce": nonce, "status": "passed"}


def test_no_two_slots_share_a_user(sandboxes: Sandboxes) -> None:
    with Sandboxes(slots=2) as others:
        uids = [slot._uid for slot in (*sandboxes._slots, *others._slots)]
    assert len(set(uids)) == 3
    with Sandboxes(slots=2) as again:
        assert [slot._uid for slot in again._slots] == uids[1:]


WORKER = """
import threading
from workers.sandbox import Program, Sandboxes
sandboxes = Sandboxes(slots=1)
print(*[box.pid for box in sandboxes._slots[0]._boxes.values()], flush=True)
sandboxes.grade(Program("while True: pass", "assert f() == 1"))
"""


def test_a_worker_that_is_killed_leaves_no_sandbox(sandboxes: Sandboxes) -> None:
    with subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout
        pids = worker.stdout.readline().split()
        assert len(pids) == 2
        time.sleep(0.3)
        worker.kill()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("slots", [0, -1])
def test_no_slot_is_refused(slots: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Sandboxes(slots=slots, limits=Limits())
