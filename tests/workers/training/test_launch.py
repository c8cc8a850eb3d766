"""What becomes of a training of two processes when the second says why it cannot go on, or only ends."""

import os
import signal
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")

from tests.documents import ROOT

SENTENCE = "The accelerator has too little memory for a step."
PROGRAM = """
import sys, time
from workers.training import launch

said, second, first = sys.argv[1:]
launch.GRACE = 3.0
def fail(sentence):
    if said == "the database is away":
        raise ConnectionError(said)
    print("failed:", sentence, flush=True)
with launch.beside([sys.executable, "-c", second], 2, lambda line: print(line, flush=True), fail):
    exec(first)
"""
REFUSES = f"""
import os, time
os.write(int(os.environ["PKPO_TRAINING_REFUSAL"]), {SENTENCE.encode()!r})
time.sleep(0.5)
exit(1)
"""
MEETS = "import torch.distributed as d; d.init_process_group('gloo'); d.barrier(); d.destroy_process_group()"
TAKES_THE_PORT = """
import os, socket
socket.create_server(("127.0.0.1", int(os.environ["MASTER_PORT"])))
"""
WAITS, BREAKS = "time.sleep(600)", "raise RuntimeError('Connection closed by peer')"


def ended(second: str, first: str, said: str = "") -> tuple[int, str, str]:
    """The status of the first process, what it has written, and its complaints."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM, said, second, first]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, start_new_session=True
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("first", [WAITS, BREAKS])
def test_where_the_second_refuses_its_sentence_is_the_end_of_both(first: str) -> None:
    assert ended(REFUSES, first) == (0, f"failed: {SENTENCE}\n", "")


def test_where_the_sentence_cannot_be_noted_both_are_killed() -> None:
    status, written, _ = ended(REFUSES, WAITS, said="the database is away")
    assert (status, written) == (-signal.SIGKILL, "")


def test_where_the_second_only_ends_the_first_ends_with_its_own_error_or_is_killed() -> None:
    told = "process 1 of the training ended with status 1: without it no step can be made\n"
    assert ended("exit(1)", WAITS)[:2] == (-signal.SIGKILL, told)
    status, _, complaint = ended("exit(1)", BREAKS)
    assert status == 1
    assert complaint.endswith("RuntimeError: Connection closed by peer\n")


def test_nobody_else_can_take_the_port_at_which_they_meet() -> None:
    assert ended(MEETS, MEETS)[:2] == (0, "")
    status, _, complaint = ended(TAKES_THE_PORT, WAITS)
    assert status == -signal.SIGKILL
    assert "Address already in use" in complaint
