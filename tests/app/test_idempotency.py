"""`Idempotency-Key`: done once, answered alike, and kept only with what was done."""

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.auth.service import create_key
from app.idempotency import sweep
from app.models import Project
from tests.app.ingesting import JSON, assert_refused, completion, evaluation, exact, pointers, row_counts, statistics
from tests.app.processes import eventually
from tests.app.serving import serving

KEY = "3f0e0f5c-6f0b-4a53-8d5e-2f4d1d7c9f10"
NEW = {"run": "codellama-7b", "step": 0, "problem_set": "cruxeval-output"}


def post(client: httpx.Client, path: str, body: Any, key: str = KEY) -> httpx.Response:
    return client.post(path, json=body, headers={"Idempotency-Key": key})


def replayed(answer: httpx.Response) -> bool:
    return bool(answer.headers.get("idempotent-replayed") == "true")


def assert_same(again: httpx.Response, first: httpx.Response) -> None:
    assert (replayed(first), replayed(again)) == (False, True)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    for name in ("content-type", "location", "x-content-type-options"):
        assert again.headers.get(name) == first.headers.get(name)


def taken(session: Session, key: str = KEY) -> bool:
    """Whether a request under way has the key; housekeeping has locks of its own."""
    project_id = session.scalar(text("SELECT id FROM projects"))
    digest = hashlib.sha256(f"{project_id} {key}".encode()).digest()
    held = text(
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database WHERE locktype = 'advisory'"
        " AND granted AND datname = current_database() AND (classid::bigint << 32 | objid::bigint) = :number"
    )
    return bool(session.scalar(held, {"number": int.from_bytes(digest[:8], "big", signed=True)}))


def kept(session: Session) -> int:
    session.rollback()
    return session.scalar(text("SELECT count(*) FROM idempotency_keys")) or 0


def test_a_request_sent_again_is_answered_as_it_was(client: httpx.Client) -> None:
    first = post(client, "/v1/evaluations", NEW)
    assert first.status_code == 201
    assert_same(post(client, "/v1/evaluations", NEW), first)  # without the key it would be 200
    path = first.headers["location"]
    body = {"completions": [completion(verifications=[exact(passed=True)])]}
    first = post(client, f"{path}/completions", body, "completions")
    assert_same(post(client, f"{path}/completions", body, "completions"), first)  # not {"replayed": 1}


def test_a_recorded_transform_takes_a_key(client: httpx.Client, session: Session) -> None:
    def logged(rewards: list[float], key: str) -> httpx.Response:
        where = {"run": "qwen", "step": 7, "problems": ["a"]}
        return post(client, "/v1/transforms", {"rewards": [rewards], "k": 1, "record": where}, key)

    first = logged([1, 0], "first-life").raise_for_status()
    assert logged([0, 1], "second-life").json()["recorded"]["segment"] == 1  # it was resumed
    assert_same(logged([1, 0], "first-life"), first)  # without the key it would open a third segment
    assert_refused(logged([1, 1], "first-life"), 422, "idempotency-key-reused")
    assert_refused(logged([1, 0], "a blank"), 422, "invalid-request")
    assert kept(session) == 2


def test_a_transform_that_stores_nothing_keeps_nothing(client: httpx.Client, session: Session) -> None:
    for _ in range(2):
        assert not replayed(post(client, "/v1/transforms", {"rewards": [[1, 0]], "k": 1}).raise_for_status())
    assert kept(session) == 0


def test_a_replay_does_nothing(client: httpx.Client, session: Session) -> None:
    path = evaluation(client)
    post(client, f"{path}/completions", {"completions": [completion()]}, "completions").raise_for_status()
    fails = {"verifications": [{"problem": "sample_0", "sample_index": 0, **exact(passed=False)}]}
    passes = {"verifications": [{"problem": "sample_0", "sample_index": 0, **exact(passed=True)}]}
    post(client, f"{path}/verifications", fails, "fails").raise_for_status()
    post(client, f"{path}/verifications", passes, "passes").raise_for_status()
    before = statistics(session), row_counts(session)
    assert replayed(post(client, f"{path}/verifications", fails, "fails"))  # would put the old verdict back
    assert (statistics(session), row_counts(session)) == before


def test_without_a_key_nothing_is_kept(client: httpx.Client, session: Session) -> None:
    evaluation(client)
    assert kept(session) == 0


def test_another_body_or_route_under_a_key_is_refused(client: httpx.Client, session: Session) -> None:
    path = post(client, "/v1/evaluations", NEW).headers["location"]
    for route, body in (
        ("/v1/evaluations", NEW | {"step": 1}),
        ("/v1/evaluations?again", NEW),
        (f"{path}/completions", {"completions": []}),
    ):
        answer = post(client, route, body)
        assert_refused(answer, 422, "idempotency-key-reused")
        assert pointers(answer) == ["header/idempotency-key"]
    assert kept(session) == 1


def test_a_refusal_is_not_kept(client: httpx.Client, session: Session) -> None:
    path = evaluation(client)
    assert post(client, f"{path}/completions", {"completions": [completion(sample_index=-1)]}).status_code == 422
    assert post(client, f"{path}/completions", {"completions": [completion()]}).raise_for_status().status_code == 200
    assert post(client, f"{path}/completions", {"completions": [completion(text="b")]}, "other").status_code == 409
    assert kept(session) == 1


