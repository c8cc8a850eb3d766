"""Training jobs by a real worker: steps are recorded, checkpoints evaluated, and what was killed goes on."""

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import URL, make_url

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("trl", reason="NOT TESTED: requirements/install.sh trl was not run")

from tests.pkpo import exact
from tests.workers.sampling_jobs import log_of
from tests.workers.training_jobs import spec, sums, training_service
from tests.workers.working import ended, submit

KEYS = {
    name: f"canary-of-{name.lower()}" for name in ("PKPO_API_KEY", "PKPO_OPENAI_API_KEY", "OPENAI_API_KEY", "HF_TOKEN")
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def training(postgres_url: URL, migrated_template: str, folder: Path) -> Iterator[httpx.Client]:
    """A client of a server with a worker that trains beside it, and has secrets in its environment."""
    with training_service(postgres_url, migrated_template, folder, folder / "worker.log", **KEYS) as client:
        yield client
        print((folder / "worker.log").read_text())


@pytest.fixture(scope="module")
def trained(training: httpx.Client) -> dict[str, Any]:
    """The job of a training that has come to its end."""
    told = spec("sums-k2", sums(training, "sums"), verifier_options={"ignore_case": True})
    job = ended(training, submit(training, "training", told), 120)
    assert job["state"] == "succeeded", (job, log_of(training, f"/v1/jobs/{job['id']}"))
    return job


def groups(client: httpx.Client, run: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/v1/runs/{run}/groups?limit=1000").raise_for_status().json()["groups"]
    return found


def metrics(client: httpx.Client, run: str) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for each in client.get(f"/v1/runs/{run}/metrics?limit=1000").raise_for_status().json()["metrics"]:
        found.setdefault(each["name"], {})[each["step"]] = each["value"]
    return found


@pytest.mark.slow
def test_every_step_is_recorded_with_credits_by_the_definition(training: httpx.Client, trained: dict[str, Any]) -> None:
    assert trained["progress"] | {"rate": None, "remaining": None} == {
        "done": 6,
        "total": 6,
        "rate": None,
        "remaining": None,
    }
    recorded = groups(training, "sums-k2")
    assert [(each["step"], each["group_index"]) for each in recorded] == [(s, i) for s in range(1, 7) for i in range(4)]
    for each in recorded:
        assert (each["k"], each["transform"], each["scale"]) == (2, "sloo_minus_one", "mean")
        assert set(each["rewards"]) <= {0, 1}
        credits = exact.TRANSFORMS["sloo_minus_one"](exact.group_of(each["rewards"]), 2)
        assert each["credits"] == [float(credit * 4) for credit in credits]
    assert any(any(each["rewards"]) and not all(each["rewards"]) for each in recorded), "nothing was learned from"


def test_the_figures_of_each_step_are_there(training: httpx.Client, trained: dict[str, Any]) -> None:
    told = metrics(training, "sums-k2")
    names = {"reward/mean", "reward/std", "pass@1", "pass@2", "pass@4", "cumulative_solve_rate", "entropy", "grad_norm"}
    names |= {"zero_signal_share", "k", "learning_rate", "loss", "tokens", "mean_abs_credit"}
    names |= {"seconds/sampling", "seconds/verifying", "seconds/learning", "seconds/pkpo"}
    assert names <= told.keys()
    assert all(list(told[name]) == [1, 2, 3, 4, 5, 6] for name in names)
    recorded = groups(training, "sums-k2")
    for step in range(1, 7):
        rewards = [reward for each in recorded if each["step"] == step for reward in each["rewards"]]
        assert told["reward/mean"][step] == pytest.approx(sum(rewards) / len(rewards))
    solved = {each["problem"] for each in recorded if any(each["rewards"])}
    assert told["cumulative_solve_rate"][6] == float(Fraction(len(solved), 27))


def test_checkpoints_are_evaluated_on_problems_that_are_never_trained_on(
    training: httpx.Client, trained: dict[str, Any]
) -> None:
    checkpoints = training.get("/v1/runs/sums-k2/curves?k=1&k=4").raise_for_status().json()["checkpoints"]
    assert [each["step"] for each in checkpoints] == [0, 3, 6]
    for each in checkpoints:
        evaluation = training.get(f"/v1/evaluations/{each['evaluation']}").raise_for_status().json()
        assert (evaluation["problem_set"], evaluation["n"]) == ("sums.held-out-0.25@1", 4)
        assert evaluation["model"].endswith(f"sums-k2/step-{each['step']:09d}")
        found = training.get(f"/v1/evaluations/{each['evaluation']}/completions?limit=1000").json()["completions"]
        assert len(found) == 9 * 4
        [judged] = evaluation["verifiers"]
        assert (judged["n"], judged["options"]) == (9 * 4, {"ignore_case": True})
        assert re.fullmatch("exact-match@1-[0-9a-f]{8}", judged["verifier"])
    held_out = {each["problem"] for each in found}
    assert held_out & {each["problem"] for each in groups(training, "sums-k2")} == set()
    path = Path(evaluation["model"])
    assert {each.name for each in path.parent.iterdir()} >= {"step-000000004", "step-000000006"}


def test_each_seed_is_a_run_and_nul_in_a_completion_is_stored_as_what_stands_for_it(training: httpx.Client) -> None:
    model = {"init": "tiny", "hidden": 16, "layers": 1, "heads": 2}
    problems = [{"problem": f"p{i}", "prompt": f"{i}\t=", "answer": "\x01\x02\x03"} for i in range(8)]
    training.put("/v1/problem-sets/odd@1", json={}).raise_for_status()
    training.post("/v1/problem-sets/odd@1/problems", json={"problems": problems}).raise_for_status()
    told = spec("odd", "odd@1", model=model, seeds=[3, 4], steps=2, evaluate_every=2)
    job = ended(training, submit(training, "training", told), 120)
    assert (job["state"], job["progress"]["done"]) == ("succeeded", 4), (job, log_of(training, f"/v1/jobs/{job['id']}"))
    drawn = []
    for run in ("odd-seed-3", "odd-seed-4"):
        assert sorted({each["step"] for each in groups(training, run)}) == [1, 2]
        found = training.get(f"/v1/runs/{run}/curves?k=1").json()["checkpoints"]
        assert [each["step"] for each in found] == [0, 2]
        drawn.append([each["rewards"] for each in groups(training, run)])
    assert groups(training, "odd-seed-3") != groups(training, "odd-seed-4")


@pytest.fixture(scope="module")
def failed(training: httpx.Client) -> dict[str, Any]:
    """The job of a training that was to learn from problems which were held out before."""
    problem_set = sums(training, "growing", 0, 5)
    sums(training, "growing.held-out-0.25", 0, 4)
    return ended(training, submit(training, "training", spec("after", problem_set, steps=0)), 120)


def test_what_was_held_out_before_is_not_trained_on(failed: dict[str, Any]) -> None:
    assert failed["state"] == "failed"
    told = "growing.held-out-0.25@1 was held out when the problem set had other problems, and 1"
    assert told in failed["error"]["detail"]


def test_no_secret_of_the_worker_is_told(
    training: httpx.Client, trained: dict[str, Any], failed: dict[str, Any], folder: Path, postgres_url: URL
) -> None:
    """Neither in logs, events, errors and figures, nor by a model card, nor in a file of a checkpoint."""
    paths = ["/v1/runs/sums-k2/metrics?limit=1000", "/v1/runs/sums-k2/groups?limit=1000", "/runs/sums-k2"]
    paths += ["/v1/runs/sums-k2/checkpoints", "/v1/runs/sums-k2/checkpoints/6/card", "/v1/jobs", "/v1/workers"]
    for each in (trained, failed):
        paths += [f"/v1/jobs/{each['id']}", f"/v1/jobs/{each['id']}/events", f"/jobs/{each['id']}"]
    told = [training.get(path).raise_for_status().content for path in paths]
    written = [each for each in folder.rglob("*") if each.is_file()]
    assert {"worker.log", "config.json", "checkpoint.json"} <= {each.name for each in written}
    told += [each.read_bytes() for each in written]
    password = make_url(postgres_url).password
    for secret in [*KEYS.values(), *([password] if password else [])]:
        assert not [each for each in told if secret.encode() in each], secret
