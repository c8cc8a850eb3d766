"""The bound on memory, with a cgroup of either version and without."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.workers.sandbox.conftest import LIMITS
from tests.workers.sandbox.hostile import BOMBS
from workers.sandbox import Program, Sandboxes, memory, slot
from workers.sandbox.slot import Slot

TWO_TAKERS = """
import os, sys
for _ in range(2):
    if os.fork() == 0:
        taken = b"x" * (50 << 20)
        print(flush=True)
        sys.stdin.read()
        os._exit(0)
os.wait(), os.wait()
"""


def test_the_memory_of_all_descendants_is_added_up() -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", TWO_TAKERS], **pipes) as process:  # type: ignore[call-overload]
        process.stdout.readline(), process.stdout.readline()
        assert 90 << 20 <= memory.resident_bytes(process.pid) <= 120 << 20
        process.communicate()
    assert memory.resident_bytes(process.pid) == 0


@pytest.mark.parametrize("name", ["memory in many processes", "memory that is shared"])
def test_memory_is_bounded_without_a_cgroup(
    sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    no_cgroups = tmp_path / "cgroup"
    no_cgroups.write_text("")
    monkeypatch.setattr(memory, "SELF", no_cgroups)
    with Sandboxes(slots=1, limits=LIMITS) as without:
        assert without._slots[0]._cgroups == {"completion": None, "tests": None}
        verdict = without.grade(Program(BOMBS[name], "assert answer(3) == 9"))
        assert verdict.status == "oom", verdict
        assert without.grade(Program("def answer(x): return 9", "assert answer(3) == 9")).passed


TAKE_TOO_MUCH = """
import os, time
def f():
    for _ in range(8):
        if os.fork() == 0:
            taken = b"x" * (100 << 20)
            time.sleep(9)
    time.sleep(1.5)
    return 1
"""


@pytest.fixture
def bounded_by_the_kernel(sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch) -> Slot:
    """A slot whose memory only the kernel looks at."""
    monkeypatch.setattr(slot, "LOOK_SECONDS", 60.0)
    sandboxes.grade(Program("def f(): return 1", "assert f() == 1"))
    if sandboxes._slots[0]._cgroups["completion"] is None:
        pytest.skip("this worker may make no memory cgroup")
    return sandboxes._slots[0]


def test_a_program_whose_children_the_kernel_killed_does_not_pass(bounded_by_the_kernel: Slot) -> None:
    assert bounded_by_the_kernel.grade(Program(TAKE_TOO_MUCH, "assert f() == 1")).status == "oom"


def test_a_sandbox_lost_for_memory_is_the_completions_doing(bounded_by_the_kernel: Slot) -> None:
    cgroup = bounded_by_the_kernel._cgroups["completion"]
    zygote = bounded_by_the_kernel._boxes["completion"].pid
    assert cgroup
    before, seen = cgroup.out_of_memory(), []
    program = Program(TAKE_TOO_MUCH, "assert f() == 1")
    thread = threading.Thread(target=lambda: seen.append(bounded_by_the_kernel.grade(program).status))
    thread.start()
    while cgroup.out_of_memory() == before and thread.is_alive():
        time.sleep(0.02)
    os.kill(zygote, 9)
    thread.join()
    assert seen == ["oom"]


def test_a_cgroup_of_version_2_gets_both_bounds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = tmp_path / "worker.slice"
    own.mkdir()
    (own / "cgroup.subtree_control").write_text("cpu memory pids\n")
    (tmp_path / "self").write_text("0::/worker.slice\n")
    monkeypatch.setattr(memory, "SELF", tmp_path / "self")
    monkeypatch.setattr(memory, "MOUNTS", tmp_path)
    made = memory.Cgroup.make("slot", 1 << 20, 7)
    assert made
    assert made.version == 2
    assert (own / "slot/memory.max").read_text() == "1048576"
    assert (own / "slot/pids.max").read_text() == "7"
    made.add(123)
    assert (own / "slot/cgroup.procs").read_text() == "123"
    (own / "slot/memory.events").write_text("low 0\noom 2\noom_kill 1\n")
    assert made.out_of_memory() == 1


def test_the_cgroups_of_a_worker_that_was_killed_are_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cgroup.subtree_control").write_text("memory pids\n")
    (tmp_path / "self").write_text("0::/\n")
    with subprocess.Popen(["true"]) as dead:
        pass
    for pid in (dead.pid, os.getpid()):
        (tmp_path / f"pkpo-{pid}-60600").mkdir()
    monkeypatch.setattr(memory, "SELF", tmp_path / "self")
    monkeypatch.setattr(memory, "MOUNTS", tmp_path)
    assert memory.Cgroup.make("pkpo-1-60602", 1 << 20, 7)
    assert {folder.name for folder in tmp_path.glob("pkpo-*")} == {f"pkpo-{os.getpid()}-60600", "pkpo-1-60602"}


def test_a_cgroup_that_hands_nothing_on_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cgroup.subtree_control").write_text("cpu\n")
    (tmp_path / "self").write_text("0::/\n")
    monkeypatch.setattr(memory, "SELF", tmp_path / "self")
    monkeypatch.setattr(memory, "MOUNTS", tmp_path)
    assert memory.Cgroup.make("slot", 1 << 20, 7) is None
    assert not (tmp_path / "slot").exists()
