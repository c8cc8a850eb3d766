"""GET /v1/evaluations/{id}/curve: the library's numbers for what is stored, or the reason why there are none."""

import re
from typing import Any
from uuid import UUID, uuid4

import httpx
import numpy as np
import pytest
from numpy.testing import assert_allclose
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.models import Evaluation, GroupStatistics, Project
from pkpo.curves import PassAtKCurve
from tests.app.evaluations import Verdict, assert_refused, create_evaluation, curve, record

# n = 8 for each of four problems, solved 0, 3, 8 and 1 times.
SOLVED = {
    "sample_0": [False] * 8,
    "sample_1": [True, False, True, False, False, True, False, False],
    "sample_2": [True] * 8,
    "sample_3": [False] * 7 + [True],
}
N, C = [8] * 4, [0, 3, 8, 1]


@pytest.fixture
def client(shared_client: httpx.Client) -> httpx.Client:
    """Each evaluation has a run and a problem set of its own, so one server serves all tests."""
    return shared_client


@pytest.fixture
def solved(client: httpx.Client) -> str:
    """An evaluation of four problems with eight completions each."""
    evaluation = create_evaluation(client, n=8)
    record(client, evaluation, SOLVED)
    return evaluation


def points_of(expected: PassAtKCurve) -> list[dict[str, float]]:
    return [
        {"k": at.k, "value": at.value, "standard_error": at.standard_error, "low": at.low, "high": at.high}
        for at in expected.points
    ]


def values_of(answer: httpx.Response) -> list[float]:
    return [point["value"] for point in answer.raise_for_status().json()["points"]]


def test_a_curve_is_the_librarys_with_its_n_its_interval_and_its_problems(client: httpx.Client, solved: str) -> None:
    expected = PassAtKCurve.from_counts(N, C)
    assert curve(client, solved).raise_for_status().json() == {
        "metric": "pass_at_k",
        "estimator": expected.estimator,
        "points": points_of(expected),
        "interval": {"method": "t", "level": 0.95},
        "problems_used": 4,
        "problems_total": 4,
        "n_min": 8,
        "n_max": 8,
        "missing": "error",
        "unbiased": True,
        "verifier": "exact-match@1",
    }


@pytest.mark.parametrize("metric", ["pass_at_k", "fail_at_k", "pass_hat_k"])
def test_count_metrics_take_k_and_level(client: httpx.Client, solved: str, metric: Any) -> None:
    answer = curve(client, solved, f"metric={metric}&k=5&k=1&k=5&level=0.8").raise_for_status().json()
    assert answer["points"] == points_of(PassAtKCurve.from_counts(N, C, [1, 5], metric=metric, level=0.8))
    assert answer["interval"]["level"] == 0.8


@pytest.mark.parametrize("metric", ["max_at_k", "min_at_k"])
def test_reward_metrics_use_the_rewards_that_verdicts_bring(client: httpx.Client, metric: Any) -> None:
    rewards = np.random.default_rng(3).normal(size=(5, 6))
    evaluation = create_evaluation(client)
    record(client, evaluation, {f"sample_{i}": each for i, each in enumerate(rewards.tolist())}, "unit-tests@2")
    answer = curve(client, evaluation, f"metric={metric}").raise_for_status().json()
    assert answer["points"] == points_of(PassAtKCurve.from_rewards(rewards, metric=metric))
    assert (answer["verifier"], answer["unbiased"]) == ("unit-tests@2", True)


def test_rewards_near_the_end_of_float64_have_a_curve_whose_interval_may_not(client: httpx.Client) -> None:
    evaluation = create_evaluation(client)
    record(client, evaluation, {"sample_0": [1e308, 1e308], "sample_1": [1.7e308, -1.7e308]})
    (first, _) = curve(client, evaluation, "metric=max_at_k").raise_for_status().json()["points"]
    assert (first["value"], first["low"], first["high"]) == (5e307, None, None)


def test_max_at_k_of_passed_and_failed_is_pass_at_k(client: httpx.Client, solved: str) -> None:
    assert_allclose(values_of(curve(client, solved, "metric=max_at_k")), values_of(curve(client, solved)), rtol=1e-15)


