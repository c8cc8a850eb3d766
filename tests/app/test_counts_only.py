"""Evaluations of which only n and c are known: recorded once, drawn as curves, and closed to completions."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy.orm import Session

from pkpo import pass_at_k
from tests.app.evaluations import curve
from tests.app.ingesting import (
    assert_refused,
    completion,
    evaluation,
    exact,
    pointers,
    post_completions,
    post_verifications,
    row_counts,
    statistics,
)

COUNTS: list[dict[str, Any]] = [
    {"problem": "sample_0", "n": 10, "c": 7},
    {"problem": "sample_1", "n": 10, "c": 0},
    {"problem": "sample_2", "n": 10, "c": 10},
]


def post(client: httpx.Client, path: str, *counts: Mapping[str, Any], **headers: str) -> httpx.Response:
    return client.post(f"{path}/counts", json={"counts": counts}, headers=headers)


def test_counts_make_a_curve(client: httpx.Client, session: Session) -> None:
    path = evaluation(client)
    assert post(client, path, *COUNTS).raise_for_status().json() == {"accepted": 3, "replayed": 0}
    answer = client.get(path).raise_for_status().json()
    assert answer["counts_only"] is True
    totals = {"verifier": "counts@1", "options": {}, "n": 30, "c": 17, "rewards": 0, "infrastructure_errors": 0}
    assert answer["verifiers"] == [totals]
    drawn = client.get(f"{path}/curve", params={"k": [1, 5]}).raise_for_status().json()
    expected = [sum(pass_at_k(10, each["c"], k) for each in COUNTS) / 3 for k in (1, 5)]
    assert [point["value"] for point in drawn["points"]] == pytest.approx(expected, abs=1e-12)
    assert statistics(session)[0] == ("sample_0", "counts@1", 10, 7, [], 0, 1)


def test_counts_of_several_verifiers_stand_beside_each_other(client: httpx.Client, session: Session) -> None:
    path = evaluation(client)
    post(client, path, *COUNTS).raise_for_status()
    answer = post(client, path, *({**each, "c": 0, "verifier": "strict@2"} for each in COUNTS))
    assert answer.raise_for_status().json() == {"accepted": 3, "replayed": 0}
    assert [row[1:4] for row in statistics(session)[:2]] == [("counts@1", 10, 7), ("strict@2", 10, 0)]


def test_the_same_counts_again_are_replayed(client: httpx.Client, session: Session) -> None:
    path = evaluation(client)
    post(client, path, *COUNTS[:2]).raise_for_status()
    before = statistics(session)
    assert post(client, path, *COUNTS).json() == {"accepted": 1, "replayed": 2}
    assert post(client, path, COUNTS[0], COUNTS[0]).json() == {"accepted": 0, "replayed": 2}
    assert statistics(session)[:2] == before


def test_other_counts_are_a_conflict_and_change_nothing(client: httpx.Client, session: Session) -> None:
    path = evaluation(client)
    post(client, path, *COUNTS[:2]).raise_for_status()
    before = row_counts(session), statistics(session)
    answer = post(client, path, COUNTS[2], {**COUNTS[1], "c": 1})
    assert_refused(answer, 409, "counts-conflict")
    assert pointers(answer) == ["/counts/1"]
    assert (row_counts(session), statistics(session)) == before


def test_counts_and_completions_do_not_mix(client: httpx.Client, session: Session) -> None:
    counted, drawn = evaluation(client, run="counted"), evaluation(client, run="drawn")
    post(client, counted, *COUNTS).raise_for_status()
    post_completions(client, drawn, completion(verifications=[exact(passed=True)])).raise_for_status()
    before = row_counts(session)
    assert_refused(post_completions(client, counted, completion()), 409, "counts-only")
    verdict = {"problem": "sample_0", "sample_index": 0, **exact(passed=True)}
    assert_refused(post_verifications(client, counted, verdict), 409, "counts-only")
    assert_refused(post(client, drawn, *COUNTS), 409, "not-counts-only")
    assert row_counts(session) == before
    assert client.get(drawn).json()["counts_only"] is False
    assert_refused(curve(client, counted.rpartition("/")[2], "metric=max_at_k"), 409, "counts-only")
    assert_refused(client.get(f"{counted}/missing"), 409, "counts-only")


def test_of_counts_and_completions_at_once_one_is_refused(client: httpx.Client, session: Session) -> None:
    for turn in range(5):
        path = evaluation(client, run=f"both-{turn}")
        with ThreadPoolExecutor(2) as threads:
            counts = threads.submit(post, client, path, *COUNTS)
            completions = threads.submit(post_completions, client, path, *(completion("p", i) for i in range(50)))
            answers = [counts.result(), completions.result()]
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        summary = client.get(path).json()
        assert (summary["completions"] == 0) == summary["counts_only"]


@pytest.mark.parametrize(
    ("count", "at"),
    [
        ({"problem": "p", "n": 3, "c": 4}, "/counts/1"),
        ({"problem": "p", "n": 0, "c": 0}, "/counts/1/n"),
        ({"problem": "p", "n": 3, "c": -1}, "/counts/1/c"),
        ({"problem": "p", "n": 2**31, "c": 1}, "/counts/1/n"),
        ({"problem": "p", "n": 3.0, "c": 1}, "/counts/1/n"),
        ({"problem": "p", "n": True, "c": 1}, "/counts/1/n"),
        ({"problem": "", "n": 3, "c": 1}, "/counts/1/problem"),
        ({"problem": "p", "n": 3}, "/counts/1/c"),
        ({"problem": "p", "n": 3, "c": 1, "reward": 1.0}, "/counts/1"),
        ({"problem": "sample_0", "n": 10, "c": 6}, "/counts/1"),
    ],
)
def test_a_broken_rule_is_told_with_its_place(shared_client: httpx.Client, count: dict[str, Any], at: str) -> None:
    path = evaluation(shared_client, run="counts-bad")
    answer = post(shared_client, path, COUNTS[0], count)
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == [at]
    assert shared_client.get(path).json()["counts_only"] is False


def test_a_closed_set_takes_counts_of_its_own_problems_only(client: httpx.Client) -> None:
    path = evaluation(client, problem_set="sums")
    post(client, path, COUNTS[0]).raise_for_status()
    client.put("/v1/problem-sets/sums", json={"closed": True}).raise_for_status()
    answer = post(client, path, *COUNTS[:2])
    assert_refused(answer, 422, "problem-set-closed")
    assert pointers(answer) == ["/counts/1/problem"]
    assert post(client, path, COUNTS[0]).json() == {"accepted": 0, "replayed": 1}


def test_a_key_keeps_the_answer(client: httpx.Client) -> None:
    path = evaluation(client)
    for replayed in (None, "true"):
        answer = post(client, path, *COUNTS, **{"Idempotency-Key": "counts-1"})
        assert answer.json() == {"accepted": 3, "replayed": 0}
        assert answer.headers.get("idempotent-replayed") == replayed


def test_no_counts_leave_the_evaluation_as_it_is(client: httpx.Client) -> None:
    path = evaluation(client)
    assert post(client, path).json() == {"accepted": 0, "replayed": 0}
    assert post_completions(client, path, completion()).is_success


def test_pages_show_counts_without_completions(client: httpx.Client) -> None:
    path = evaluation(client, run="counted")
    post(client, path, *COUNTS).raise_for_status()
    page = path.removeprefix("/v1")
    shown = client.get(page).raise_for_status().text
    assert "pass@k" in shown
    assert "sample_2" in shown
    assert "30, of which only the counts are stored" in shown
    problem = client.get(f"{page}/problem", params={"problem": "sample_1"}).raise_for_status().text
    assert "This problem has no completions here." in problem
    assert client.get("/runs/counted").raise_for_status().is_success
    assert client.get("/").raise_for_status().is_success
    listed = client.get(f"{path}/problems").raise_for_status().json()["problems"]
    assert [(each["n"], each["c"]) for each in listed] == [(10, 7), (10, 0), (10, 10)]