def test_an_answer_that_cannot_be_kept_undoes_what_it_tells(client: httpx.Client, session: Session) -> None:
    # As if the disk were full when the answer is stored, the last thing that is.
    session.execute(
        text(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = '53100'; END $$"
        )
    )
    session.execute(text("CREATE TRIGGER refuse BEFORE INSERT ON idempotency_keys EXECUTE FUNCTION full_disk()"))
    session.commit()
    path = evaluation(client)
    before = row_counts(session)
    assert_refused(post(client, f"{path}/completions", {"completions": [completion()]}), 503, "unavailable")
    assert row_counts(session) == before


@pytest.mark.parametrize("key", ["", "a b", "a\tb", "\xe9", "k" * 256])
def test_a_key_is_visible_ascii_of_at_most_255(client: httpx.Client, key: str) -> None:
    headers = [(b"Idempotency-Key", key.encode("latin-1")), (b"Content-Type", b"application/json")]
    answer = client.post("/v1/evaluations", json=NEW, headers=headers)
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == ["header/idempotency-key"]


def test_the_longest_key_is_taken(client: httpx.Client) -> None:
    key = "!~" * 127 + "k"
    first = post(client, "/v1/evaluations", NEW, key)
    assert_same(post(client, "/v1/evaluations", NEW, key), first)


def test_keys_of_two_projects_are_two(client: httpx.Client, session: Session) -> None:
    first = post(client, "/v1/evaluations", NEW).raise_for_status()
    session.add(Project(name="other"))
    token = create_key(session, "writer", ["write"], None)
    session.flush()
    session.execute(
        text("UPDATE api_keys SET project_id = (SELECT id FROM projects WHERE name = 'other') WHERE name = 'writer'")
    )
    session.commit()
    headers = JSON | {"Idempotency-Key": KEY, "Authorization": f"Bearer {token}"}
    other = client.post("/v1/evaluations", json=NEW, headers=headers).raise_for_status()
    assert not replayed(other)
    assert other.json()["id"] != first.json()["id"]


def at_once(count: int, send: Callable[[int], httpx.Response]) -> list[httpx.Response]:
    """The answers to so many requests, none of which starts before all can."""
    ready = threading.Barrier(count)

    def wait_and_send(number: int) -> httpx.Response:
        ready.wait()
        return send(number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(wait_and_send, range(count)))


def test_fifty_at_once_on_one_key_write_once(client: httpx.Client, database_url: str, session: Session) -> None:
    path = evaluation(client)
    body = {"completions": [completion(f"sample_{i}", verifications=[exact(passed=True)]) for i in range(200)]}
    with serving(database_url) as second_url, httpx.Client(base_url=second_url, timeout=60) as second:
        servers = (client, second)
        answers = at_once(50, lambda number: post(servers[number % 2], f"{path}/completions", body))
    assert [answer.status_code for answer in answers] == [200] * 50
    assert sum(not replayed(answer) for answer in answers) == 1
    assert {answer.text for answer in answers} == {'{"accepted":200,"replayed":0}'}
    assert kept(session) == 1
    assert row_counts(session)["completions"] == 200


def test_many_who_wait_leave_the_first_what_it_needs(client: httpx.Client, session: Session) -> None:
    # More than the server has threads or connections.
    answers = at_once(100, lambda number: post(client, "/v1/evaluations", NEW))
    assert [answer.status_code for answer in answers] == [201] * 100
    assert sum(not replayed(answer) for answer in answers) == 1
    assert kept(session) == 1


@pytest.mark.parametrize("same_server", [True, False])
def test_who_waits_too_long_is_told_to_come_back(
    client: httpx.Client, database_url: str, session: Session, monkeypatch: pytest.MonkeyPatch, same_server: bool
) -> None:
    monkeypatch.setattr("app.idempotency.LONGEST_WAIT", 0.3)
    with (
        serving(database_url) as url,
        httpx.Client(base_url=url, timeout=60) as second,
        ThreadPoolExecutor(1) as thread,
    ):
        session.execute(text("LOCK TABLE runs IN ACCESS EXCLUSIVE MODE"))
        first = thread.submit(post, client, "/v1/evaluations", NEW)
        while not taken(session):
            threading.Event().wait(0.01)
        late = post(client if same_server else second, "/v1/evaluations", NEW)
        session.rollback()
        assert_refused(late, 503, "idempotency-key-in-use")
        assert late.headers["retry-after"] == "1"
        done = first.result()
        assert_same(post(second, "/v1/evaluations", NEW), done)


def test_answers_are_kept_for_seven_days(client: httpx.Client, session: Session) -> None:
    for key, age in (("old", "7 days 1 second"), ("young", "6 days 23 hours 59 minutes")):
        post(client, "/v1/evaluations", NEW, key).raise_for_status()
        session.execute(
            text(f"UPDATE idempotency_keys SET created_at = now() - interval '{age}' WHERE key = :key"), {"key": key}
        )
    sweep(session)
    session.commit()
    assert session.scalars(text("SELECT key FROM idempotency_keys")).all() == ["young"]


def test_a_server_sweeps_at_its_start(client: httpx.Client, database_url: str, session: Session) -> None:
    post(client, "/v1/evaluations", NEW).raise_for_status()
    session.execute(text("UPDATE idempotency_keys SET created_at = now() - interval '8 days'"))
    session.commit()
    with serving(database_url) as url:
        httpx.get(f"{url}/healthz", timeout=60).raise_for_status()
        eventually(lambda: kept(session) == 0)