def test_k_beyond_n_is_refused_with_the_bound(client: httpx.Client, solved: str) -> None:
    problem = assert_refused(curve(client, solved, "k=1&k=9"), 422, "k-exceeds-n")
    assert problem["detail"].endswith("needs 9 completions of each problem; there are enough for k up to 8.")
    assert problem["errors"] == [{"pointer": "query/k", "code": "at most 8"}]


def test_rewards_are_never_thresholded(client: httpx.Client) -> None:
    evaluation = create_evaluation(client)
    record(client, evaluation, {"sample_0": [0.0, 1.0], "sample_1": [True, False]})
    problem = assert_refused(curve(client, evaluation), 422, "no-passed")
    assert "2 of them a reward without saying" in problem["detail"]
    assert values_of(curve(client, evaluation, "metric=max_at_k")) == [0.5, 1.0]


def test_one_problem_has_no_interval(client: httpx.Client) -> None:
    evaluation = create_evaluation(client)
    record(client, evaluation, {"sample_0": [True, False]})
    answer = curve(client, evaluation).raise_for_status().json()
    assert answer["interval"] is None
    assert answer["points"][0] == {"k": 1, "value": 0.5, "standard_error": None, "low": None, "high": None}


def test_of_several_verifiers_one_must_be_named(client: httpx.Client, solved: str) -> None:
    record(client, solved, {problem: [True] * 8 for problem in SOLVED}, "exact-match@2")
    record(client, solved, {problem: [False] * 8 for problem in SOLVED}, "judge")
    problem = assert_refused(curve(client, solved), 422, "verifier-needed")
    assert problem["verifiers"] == ["exact-match@1", "exact-match@2", "judge@1"]
    means = {name: values_of(curve(client, solved, f"k=1&verifier={name}"))[0] for name in problem["verifiers"]}
    assert means == {"exact-match@1": np.mean(C) / 8, "exact-match@2": 1, "judge@1": 0}
    assert curve(client, solved, "verifier=exact-match").json()["verifier"] == "exact-match@1"
    assert_refused(curve(client, solved, "verifier=judge@2"), 404, "unknown-verifier")


def test_an_evaluation_without_a_verdict_says_what_to_do(client: httpx.Client) -> None:
    evaluation = create_evaluation(client)
    assert assert_refused(curve(client, evaluation), 409, "no-verdict")["completions"] == 0
    record(client, evaluation, {"sample_0": [None, None]})
    problem = assert_refused(curve(client, evaluation), 409, "no-verdict")
    assert (problem["completions"], "/verifications" in problem["detail"]) == (2, True)


def test_what_is_missing_is_counted_by_kind_and_refused(client: httpx.Client) -> None:
    problem_set = f"shared-{uuid4()}"
    evaluation = create_evaluation(client, problem_set=problem_set, n=4)
    record(
        client,
        evaluation,
        {
            "sample_0": [True, False, True, False],
            "sample_1": [True, None, "infrastructure_error"],  # one has no verdict, one an error, one does not exist
            "sample_2": [False, "timeout", "oom", "crash"],
        },
    )
    # A problem of the set that this evaluation has not met.
    record(client, create_evaluation(client, problem_set=problem_set), {"sample_3": [True]})
    problem = assert_refused(curve(client, evaluation), 409, "completions-missing")
    counts = ("no_completion", "no_verdict", "infrastructure_error", "problems", "expected")
    assert [problem[count] for count in counts] == [5, 1, 1, 2, 16]


def test_without_a_declared_n_the_largest_seen_is_expected(client: httpx.Client) -> None:
    evaluation = create_evaluation(client)
    record(client, evaluation, {"sample_0": [True] * 5, "sample_1": [True] * 3})
    assert assert_refused(curve(client, evaluation), 409, "completions-missing")["no_completion"] == 2


RAGGED: dict[str, list[Verdict]] = {
    "sample_0": [True, False, True, False],
    "sample_1": [True, False, "infrastructure_error", "infrastructure_error"],
    "sample_2": [False, None, None, None],
    "sample_3": [None, None, None, None],
}


@pytest.fixture
def ragged(client: httpx.Client) -> str:
    """An evaluation of four problems with 4, 2, 1 and no completion graded, of four drawn."""
    evaluation = create_evaluation(client, n=4)
    record(client, evaluation, RAGGED)
    return evaluation


