"""2,000 requests that are nearly right: none is a 5xx, each refusal is a problem, and a refused one writes nothing."""

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import URL, Connection, text

from app.db import make_engine
from app.models import Base
from tests.app.fuzz_requests import MARK, Sent, broken, requests
from tests.app.ingesting import completion, evaluation, exact, post_completions
from tests.app.serving import serving
from tests.app.test_openapi import CALLS
from tests.conftest import fresh_database

PROBLEM_SET = "cruxeval-output@1"
TEMPLATES = requests("0", "1", "codellama-7b", PROBLEM_SET, "2")
OF_EACH_CALL = 59  # of 34: 2,006


@pytest.fixture(scope="module")
def database(postgres_url: URL, migrated_template: str) -> Iterator[str]:
    with fresh_database(postgres_url, template=migrated_template) as url:
        yield url


@pytest.fixture(scope="module")
def connection(database: str) -> Iterator[Connection]:
    engine = make_engine(database)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture(scope="module")
def server(database: str) -> Iterator[httpx.Client]:
    with serving(database) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def stored(connection: Connection) -> list[Any]:
    """Of every table the number of rows, and a sum that changes with any of them."""
    tables = " UNION ALL ".join(
        f"SELECT '{name}', count(*), coalesce(sum(hashtext(t::text)), 0) FROM {name} t" for name in Base.metadata.tables
    )
    connection.rollback()
    return sorted(tuple(row) for row in connection.execute(text(tables)))


def known(client: httpx.Client) -> dict[str, Sent]:
    """A valid request of every call, on a run of its own; what it needs is stored."""
    run = f"codellama-7b-{uuid4()}"
    path = evaluation(client, run=run, problem_set=PROBLEM_SET)
    rows = [completion(f"sample_{i}", j, verifications=[exact(passed=i > j)]) for i in range(2) for j in range(4)]
    post_completions(client, path, *rows).raise_for_status()
    counted = evaluation(client, run=run, step=1, problem_set=PROBLEM_SET)
    spec = {"evaluation": path.rpartition("/")[2], "verifier": "format", "options": {"marks": ["="]}}
    job = client.post("/v1/jobs", json={"kind": "verification", "spec": spec}).headers["location"]
    client.post(f"{job}/cancel").raise_for_status()
    evaluation_id, counted_id, job_id = (each.rpartition("/")[2] for each in (path, counted, job))
    return requests(evaluation_id, counted_id, run, PROBLEM_SET, job_id)


def send(client: httpx.Client, sent: Sent) -> httpx.Response:
    """The answer to a request whose address and headers nobody puts right on the way."""
    headers = [(name.encode(), value.encode()) for name, value in sent.headers]
    request = client.build_request(sent.method, "/", content=sent.body, headers=headers)
    request.extensions["target"] = sent.target.encode()
    return client.send(request)


def assert_a_problem(answer: httpx.Response, sent: Sent) -> None:
    assert answer.headers["content-type"] == "application/problem+json", sent
    problem = answer.json()
    assert problem["status"] == answer.status_code, sent
    assert all(isinstance(problem[name], str) and problem[name] for name in ("type", "title", "detail")), sent
    assert MARK not in answer.text, (sent, problem)


def test_every_call_has_a_request_to_break() -> None:
    assert {name for name in TEMPLATES if not name.startswith("NDJSON")} == set(CALLS)
    assert len(TEMPLATES) * OF_EACH_CALL >= 2000


@pytest.mark.parametrize("call", TEMPLATES)
def test_what_is_nearly_right_is_answered_or_refused_without_a_trace(
    server: httpx.Client, connection: Connection, call: str
) -> None:
    draw = random.Random(f"pass@k {call}")
    statuses: Counter[int] = Counter()
    whole = known(server)[call]
    assert send(server, whole).status_code < 300
    for _ in range(OF_EACH_CALL):
        sent = broken(known(server)[call] if call.startswith("DELETE") else whole, draw)
        before = stored(connection)
        answer = send(server, sent)
        statuses[answer.status_code] += 1
        assert answer.status_code < 500, sent
        if answer.status_code >= 400:
            assert_a_problem(answer, sent)
            assert stored(connection) == before, sent
        elif sent.method == "GET":
            assert stored(connection) == before, sent
    # As many of one kind would be no test of the other.
    assert sum(statuses[status] for status in statuses if status >= 400) >= OF_EACH_CALL // 10, statuses
    assert sum(statuses[status] for status in statuses if status < 400) >= 3, statuses
