"""Hostile programs and probes: nothing passes that should not, and the machine stays as it was."""

import os
import platform
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.workers.sandbox import probes
from tests.workers.sandbox.conftest import LIMITS
from tests.workers.sandbox.hostile import BOMBS, FORGERS
from workers.sandbox import NotOffered, Program, Sandboxes, Verdict

TESTS = "assert answer(9) == 81\nassert answer(-4) == 16"
RIGHT = Program("def answer(x): return x * x", TESTS)
ENDED = {"failed", "timeout", "oom", "output_limit", "crash"}
PROBES = {**probes.NETWORK, **probes.FILES, **probes.IDENTITY, **probes.CALLS}
SECRET = f"canary-{secrets.token_hex(8)}"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Sandboxes]:
    """A slot started by a process that has secrets."""
    os.environ["PKPO_CANARY"] = SECRET
    try:
        started = Sandboxes(slots=1, limits=LIMITS)
    except NotOffered as error:
        pytest.skip(f"no sandbox on this machine: {error}")
    finally:
        del os.environ["PKPO_CANARY"]
    with started:
        yield started


def graded_in_haste(sandboxes: Sandboxes, source: str) -> Verdict:
    """The verdict on a program that has a second and a half, for many would take all the time that there is."""
    [slot] = sandboxes._slots
    slot.limits = replace(LIMITS, seconds=1.5)
    try:
        return sandboxes.grade(Program(source, TESTS))
    finally:
        slot.limits = LIMITS


def test_the_suite_is_as_large_as_promised() -> None:
    assert len(FORGERS) + len(BOMBS) >= 33
    assert len(PROBES) >= 26


@pytest.mark.parametrize("name", FORGERS)
def test_no_forger_passes(guarded: Sandboxes, name: str) -> None:
    verdict = graded_in_haste(guarded, FORGERS[name])
    assert verdict.status in ENDED, verdict
    assert verdict.passed_tests == 0, verdict
    assert guarded.grade(RIGHT).passed


@pytest.mark.parametrize("name", BOMBS)
def test_no_bomb_passes_or_outlasts_its_run(guarded: Sandboxes, name: str) -> None:
    boxes = guarded._slots[0]._boxes
    before = {side: box.pid for side, box in boxes.items()}
    verdict = graded_in_haste(guarded, BOMBS[name])
    assert verdict.status in ENDED, verdict
    assert verdict.seconds < 6
    for box in boxes.values():
        left = Path(f"/proc/{box.pid}/task/{box.pid}/children").read_text().split()
        assert left == [], name
    assert guarded.grade(RIGHT).passed
    assert {side: box.pid for side, box in boxes.items()} == before, "the sandbox itself did not live through it"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[dict[str, object]]:
    """What a probe looks for: a port, a folder, a file and a process of this machine, and a secret in the
    environment."""
    canary = tmp_path / "canary"
    canary.write_text(SECRET)
    canary.chmod(0o644)
    with socket.create_server(("127.0.0.1", 0)) as listener, subprocess.Popen(["sleep", "60"]) as victim:
        port, folder = listener.getsockname()[1], os.getcwd()
        yield {"port": port, "folder": folder, "canary": str(canary), "secret": SECRET, "pid": victim.pid}
        assert victim.poll() is None
        victim.kill()
    assert canary.read_text() == SECRET


@pytest.mark.parametrize("name", PROBES)
def test_no_probe_finds_a_way_out(guarded: Sandboxes, host: dict[str, object], name: str) -> None:
    if name in probes.CALLS and platform.machine() != "x86_64":
        pytest.skip("system calls have other numbers here")
    verdict = guarded.grade(Program(probes.completion(PROBES[name], **host), "assert probe() is True"))
    assert verdict.passed, verdict


@pytest.mark.parametrize("name", probes.OPEN_OUTSIDE)
def test_a_probe_outside_finds_the_door_open(host: dict[str, object], tmp_path: Path, name: str) -> None:
    if name in probes.CALLS and platform.machine() != "x86_64":
        pytest.skip("system calls have other numbers here")
    code = probes.completion(PROBES[name].replace("/tmp/", f"{tmp_path}/"), **host) + "print(probe())"
    environment = {"PKPO_CANARY": SECRET}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
