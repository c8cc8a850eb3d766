"""POST …/completions: every row exactly once, and statistics that say what the rows say."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.models import Completion, Verification
from tests.app.ingesting import (
    assert_refused,
    assert_statistics_are_what_verifications_say,
    completion,
    evaluation,
    exact,
    pointers,
    post_completions,
    row_counts,
    statistics,
)

# n=4, c=3 on one problem and n=4, c=0 on the other.
GRADED = [
    completion(problem, index, verifications=[exact(passed=problem == "sample_0" and index != 2)])
    for problem, index in product(("sample_0", "sample_1"), range(4))
]


def test_completions_are_stored_with_all_that_came_with_them(client: httpx.Client, session: Session) -> None:
    whole = completion(
        text="[(4, 1), (2, 3)] \U0001f40d\ud7ff\u2028\x7f",
        finish_reason="stop",
        prompt_tokens=311,
        completion_tokens=17,
        logprob=-12.5,
        seed=-(2**63),
        verifications=[exact(passed=True, answer="[(4, 1)]", detail={"distance": 1e16, "parts": [None, {"ok": True}]})],
    )
    post_completions(client, evaluation(client), whole).raise_for_status()
    stored = session.scalars(select(Completion)).one()
    fields = ("text", "finish_reason", "prompt_tokens", "completion_tokens", "logprob", "seed")
    assert {field: getattr(stored, field) for field in fields}.items() <= whole.items()
    assert stored.text_sha256 == hashlib.sha256(whole["text"].encode()).digest()
    verdict = session.scalars(select(Verification)).one()
    assert (verdict.reward, verdict.passed, verdict.status) == (1.0, True, "passed")
    assert {"answer": verdict.answer, "detail": verdict.detail}.items() <= whole["verifications"][0].items()


def test_the_same_rows_again_are_replayed_and_change_nothing(client: httpx.Client, session: Session) -> None:
    path = evaluation(client)
    assert post_completions(client, path, *GRADED).json() == {"accepted": 8, "replayed": 0}
    before = row_counts(session), statistics(session)
    assert before[1] == [
        ("sample_0", "exact-match@1", 4, 3, [1, 1, 0, 1], 0, 1),
        ("sample_1", "exact-match@1", 4, 0, [0, 0, 0, 0], 0, 1),
    ]
    assert post_completions(client, path, *reversed(GRADED)).json() == {"accepted": 0, "replayed": 8}
    assert (row_counts(session), statistics(session)) == before


def test_new_rows_beside_replayed_ones_are_accepted(client: httpx.Client, session: Session) -> None:
    path = evaluation(client)
    post_completions(client, path, *GRADED[::2])
    assert post_completions(client, path, *GRADED).json() == {"accepted": 4, "replayed": 4}
    assert [group[2:] for group in statistics(session)] == [(4, 3, [1, 1, 0, 1], 0, 2), (4, 0, [0, 0, 0, 0], 0, 2)]


@pytest.mark.parametrize(
    "difference",
    [
        {"text": "other"},
        {"text": None},
        {"finish_reason": "length"},
        {"prompt_tokens": 1},
        {"completion_tokens": 2},
        {"logprob": -1.5},
        {"seed": 3},
    ],
)
def test_other_content_under_a_stored_key_is_a_conflict_and_nothing_is_written(
    client: httpx.Client, session: Session, difference: dict[str, Any]
) -> None:
    path = evaluation(client)
    post_completions(client, path, *GRADED)
    before = row_counts(session)
    answer = post_completions(client, path, completion("sample_2"), GRADED[0], completion(**difference))
    assert_refused(answer, 422, "invalid-request")  # the request contradicts itself
    answer = post_completions(client, path, completion("sample_2"), GRADED[1], completion(**difference))
    assert_refused(answer, 409, "completions-conflict")
    assert pointers(answer) == ["/completions/2"]
    assert row_counts(session) == before


def test_another_verdict_of_the_same_verifier_is_a_conflict(client: httpx.Client, session: Session) -> None:
    path = evaluation(client)
    post_completions(client, path, *GRADED)
    before = row_counts(session), statistics(session)
    changed = completion(verifications=[{"verifier": "length", "reward": 3.5}, exact(passed=False)])
    answer = post_completions(client, path, completion("sample_2"), changed)
    assert_refused(answer, 409, "completions-conflict")
    assert pointers(answer) == ["/completions/1/verifications/1"]
    assert (row_counts(session), statistics(session)) == before


def test_true_in_place_of_1_is_another_detail(client: httpx.Client) -> None:
    path = evaluation(client)
    for detail, status in (({"depth": 1}, 200), ({"depth": 1.0}, 200), ({"depth": True}, 409), (None, 409)):
        answer = post_completions(client, path, completion(verifications=[exact(passed=True, detail=detail)]))
        assert answer.status_code == status


def test_a_conflict_names_twenty_rows_and_counts_all(client: httpx.Client) -> None:
    path = evaluation(client)
    post_completions(client, path, *(completion(sample_index=index) for index in range(30)))
    answer = post_completions(client, path, *(completion(sample_index=index, seed=7) for index in range(30)))
    assert pointers(answer) == [f"/completions/{index}" for index in range(20)]
    assert answer.json()["detail"].startswith("30 rows")


def test_a_replayed_completion_may_bring_the_verdict_of_a_further_verifier(
    client: httpx.Client, session: Session
) -> None:
    path = evaluation(client)
    post_completions(client, path, *GRADED)
    again = completion(verifications=[{"verifier": "exact-match@2", "reward": 0.25}])
    assert post_completions(client, path, again).json() == {"accepted": 0, "replayed": 1}
    assert statistics(session)[:2] == [
        ("sample_0", "exact-match@1", 4, 3, [1, 1, 0, 1], 0, 1),
        ("sample_0", "exact-match@2", 0, 0, [0.25], 0, 1),
    ]


def test_a_row_twice_in_one_request_is_stored_once(client: httpx.Client, session: Session) -> None:
    twice = completion(verifications=[exact(passed=True), {"verifier": "exact-match@1", "passed": True}])
    assert post_completions(client, evaluation(client), twice, twice).json() == {"accepted": 1, "replayed": 1}
    counts = row_counts(session)
    assert (counts["completions"], counts["verifications"]) == (1, 1)


@pytest.mark.parametrize(
    ("rows", "pointer"),
    [
        ([completion(), completion(text="other")], "/completions/1"),
        (
            [completion(verifications=[exact(passed=True)]), completion(verifications=[exact(passed=False)])],
            "/completions/1/verifications/0",
        ),
        (
            [completion(verifications=[exact(reward=0.5), {"verifier": "exact-match@1", "reward": 0.25}])],
            "/completions/0/verifications/1",
        ),
    ],
)
def test_rows_that_contradict_each_other_are_refused(
    client: httpx.Client, session: Session, rows: list[dict[str, Any]], pointer: str
) -> None:
    path = evaluation(client)
    before = row_counts(session)
    answer = post_completions(client, path, *rows)
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == [pointer]
    assert row_counts(session) == before


def test_a_closed_problem_set_takes_no_further_problems(client: httpx.Client, session: Session) -> None:
    path = evaluation(client)
    post_completions(client, path, *GRADED)
    session.execute(text("UPDATE problem_sets SET closed = true"))
    session.commit()
    before = row_counts(session)
    answer = post_completions(client, path, completion("sample_0", 9), completion("sample_2"))
    assert_refused(answer, 422, "problem-set-closed")
    assert pointers(answer) == ["/completions/1/problem"]
    assert row_counts(session) == before
    assert post_completions(client, path, completion("sample_0", 9)).json() == {"accepted": 1, "replayed": 0}


def test_an_evaluation_of_counts_takes_no_completions(client: httpx.Client, session: Session) -> None:
    path = evaluation(client)
    session.execute(text("UPDATE evaluations SET counts_only = true"))
    session.commit()
    assert_refused(post_completions(client, path, *GRADED), 409, "counts-only")


def test_no_completions_are_none_accepted(client: httpx.Client) -> None:
    assert post_completions(client, evaluation(client)).json() == {"accepted": 0, "replayed": 0}


def test_ten_thousand_rows_are_taken_and_one_more_is_not(client: httpx.Client, session: Session) -> None:
    path = evaluation(client)
    rows = [completion(f"sample_{index % 500}", index // 500) for index in range(10_001)]
    assert_refused(post_completions(client, path, *rows), 422, "invalid-request")
    assert row_counts(session)["completions"] == 0
    assert post_completions(client, path, *rows[1:]).json() == {"accepted": 10_000, "replayed": 0}


def test_writers_to_the_same_problems_at_once_lose_nothing(client: httpx.Client, session: Session) -> None:
    """Eight writers each add to all problems, in an order of their own, new problems and verifiers among them."""
    path = evaluation(client)
    writers, problems, each = 8, 12, 5
    together = threading.Barrier(writers)

    def write(writer: int) -> list[dict[str, int]]:
        together.wait()
        answers = []
        for batch in range(each):
            rows = [
                completion(
                    f"sample_{(problem * 5 + writer) % problems}",
                    writer * each + batch,
                    verifications=[exact(passed=writer % 2 == 0), {"verifier": f"judge-{batch}", "reward": writer / 8}],
                )
                for problem in range(problems)
            ]
            answers.append(post_completions(client, path, *rows).raise_for_status().json())
        return answers

    with ThreadPoolExecutor(writers) as pool:
        answers = [answer for written in pool.map(write, range(writers)) for answer in written]
    assert answers == [{"accepted": problems, "replayed": 0}] * (writers * each)
    counts = row_counts(session)
    assert counts["completions"] == writers * each * problems
    assert counts["verifications"] == 2 * counts["completions"]
    assert counts["group_statistics"] == (1 + each) * problems
    graded = [group for group in statistics(session) if group[1] == "exact-match@1"]
    assert [group[2:4] for group in graded] == [(writers * each, writers * each // 2)] * problems
    assert_statistics_are_what_verifications_say(session)


def test_the_same_rows_sent_by_several_clients_at_once_are_stored_once(client: httpx.Client, session: Session) -> None:
    path = evaluation(client)
    together = threading.Barrier(6)

    def send(_: int) -> dict[str, int]:
        together.wait()
        answer: dict[str, int] = post_completions(client, path, *GRADED).raise_for_status().json()
        return answer

    with ThreadPoolExecutor(6) as clients:
        answers = list(clients.map(send, range(6)))
    assert sorted(answer["accepted"] for answer in answers) == [0] * 5 + [8]
    assert row_counts(session)["completions"] == 8
    assert_statistics_are_what_verifications_say(session)


@pytest.mark.parametrize("table", ["completions", "verifications", "group_statistics"])
def test_a_full_disk_is_unavailable_and_nothing_is_written(client: httpx.Client, session: Session, table: str) -> None:
    path = evaluation(client)
    before = row_counts(session)
    session.execute(
        text(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
        )
    )
    session.execute(text(f"CREATE TRIGGER full_disk BEFORE INSERT ON {table} EXECUTE FUNCTION refuse()"))
    session.commit()
    answer = post_completions(client, path, *GRADED)
    assert_refused(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "1"
    assert row_counts(session) == before
    session.execute(text(f"DROP TRIGGER full_disk ON {table}"))
    session.commit()
    assert post_completions(client, path, *GRADED).json() == {"accepted": 8, "replayed": 0}
