"""pkpo.client against the service: credits, evaluations, curves."""

import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import pytest
from sqlalchemy.orm import Session

import pkpo
from app.auth.service import create_key
from pkpo.client import Client, Curve, Evaluation, MissingOfProblem, Point, Sent, ServiceError, Verified

REWARDS = np.array([[1, 0, 0.5, 0], [0.25, np.nan, 1, 0]])


@pytest.fixture
def server(shared_client: httpx.Client) -> Iterator[Client]:
    with Client(str(shared_client.base_url)) as client:
        yield client


def evaluation(server: Client, n: int = 4, **fields: Any) -> Evaluation:
    return server.evaluation(f"run-{uuid4()}", 0, f"set-{uuid4()}", {"temperature": 1.0}, n=n, **fields)


def completions(
    problems: int, n: int, passed: Any = lambda problem, index: index < problem
) -> Iterator[dict[str, Any]]:
    for problem in range(problems):
        for index in range(n):
            verdict = {"verifier": "exact", "passed": bool(passed(problem, index))}
            yield {"problem": f"p{problem}", "sample_index": index, "text": "391", "verifications": [verdict]}


@pytest.mark.parametrize("name", [*pkpo.TRANSFORMS, "mixed(0.25)"])
@pytest.mark.parametrize("scale", pkpo.SCALES)
@pytest.mark.parametrize("k", [2, {1: 0.25, 2: 0.75}])
def test_credits_of_the_service_are_those_of_the_library(server: Client, name: str, scale: pkpo.Scale, k: Any) -> None:
    rewards = np.round(REWARDS) if name == "alpha_loo" else REWARDS
    mask = ~np.isnan(rewards)
    expected = pkpo.transform(name, np.where(mask, rewards, 0), k, mask=mask, scale=scale)
    as_array = server.transform(rewards, k, name, scale=scale)
    as_lists = server.transform(rewards.tolist(), k, name, scale=scale)
    np.testing.assert_allclose(as_array.credits, expected, rtol=1e-14, atol=0)
    np.testing.assert_array_equal(as_lists.credits, as_array.credits)
    assert as_array.max_at_k is None
    assert as_lists.max_at_k is not None
    if k == 2 and name != "alpha_loo":
        np.testing.assert_allclose(as_lists.max_at_k, [0.75 - 1 / 12, 0.75], rtol=1e-14)


def test_groups_of_any_sizes_and_one_alone(server: Client) -> None:
    found = server.transform([[1, None, 0], [1], [0, 0, 1, 1]], 2, short="zero")
    expected = np.array([[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1 / 3, 1 / 3]])
    np.testing.assert_allclose(found.credits, expected, rtol=1e-15)
    assert server.transform(np.array([1, 0, 0]), 2).credits.shape == (3,)
    assert server.transform([1, None, 0], 2).credits.tolist() == [1, 0, 0]
    with pytest.raises(ServiceError, match="needs at least 2 rewards") as caught:
        server.transform([[1]], 2)
    assert caught.value.type == "group-too-short"


def test_local_and_remote_credits_agree_with_short_groups_too(server: Client) -> None:
    from pkpo.client.groups import Groups

    rewards = [[1, None, 0], [1], [0, 0.5, 1, 1], [None]]
    for scale in pkpo.SCALES:
        local = Groups.of(rewards).credits("sloo", 2, scale, "zero")
        np.testing.assert_allclose(server.transform(rewards, 2, "sloo", scale=scale, short="zero").credits, local)


def test_a_transform_can_be_recorded(server: Client) -> None:
    record = {"run": f"run-{uuid4()}", "step": 3, "problems": ["a", "b"]}
    for accepted in (2, 0):
        found = server.transform(REWARDS, 2, record=record)
        assert found.recorded == {"segment": 0, "accepted": accepted, "replayed": 2 - accepted}


def test_an_evaluation_is_found_again_and_another_one_is_refused(server: Client) -> None:
    made = evaluation(server, iid=False, model="m")
    assert (made.n, made.iid, made.model, made.sampling) == (4, False, "m", {"temperature": 1.0})
    assert server.evaluation(made.run, 0, made.problem_set, made.sampling) == made
    with pytest.raises(ServiceError) as caught:
        server.evaluation(made.run, 0, made.problem_set, made.sampling, n=5)
    assert (caught.value.status, caught.value.type) == (409, "evaluation-conflict")


def test_completions_go_in_batches_are_taken_lazily_and_sent_again_are_replayed(server: Client) -> None:
    made = evaluation(server, n=50)
    stored_when_taken: list[int] = []
    batches: list[int] = []

    def drawn() -> Iterator[dict[str, Any]]:
        for row in completions(101, 50):
            stored_when_taken.append(sum(batches))
            yield row

    assert server.log_completions(made, drawn(), progress=batches.append) == Sent(accepted=5050, replayed=0)
    assert batches == [2000, 2000, 1050]
    assert stored_when_taken[2001] == 2000, "the generator waits for what it gave before"
    assert server.log_completions(made.id, completions(101, 50)) == Sent(accepted=0, replayed=5050)
    assert server.log_completions(made, []) == Sent()


