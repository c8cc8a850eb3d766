"""GET /v1/comparisons: the differences of two evaluations problem by problem, or the reason why there are none."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import pytest
from numpy.testing import assert_allclose

from app.estimates.examples import COMPARISON
from pkpo.client import Client
from pkpo.comparisons import Comparison
from pkpo.estimators import max_at_k, pass_at_k
from tests.app.evaluations import Verdict, assert_refused, create_evaluation, record

N = 4
# Passes of each problem in a and in b: p1 is newly solved, p4 forgotten.
A, B = (0, 0, 2, 4, 1), (0, 3, 3, 2, 0)


@pytest.fixture
def client(shared_client: httpx.Client) -> httpx.Client:
    """Each test has a problem set of its own, so one server serves all."""
    return shared_client


def verdicts(passes: Sequence[int], n: int = N) -> dict[str, list[Verdict]]:
    return {f"p{i}": [j < c for j in range(n)] for i, c in enumerate(passes)}


def evaluations(
    client: httpx.Client, a: Mapping[str, Sequence[Verdict]], b: Mapping[str, Sequence[Verdict]], **fields: Any
) -> tuple[str, str]:
    """The ids of two evaluations on one problem set."""
    problem_set = f"sums-{uuid4()}"
    ids = [create_evaluation(client, problem_set=problem_set, **fields) for _ in range(2)]
    for each, said in zip(ids, (a, b), strict=True):
        record(client, each, said)
    return ids[0], ids[1]


def compared(client: httpx.Client, a: str, b: str, query: str = "") -> httpx.Response:
    return client.get(f"/v1/comparisons?a={a}&b={b}&{query}")


def p_value(differences: Sequence[float]) -> float:
    """The share of all ways to sign the differences whose sum is as far from 0, by trying each."""
    seen = abs(sum(differences))
    sums = [abs(sum(s * d for s, d in zip(signs, differences, strict=True))) for signs in product((-1, 1), repeat=5)]
    return sum(each >= seen - 1e-12 for each in sums) / len(sums)


def test_a_comparison_is_the_difference_of_each_problem_with_its_interval_and_p_value(client: httpx.Client) -> None:
    a, b = evaluations(client, verdicts(A), verdicts(B), n=N)
    found = compared(client, a, b, "k=1&k=3").raise_for_status().json()
    assert found == COMPARISON, "the example of the API's document"
    expected = Comparison.from_counts(N, A, N, B, [1, 3])
    points = found.pop("points")
    for point, k in zip(points, (1, 3), strict=True):
        differences = pass_at_k([N] * 5, B, k) - pass_at_k([N] * 5, A, k)
        half = 2.7764451051977987 * differences.std(ddof=1) / 5**0.5  # Student's t with 4 degrees, 95 %
        assert point["k"] == k
        assert_allclose(point["difference"], differences.mean(), rtol=1e-12)
        assert_allclose([point["low"], point["high"]], [differences.mean() - half, differences.mean() + half])
        assert_allclose(point["p_value"], p_value(differences.tolist()))
    assert [set(each) for each in points] == [{"k", "difference", "low", "high", "p_value"}] * 2
    assert points == [{name: getattr(each, name) for name in points[0]} for each in expected.points]
    assert found == {
        "metric": "pass_at_k",
        "interval": {"method": "t", "level": 0.95},
        "test": {"method": "sign flips, all", "seed": None},
        "newly_solved": ["p1"],
        "forgotten": ["p4"],
        "problems_used": 5,
        "problems_total": 5,
        "missing": "error",
        "unbiased": True,
        "verifier": "exact-match@1",
    }


def test_the_other_way_round_it_is_its_negative(client: httpx.Client) -> None:
    a, b = evaluations(client, verdicts(A), verdicts(B))
    there, back = compared(client, a, b).json(), compared(client, b, a).json()
    assert [each["difference"] for each in there["points"]] == [-each["difference"] for each in back["points"]]
    assert (there["newly_solved"], there["forgotten"]) == (back["forgotten"], back["newly_solved"])
    assert [each["k"] for each in there["points"]] == [1, 2, 4], "the powers of two up to the smallest n of both"


def test_an_evaluation_does_not_differ_from_itself(client: httpx.Client) -> None:
    a, _ = evaluations(client, verdicts(A), verdicts(B))
    found = compared(client, a, a).json()
    assert {(each["difference"], each["p_value"]) for each in found["points"]} == {(0, 1)}
    assert found["newly_solved"] == found["forgotten"] == []


def test_signs_are_drawn_by_a_seed_that_the_answer_has(client: httpx.Client) -> None:
    rng = np.random.default_rng(5)
    passes_a, passes_b = rng.integers(0, 9, (2, 60)).tolist()
    a, b = evaluations(client, verdicts(passes_a, 8), verdicts(passes_b, 8))
    found = compared(client, a, b).json()
    assert found["test"] == {"method": "sign flips, 9999 drawn", "seed": 0}
    by_name = sorted(range(60), key="p{}".format)  # the order in which they were stored, to which signs are drawn
    c_a, c_b = ([passes[i] for i in by_name] for passes in (passes_a, passes_b))
    expected = Comparison.from_counts(8, c_a, 8, c_b, seed=found["test"]["seed"])
    assert [each["p_value"] for each in found["points"]] == [each.p_value for each in expected.points]


@pytest.mark.parametrize("metric", ["max_at_k", "min_at_k"])
def test_rewards_are_compared_as_they_are(client: httpx.Client, metric: Any) -> None:
    rewards = np.random.default_rng(2).normal(size=(2, 6, 5)).round(3)
    a, b = evaluations(client, *({f"p{i}": each.tolist() for i, each in enumerate(side)} for side in rewards))
    found = compared(client, a, b, f"metric={metric}&k=2").json()
    sign = 1 if metric == "max_at_k" else -1
    expected = sign * (max_at_k(sign * rewards[1], 2) - max_at_k(sign * rewards[0], 2)).mean()
    assert_allclose(found["points"][0]["difference"], expected)
    assert (found["newly_solved"], found["forgotten"]) == (None, None)
    assert_refused(compared(client, a, b), 422, "no-passed")


def test_one_problem_has_a_difference_and_no_interval(client: httpx.Client) -> None:
    a, b = evaluations(client, {"p": [False, False]}, {"p": [True, False]})
    found = compared(client, a, b, "k=1").json()
    assert found["points"] == [{"k": 1, "difference": 0.5, "low": None, "high": None, "p_value": 1.0}]
    assert found["interval"] is None


def test_a_problem_that_one_of_both_lacks_leaves_both_under_drop(client: httpx.Client) -> None:
    said_a, said_b = verdicts(A), verdicts(B)
    del said_a["p0"]
    said_b["p2"] = [True]
    a, b = evaluations(client, said_a, said_b, n=N)
    problem = assert_refused(compared(client, a, b), 409, "completions-missing")
    assert problem["detail"].startswith("Evaluation a: Of 20 completions expected, 4 do not exist")
    assert problem["errors"][0]["pointer"] == "query/a"
    assert_refused(compared(client, b, a), 409, "completions-missing")

    found = compared(client, a, b, "missing=drop&k=1&k=2").json()
    used = [1, 3, 4]
    expected = Comparison.from_counts(N, np.array(A)[used], N, np.array(B)[used], [1, 2])
    assert [each["difference"] for each in found["points"]] == [each.difference for each in expected.points]
    assert (found["problems_used"], found["problems_total"], found["unbiased"]) == (3, 5, False)
    assert compared(client, a, b, "missing=drop&k=1").json()["problems_used"] == 4

    failed = compared(client, a, b, "missing=fail&k=1").json()
    assert failed["points"][0]["difference"] == Comparison.from_counts(N, A, N, [0, 3, 1, 2, 0], 1).points[0].difference


def test_n_may_differ_and_k_is_within_the_smaller(client: httpx.Client) -> None:
    a, b = evaluations(client, verdicts(A), verdicts(B, 8))
    found = compared(client, a, b).json()
    assert [each["k"] for each in found["points"]] == [1, 2, 4]
    problem = assert_refused(compared(client, a, b, "k=5"), 422, "k-exceeds-n")
    assert problem["errors"] == [{"pointer": "query/k", "code": "at most 4"}]


def test_counts_alone_are_compared_and_have_no_rewards(client: httpx.Client) -> None:
    problem_set = f"sums-{uuid4()}"
    a, b = (create_evaluation(client, problem_set=problem_set) for _ in range(2))
    for each, passes in ((a, A), (b, B)):
        counts = [{"problem": f"p{i}", "n": N, "c": c} for i, c in enumerate(passes)]
        client.post(f"/v1/evaluations/{each}/counts", json={"counts": counts}).raise_for_status()
    assert compared(client, a, b).json()["newly_solved"] == ["p1"]
    assert_refused(compared(client, a, b, "metric=max_at_k"), 409, "counts-only")


def test_the_verifier_is_the_only_one_that_has_graded_both(client: httpx.Client) -> None:
    a, b = evaluations(client, verdicts(A), verdicts(B))
    record(client, b, verdicts(A), "plus")
    assert compared(client, a, b).json()["verifier"] == "exact-match@1"
    problem = assert_refused(compared(client, a, b, "verifier=plus"), 404, "unknown-verifier")
    assert problem["verifiers"] == ["exact-match@1"]
    record(client, a, verdicts(A), "plus")
    assert_refused(compared(client, a, b), 422, "verifier-needed")
    assert compared(client, a, b, "verifier=plus").json()["points"][0]["difference"] == 0
    c, d = evaluations(client, {}, {})
    record(client, c, verdicts(A), "base")
    problem = assert_refused(compared(client, c, d), 409, "no-verdict")
    assert problem["errors"] == [{"pointer": "query/b", "code": "no-verdict"}]
    record(client, d, verdicts(A), "plus")
    assert_refused(compared(client, c, d), 422, "no-common-verifier")


def test_what_cannot_be_compared_is_refused_in_words(client: httpx.Client) -> None:
    a, _ = evaluations(client, verdicts(A), verdicts(B))
    other, _ = evaluations(client, verdicts(A), verdicts(B))
    assert_refused(compared(client, a, other), 422, "other-problem-set")
    assert_refused(compared(client, a, str(uuid4())), 404, "not-found")
    huge, small = evaluations(client, {"p": [1.7e308, 0.0]}, {"p": [-1.7e308, 0.0]})
    assert_refused(compared(client, huge, small, "metric=max_at_k"), 422, "beyond-float64")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "a=1&b=2",
        "a={a}",
        "a={a}&b={a}&b={a}",
        "a={a}&b=%00",
        *(f"a={{a}}&b={{a}}&{wrong}" for wrong in ("k=0", "level=1", "c=1", "metric=maj", "verifier=a%20b")),
    ],
)
def test_a_query_that_means_nothing_is_refused(client: httpx.Client, query: str) -> None:
    a, _ = evaluations(client, verdicts(A), verdicts(B))
    problem = assert_refused(client.get(f"/v1/comparisons?{query.format(a=a)}"), 422, "invalid-request")
    assert all(each["pointer"].startswith("query") for each in problem["errors"])


def test_what_is_kept_is_never_older_than_what_is_stored(client: httpx.Client) -> None:
    a, b = evaluations(client, verdicts(A), verdicts(B))
    before = compared(client, a, b)
    again = client.get(f"/v1/comparisons?a={a}&b={b}&", headers={"If-None-Match": before.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    verdict = {"problem": "p0", "sample_index": 0, "verifier": "exact-match", "passed": True}
    client.post(f"/v1/evaluations/{b}/verifications", json={"verifications": [verdict]}).raise_for_status()
    after = compared(client, a, b)
    assert after.headers["etag"] != before.headers["etag"]
    assert after.json()["newly_solved"] == ["p0", "p1"]


def test_an_archived_run_can_be_compared_as_its_curve_can_be_read(client: httpx.Client) -> None:
    a, b = evaluations(client, verdicts(A), verdicts(B))
    run = client.get(f"/v1/evaluations/{b}").json()["run"]
    client.patch(f"/v1/runs/{run}", json={"archived": True}).raise_for_status()
    assert compared(client, a, b).status_code == 200


def test_the_client_has_the_same_with_types(client: httpx.Client) -> None:
    a, b = evaluations(client, verdicts(A), verdicts(B))
    with Client(str(client.base_url)) as service:
        found = service.comparison(a, b, k=[1, 4], level=0.9)
    answer = compared(client, a, b, "k=1&k=4&level=0.9").json()
    assert [vars(each) for each in found.points] == answer["points"]
    assert (found.newly_solved, found.forgotten, found.level, found.seed) == (("p1",), ("p4",), 0.9, None)
