"""Workers in processes of their own, and jobs to give them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from tests.app.processes import CHECKOUT, children, command_line, eventually

LEASE = 2.5  # seconds: a busy machine may keep a heartbeat waiting
PROGRAM = """
import logging, sys
from workers.main import Plan, work
logging.basicConfig(level=logging.INFO)
logging.getLogger("procrastinate").setLevel(logging.CRITICAL)
url, lease, *child = sys.argv[1:]
sys.exit(work(Plan(url, ("cpu",), ("import", "verify"), lease=float(lease), grace=2.0, child=child)))
"""
CHILD = (sys.executable, "-m", "workers.child")
FOR_MODELS = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


@contextmanager
def worker(
    database_url: str,
    data_dir: Path,
    *,
    child: Sequence[str] = CHILD,
    lease: float = LEASE,
    log: Path | None = None,
    **environment: str,
) -> Iterator[subprocess.Popen[bytes]]:
    """A running worker; whatever the test leaves of it, and of its jobs, is killed."""
    arguments = (PROGRAM, database_url, str(lease), *child)
    with program_of_a_worker(*arguments, data_dir=data_dir, log=log, environment=environment) as process:
        yield process


@contextmanager
def program_of_a_worker(
    program: str, *arguments: str, data_dir: Path, log: Path | None, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """The running program, which starts a worker; whatever the test leaves of it, and of its jobs, is killed."""
    settings = {"PKPO_DATA_DIR": str(data_dir), "PYTHONPATH": str(CHECKOUT)}
    with open(log or os.devnull, "ab") as out:
        command = [sys.executable, "-c", program, *arguments]
        process = subprocess.Popen(command, env=os.environ | settings | dict(environment), stdout=out, stderr=out)
    try:
        yield process
    finally:
        for pid in [process.pid, *(children(process.pid) if process.poll() is None else [])]:
            send(pid, signal.SIGKILL)
        process.wait(timeout=30)


def send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def job_process(worker_pid: int) -> int:
    """The pid of the job that a worker runs."""
    return eventually(lambda: jobs_of(worker_pid), seconds=30)[0]


def jobs_of(worker_pid: int) -> list[int]:
    """The pids of its jobs; what it has forked for something else has, for a moment, the worker's own command line."""
    own = command_line(worker_pid)
    said = {pid: command_line(pid) for pid in children(worker_pid)}
    return [pid for pid, words in said.items() if "child" in words and words != own]


def results(problems: int, n: int) -> bytes:
    """A results file, half of whose completions passed."""
    rows = ({"problem": f"p{i}", "text": f"{i} {j}", "passed": j % 2 == 0} for i in range(problems) for j in range(n))
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def submit_import(client: httpx.Client, content: bytes, **spec: Any) -> str:
    """The path of an import job of a file with this content."""
    octets = {"Content-Type": "application/octet-stream"}
    upload = client.post("/v1/uploads", content=content, headers=octets, params={"filename": "r.jsonl"}).json()["id"]
    spec = {"upload": upload, "run": "codellama-7b", "problem_set": "sums", **spec}
    return submit(client, "import", spec)


def submit(client: httpx.Client, kind: str, spec: dict[str, Any]) -> str:
    answer = client.post("/v1/jobs", json={"kind": kind, "spec": spec})
    assert answer.status_code == 202, answer.text
    return answer.headers["location"]


def job(client: httpx.Client, path: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(path).raise_for_status().json()
    return found


def ended(client: httpx.Client, path: str, seconds: float = 90) -> dict[str, Any]:
    """The job once it has ended."""
    eventually(lambda: job(client, path)["state"] not in ("queued", "running"), seconds)
    return job(client, path)
