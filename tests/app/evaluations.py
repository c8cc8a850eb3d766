"""Evaluations made over HTTP, as a client makes them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import Engine, event

# What a verifier may say of a completion; None: nothing.
Verdict = bool | float | str | None


def create_evaluation(client: httpx.Client, **fields: Any) -> str:
    """The id of a new evaluation, of a run and on a problem set of its own where the fields name no other."""
    wanted = {"run": f"codellama-7b-{uuid4()}", "step": 0, "problem_set": f"cruxeval-{uuid4()}"} | fields
    answer = client.post("/v1/evaluations", json=wanted).raise_for_status()
    evaluation_id: str = answer.json()["id"]
    return evaluation_id


def record(
    client: httpx.Client, evaluation: str, verdicts: Mapping[str, Sequence[Verdict]], verifier: str = "exact-match"
) -> None:
    """Record the completions of each problem with one verdict each: passed, a reward, a status, or None for none."""
    completions = [
        {
            "problem": problem,
            "sample_index": index,
            "text": f"{problem} {index}",
            "verifications": _said(verifier, each),
        }
        for problem, said in verdicts.items()
        for index, each in enumerate(said)
    ]
    client.post(f"/v1/evaluations/{evaluation}/completions", json={"completions": completions}).raise_for_status()


def _said(verifier: str, verdict: Verdict) -> list[dict[str, Any]]:
    field = {bool: "passed", float: "reward", str: "status"}.get(type(verdict))
    return [{"verifier": verifier, field: verdict}] if field else []


def curve(client: httpx.Client, evaluation: str, query: str = "") -> httpx.Response:
    """The answer of the curve route."""
    return client.get(f"/v1/evaluations/{evaluation}/curve?{query}")


def every_page(client: httpx.Client, path: str, **query: Any) -> Iterator[dict[str, Any]]:
    """The pages of a list, each asked for when the one before has been looked at."""
    while True:
        page = client.get(path, params=query).raise_for_status().json()
        yield page
        if page["next_cursor"] is None:
            return
        query["cursor"] = page["next_cursor"]


def assert_refused(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """The problem detail of an answer that refuses for this cause."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["type"]) == (status, kind), answer.text
    return problem


@contextmanager
def queries_counted(client: httpx.Client) -> Iterator[Callable[[str], int]]:
    """A function that gets an address from the server of this process, and says how often it asked the database."""
    asked = 0

    def count(*_: object) -> None:
        nonlocal asked
        asked += 1

    def queries_of(address: str) -> int:
        nonlocal asked
        found: list[int] = []
        client.get(address).raise_for_status()
        # Whoever calls is known for a second, which may pass; what the service does by itself may come between.
        while found.count(least := min(found, default=0)) < 3:
            asked = 0
            client.get(address).raise_for_status()
            found.append(asked)
        return least

    event.listen(Engine, "before_cursor_execute", count)
    try:
        yield queries_of
    finally:
        event.remove(Engine, "before_cursor_execute", count)


@contextmanager
def statements_sent() -> Iterator[list[str]]:
    """The SQL that the server of this process sends from now on."""
    sent: list[str] = []

    def note(*given: Any) -> None:
        sent.append(given[2])

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)
