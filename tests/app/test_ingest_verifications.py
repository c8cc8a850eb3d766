"""Verdicts: how their parts settle, and POST …/verifications, which adds or replaces them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.ingest.verdicts import Verdict
from app.models import VerificationHistory
from tests.app.ingesting import (
    assert_refused,
    assert_statistics_are_what_verifications_say,
    completion,
    evaluation,
    exact,
    pointers,
    post_completions,
    post_verifications,
    row_counts,
    statistics,
)

GRADED = [completion("sample_0", index, verifications=[exact(passed=index != 2)]) for index in range(4)]


@pytest.fixture
def path(client: httpx.Client) -> str:
    """An evaluation with n=4, c=3 on one problem."""
    created = evaluation(client)
    post_completions(client, created, *GRADED).raise_for_status()
    return created


@pytest.mark.parametrize(
    ("given", "settled"),
    [
        ({"passed": True}, (1.0, True, "passed")),
        ({"passed": False}, (0.0, False, "failed")),
        ({"reward": 0.75}, (0.75, None, "scored")),
        ({"reward": 1.0}, (1.0, None, "scored")),  # never thresholded
        ({"reward": -2.5, "passed": False}, (-2.5, False, "failed")),
        ({"reward": 0.5, "passed": True}, (0.5, True, "passed")),
        ({"status": "passed"}, (1.0, True, "passed")),
        ({"status": "failed"}, (0.0, False, "failed")),
        ({"status": "scored", "reward": 3}, (3.0, None, "scored")),
        ({"status": "failed", "reward": 0.4}, (0.4, False, "failed")),
        ({"status": "timeout"}, (0.0, False, "timeout")),
        ({"status": "oom", "passed": False}, (0.0, False, "oom")),
        ({"status": "output_limit", "reward": -1.0}, (-1.0, None, "output_limit")),
        ({"status": "crash", "passed": False, "reward": -1.0}, (-1.0, False, "crash")),
        ({"status": "infrastructure_error"}, (None, None, "infrastructure_error")),
    ],
)
def test_what_a_verdict_leaves_out_is_derived(given: dict[str, Any], settled: tuple[Any, ...]) -> None:
    verdict = Verdict.of("exact-match", **given)
    assert verdict[1:4] == settled
    assert Verdict.of("exact-match", *settled) == verdict, "settling is idempotent"


CONTRADICTIONS: list[dict[str, Any]] = [
    {},
    {"answer": "42"},
    {"status": "scored"},
    {"status": "scored", "passed": True},
    {"status": "passed", "passed": False},
    {"status": "failed", "passed": True},
    {"status": "timeout", "passed": True},
    {"status": "crash", "passed": True, "reward": 1.0},
    {"status": "infrastructure_error", "passed": False},
    {"status": "infrastructure_error", "reward": 0.0},
    {"reward": float("nan")},
    {"reward": float("inf")},
]


@pytest.mark.parametrize("given", CONTRADICTIONS)
def test_a_verdict_that_contradicts_itself_means_nothing(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"passed|reward|scored|infrastructure_error"):
        Verdict.of("exact-match", **given)


def test_contradictions_are_named_where_they_stand_and_nothing_is_written(
    client: httpx.Client, session: Session, path: str
) -> None:
    before = row_counts(session), statistics(session)
    finite = CONTRADICTIONS[:-2]
    rows = [completion("sample_1", index, verifications=[exact(**given)]) for index, given in enumerate(finite)]
    answer = post_completions(client, path, *rows)
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == [f"/completions/{index}/verifications/0" for index in range(len(finite))]
    rows = [{"problem": "sample_0", "sample_index": index % 4} | exact(**given) for index, given in enumerate(finite)]
    answer = post_verifications(client, path, *rows)
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == [f"/verifications/{index}" for index in range(len(finite))]
    assert (row_counts(session), statistics(session)) == before


def test_a_further_verifier_is_added_beside_the_first(client: httpx.Client, session: Session, path: str) -> None:
    rows = [
        {"problem": "sample_0", "sample_index": index, "verifier": "judge@2024", "reward": index / 8}
        for index in range(4)
    ]
    assert post_verifications(client, path, *rows).json() == {"added": 4, "replaced": 0, "unchanged": 0}
    assert post_verifications(client, path, *rows).json() == {"added": 0, "replaced": 0, "unchanged": 4}
    assert statistics(session) == [
        ("sample_0", "exact-match@1", 4, 3, [1, 1, 0, 1], 0, 1),
        ("sample_0", "judge@2024", 0, 0, [0, 0.125, 0.25, 0.375], 0, 1),
    ]


def test_a_verdict_is_replaced_its_history_kept_and_the_statistics_follow(
    client: httpx.Client, session: Session, path: str
) -> None:
    rows = [{"problem": "sample_0", "sample_index": index} | exact(passed=index > 1) for index in range(3)]
    assert post_verifications(client, path, *rows).json() == {"added": 0, "replaced": 3, "unchanged": 0}
    assert statistics(session) == [("sample_0", "exact-match@1", 4, 2, [0, 0, 1, 1], 0, 2)]
    replaced = session.scalars(select(VerificationHistory).order_by(VerificationHistory.sample_index)).all()
    assert [(old.sample_index, old.reward, old.passed, old.status) for old in replaced] == [
        (0, 1.0, True, "passed"),
        (1, 1.0, True, "passed"),
        (2, 0.0, False, "failed"),
    ]


def test_an_infrastructure_error_takes_the_completion_out_of_the_counts(
    client: httpx.Client, session: Session, path: str
) -> None:
    broken = {"problem": "sample_0", "sample_index": 1} | exact(status="infrastructure_error")
    post_verifications(client, path, broken).raise_for_status()
    assert statistics(session) == [("sample_0", "exact-match@1", 3, 2, [1, 0, 1], 1, 2)]


def test_verdicts_on_unknown_completions_are_listed_and_nothing_is_written(
    client: httpx.Client, session: Session, path: str
) -> None:
    before = row_counts(session), statistics(session)
    known = {"problem": "sample_0", "sample_index": 0} | exact(passed=False)
    for unknown in ({"sample_index": 4}, {"problem": "sample_9"}):
        answer = post_verifications(client, path, known, known | unknown)
        assert_refused(answer, 422, "unknown-completions")
        assert pointers(answer) == ["/verifications/1"]
    assert (row_counts(session), statistics(session)) == before


def test_two_verdicts_of_one_verifier_on_one_completion_are_refused_in_one_request(
    client: httpx.Client, session: Session, path: str
) -> None:
    row = {"problem": "sample_0", "sample_index": 0}
    answer = post_verifications(client, path, row | exact(passed=True), row | exact(passed=False))
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == ["/verifications/1"]
    same = post_verifications(client, path, row | exact(passed=False), row | exact(passed=False)).json()
    assert same == {"added": 0, "replaced": 1, "unchanged": 1}


def test_verdicts_replaced_by_several_clients_at_once_keep_every_step(
    client: httpx.Client, session: Session, path: str
) -> None:
    """Each request but the first finds the verdict of another client, so none is lost without trace."""
    clients, each = 6, 4
    together = threading.Barrier(clients)

    def replace(number: int) -> int:
        together.wait()
        done = 0
        for step in range(each):
            rows = [
                {"problem": "sample_0", "sample_index": (index + number) % 4}
                | exact(reward=1 + number + step / 8, passed=False)  # never what was stored at first, 0
                for index in range(4)
            ]
            done += post_verifications(client, path, *rows).raise_for_status().json()["replaced"]
        return done

    with ThreadPoolExecutor(clients) as pool:
        assert sum(pool.map(replace, range(clients))) == clients * each * 4
    counts = row_counts(session)
    assert (counts["verifications"], counts["verification_history"]) == (4, clients * each * 4)
    assert len({tuple(group[4]) for group in statistics(session)}) == 1
    assert statistics(session)[0][-1] == 1 + clients * each
    assert_statistics_are_what_verifications_say(session)
