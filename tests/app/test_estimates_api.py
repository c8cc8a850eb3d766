"""POST /v1/estimates: the library's estimates of what the request brings."""

import json
import random
from typing import Any

import httpx
import numpy as np
import pytest

from pkpo.curves import PassAtKCurve
from pkpo.estimators import max_at_k, min_at_k, pass_at_k
from tests.app.evaluations import assert_refused

PATH = "/v1/estimates"
# Two systems' worth of problems: n = 10 as CRUXEval has it, some with more.
N, C = [10, 10, 10, 12, 200], [0, 3, 10, 1, 120]
REWARDS: list[list[float]] = [[0.25, 1, 0], [0.5, 0.5, 0.75, -2], [1e308, -1e308]]


@pytest.fixture
def client(shared_client: httpx.Client) -> httpx.Client:
    """Nothing here is stored, so one server serves all tests."""
    return shared_client


def post(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post(PATH, json=body)


def post_text(client: httpx.Client, body: str | bytes) -> httpx.Response:
    return client.post(PATH, content=body, headers={"Content-Type": "application/json"})


def points_of(curve: PassAtKCurve, per_problem: list[list[float]]) -> list[dict[str, Any]]:
    return [
        {"k": at.k, "value": at.value, "standard_error": at.standard_error, "low": at.low, "high": at.high}
        | {"per_problem": each}
        for at, each in zip(curve.points, per_problem, strict=True)
    ]


def test_counts_give_each_problems_estimate_their_mean_and_its_interval(client: httpx.Client) -> None:
    expected = PassAtKCurve.from_counts(N, C, [1, 8])
    assert post(client, n=N, c=C, k=[8, 1]).raise_for_status().json() == {
        "metric": "pass_at_k",
        "estimator": expected.estimator,
        "points": points_of(expected, [pass_at_k(N, C, 1).tolist(), pass_at_k(N, C, 8).tolist()]),
        "interval": {"method": "t", "level": 0.95},
        "problems_used": 5,
        "n_min": 10,
        "n_max": 200,
    }


def test_rewards_of_any_lengths_give_max_at_k(client: httpx.Client) -> None:
    answer = post(client, rewards=REWARDS, k=[2], level=0.5).raise_for_status().json()
    expected = PassAtKCurve.from_rewards(REWARDS, 2, level=0.5)
    assert answer["points"] == points_of(expected, [[float(max_at_k(each, 2)) for each in REWARDS]])
    assert (answer["metric"], answer["n_min"], answer["n_max"]) == ("max_at_k", 2, 4)


@pytest.mark.parametrize("metric", ["fail_at_k", "pass_hat_k"])
def test_other_metrics_of_counts(client: httpx.Client, metric: Any) -> None:
    answer = post(client, n=N, c=C, metric=metric).raise_for_status().json()
    assert [point["k"] for point in answer["points"]] == [1, 2, 4, 8, 10]
    assert [point["value"] for point in answer["points"]] == pytest.approx(
        PassAtKCurve.from_counts(N, C, metric=metric).value.tolist(), rel=1e-15
    )


def test_the_worst_of_k_rewards(client: httpx.Client) -> None:
    (point,) = post(client, rewards=REWARDS, k=[2], metric="min_at_k").raise_for_status().json()["points"]
    assert point["per_problem"] == [float(min_at_k(each, 2)) for each in REWARDS]


def test_one_problem_has_no_interval(client: httpx.Client) -> None:
    answer = post(client, n=[10], c=[3], k=[1]).json()
    (point,) = answer["points"]
    assert (answer["interval"], point["low"], point["standard_error"]) == (None, None, None)
    assert point["per_problem"] == [point["value"]]


def test_k_beyond_the_smallest_n_is_refused_with_the_bound(client: httpx.Client) -> None:
    problem = assert_refused(post(client, n=N, c=C, k=[1, 11]), 422, "k-exceeds-n")
    assert problem["errors"] == [{"pointer": "/k", "code": "at most 10"}]
    assert assert_refused(post(client, rewards=REWARDS, k=[3]), 422, "k-exceeds-n")["errors"][0]["code"] == "at most 2"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ('{"n": [10, 10], "c": [3, 11]}', "/c/1"),
        ('{"n": [10, 10], "c": [3]}', "/c"),
        ('{"n": [10]}', "/c"),
        ('{"c": [1]}', "/c"),
        ('{"n": [], "c": []}', "/c"),
        ('{"n": [10, 0], "c": [3, 0]}', ""),
        ('{"rewards": [[1, 0], []]}', ""),
        ('{"rewards": []}', "/rewards"),
        ('{"rewards": [[1, null]]}', "/rewards"),
        ('{"rewards": [[1, "0"]]}', "/rewards/0/1"),
        ('{"rewards": [[1, NaN]]}', "/rewards/0/1"),
        ('{"rewards": [[1, 1e999]]}', "/rewards/0/1"),
        ('{"n": [10], "c": [3], "rewards": [[1]]}', ""),
        ("{}", ""),
        ("[]", ""),
        ("NaN", ""),
        ('{"n": [10], "c": [NaN]}', ""),
        ('{"n": [10.0], "c": [3]}', "/n/0"),
        ('{"n": ["10"], "c": [3]}', "/n/0"),
        ('{"n": [true], "c": [1]}', "/n/0"),
        ('{"n": [10], "c": [-1]}', "/c/0"),
        ('{"n": [1000001], "c": [1]}', "/n/0"),
        (f'{{"n": [{"9" * 300}], "c": [1]}}', "/n/0"),
        (f'{{"n": [{"9" * 4999}], "c": [1]}}', ""),
        ('{"n": 10, "c": 3}', "/n"),
        ('{"n": [10], "c": [3], "c": [4]}', ""),
        ('{"rewards": [[1, 0]], "metric": "max_at_k", "metric": "min_at_k"}', ""),
        ('{"n": [10], "c": [3], "k": [0]}', "/k/0"),
        ('{"n": [10], "c": [3], "k": ["1"]}', "/k/0"),
        ('{"n": [10], "c": [3], "k": 1.5}', "/k"),
        ('{"n": [10], "c": [3], "k": []}', "/k"),
        ('{"n": [10], "c": [3], "level": 1}', "/level"),
        ('{"n": [10], "c": [3], "level": "0.9"}', "/level"),
        ('{"n": [10], "c": [3], "metric": "max_at_k"}', "/metric"),
        ('{"rewards": [[1, 0]], "metric": "pass_at_k"}', "/metric"),
        ('{"n": [10], "c": [3], "metric": "pass@k"}', "/metric"),
        ('{"n": [10], "c": [3], "verifier": "judge"}', ""),
    ],
)
def test_what_cannot_be_estimated_is_refused_where_it_stands(client: httpx.Client, body: str, pointer: str) -> None:
    problem = assert_refused(post_text(client, body), 422, "invalid-request")
    assert problem["errors"][0]["pointer"] == pointer


