"""The process that stays after a job with what it has loaded: idle, killed between two jobs, stopped with its worker.

What it keeps is made at once, for here it does not matter; `test_sampling_jobs.py` has a model.
"""

import subprocess
import sys
from pathlib import Path
from signal import SIGKILL, SIGTERM

import httpx

from tests.app.processes import children, eventually, lives
from tests.workers.sampling_jobs import log_of, sampler, spec
from tests.workers.working import ended, send, submit

CHILD = (sys.executable, "-m", "tests.workers.keeping_child")
MODEL = "Qwen/Qwen3-0.6B"  # which nobody loads


def said(client: httpx.Client, run: str) -> list[str]:
    """The log of a job that succeeded at its first attempt."""
    path = submit(client, "sampling", spec(client, run, MODEL))
    done = ended(client, path, 60)
    assert (done["state"], done["attempt"]) == ("succeeded", 1), done
    return log_of(client, path)


def kept(worker: subprocess.Popen[bytes]) -> int:
    """The process that stays, once there is no other."""
    eventually(lambda: len(children(worker.pid)) == 1, 30)
    return children(worker.pid)[0]


def test_a_process_that_stays_may_be_killed_between_two_jobs_and_ends_with_its_worker(
    client: httpx.Client, database_url: str, data_dir: Path
) -> None:
    with sampler(database_url, data_dir, child=CHILD) as worker:
        assert said(client, "first") == ["it was loaded"]
        assert said(client, "second") == ["it is still loaded"]
        send(kept(worker), SIGKILL)
        assert said(client, "after-the-kill") == ["it was loaded"]
        stays = kept(worker)
        worker.send_signal(SIGTERM)
        assert worker.wait(timeout=30) == 0
        assert not lives(stays)


def test_a_process_that_stays_is_ended_when_it_was_idle(
    client: httpx.Client, database_url: str, data_dir: Path
) -> None:
    with sampler(database_url, data_dir, child=CHILD, idle=1.0) as worker:
        assert said(client, "first") == ["it was loaded"]
        eventually(lambda: not children(worker.pid), 20)
        assert said(client, "second") == ["it was loaded"]


def test_of_a_bar_of_progress_the_log_has_its_end(client: httpx.Client, database_url: str, data_dir: Path) -> None:
    with sampler(database_url, data_dir, child=CHILD):
        assert said(client, "with-a-bar") == ["Loading: 100%", "it was loaded"]
