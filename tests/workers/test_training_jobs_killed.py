"""A training job that is killed, stopped or cancelled on its way comes to the weights of an undisturbed one."""

import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("trl", reason="NOT TESTED: requirements/install.sh trl was not run")

from app.jobs.specs.training import TrainingSpec
from tests.app.processes import CHECKOUT, eventually
from tests.workers.sampling_jobs import log_of
from tests.workers.training import small
from tests.workers.training_jobs import spec, sums, trainer
from tests.workers.working import ended, job, job_process, send, submit

STEPS = 60


def wanted(client: httpx.Client) -> dict[str, Any]:
    return spec("sums", sums(client, "sums"), steps=STEPS, evaluate_every=30)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The weights that such a training comes to by itself."""
    told = TrainingSpec.model_validate(spec("sums", "sums@1", steps=STEPS, evaluate_every=30))
    alone, _ = small.trained(tmp_path_factory.mktemp("alone"), told)
    return small.weights(alone)


def weights(data_dir: Path) -> bytes:
    return (data_dir / "checkpoints" / "1" / "sums" / f"step-{STEPS:09d}" / "model.safetensors").read_bytes()


def latest_step(client: httpx.Client, run: str) -> int:
    answer = client.get(f"/v1/runs/{run}/metrics?name=loss&limit=1000")
    return max((each["step"] for each in answer.json().get("metrics", [])), default=0)


def steps_of_segments(client: httpx.Client) -> dict[int, list[int]]:
    """The steps of each group of each segment."""
    groups = client.get("/v1/runs/sums/groups?limit=1000").raise_for_status().json()["groups"]
    segments: dict[int, list[int]] = {}
    for each in groups:
        segments.setdefault(each["segment"], []).append(each["step"])
    return segments


@pytest.mark.slow
def test_killed_stopped_and_gone_on_with(
    client: httpx.Client, database_url: str, data_dir: Path, undisturbed: bytes
) -> None:
    path = submit(client, "training", wanted(client))
    with trainer(database_url, data_dir, lease=30.0) as worker:
        eventually(lambda: latest_step(client, "sums") >= 6, 180)
        send(job_process(worker.pid), signal.SIGKILL)
        eventually(lambda: job(client, path)["attempt"] == 2, 60)
        reached = latest_step(client, "sums")
        eventually(lambda: latest_step(client, "sums") >= reached + 6, 180)
        send(worker.pid, signal.SIGTERM)
        assert worker.wait(timeout=60) == 0
    stopped = job(client, path)
    assert (stopped["state"], stopped["attempt"]) == ("queued", 1), "an attempt that is given back is not counted"
    with trainer(database_url, data_dir, lease=30.0):
        done = ended(client, path, 180)
    assert (done["state"], done["progress"]["done"]) == ("succeeded", STEPS), (done, log_of(client, path))

    segments = steps_of_segments(client)
    assert sorted(segments) == [0, 1, 2]
    assert {step for steps in segments.values() for step in steps} == set(range(1, STEPS + 1))
    assert max(segments[1]) + 1 == min(segments[2]), "SIGTERM lets the step come to its end, and keeps it"
    assert weights(data_dir) == undisturbed
    curves = client.get("/v1/runs/sums/curves?k=1").raise_for_status().json()["checkpoints"]
    assert [each["step"] for each in curves] == [0, 30, 60]


@pytest.mark.slow
def test_cancelled_among_its_steps_and_retried_it_goes_on_where_it_was(
    client: httpx.Client, database_url: str, data_dir: Path, undisturbed: bytes
) -> None:
    rarely = {"checkpoint_every": 30}  # what it goes on from, the cancelled one has kept as it ended
    path = submit(client, "training", wanted(client) | rarely)
    with trainer(database_url, data_dir, lease=30.0):
        eventually(lambda: latest_step(client, "sums") >= 6, 180)
        client.post(f"{path}/cancel").raise_for_status()
        cancelled = ended(client, path, 60)
        assert (cancelled["state"], cancelled["error"]) == ("cancelled", None), (cancelled, log_of(client, path))
        assert 6 <= cancelled["progress"]["done"] < STEPS
        reached = latest_step(client, "sums")
        client.post(f"{path}/retry").raise_for_status()
        done = ended(client, path, 180)
    assert (done["state"], done["attempt"], done["progress"]["done"]) == ("succeeded", 1, STEPS), log_of(client, path)
    assert any(line.startswith(f"goes on from step {reached}, ") for line in log_of(client, path))
    made = [step for step in range(1, STEPS + 1) for _ in range(4)]
    assert steps_of_segments(client) == {0: made[: 4 * reached], 1: made[4 * reached :]}, "none is made again"
    assert weights(data_dir) == undisturbed


def counted(client: httpx.Client) -> list[int]:
    """How many completions each evaluation of the run has."""
    evaluations = client.get("/v1/runs/moved/curves?k=1").json().get("checkpoints", [])
    found = (client.get(f"/v1/evaluations/{each['evaluation']}").raise_for_status() for each in evaluations)
    return [each.json()["completions"] for each in found]


SLOW = """
import time
def verdict(completion, problem):
    time.sleep(0.004)
    return completion == problem["answer"]
verdict.pkpo_verifier = "1"
"""


@pytest.mark.slow
def test_an_evaluation_in_which_it_is_stopped_is_completed_though_its_folder_is_moved(
    client: httpx.Client, database_url: str, data_dir: Path, tmp_path: Path
) -> None:
    """Of three parts, each of which takes two seconds to judge; it is stopped when the first is stored."""
    (tmp_path / "slow.py").write_text(SLOW)
    found_at = f"{CHECKOUT}:{tmp_path}"
    told = spec("moved", sums(client, "many", 0, 24), held_out=0.5, steps=2, evaluate_every=2, verifier="slow:verdict")
    path = submit(client, "training", told)
    with trainer(database_url, data_dir, lease=30.0, PYTHONPATH=found_at) as worker:
        eventually(lambda: sum(counted(client)) > 0, 120)
        send(worker.pid, signal.SIGTERM)
        assert worker.wait(timeout=60) == 0
    assert (job(client, path)["state"], len(counted(client))) == ("queued", 1)
    assert counted(client)[0] < 288 * 4, "it was stopped too late to show anything"
    elsewhere = data_dir.rename(data_dir.with_name("elsewhere"))
    with trainer(database_url, elsewhere, lease=30.0, PYTHONPATH=found_at):
        done = ended(client, path, 180)
    assert done["state"] == "succeeded", (done, log_of(client, path))
    assert counted(client) == [288 * 4, 288 * 4]
