"""Which checkpoints are still on disk, over REST and on pages; and pages that have not changed, not made again."""

import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import httpx
import pytest

from app.exports.weights import kept, kept_state
from tests.app.evaluations import create_evaluation, record, statements_sent
from tests.app.serving import serving
from tests.app.test_page_answers import BROWSER, page
from tests.app.test_training_pages import log_metrics
from tests.workers.training_jobs import spec, sums
from workers.training.checkpoints import Checkpoints

RUN = "sums-k2"


@pytest.fixture
def client(database_url: str, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of a server whose data folder is at hand."""
    with serving(database_url, data_dir=tmp_path) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def write(folder: Path) -> dict[str, object]:
    (folder / "model.safetensors").write_bytes(bytes(4_000))
    (folder / "training" / "optimizer.safetensors").write_bytes(bytes(8_000))
    return {}


@pytest.fixture
def saved(client: httpx.Client, tmp_path: Path) -> Checkpoints:
    """Checkpoints as a training leaves them: of 0 the weights, of 10 nothing, of 20 and 25 all."""
    for step in (0, 10, 20):
        record(client, create_evaluation(client, run=RUN, step=step, problem_set="sums"), {"a": [True, False]})
    found = Checkpoints(tmp_path / "checkpoints" / "1" / RUN, "config", print)
    found.latest()
    for step in (0, 10, 20, 25):
        found.save(step, write, nullcontext)
    found.prune(lambda each: each.step == 0)
    return found


def test_rest_says_what_of_each_checkpoint_is_there(client: httpx.Client, saved: Checkpoints) -> None:
    answer = client.get(f"/v1/runs/{RUN}/checkpoints").raise_for_status().json()
    found = answer["checkpoints"]
    assert [(each["step"], each["evaluations"], each["kept"]) for each in found] == [
        (0, 1, "weights"),
        (10, 1, None),
        (20, 1, "all"),
        (25, 0, "all"),
    ]
    assert found[1] == {"step": 10, "evaluations": 1, "kept": None, "path": None, "bytes": None, "sha256": None}
    assert found[0]["path"] == str(saved.folder / "step-000000000")
    assert found[3]["bytes"] - found[0]["bytes"] > 8_000
    assert found[0]["sha256"] == found[3]["sha256"], "of the weights, which are the same here"
    first = client.get(f"/v1/runs/{RUN}/checkpoints?limit=3").json()
    assert first["checkpoints"] == found[:3]
    rest = client.get(f"/v1/runs/{RUN}/checkpoints?cursor={first['next_cursor']}").json()
    assert (rest["checkpoints"], rest["next_cursor"]) == (found[3:], None)
    assert client.get("/v1/runs/nobody/checkpoints").status_code == 404
    assert client.get(f"/v1/runs/{RUN}/checkpoints?cursor=x").status_code == 422


def test_a_runs_page_shows_the_weights_and_how_each_is_exported(client: httpx.Client, saved: Checkpoints) -> None:
    shown = page(client, f"/runs/{RUN}")
    assert "On disk are 3 of 4 checkpoints" in shown.text
    assert "step 10 no longer kept" in shown.text
    assert "step 0 weights 4." in shown.text
    assert "step 25 weights and optimizer 12." in shown.text
    for step in (0, 20, 25):
        assert f"pkpo export {RUN} --step {step} --out {RUN}-step-{step}" in shown.text
        assert f"/v1/runs/{RUN}/checkpoints/{step}/card" in shown.values("href")
    assert f"/v1/runs/{RUN}/checkpoints/10/card" not in shown.values("href")
    assert client.get(f"/v1/runs/{RUN}/checkpoints/25/card").status_code == 200
    shutil.rmtree(saved.folder)
    assert "Weights" not in page(client, f"/runs/{RUN}").text


def test_a_run_that_was_trained_elsewhere_says_that_its_weights_are(client: httpx.Client) -> None:
    problem_set = sums(client, "sums")
    client.post("/v1/jobs", json={"kind": "training", "spec": spec(RUN, problem_set)}).raise_for_status()
    record(client, create_evaluation(client, run=RUN, step=0, problem_set="sums"), {"0+0": [True, False]})
    shown = page(client, f"/runs/{RUN}")
    assert "No checkpoint of this run is on a disk that this service sees." in shown.text
    assert f"/jobs/new?kind=training&like={RUN}" in shown.values("href")
    record(client, create_evaluation(client, run="imported", step=0, problem_set="sums"), {"0+0": [True, False]})
    other = page(client, "/runs/imported")
    assert "Train one like this" not in other.text, "no job trained it"
    assert RUN in other.values("value"), "to be put beside it"


def test_an_evaluation_says_where_its_model_is_no_more(client: httpx.Client, saved: Checkpoints) -> None:
    folders = [str(saved.folder / f"step-{step:09d}") for step in (0, 10)]
    for step, folder in zip((0, 10), folders, strict=True):
        evaluation = create_evaluation(client, run=RUN, step=step, problem_set="other", model=folder)
        shown = page(client, f"/evaluations/{evaluation}")
        assert folder in shown.text
        assert ("no longer there" in shown.text) == (step == 10)


def test_a_damaged_list_of_files_is_no_checkpoint(tmp_path: Path, saved: Checkpoints) -> None:
    (saved.folder / "step-000000020" / "training" / "checkpoint.json").write_text("{")
    (saved.folder / "step-000000025" / "training" / "checkpoint.json").unlink()
    assert list(kept(tmp_path / "checkpoints", 1, RUN)) == [0]
    assert [step for step, _ in kept_state(tmp_path / "checkpoints", 1, RUN)] == [0, 20]


def test_a_page_that_nothing_has_changed_is_answered_before_any_series_is_read(
    client: httpx.Client, saved: Checkpoints
) -> None:
    log_metrics(client, {"entropy": {1: 1.0, 2: 0.5}}, run=RUN)
    tags: dict[str, str] = {}

    def looked(address: str) -> int:
        known = {"If-None-Match": tags[address]} if address in tags else {}
        answer = client.get(address, headers=BROWSER | known)
        tags[address] = answer.headers["etag"]
        return answer.status_code

    addresses = f"/runs/{RUN}", f"/compare?runs={RUN}&runs={RUN}"
    for address in addresses:
        assert looked(address) == 200
        with statements_sent() as asked:
            assert looked(address) == 304
        assert asked
        assert not [each for each in asked if "metrics.value" in each or "group_statistics" in each]
        log_metrics(client, {"entropy": {3 + len(address): 0.25}}, run=RUN)
        assert looked(address) == 200, "another step"
        record(client, create_evaluation(client, run=RUN, step=20, problem_set="sums"), {address: [True]})
        assert looked(address) == 200, "another completion"
    assert looked(addresses[0]) == 200
    saved.save(30, write, nullcontext)
    assert looked(addresses[0]) == 200, "another checkpoint"
    saved.prune(lambda _: True)
    assert looked(addresses[0]) == 200, "one that a training cannot go on from any more"
    create_evaluation(client, run="another")
    assert looked(addresses[0]) == 200, "another run to put beside it"
    assert looked(addresses[0]) == 304