def test_no_request_keeps_the_server_busy_for_long(client: httpx.Client) -> None:
    """Each of these is small to send, and would take minutes or all memory."""
    large = {"n": [1_000_000] * 100, "c": list(range(400_000, 400_100)), "k": [400_000]}
    lopsided = {"rewards": [[0.5] * 100_000] + [[0.5]] * 100_000, "k": [1]}
    many = {"rewards": [[0.5] * 2_000] * 100, "k": list(range(1, 101))}
    for body in (large, lopsided, many):
        assert_refused(post(client, **body), 422, "too-much-work")
    post(client, n=[1_000_000] * 1000, c=[400_000] * 1000, k=[400_000]).raise_for_status()


def test_a_list_of_millions_that_are_wrong_is_refused_by_the_first(client: httpx.Client) -> None:
    body = b'{"c": [1], "n": [' + b'"",' * 4_000_000 + b'""]}'
    problem = assert_refused(post_text(client, body), 422, "invalid-request")
    assert [error["pointer"] for error in problem["errors"]] == ["/n/0"]


def test_a_body_said_to_be_no_json_is_not_read(client: httpx.Client) -> None:
    answer = client.post(PATH, content=b'{"n": [1], "c": [1]}', headers={"Content-Type": "text/plain"})
    assert_refused(answer, 415, "unsupported-media-type")


def test_mutated_bodies_are_answered_or_refused(client: httpx.Client) -> None:
    valid = [json.dumps(each).encode() for each in ({"n": N, "c": C, "k": [1, 8]}, {"rewards": REWARDS, "level": 0.9})]
    pieces = [b"", b"null", b"1e308", b"-", b'"', b"[", b"]", b"{}", b",", b"NaN", b"\xff", b"0", b"true", b"99"]
    draw = random.Random(20251120)
    for _ in range(300):
        body = draw.choice(valid)
        start = draw.randrange(len(body))
        body = body[:start] + draw.choice(pieces) + body[start + draw.randrange(4) :]
        answer = post_text(client, body)
        assert answer.status_code in (200, 422), (body, answer.text)


def test_estimates_of_many_problems_are_the_librarys(client: httpx.Client) -> None:
    draw = np.random.default_rng(1)
    c = draw.integers(0, 200, size=5000)
    answer = post(client, n=[200] * 5000, c=c.tolist()).raise_for_status().json()
    assert [point["value"] for point in answer["points"]] == PassAtKCurve.from_counts([200] * 5000, c).value.tolist()
