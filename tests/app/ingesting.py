"""Evaluations posted to a server, and what its database then holds."""

from collections.abc import Mapping
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.orm import Session

WRITTEN = (
    "runs",
    "checkpoints",
    "problem_sets",
    "problems",
    "evaluations",
    "evaluation_problems",
    "verifiers",
    "completions",
    "verifications",
    "verification_history",
    "group_statistics",
)
JSON = {"Content-Type": "application/json"}
JSON_LINES = {"Content-Type": "application/x-ndjson"}


def evaluation(client: httpx.Client, run: str = "codellama-7b", **fields: Any) -> str:
    """The path of an evaluation, which is created unless it exists."""
    body = {"run": run, "step": 0, "problem_set": "cruxeval-output"} | fields
    path: str = client.post("/v1/evaluations", json=body).raise_for_status().headers["location"]
    return path


def completion(problem: str = "sample_0", sample_index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"problem": problem, "sample_index": sample_index, "text": f"{problem}, attempt {sample_index}"} | fields


def exact(**verdict: Any) -> dict[str, Any]:
    return {"verifier": "exact-match"} | verdict


def post_completions(client: httpx.Client, path: str, *completions: Mapping[str, Any]) -> httpx.Response:
    return client.post(f"{path}/completions", json={"completions": completions})


def post_verifications(client: httpx.Client, path: str, *verifications: Mapping[str, Any]) -> httpx.Response:
    return client.post(f"{path}/verifications", json={"verifications": verifications})


def assert_refused(answer: httpx.Response, status: int, kind: str) -> None:
    assert (answer.status_code, answer.json()["type"]) == (status, kind), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def pointers(answer: httpx.Response) -> list[str]:
    return [error["pointer"] for error in answer.json()["errors"]]


def row_counts(session: Session) -> dict[str, int]:
    """How many rows each table has that the write side fills."""
    session.rollback()
    return {table: session.scalar(text(f"SELECT count(*) FROM {table}")) or 0 for table in WRITTEN}


def statistics(session: Session) -> list[Any]:
    """The statistics of every group: (problem, verifier, n, c, rewards, infrastructure_errors, version)."""
    session.rollback()
    query = (
        "SELECT problems.name, verifiers.name || '@' || verifiers.version, n, c, rewards, infrastructure_errors,"
        " group_statistics.version FROM group_statistics JOIN problems ON problems.id = problem_id"
        " JOIN verifiers ON verifiers.id = verifier_id ORDER BY 1, 2"
    )
    return [tuple(row) for row in session.execute(text(query))]


def assert_statistics_are_what_verifications_say(session: Session) -> None:
    """Every group's statistics equal those counted anew, and no group is without."""
    session.rollback()
    counted = (
        "SELECT evaluation_id, problem_id, verifier_id, count(passed), count(*) FILTER (WHERE passed), count(reward),"
        " coalesce(array_agg(reward ORDER BY sample_index) FILTER (WHERE reward IS NOT NULL), '{}')"
        " FROM verifications GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    kept = (
        "SELECT evaluation_id, problem_id, verifier_id, n, c, n_rewards, rewards FROM group_statistics ORDER BY 1, 2, 3"
    )
    assert session.execute(text(kept)).all() == session.execute(text(counted)).all()
    counted = "SELECT evaluation_id, problem_id, count(*) FROM completions GROUP BY 1, 2 ORDER BY 1, 2"
    kept = "SELECT evaluation_id, problem_id, completions FROM evaluation_problems ORDER BY 1, 2"
    assert session.execute(text(kept)).all() == session.execute(text(counted)).all()