def test_batches_are_bounded_in_bytes(server: Client) -> None:
    made = evaluation(server)
    batches: list[int] = []
    rows = ({"problem": "p", "sample_index": i, "text": "x" * 3 * 2**20} for i in range(4))
    server.log_completions(made, rows, progress=batches.append)
    assert batches == [2, 2]


def test_a_conflict_names_the_row(server: Client) -> None:
    made = evaluation(server)
    server.log_completions(made, completions(2, 4))
    with pytest.raises(
        ServiceError, match=r"\n  /completions/5/verifications/0: stored with another verdict"
    ) as caught:
        server.log_completions(made, completions(2, 4, lambda problem, index: problem == 1 and index < 2))
    assert caught.value.type == "completions-conflict"


def test_verdicts_and_what_is_missing(server: Client) -> None:
    made = evaluation(server, n=3)
    rows = [{key: row[key] for key in ("problem", "sample_index")} for row in completions(2, 3)]
    server.log_completions(made, rows[1:])
    assert list(server.missing(made)) == [MissingOfProblem("p0", (0,))]
    server.log_completions(made, rows[:1])
    verdicts = [{**row, "verifier": "exact", "passed": True} for row in rows[:-1]]
    assert server.log_verifications(made, verdicts) == Verified(added=5)
    verdicts[0] |= {"passed": False}
    assert server.log_verifications(made, verdicts) == Verified(replaced=1, unchanged=4)
    assert list(server.missing(made, verifier="exact")) == [MissingOfProblem("p1", (2,))]
    with pytest.raises(ServiceError, match="completions-missing"):
        server.curve(made)
    assert server.curve(made, missing="fail").at(1).value == pytest.approx(4 / 6)


def test_missing_goes_on_over_pages(server: Client) -> None:
    made = evaluation(server, n=1)
    server.log_completions(made, completions(1500, 1))
    assert len({each.problem for each in server.missing(made, n=2)}) == 1500


def test_a_curve_has_its_interval_and_its_n(server: Client) -> None:
    made = evaluation(server)
    server.log_completions(made, completions(3, 4))
    curve = server.curve(made, k=[1, 2], level=0.9)
    n, c = np.array([4, 4, 4]), np.array([0, 1, 2])
    local = pkpo.PassAtKCurve.from_counts(n, c, k=[1, 2], level=0.9)
    assert curve == Curve(
        "pass_at_k", "1 - C(n-c, k) / C(n, k)",
        tuple(Point(each.k, each.value, each.standard_error, each.low, each.high) for each in local.points),
        level=0.9, problems_used=3, problems_total=3, n_min=4, n_max=4, missing="error",
        unbiased=True, verifier="exact@1",
    )  # fmt: skip
    assert server.curve(run=made.run, step=0, k=2, level=0.9).points == curve.points[1:]
    with pytest.raises(ServiceError, match="k-exceeds-n"):
        server.curve(made, k=5)
    with pytest.raises(ValueError, match="no point at k=3, only at 1, 2"):
        curve.at(3)


def test_one_problem_says_nothing_of_the_spread(server: Client) -> None:
    made = evaluation(server)
    server.log_completions(made, completions(1, 4))
    curve = server.curve(made)
    assert curve.level is None
    assert curve.at(4) == Point(4, 0.0, None, None, None)


def test_a_step_with_several_evaluations_asks_for_one(server: Client) -> None:
    run, sets = f"run-{uuid4()}", [f"set-{uuid4()}" for _ in range(2)]
    made = [server.evaluation(run, 1, each, n=1) for each in sets]
    server.log_completions(made[0], completions(2, 1))
    with pytest.raises(ValueError, match="2 evaluations at step 1; name one by its id") as caught:
        server.curve(run=run, step=1)
    assert all(each.id in str(caught.value) for each in made)
    assert server.curve(run=run, step=1, problem_set=sets[0]).problems_used == 2
    with pytest.raises(ValueError, match="0 evaluations at step 2: `curves` lists"):
        server.curve(run=run, step=2)
    with pytest.raises(ValueError, match="an evaluation, or a run and a step"):
        server.curve(run=run)
    with pytest.raises(ValueError, match="an evaluation's id is a UUID"):
        server.curve("mine")
    first, second = server.curves(run, k=1)
    assert {first.evaluation, second.evaluation} == {each.id for each in made}
    assert sorted(map(len, (first.points, second.points))) == [0, 1]
    assert "No verifier has graded" in str(first.refused or second.refused)


def test_fifty_threads_share_a_client(server: Client) -> None:
    answers: dict[int, list[float]] = {}

    def ask(number: int) -> None:
        for _ in range(4):
            answers[number] = server.transform(np.array([number, 0.0]), 1).credits.tolist()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: [number / 2, -number / 2] for number in range(50)}


def test_a_wrong_key_is_said(base_url: str, session: Session) -> None:
    key = create_key(session, "mine", ["read", "write"], None)
    session.commit()
    with Client(base_url, key) as right:
        right.evaluation("r", 0, "p")
    with Client(base_url, "pkpo_wrong") as wrong, pytest.raises(ServiceError, match=r"^401 unauthorized: ") as caught:
        wrong.evaluation("r", 0, "p")
    assert "wrong" not in str(caught.value)
