"""A training goes on with what it began with, and one of a run that was deleted begins anew."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import URL

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("trl", reason="NOT TESTED: requirements/install.sh trl was not run")

from pkpo.problems import Problem
from tests.app.ingesting import assert_refused
from tests.app.processes import eventually
from tests.workers.sampling_jobs import log_of
from tests.workers.training_jobs import spec, sums, training_service
from tests.workers.working import ended, submit
from workers.training.beginnings import is_of_run, leave_deleted, problems_kept, problems_to_train
from workers.training.checkpoints import NoRoom
from workers.training.problems import Problems, split


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def client(postgres_url: URL, migrated_template: str, folder: Path) -> Iterator[httpx.Client]:
    """A client of a server with a worker that trains beside it."""
    with training_service(postgres_url, migrated_template, folder) as client:
        yield client


def succeeded(client: httpx.Client, path: str) -> dict[str, Any]:
    job = ended(client, path, 120)
    assert job["state"] == "succeeded", (job, log_of(client, path))
    return job


def groups(client: httpx.Client, run: str) -> list[tuple[int, str, list[float]]]:
    found = client.get(f"/v1/runs/{run}/groups?limit=1000")
    rows = found.json()["groups"] if found.is_success else []
    return [(each["step"], each["problem"], each["rewards"]) for each in rows]


@pytest.mark.slow
def test_problems_that_are_added_meanwhile_are_left_out(client: httpx.Client) -> None:
    """Half of those added would be held out of it, and one of those that were would be trained on."""
    problem_set = sums(client, "open")
    path = submit(client, "training", spec("grows", problem_set, steps=80, evaluate_every=80))
    eventually(lambda: len(groups(client, "grows")) >= 4, 120)
    client.post(f"{path}/cancel").raise_for_status()
    assert ended(client, path, 60)["state"] == "cancelled"
    more = [{"problem": f"0{i}", "prompt": f"0{i}=", "answer": str(i)} for i in range(8)]
    client.post(f"/v1/problem-sets/{problem_set}/problems", json={"problems": more}).raise_for_status()
    client.post(f"{path}/retry").raise_for_status()
    succeeded(client, path)
    assert "goes on without 8 problems that were added since it began" in log_of(client, path)
    assert {problem for _, problem, _ in groups(client, "grows")}.isdisjoint(each["problem"] for each in more)
    [*_, last] = client.get("/v1/runs/grows/curves?k=1").raise_for_status().json()["checkpoints"]
    evaluation = client.get(f"/v1/evaluations/{last['evaluation']}").raise_for_status().json()
    assert evaluation["verifiers"][0]["n"] == 9 * 4


def test_an_ended_run_has_nothing_left_to_do_until_it_is_deleted_with_its_weights(
    client: httpx.Client, folder: Path
) -> None:
    told = spec("again", sums(client, "again"), steps=2, evaluate_every=2)
    path = submit(client, "training", told)
    answer = client.delete("/v1/runs/again")
    while answer.status_code == 404:  # it has not begun
        answer = client.delete("/v1/runs/again")
    assert_refused(answer, 409, "run-in-training")
    assert path.rpartition("/")[2] in answer.json()["detail"]
    succeeded(client, path)
    first = groups(client, "again")
    weights = folder / "checkpoints/1/again"
    assert [step for step, _, _ in first] == [1] * 4 + [2] * 4
    assert any(weights.glob("step-*"))

    path = submit(client, "training", told)
    progress = succeeded(client, path)["progress"]
    assert (progress["done"], progress["total"]) == (2, 2)
    assert log_of(client, path)[-1] == "all steps were made before"
    assert groups(client, "again") == first

    client.delete("/v1/runs/again").raise_for_status()
    eventually(lambda: not [each for each in weights.parent.iterdir() if each.name.startswith("again")], 10)
    assert succeeded(client, submit(client, "training", told))["progress"]["done"] == 2
    assert groups(client, "again") == first


def test_checkpoints_of_a_deleted_run_that_are_still_there_are_moved_away(tmp_path: Path) -> None:
    said: list[str] = []
    folder = tmp_path / "run"
    leave_deleted(folder, None, said.append)
    (folder / "step-000000001").mkdir(parents=True)
    is_of_run(folder, "7 of today")
    leave_deleted(folder, "7 of today", said.append)
    assert said == []
    assert folder.exists()
    leave_deleted(folder, "8 of today", said.append)
    assert said == [f"the checkpoints of a run run that was deleted were moved to {tmp_path / 'run~0'}"]
    assert not folder.exists()
    is_of_run(folder, "8 of today")
    leave_deleted(folder, None, said.append)
    assert {each.name for each in tmp_path.iterdir()} == {"run~0", "run~1"}


def test_all_processes_and_seeds_have_the_problems_of_the_first_that_began(tmp_path: Path) -> None:
    said: list[str] = []
    folders = [tmp_path / "a", tmp_path / "b"]
    few, more = ([Problem(f"{i}", f"{i}=", "") for i in range(count)] for count in (8, 20))
    began = split(few, 0.25)
    assert problems_to_train(folders, began, said.append) == began
    assert problems_to_train(folders, split(more, 0.25), said.append) == split(more, 0.25), "none of them has begun"
    problems_to_train(folders, began, said.append)
    (folders[0] / "step-000000000").mkdir()
    assert problems_to_train(folders, split(more, 0.25), said.append) == began
    assert said == ["goes on without 12 problems that were added since it began"]
    assert [problems_kept(each, split(more, 0.25)) for each in folders] == [began, began]
    other = Problems([Problem("x", "x=", "")] * 8)
    assert problems_to_train(folders, other, said.append) == other, "which is refused as another training"


def test_a_folder_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")
    with pytest.raises(NoRoom, match=r"run\.json could not be written: .*Make room, and retry the job"):
        is_of_run(tmp_path / "run", "7 of today")
