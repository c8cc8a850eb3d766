"""Curves that are kept: the same as drawn anew, whatever is written between two readings."""

import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session

from app.estimates import kept
from app.estimates.kept import CACHE
from app.estimates.schemas import CurveQuery
from app.estimates.service import curve as drawn_curve
from app.ingest.evaluations import find_evaluation
from app.models import Project
from pkpo.byte_cache import ByteCache
from tests.app.evaluations import create_evaluation, curve, record
from tests.app.ingesting import completion, exact, post_completions, post_verifications

QUERIES = (
    "",
    "k=1",
    "k=1&level=0.5",
    "missing=fail",
    "missing=drop&k=2",
    "metric=fail_at_k",
    "metric=pass_hat_k",
    "metric=max_at_k",
    "metric=min_at_k&k=2",
    "metric=max_at_k&missing=fail&fail_reward=-1",
    "metric=max_at_k&missing=fail&fail_reward=-2",
    "verifier=exact-match",
    "verifier=second",
)
VERDICTS = {"sample_0": [True, False, False], "sample_1": [True, True, False]}


def reads(client: httpx.Client, evaluation: str) -> list[tuple[int, Any]]:
    """What all ways to a curve answer."""
    run = client.get(f"/v1/evaluations/{evaluation}").json()["run"]
    answers = [curve(client, evaluation, query) for query in QUERIES]
    answers += [client.get(f"/v1/runs/{run}/curves?{query}") for query in QUERIES]
    answers += [client.get(f"/v1/evaluations/{evaluation}/problems?sort={by}") for by in ("problem", "mean_reward")]
    pages = ["/", f"/runs/{run}/curves.csv"]
    pages += [f"/evaluations/{evaluation}{page}" for page in ("", "?missing=fail&k=2", "/curve.csv", "/problems.csv")]
    return [(each.status_code, each.text) for each in (*answers, *map(client.get, pages))]


def add_a_problem(client: httpx.Client, evaluation: str) -> None:
    """To the set, through its own route: no count of the evaluation changes."""
    problem_set = client.get(f"/v1/evaluations/{evaluation}").json()["problem_set"]
    new = {"problems": [{"problem": "sample_2"}]}
    client.post(f"/v1/problem-sets/{problem_set}/problems", json=new).raise_for_status()


def add_a_problem_by_another_evaluation(client: httpx.Client, evaluation: str) -> None:
    other = create_evaluation(client, problem_set=client.get(f"/v1/evaluations/{evaluation}").json()["problem_set"])
    record(client, other, {"sample_9": [True]})


def replace_a_verdict(client: httpx.Client, evaluation: str) -> None:
    verdict = {"problem": "sample_0", "sample_index": 2, "verifier": "exact-match", "passed": True}
    post_verifications(client, f"/v1/evaluations/{evaluation}", verdict).raise_for_status()


def say_that_a_verdict_is_none(client: httpx.Client, evaluation: str) -> None:
    verdict = {"problem": "sample_0", "sample_index": 2, "verifier": "exact-match", "status": "infrastructure_error"}
    post_verifications(client, f"/v1/evaluations/{evaluation}", verdict).raise_for_status()


def judge_by_another_verifier(client: httpx.Client, evaluation: str) -> None:
    verdict = {"problem": "sample_0", "sample_index": 2, "verifier": "second", "reward": 0.5}
    post_verifications(client, f"/v1/evaluations/{evaluation}", verdict).raise_for_status()