@pytest.mark.parametrize(("k", "n", "c"), [(1, [4, 2, 1], [2, 1, 0]), (2, [4, 2], [2, 1]), (4, [4], [2])])
def test_drop_leaves_problems_with_too_few_out_of_the_whole_curve(
    client: httpx.Client, ragged: str, k: int, n: list[int], c: list[int]
) -> None:
    answer = curve(client, ragged, f"missing=drop&k=1&k={k}").raise_for_status().json()
    assert [point["value"] for point in answer["points"]] == PassAtKCurve.from_counts(n, c, [1, k]).value.tolist()
    assert (answer["problems_used"], answer["problems_total"]) == (len(n), 4)
    assert (answer["n_min"], answer["n_max"], answer["missing"]) == (min(n), 4, "drop")
    assert not answer["unbiased"]


def test_drop_keeps_every_graded_problem_where_no_k_is_named(client: httpx.Client, ragged: str) -> None:
    answer = curve(client, ragged, "missing=drop").raise_for_status().json()
    assert ([point["k"] for point in answer["points"]], answer["problems_used"]) == ([1], 3)


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
def test_a_curve_that_the_client_has_is_not_sent_again(client: httpx.Client, solved: str, form: str) -> None:
    tag = curve(client, solved).raise_for_status().headers["etag"]
    assert re.fullmatch('"[0-9a-f]{64}"', tag)
    again = client.get(f"/v1/evaluations/{solved}/curve", headers={"If-None-Match": form.format(tag)})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)


def test_a_curve_that_changed_has_another_etag(client: httpx.Client) -> None:
    evaluation = create_evaluation(client)
    record(client, evaluation, {"sample_0": [True], "sample_1": [True]})
    tag = curve(client, evaluation).headers["etag"]
    replaced = {"problem": "sample_1", "sample_index": 0, "verifier": "exact-match", "passed": False}
    client.post(f"/v1/evaluations/{evaluation}/verifications", json={"verifications": [replaced]}).raise_for_status()
    answer = client.get(f"/v1/evaluations/{evaluation}/curve", headers={"If-None-Match": tag}).raise_for_status()
    assert answer.headers["etag"] != tag
    assert values_of(answer) == [0.5]


def test_drop_that_would_leave_no_problem_is_refused(client: httpx.Client, ragged: str) -> None:
    problem = assert_refused(curve(client, ragged, "missing=drop&k=5"), 422, "k-exceeds-n")
    assert problem["errors"][0]["code"] == "at most 4"


def test_fail_counts_what_is_missing_as_not_passed(client: httpx.Client, ragged: str) -> None:
    answer = curve(client, ragged, "missing=fail").raise_for_status().json()
    assert answer["points"] == points_of(PassAtKCurve.from_counts([4] * 4, [2, 1, 0, 0]))
    assert (answer["missing"], answer["unbiased"]) == ("fail", False)


def test_fail_needs_to_know_the_reward_of_a_failure(client: httpx.Client, ragged: str) -> None:
    assert_refused(curve(client, ragged, "missing=fail&metric=max_at_k"), 422, "fail-reward-needed")
    answer = curve(client, ragged, "missing=fail&metric=max_at_k&fail_reward=-0.5").raise_for_status().json()
    filled: list[list[float]] = [[1, 0, 1, 0], [1, 0, -0.5, -0.5], [0, -0.5, -0.5, -0.5], [-0.5] * 4]
    assert answer["points"] == points_of(PassAtKCurve.from_rewards(filled))


@pytest.mark.parametrize("n", [1_000_000, 2**31 - 1])
def test_what_is_missing_is_made_up_for_only_where_it_fits_in_memory(client: httpx.Client, n: int) -> None:
    evaluation = create_evaluation(client, n=n)
    record(client, evaluation, {"sample_0": [0.5]})
    filled = "missing=fail&metric=max_at_k&fail_reward=0"
    assert_refused(curve(client, evaluation, filled), 422, "too-much-work")


def test_drop_works_on_rewards(client: httpx.Client, ragged: str) -> None:
    answer = curve(client, ragged, "missing=drop&metric=max_at_k&k=2").raise_for_status().json()
    assert answer["points"] == points_of(
        PassAtKCurve.from_rewards(
            [[1, 0, 1, 0], [1, 0, -7, -7]], 2, mask=np.array([[True] * 4, [True, True, False, False]])
        )
    )


