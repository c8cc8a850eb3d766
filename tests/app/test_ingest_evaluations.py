"""POST /v1/evaluations: one evaluation per identity, however often and by whomever it is asked for."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from tests.app.ingesting import assert_refused, pointers, row_counts

GREEDY: dict[str, Any] = {"run": "codellama-7b", "step": 0, "problem_set": "cruxeval-output", "sampling": {}}
DRAWN = GREEDY | {"sampling": {"temperature": 0.2, "top_p": 1}, "model": "CodeLlama-7b", "n": 10}


def post(client: httpx.Client, body: dict[str, Any]) -> httpx.Response:
    return client.post("/v1/evaluations", json=body)


def test_the_same_evaluation_is_found_again(client: httpx.Client) -> None:
    first, again = post(client, DRAWN), post(client, DRAWN)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json().items() >= (DRAWN | {"problem_set": "cruxeval-output@1", "iid": True}).items()
    assert again.headers["location"] == f"/v1/evaluations/{first.json()['id']}"
    assert client.get(again.headers["location"]).json().items() >= first.json().items()


def test_keys_in_another_order_and_whole_numbers_written_otherwise_are_the_same_sampling(client: httpx.Client) -> None:
    first = post(client, GREEDY | {"sampling": {"temperature": 1, "stop": {"a": [1, 2.0], "b": None}}})
    again = post(client, GREEDY | {"sampling": {"stop": {"b": None, "a": [1.0, 2]}, "temperature": 1.0}})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]


@pytest.mark.parametrize(
    "difference",
    [
        {"run": "codellama-13b"},
        {"step": 1},
        {"problem_set": "cruxeval-input"},
        {"sampling": {"temperature": 0.2, "top_p": 0.95}},
        {"sampling": {"temperature": 0.2, "top_p": True}},
        {"sampling": {"temperature": 0.2, "top_p": "1"}},
        {"sampling": {"temperature": 0.2, "top_p": 1, "seed": 2**63 + 1}},
    ],
)
def test_another_identity_is_another_evaluation(client: httpx.Client, difference: dict[str, Any]) -> None:
    first, other = post(client, DRAWN), post(client, DRAWN | difference)
    assert (first.status_code, other.status_code) == (201, 201)
    assert first.json()["id"] != other.json()["id"]


def test_seeds_that_one_double_cannot_tell_apart_are_two_evaluations(client: httpx.Client) -> None:
    seeds = [2**63 + 1, 2**63 + 2]
    ids = {post(client, GREEDY | {"sampling": {"seed": seed}}).json()["id"] for seed in seeds}
    assert len(ids) == 2


def test_another_model_n_or_independence_of_the_same_evaluation_is_a_conflict(client: httpx.Client) -> None:
    post(client, DRAWN)
    answer = post(client, DRAWN | {"model": "CodeLlama-7b-Python", "n": 20, "iid": False})
    assert_refused(answer, 409, "evaluation-conflict")
    assert sorted(pointers(answer)) == ["/iid", "/model", "/n"]
    assert "Python" not in answer.text


def test_what_is_left_out_is_not_compared(client: httpx.Client) -> None:
    stored = post(client, DRAWN | {"iid": False}).json()
    silent = {key: value for key, value in DRAWN.items() if key not in ("model", "n")}
    assert post(client, silent).json() == post(client, silent | {"model": None, "n": None}).json() == stored


def test_an_n_declared_after_the_fact_is_refused(client: httpx.Client) -> None:
    """Nobody fixed it beforehand, so the curve would be called unbiased without being so."""
    post(client, GREEDY)
    assert_refused(post(client, GREEDY | {"n": 10}), 409, "evaluation-conflict")


def test_a_bare_name_is_the_only_version_there_is(client: httpx.Client) -> None:
    second = post(client, GREEDY | {"problem_set": "cruxeval-output@2"})
    assert post(client, GREEDY).json()["id"] == second.json()["id"]
    post(client, GREEDY | {"problem_set": "cruxeval-output@3"})
    answer = post(client, GREEDY)
    assert_refused(answer, 422, "ambiguous-problem-set")
    assert "cruxeval-output@2, cruxeval-output@3" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("run", ""),
        ("run", "a/b"),
        ("run", "läufe"),
        ("run", "a\n"),
        ("run", "r" * 201),
        ("run", None),
        ("step", -1),
        ("step", 2**63),
        ("step", "0"),
        ("step", 0.0),
        ("step", True),
        ("problem_set", "a@b@c"),
        ("problem_set", "@1"),
        ("problem_set", "a@"),
        ("problem_set", "s" * 201),
        ("model", ""),
        ("model", "a\0b"),
        ("n", 0),
        ("n", 2**31),
        ("iid", "yes"),
        ("iid", None),
        ("sampling", []),
        ("sampling", None),
        ("sampling", {"stop": "\0"}),
        ("sampling", {"\0": 1}),
        ("sampling", {"seed": 2**64}),
        ("sampling", {"prompt": "x" * 70_000}),
        ("temperature", 1),
    ],
)
def test_a_field_out_of_bounds_is_named(shared_client: httpx.Client, field: str, value: Any) -> None:
    answer = post(shared_client, GREEDY | {field: value})
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == [f"/{field}" if field in GREEDY or field in DRAWN or field == "iid" else ""]
    assert len(answer.text) < 1000, "a value was echoed"


def test_twenty_clients_that_create_the_same_evaluation_at_once_get_one(client: httpx.Client, session: Session) -> None:
    together = threading.Barrier(20)

    def create(_: int) -> httpx.Response:
        together.wait()
        return post(client, DRAWN)

    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(create, range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    written = {"runs": 1, "checkpoints": 1, "problem_sets": 1, "evaluations": 1}
    assert row_counts(session).items() >= written.items()


def test_an_evaluation_of_another_project_is_not_found(client: httpx.Client, session: Session) -> None:
    mine = post(client, DRAWN).headers["location"]
    session.execute(text("INSERT INTO projects (name) VALUES ('another')"))
    session.execute(text("UPDATE evaluations SET project_id = (SELECT id FROM projects WHERE name = 'another')"))
    session.commit()
    assert_refused(client.get(mine), 404, "not-found")
    assert_refused(client.post(f"{mine}/completions", json={"completions": []}), 404, "not-found")
    assert_refused(client.post(f"{mine}/verifications", json={"verifications": []}), 404, "not-found")