CHANGES: dict[str, Callable[[httpx.Client, str], None]] = {
    "a problem is topped up": lambda client, id_: record(client, id_, {"sample_0": [True, False, False, True]}),
    "a completion without a verdict": lambda client, id_: record(client, id_, {"sample_0": [True, False, False, None]}),
    "completions of a new problem": lambda client, id_: record(client, id_, {"sample_3": [True, False, True]}),
    "a verdict is replaced": replace_a_verdict,
    "a verdict becomes none": say_that_a_verdict_is_none,
    "a second verifier": judge_by_another_verifier,
    "a problem without completions": add_a_problem,
    "a problem of another evaluation": add_a_problem_by_another_evaluation,
}
BY_HAND = {
    "not independent": "UPDATE evaluations SET iid = false",
    "another n": "UPDATE evaluations SET n = 4",
    "statistics mended": "UPDATE group_statistics SET c = n",
    "counts only": "UPDATE evaluations SET counts_only = true",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_is_in_every_answer_after_it(
    client: httpx.Client, change: Callable[[httpx.Client, str], None]
) -> None:
    evaluation = create_evaluation(client, n=3)
    record(client, evaluation, VERDICTS)
    before = reads(client, evaluation)
    assert reads(client, evaluation) == before
    change(client, evaluation)
    assert_as_drawn_anew(client, evaluation, before)


@pytest.mark.parametrize("change", BY_HAND.values(), ids=BY_HAND.keys())
def test_a_change_that_no_route_makes_is_in_every_answer_after_it(
    client: httpx.Client, session: Session, change: str
) -> None:
    evaluation = create_evaluation(client, n=3)
    record(client, evaluation, VERDICTS)
    before = reads(client, evaluation)
    session.execute(text(change))
    session.commit()
    assert_as_drawn_anew(client, evaluation, before)


def assert_as_drawn_anew(client: httpx.Client, evaluation: str, before: object) -> None:
    after = reads(client, evaluation)
    CACHE.clear()
    assert after == reads(client, evaluation)
    assert after != before


def test_an_evaluation_that_is_made_again_has_no_curve_of_the_one_that_was_deleted(client: httpx.Client) -> None:
    first = create_evaluation(client, run="again", problem_set="cruxeval")
    record(client, first, VERDICTS)
    assert curve(client, first).status_code == 200
    client.delete("/v1/runs/again").raise_for_status()
    assert curve(client, first).status_code == 404
    second = create_evaluation(client, run="again", problem_set="cruxeval")
    assert curve(client, second).json()["type"] == "no-verdict"


def test_what_a_transaction_that_is_rolled_back_has_read_is_not_told_afterwards(
    client: httpx.Client, session: Session
) -> None:
    evaluation = create_evaluation(client, n=3)
    record(client, evaluation, VERDICTS)
    before = curve(client, evaluation).json()
    project = session.query(Project).one().id
    for passed in (3, 1):
        session.execute(text("UPDATE group_statistics SET c = :passed"), {"passed": passed})
        found = find_evaluation(session, project, _uuid(session))
        session.refresh(found)
        value = drawn_curve(session, project, found.uuid, CurveQuery(k=[1])).curve.points[0].value
        assert value == pytest.approx(passed / 3)
        session.rollback()
    assert curve(client, evaluation).json() == before


def _uuid(session: Session) -> Any:
    return session.scalar(text("SELECT uuid FROM evaluations"))


def test_readers_beside_writers_never_see_less_than_was_acknowledged(client: httpx.Client) -> None:
    evaluation = create_evaluation(client)
    record(client, evaluation, {f"sample_{i}": [False] for i in range(4)})
    acknowledged = threading.Event()
    stale: list[tuple[int, int]] = []
    written = [0]

    def read() -> None:
        while not acknowledged.is_set():
            least = written[0]
            seen = round(curve(client, evaluation, "k=1").raise_for_status().json()["points"][0]["value"] * 4)
            if seen < least:
                stale.append((least, seen))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for each in readers:
        each.start()
    for i in range(4):
        verdict = {"problem": f"sample_{i}", "sample_index": 0, "verifier": "exact-match", "passed": True}
        post_verifications(client, f"/v1/evaluations/{evaluation}", verdict).raise_for_status()
        written[0] = i + 1
    acknowledged.set()
    for each in readers:
        each.join()
    assert stale == []
    assert curve(client, evaluation, "k=1").json()["points"][0]["value"] == 1.0


def test_writers_of_one_evaluation_do_not_wait_for_each_other_for_good(client: httpx.Client) -> None:
    evaluation = create_evaluation(client)
    errors: list[str] = []

    def write(first: int) -> None:
        for i in range(12):
            problems = ["shared", *(f"sample_{first}_{(5 * i + j) % 17}" for j in range(6))]
            new = [completion(each, 10 * i + first, verifications=[exact(passed=True)]) for each in problems]
            answer = post_completions(client, f"/v1/evaluations/{evaluation}", *new)
            if answer.status_code != 200:
                errors.append(answer.text)

    writers = [threading.Thread(target=write, args=(first,)) for first in range(4)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    assert errors == []


def test_a_curve_that_is_kept_reads_no_counts(client: httpx.Client, session: Session) -> None:
    evaluation = create_evaluation(client)
    record(client, evaluation, VERDICTS)
    project = session.query(Project).one().id
    id_ = _uuid(session)
    first = drawn_curve(session, project, id_, CurveQuery())
    statements: list[str] = []
    bind = session.get_bind()
    assert isinstance(bind, Engine)
    event.listen(bind, "before_cursor_execute", lambda *given: statements.append(given[2]))
    assert drawn_curve(session, project, id_, CurveQuery()) is first
    assert len(statements) == 2
    assert not any("group_statistics" in each for each in statements)


def test_a_cache_keeps_what_was_asked_for_last_and_no_more_than_its_bytes() -> None:
    cache: ByteCache[Any] = ByteCache(100)
    for key in "abc":
        cache.keep(key, key.upper(), 40)
    assert [cache.find(key) for key in "abc"] == [None, "B", "C"]
    cache.find("b")
    cache.keep("d", "D", 40)
    assert [cache.find(key) for key in "bcd"] == ["B", None, "D"]
    cache.keep("b", "larger", 60)
    assert [cache.find(key) for key in "bd"] == ["larger", "D"]
    cache.keep("whole", "W", 101)
    assert cache.find("whole") is None
    cache.keep("e", "E", 100)
    assert cache.find("e") == "E"


def test_counts_that_are_kept_cannot_be_changed_by_who_reads_them(client: httpx.Client, session: Session) -> None:
    evaluation = create_evaluation(client)
    record(client, evaluation, VERDICTS)
    found = find_evaluation(session, session.query(Project).one().id, _uuid(session))
    states = kept.states(session, [found])
    (verifier_id,) = kept.verifiers(session, [found])[found.id].values()
    counts = kept.counts(session, {found.id: verifier_id}, states)[found.id]
    with pytest.raises(ValueError, match="read-only"):
        counts.n[0] = 9
