"""PATCH and DELETE /v1/runs/{run}."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.auth.service import create_key
from app.models import ApiKey, AuditLog
from app.runs.service import remove_weights
from app.training.checkpoint import DELETED, renaming, run_of
from app.training.checkpoint import RUN as NOTED
from tests.app.ingesting import (
    WRITTEN,
    assert_refused,
    completion,
    evaluation,
    exact,
    pointers,
    post_completions,
    post_verifications,
    row_counts,
)

RUN = "/v1/runs/codellama-7b"


def change(client: httpx.Client, **fields: Any) -> Any:
    return client.patch(RUN, json=fields).raise_for_status().json()


def test_what_is_left_out_of_a_change_stays(client: httpx.Client) -> None:
    evaluation(client)
    first = client.get(RUN).json()
    assert change(client, tags=["baseline", "7B", "baseline"]) == first | {"tags": ["baseline", "7B"]}
    noted = change(client, notes="Diverged at step 900.\nSee the loss.")
    assert noted == first | {"tags": ["baseline", "7B"], "notes": "Diverged at step 900.\nSee the loss."}
    assert change(client) == noted
    assert change(client, tags=[], notes="") == first
    assert client.get(RUN).json() == first


def test_a_run_is_archived_once_and_brought_back(client: httpx.Client) -> None:
    evaluation(client)
    archived = change(client, archived=True)
    assert archived["archived_at"] is not None
    assert change(client, archived=True) == archived
    assert change(client, archived=False)["archived_at"] is None


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"tags": None}, "/tags"),
        ({"tags": "baseline"}, "/tags"),
        ({"tags": [""]}, "/tags/0"),
        ({"tags": ["a\nb"]}, "/tags/0"),
        ({"tags": ["a"] * 101}, "/tags"),
        ({"notes": "a\0"}, "/notes"),
        ({"notes": None}, "/notes"),
        ({"notes": "a" * 100_001}, "/notes"),
        ({"archived": 1}, "/archived"),
        ({"run": "other"}, ""),
    ],
)
def test_a_change_that_breaks_a_rule_is_refused(client: httpx.Client, fields: dict[str, Any], pointer: str) -> None:
    evaluation(client)
    before = client.get(RUN).json()
    answer = client.patch(RUN, json=fields)
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == [pointer]
    assert client.get(RUN).json() == before


def test_a_run_that_is_not_there_is_neither_changed_nor_deleted(shared_client: httpx.Client) -> None:
    assert_refused(shared_client.patch("/v1/runs/nobody", json={"notes": "a"}), 404, "not-found")
    assert_refused(shared_client.delete("/v1/runs/nobody"), 404, "not-found")


def fill(client: httpx.Client, run: str) -> None:
    """A row in every table that belongs to a run."""
    path = evaluation(client, run)
    post_completions(client, path, completion(verifications=[exact(passed=True)])).raise_for_status()
    verdict = {"problem": "sample_0", "sample_index": 0, **exact(passed=False)}
    post_verifications(client, path, verdict).raise_for_status()
    record = {"run": run, "step": 0, "problems": ["sample_0"]}
    client.post("/v1/transforms", json={"rewards": [[1, 0]], "k": 1, "record": record}).raise_for_status()
    metrics = {"metrics": [{"step": 0, "name": "train/loss", "value": 0.5}]}
    client.post(f"/v1/runs/{run}/metrics", json=metrics).raise_for_status()


def counts(session: Session) -> dict[str, int]:
    found = row_counts(session)
    logged = {
        table: session.scalar(text(f"SELECT count(*) FROM {table}")) or 0 for table in ("training_groups", "metrics")
    }
    return found | logged


def test_a_deleted_run_takes_all_its_rows_and_no_others(client: httpx.Client, session: Session) -> None:
    fill(client, "codellama-13b")
    before = counts(session)
    assert set(before.values()) == {1}
    assert len(before) == len(WRITTEN) + 2
    fill(client, "codellama-7b")
    answer = client.delete(RUN)
    assert (answer.status_code, answer.content) == (204, b"")
    assert counts(session) == before
    assert_refused(client.get(RUN), 404, "not-found")
    assert_refused(client.delete(RUN), 404, "not-found")
    assert [run["run"] for run in client.get("/v1/runs").json()["runs"]] == ["codellama-13b"]


def test_who_deleted_a_run_is_in_the_audit_log(client: httpx.Client, session: Session) -> None:
    evaluation(client)
    tokens = {name: create_key(session, name, [name], None) for name in ("write", "admin")}
    session.commit()
    client.headers["Authorization"] = f"Bearer {tokens['write']}"
    assert_refused(client.delete(RUN), 403, "forbidden")
    client.headers["Authorization"] = f"Bearer {tokens['admin']}"
    client.delete(RUN).raise_for_status()
    (row,) = session.scalars(select(AuditLog).filter_by(action="run.delete"))
    admin = session.scalars(select(ApiKey.id).filter_by(name="admin")).one()
    assert (row.subject, row.api_key_id) == ("codellama-7b", admin)
    assert row.detail == {"checkpoints": 1, "evaluations": 1}


def test_the_weights_of_a_deleted_run_are_removed_and_those_of_the_next_of_its_name_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    remove_weights(folder, "7 of today")  # none are there
    for of, kept in (("7 of today", False), ("8 of today", True), (None, True)):
        (folder / "step-000000001").mkdir(parents=True, exist_ok=True)
        (folder / NOTED).unlink(missing_ok=True)
        if of is not None:
            (folder / NOTED).write_text(json.dumps(of))
        remove_weights(folder, "7 of today")
        assert [each.name for each in tmp_path.iterdir()] == (["run"] if kept else [])


def test_a_training_that_begins_while_the_weights_are_removed_keeps_its_own(tmp_path: Path) -> None:
    """As a worker does it: the folder of the deleted run gets another name, and the new one takes its place."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / NOTED).write_text(json.dumps("7 of today"))
    with ThreadPoolExecutor() as threads:
        with renaming(tmp_path):
            removal = threads.submit(remove_weights, folder, "7 of today")
            sleep(0.2)  # in which it comes to where it waits
            folder.rename(tmp_path / "run~0")
            folder.mkdir()
            (folder / NOTED).write_text(json.dumps("8 of today"))
        removal.result()
    assert [each.name for each in tmp_path.iterdir()] == ["run"]
    assert run_of(folder) == "8 of today"


def test_two_removals_of_one_name_leave_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (tmp_path / f"run{DELETED}0" / "step-000000001").mkdir(parents=True)  # at which another one is
    folder.mkdir()
    (folder / NOTED).write_text(json.dumps("7 of today"))
    remove_weights(folder, "7 of today")
    assert [each.name for each in tmp_path.iterdir()] == [f"run{DELETED}0"]