def test_a_curve_says_that_it_is_unbiased_only_where_it_is(client: httpx.Client) -> None:
    def unbiased(verdicts: dict[str, list[bool]], query: str = "", **design: Any) -> bool:
        evaluation = create_evaluation(client, **design)
        record(client, evaluation, verdicts)
        return bool(curve(client, evaluation, query).raise_for_status().json()["unbiased"])

    two = {"sample_0": [True, False], "sample_1": [False, False]}
    assert unbiased(two, n=2)
    assert unbiased(two)
    assert not unbiased(two, n=2, iid=False)
    # Two more where none had passed: the mean of c/n is now too high.
    topped_up = two | {"sample_1": [False, False, True, False]}
    assert not unbiased(topped_up, n=2)
    assert not unbiased(topped_up, "missing=drop")


def test_an_evaluation_topped_up_is_estimated_from_all_its_completions(client: httpx.Client) -> None:
    evaluation = create_evaluation(client, n=2)
    record(client, evaluation, {"sample_0": [True, False], "sample_1": [False, False, True, False]})
    answer = curve(client, evaluation).raise_for_status().json()
    assert answer["points"] == points_of(PassAtKCurve.from_counts([2, 4], [1, 1]))
    assert (answer["n_min"], answer["n_max"]) == (2, 4)


def test_a_replaced_verdict_is_in_the_next_curve(client: httpx.Client, solved: str) -> None:
    changed = {"problem": "sample_0", "sample_index": 0, "verifier": "exact-match", "passed": True}
    client.post(f"/v1/evaluations/{solved}/verifications", json={"verifications": [changed]}).raise_for_status()
    assert curve(client, solved).json()["points"] == points_of(PassAtKCurve.from_counts(N, [1, *C[1:]]))


def test_counts_without_completions_have_a_curve_but_no_rewards(
    client: httpx.Client, shared_session: Session, solved: str
) -> None:
    stored = shared_session.scalars(select(Evaluation).filter_by(uuid=UUID(solved))).one()
    stored.counts_only = True
    shared_session.execute(update(GroupStatistics).filter_by(evaluation_id=stored.id).values(n_rewards=0, rewards=[]))
    shared_session.commit()
    assert curve(client, solved).json()["points"] == points_of(PassAtKCurve.from_counts(N, C))
    assert_refused(curve(client, solved, "metric=max_at_k"), 409, "counts-only")


def test_an_evaluation_of_another_project_is_not_found(
    client: httpx.Client, shared_session: Session, solved: str
) -> None:
    other = Project(name="other")
    shared_session.add(other)
    shared_session.flush()
    shared_session.execute(update(Evaluation).filter_by(uuid=UUID(solved)).values(project_id=other.id))
    shared_session.commit()
    assert_refused(curve(client, solved), 404, "not-found")
    assert_refused(curve(client, str(uuid4())), 404, "not-found")


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        *((f"k={k}", "query/k/0") for k in ("0", "-1", "1e3", "8.0", "%208", "1_0", "", "9" * 4999, "NaN", "²", "٣")),
        *((f"level={level}", "query/level") for level in ("nan", "inf", "0", "1", "-0.5", "95%25", "", "true")),
        *((f"fail_reward={reward}", "query/fail_reward") for reward in ("nan", "1e999", "-inf", "yes")),
        *((f"verifier={name}", "query/verifier") for name in ("%00", "a@b@c", "a%20b", "x" * 201, "")),
        ("metric=pass@k", "query/metric"),
        ("missing=yes", "query/missing"),
        ("level=0.9&level=0.8", "query"),
        ("metric=pass_at_k&metric=pass_at_k", "query"),
        ("temperature=1", "query"),
        ("&".join(f"k={k}" for k in range(1, 102)), "query/k"),
    ],
)
def test_a_query_is_read_to_the_letter(client: httpx.Client, query: str, pointer: str) -> None:
    problem = assert_refused(curve(client, str(uuid4()), query), 422, "invalid-request")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


@pytest.mark.parametrize("evaluation", ["1", "sample_0", "%00", "..%2f..", "0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2"])
def test_an_id_that_is_no_uuid_is_refused(client: httpx.Client, evaluation: str) -> None:
    assert curve(client, evaluation).status_code in (404, 422)
