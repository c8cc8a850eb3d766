"""A training job of two processes of one machine: what it records, and what becomes of it when one is killed."""

import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("trl", reason="NOT TESTED: requirements/install.sh trl was not run")

from tests.app.processes import CHECKOUT, children, command_line, eventually, lives
from tests.pkpo import exact
from tests.workers.sampling_jobs import log_of
from tests.workers.training_jobs import spec, sums, trainer
from tests.workers.working import ended, job, job_process, send, submit

STEPS = 20


def weights(data_dir: Path, run: str) -> bytes:
    return (data_dir / "checkpoints" / "1" / run / f"step-{STEPS:09d}" / "model.safetensors").read_bytes()


def others(worker_pid: int) -> list[int]:
    """The pids of the processes beside the first one of the job."""
    return [pid for pid in children(job_process(worker_pid)) if "child.training_rank" in command_line(pid)]


@pytest.mark.slow
def test_two_processes_share_every_step_and_go_on_where_they_were_when_one_is_killed(
    client: httpx.Client, database_url: str, data_dir: Path
) -> None:
    more: dict[str, Any] = {"steps": STEPS, "evaluate_every": STEPS, "checkpoint_every": 2, "micro_batch": 2}
    problem_set = sums(client, "sums")
    with trainer(database_url, data_dir, lease=30.0) as worker:
        path = submit(client, "training", spec("two", problem_set, processes=2, **more))
        done = ended(client, path, 180)
        assert (done["state"], done["progress"]["done"]) == ("succeeded", STEPS), (done, log_of(client, path))

        path = submit(client, "training", spec("killed", problem_set, processes=2, **more))
        checkpoints = data_dir / "checkpoints" / "1" / "killed"
        eventually(lambda: len(list(checkpoints.glob("step-*"))) >= 3, 180)
        [other] = others(worker.pid)
        first = job_process(worker.pid)
        send(other, signal.SIGKILL)
        eventually(lambda: not lives(first), 60)
        done = ended(client, path, 180)
        assert (done["state"], done["attempt"]) == ("succeeded", 2), (done, log_of(client, path))
        assert "process 1 of the training was ended by SIGKILL" in "\n".join(log_of(client, path))
        assert weights(data_dir, "killed") == weights(data_dir, "two")

    check_groups(client, spec("two", problem_set, **more))


def check_groups(client: httpx.Client, told: dict[str, Any]) -> None:
    """Every group has credits by the exact definition, though it lay across both processes."""
    groups = client.get("/v1/runs/two/groups?limit=1000").raise_for_status().json()["groups"]
    assert len(groups) == STEPS * told["problems_per_step"]
    for each in groups:
        rewards = exact.group_of(each["rewards"])
        definition = exact.TRANSFORMS["sloo_minus_one"](rewards, told["k"])
        assert each["credits"] == [float(credit * len(rewards)) for credit in definition]


@pytest.mark.slow
def test_none_is_left_when_the_first_is_killed_or_sigterm_comes_while_the_model_is_taught(
    client: httpx.Client, database_url: str, data_dir: Path
) -> None:
    model = {"init": "tiny", "hidden": 16, "layers": 1, "heads": 2, "teach": {"steps": 1_000_000, "batch": 16}}
    told = spec("taught", sums(client, "sums"), processes=2, micro_batch=2, model=model)
    path = submit(client, "training", told)
    with trainer(database_url, data_dir, lease=30.0) as worker:
        with client.stream("GET", f"{path}/events", timeout=120) as events:
            lines = events.iter_lines()
            assert any("is taught 1000000 steps" in line for line in lines)
            first, [other] = job_process(worker.pid), others(worker.pid)
            send(first, signal.SIGKILL)
            eventually(lambda: not lives(other), 30)
            assert any("is taught 1000000 steps" in line for line in lines), "the next attempt"
        pids = [job_process(worker.pid), *children(job_process(worker.pid))]
        assert others(worker.pid)
        send(worker.pid, signal.SIGTERM)
        assert worker.wait(timeout=60) == 0
        eventually(lambda: not any(map(lives, pids)))
    assert (job(client, path)["state"], job(client, path)["attempt"]) == ("queued", 1), "the one given back counts not"
    client.post(f"{path}/cancel").raise_for_status()
    assert "stopped while the model was taught, which begins again" in log_of(client, path)


ONLY_ONE = """
import os
os.mkdir(os.path.join(os.path.dirname(__file__), "taken"))
def verdict(completion, problem): return True
verdict.pkpo_verifier = "1"
"""


@pytest.mark.slow
def test_what_another_process_cannot_go_on_for_is_why_the_job_failed(
    client: httpx.Client, database_url: str, data_dir: Path, tmp_path: Path
) -> None:
    """A verifier that only one process can have: the first has it, and waits for the other."""
    (tmp_path / "only_one.py").write_text(ONLY_ONE)
    told = spec("refused", sums(client, "sums"), processes=2, micro_batch=2, verifier="only_one:verdict")
    path = submit(client, "training", told)
    with trainer(database_url, data_dir, lease=30.0, PYTHONPATH=f"{CHECKOUT}:{tmp_path}") as worker:
        failed = ended(client, path, 120)
        eventually(lambda: not children(worker.pid), 30)
    assert (failed["state"], failed["attempt"]) == ("failed", 1), (failed, log_of(client, path))
    assert failed["error"]["detail"] == "only_one:verdict: its process ended before it was ready."
    assert any(line.startswith("run refused: ") for line in log_of(client, path)), "the first had it"


def test_processes_that_cannot_share_a_step_are_refused(client: httpx.Client) -> None:
    told = spec("three", sums(client, "sums"), processes=3)
    answer = client.post("/v1/jobs", json={"kind": "training", "spec": told})
    assert answer.status_code == 422
    assert "processes must divide the 4 parts of micro_batch = 4 completions" in answer.text
