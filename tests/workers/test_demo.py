"""The demo from its button to its curves, with the real queue and a real worker: all but the time that it takes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest
from sqlalchemy import URL

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("trl", reason="NOT TESTED: requirements/install.sh trl was not run")
pytest.importorskip("reasoning_gym", reason="NOT TESTED: requirements/install.sh workers was not run")

from app.demo.plan import KS, SCALES, Demo
from tests.app.processes import CHECKOUT
from tests.app.serving import serving
from tests.conftest import fresh_database
from tests.workers.training_jobs import trainer

DEMO = Demo("small")


@pytest.fixture(scope="module")
def demo(postgres_url: URL, migrated_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server whose small demo is over; it was restarted while the model was taught."""
    folder = tmp_path_factory.mktemp("data")
    with (
        fresh_database(postgres_url, template=migrated_template) as database_url,
        trainer(database_url, folder, lease=30.0, log=folder / "worker.log"),
    ):
        with serving(database_url, data_dir=folder) as url, httpx.Client(base_url=url, timeout=60) as client:
            client.post("/v1/demo", json={"size": "small"}).raise_for_status()
            until(client, lambda told: told["parts"][0]["job"] is not None)
        with serving(database_url, data_dir=folder) as url, httpx.Client(base_url=url, timeout=60) as client:
            until(client, lambda told: all(each["job"] and each["job"]["finished_at"] for each in told["parts"]))
            yield client
        print((folder / "worker.log").read_text())


def until(client: httpx.Client, reached: Any, patience: float = 300.0) -> dict[str, Any]:
    """What the demo tells of itself once that is reached."""
    give_up = monotonic() + patience
    while True:
        told: dict[str, Any] = client.get("/v1/demo?size=small").raise_for_status().json()
        if reached(told):
            return told
        assert monotonic() < give_up, told
        sleep(0.2)


def problems(client: httpx.Client, name: str) -> list[dict[str, Any]]:
    path = f"/v1/problem-sets/{name}/problems?limit=1000"
    found: list[dict[str, Any]] = client.get(path).raise_for_status().json()["problems"]
    return found


def numbers(problem: dict[str, Any]) -> tuple[Any, ...]:
    return (*sorted(problem["metadata"]["numbers"]), problem["metadata"]["target"])


def test_every_part_succeeds_in_its_order(demo: httpx.Client) -> None:
    told = demo.get("/v1/demo?size=small").json()
    jobs = {each["part"]: each["job"] for each in told["parts"]}
    assert {part: job["state"] for part, job in jobs.items()} == dict.fromkeys(("taught", "k1", "k8"), "succeeded")
    assert jobs["taught"]["finished_at"] <= min(jobs["k1"]["created_at"], jobs["k8"]["created_at"])


def test_no_held_out_problem_is_trained_on_in_any_order_of_its_numbers(demo: httpx.Client) -> None:
    training, held_out = (problems(demo, name) for name in (DEMO.problem_set, DEMO.held_out))
    assert len(held_out) == SCALES["small"].held_out
    assert len(training) > 100
    assert {numbers(each) for each in training} & {numbers(each) for each in held_out} == set()
    assert len({numbers(each) for each in held_out}) == len(held_out)


def test_every_checkpoint_has_a_held_out_curve_and_both_start_from_the_taught_model(demo: httpx.Client) -> None:
    curves = {}
    for part in ("taught", "k1", "k8"):
        path = f"/v1/runs/{DEMO.run(part)}/curves?{'&'.join(f'k={k}' for k in KS)}"
        curves[part] = demo.get(path).raise_for_status().json()["checkpoints"]
    assert [each["step"] for each in curves["taught"]] == [0]
    for part in ("k1", "k8"):
        assert [each["step"] for each in curves[part]] == [0, 2, 4]
        assert all([point["k"] for point in each["points"]] == list(KS) for each in curves[part])
    models = [demo.get(f"/v1/evaluations/{each[0]['evaluation']}").json() for each in curves.values()]
    assert {each["problem_set"] for each in models} == {DEMO.held_out}


def test_the_two_differ_in_k_alone(demo: httpx.Client) -> None:
    k1, k8 = (
        demo.get(f"/v1/runs/{DEMO.run(part)}/groups?limit=1000").raise_for_status().json()["groups"]
        for part in ("k1", "k8")
    )
    assert ({each["k"] for each in k1}, {each["k"] for each in k8}) == ({1}, {8})
    assert [each["problem"] for each in k1] == [each["problem"] for each in k8]
    assert {each["transform"] for each in (*k1, *k8)} == {"sloo_minus_one"}


def test_the_script_of_several_seeds_writes_what_the_service_says_and_goes_on(
    demo: httpx.Client, tmp_path: Path
) -> None:
    command = [sys.executable, "examples/demo.py", "--size", "small", "--seeds", "0", "--out", str(tmp_path)]
    first = subprocess.run([*command, "--url", str(demo.base_url)], cwd=CHECKOUT, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    (seed,) = json.loads((tmp_path / "tables/demo.json").read_text())["seeds"]
    assert [[each["step"] for each in found] for found in seed["curves"].values()] == [[0], [0, 2, 4], [0, 2, 4]]
    assert 0 < seed["first_curve_seconds"] < seed["seconds"]
    last = {part: found[-1] for part, found in seed["curves"].items()}
    for point in seed["differences"]["k8 - k1"]:
        ends = [
            next(each["value"] for each in last[part]["points"] if each["k"] == point["k"]) for part in ("k1", "k8")
        ]
        assert point["difference"] == pytest.approx(ends[1] - ends[0], abs=1e-12)
    assert (tmp_path / "images/demo-ends.json").exists()
    again = subprocess.run([*command, "--url", "http://127.0.0.1:1"], cwd=CHECKOUT, capture_output=True, text=True)
    assert again.stdout.endswith(first.stdout[first.stdout.index("| seed") :]), "what is there is not asked for again"
