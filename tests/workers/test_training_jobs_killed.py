"""A training job whose process is killed and whose worker is stopped comes to the weights of an undisturbed one."""

import signal
from pathlib import Path

import httpx
import pytest

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("trl", reason="NOT TESTED: requirements/install.sh trl was not run")

from app.jobs.specs.training import TrainingSpec
from tests.app.processes import eventually
from tests.workers.sampling_jobs import log_of
from tests.workers.training import small
from tests.workers.training_jobs import spec, sums, trainer
from tests.workers.working import ended, job, job_process, send, submit

STEPS = 60


def latest_step(client: httpx.Client, run: str) -> int:
    answer = client.get(f"/v1/runs/{run}/metrics?name=loss&limit=1000")
    return max((each["step"] for each in answer.json().get("metrics", [])), default=0)


@pytest.mark.slow
def test_killed_stopped_and_gone_on_with(client: httpx.Client, database_url: str, data_dir: Path) -> None:
    told = spec("sums", sums(client, "sums"), steps=STEPS, evaluate_every=30)
    path = submit(client, "training", told)
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

    groups = client.get("/v1/runs/sums/groups?limit=1000").raise_for_status().json()["groups"]
    segments: dict[int, list[int]] = {}
    for each in groups:
        segments.setdefault(each["segment"], []).append(each["step"])
    assert sorted(segments) == [0, 1, 2]
    assert {step for steps in segments.values() for step in steps} == set(range(1, STEPS + 1))
    assert max(segments[1]) + 1 == min(segments[2]), "SIGTERM lets the step come to its end, and keeps it"
    last = data_dir / "checkpoints" / "1" / "sums" / f"step-{STEPS:09d}"
    alone, _ = small.trained(data_dir / "alone", TrainingSpec.model_validate(told))
    assert (last / "model.safetensors").read_bytes() == small.weights(alone)
    curves = client.get("/v1/runs/sums/curves?k=1").raise_for_status().json()["checkpoints"]
    assert [each["step"] for each in curves] == [0, 30, 60]
