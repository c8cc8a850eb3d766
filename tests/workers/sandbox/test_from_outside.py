"""What the kernel says of a sandbox, seen from the host: each wall, also where another one hides that it is missing."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.workers.sandbox.conftest import LIMITS
from workers.sandbox import Program, Sandboxes
from workers.sandbox.bubblewrap import privileged
from workers.sandbox.memory import _descendants

SLEEPER = Program("import time\ndef f(): time.sleep(600)", "assert f() is None")
KINDS = ("net", "pid", "ipc", "mnt", "uts")


@pytest.fixture(scope="module")
def zygote_and_program(sandboxes: Sandboxes) -> Iterator[tuple[Path, Path]]:
    """The folders in /proc of the completion's zygote and of a program that sleeps in it until the tests are done."""
    with Sandboxes(slots=1, limits=replace(LIMITS, seconds=300.0)) as patient:
        zygote = patient._slots[0]._boxes["completion"].pid
        thread = threading.Thread(target=patient.grade, args=(SLEEPER,))
        thread.start()
        try:
            yield Path(f"/proc/{zygote}"), Path(f"/proc/{_last_of(zygote)}")
        finally:
            os.kill(_last_of(zygote), signal.SIGKILL)
            thread.join()


def _last_of(zygote: int) -> int:
    """The program, once it has all its walls, or for too long some of them."""
    until = time.monotonic() + 60
    while True:
        *before, last = zygote, *_descendants(zygote)
        if len(before) >= 2 and (status(Path(f"/proc/{last}")).get("Seccomp") == "2" or time.monotonic() > until):
            return last
        assert time.monotonic() < until + 1
        time.sleep(0.05)


def status(process: Path) -> dict[str, str]:
    lines = (process / "status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def test_the_program_has_no_capability_and_can_get_none(zygote_and_program: tuple[Path, Path]) -> None:
    found = status(zygote_and_program[1])
    for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(found[kind], 16) == 0, kind
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")


def test_the_program_is_no_user_of_the_host(zygote_and_program: tuple[Path, Path]) -> None:
    uids = set(status(zygote_and_program[1])["Uid"].split())
    assert len(uids) == 1
    if privileged():
        assert 60_000 < int(uids.pop()) < 61_184


def test_both_are_in_namespaces_of_their_own(zygote_and_program: tuple[Path, Path]) -> None:
    zygote, program = zygote_and_program
    for kind in KINDS:
        host, outer, inner = (os.readlink(f"{process}/ns/{kind}") for process in ("/proc/self", zygote, program))
        assert outer != host, kind
        assert (inner != outer) is (kind in ("pid", "ipc", "mnt")), kind


def test_only_tmp_can_be_written(zygote_and_program: tuple[Path, Path]) -> None:
    lines = [line.split() for line in (zygote_and_program[1] / "mountinfo").read_text().splitlines()]
    writable = {mount for _, _, _, _, mount, options, *_ in lines if "rw" in options.split(",")}
    assert {mount for mount in writable if not mount.startswith("/dev/")} == {"/tmp"}


def test_its_environment_is_not_the_workers(zygote_and_program: tuple[Path, Path]) -> None:
    names = {entry.partition("=")[0] for entry in (zygote_and_program[0] / "environ").read_text().split("\0") if entry}
    assert names <= {
        *("PATH", "HOME", "LANG", "PWD", "PYTHONPATH", "PYTHONHASHSEED", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    }
