"""Workers that sample, a tiny model for them, and what their jobs are told."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson

from tests.workers.working import FOR_MODELS, program_of_a_worker

PROGRAM = """
import logging, sys
from workers.main import CHILD, Plan, work
logging.basicConfig(level=logging.INFO)
logging.getLogger("procrastinate").setLevel(logging.CRITICAL)
offered = ("verify", "sampling:transformers", "sampling:openai")
url, idle, *child = sys.argv[1:]
sys.exit(work(Plan(url, ("gpu", "cpu"), offered, lease=5.0, grace=2.0, idle=float(idle), child=child or CHILD)))
"""
PROBLEMS = {f"{a}+{b}": str(a + b) for a in range(2) for b in range(4)}


@contextmanager
def sampler(
    database_url: str,
    data_dir: Path,
    *,
    idle: float = 60.0,
    child: Sequence[str] = (),
    log: Path | None = None,
    **environment: str,
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that samples and verifies; whatever the test leaves of it is killed."""
    arguments = (PROGRAM, database_url, str(idle), *child)
    environment = FOR_MODELS | environment
    with program_of_a_worker(*arguments, data_dir=data_dir, log=log, environment=environment) as process:
        yield process


def sums(client: httpx.Client, name: str) -> str:
    """A problem set of eight sums that the tiny model can read."""
    client.put(f"/v1/problem-sets/{name}@1", json={}).raise_for_status()
    problems = [{"problem": sum_, "prompt": f"{sum_}=", "answer": answer} for sum_, answer in PROBLEMS.items()]
    client.post(f"/v1/problem-sets/{name}@1/problems", json={"problems": problems}).raise_for_status()
    return f"{name}@1"


def spec(client: httpx.Client, run: str, model: str, **more: Any) -> dict[str, Any]:
    """A job that draws two completions of each sum by transformers."""
    told = {"run": run, "step": 0, "problem_set": sums(client, "sums"), "model": model, "engine": "transformers"}
    return told | {"n": 2, "sampling": {"max_tokens": 6, "seed": 3}} | more


def evaluation_of(client: httpx.Client, run: str) -> str:
    """The path of the only evaluation of a run."""
    [checkpoint] = client.get(f"/v1/runs/{run}/curves?k=1").raise_for_status().json()["checkpoints"]
    return f"/v1/evaluations/{checkpoint['evaluation']}"


def completions(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"{path}/completions?limit=1000").raise_for_status().json()["completions"]
    return found


def log_of(client: httpx.Client, path: str) -> list[str]:
    """The lines of an ended job's log."""
    lines: list[str] = []
    kind = ""
    for line in client.get(f"{path}/events").text.splitlines():
        name, _, value = line.partition(": ")
        kind = value if name == "event" else kind
        if name == "data" and kind == "log":
            lines += orjson.loads(value)["lines"]
    return lines
