"""Workers that train, and what their jobs are told."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import URL

from tests.app.serving import serving
from tests.conftest import fresh_database
from tests.workers.working import FOR_MODELS, program_of_a_worker

PROGRAM = """
import logging, sys
from workers.main import Plan, work
logging.basicConfig(level=logging.INFO)
logging.getLogger("procrastinate").setLevel(logging.CRITICAL)
url, lease = sys.argv[1:]
sys.exit(work(Plan(url, ("gpu", "cpu"), ("train", "train:reasoning-gym"), lease=float(lease), grace=10.0)))
"""


@contextmanager
def trainer(
    database_url: str, data_dir: Path, *, lease: float = 10.0, log: Path | None = None, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that trains; whatever the test leaves of it is killed."""
    arguments = (PROGRAM, database_url, str(lease))
    environment = FOR_MODELS | environment
    with program_of_a_worker(*arguments, data_dir=data_dir, log=log, environment=environment) as process:
        yield process


@contextmanager
def training_service(
    postgres_url: URL, template: str, folder: Path, log: Path | None = None, **environment: str
) -> Iterator[httpx.Client]:
    """A client of a server with a worker that trains beside it, for the tests of a module."""
    with (
        fresh_database(postgres_url, template=template) as database_url,
        serving(database_url, data_dir=folder) as url,
        trainer(database_url, folder, lease=30.0, log=log, **environment),
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield client


def sums(client: httpx.Client, name: str, first: int = 0, last: int = 6) -> str:
    """A problem set of all sums of two numbers of a range."""
    client.put(f"/v1/problem-sets/{name}@1", json={}).raise_for_status()
    terms = [(a, b) for a in range(first, last) for b in range(first, last)]
    problems = [{"problem": f"{a}+{b}", "prompt": f"{a}+{b}=", "answer": str(a + b)} for a, b in terms]
    client.post(f"/v1/problem-sets/{name}@1/problems", json={"problems": problems}).raise_for_status()
    return f"{name}@1"


def spec(run: str, problem_set: str, **more: Any) -> dict[str, Any]:
    """A training of six steps of a model of 5,000 parameters, taught to answer with digits."""
    return {
        "run": run,
        "model": {"init": "tiny", "hidden": 16, "layers": 1, "heads": 2, "teach": {"steps": 20, "batch": 16}},
        "problem_set": problem_set,
        "held_out": 0.25,
        "verifier": "exact-match",
        "n": 4,
        "problems_per_step": 4,
        "k": 2,
        "steps": 6,
        "evaluate_every": 3,
        "checkpoint_every": 2,
        "optimizer": {"lr": 0.01},
        "generation": {"max_tokens": 4},
    } | more
