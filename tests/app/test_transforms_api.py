"""POST /v1/transforms: the library's credits for ragged groups, and clear refusals."""

import json
import random
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.testing import assert_allclose

from app.transforms.wire import MOST_REWARDS
from pkpo.estimators import max_at_k
from pkpo.transforms import TRANSFORMS, smallest_n, transform

PATH = "/v1/transforms"
# Two problems of eight completions and one of five, three of the rewards missing.
REWARDS: list[list[float | None]] = [
    [1, 0, 0, 1, 0, 0.5, 0, 0],
    [0.25, None, 0.5, 0.75, 1, 0.125, None, 0],
    [-2.5, 3, 3, None, 0.1],
]
PASSES: list[list[float | None]] = [[1, 0, 0, 1], [0, None, 1, 0, 1], [0, 0, 0]]


@pytest.fixture
def client(shared_client: httpx.Client) -> httpx.Client:
    """Nothing here is stored, so one server serves all tests."""
    return shared_client


def post(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post(PATH, json=body)


def post_text(client: httpx.Client, body: str | bytes) -> httpx.Response:
    return client.post(PATH, content=body, headers={"Content-Type": "application/json"})


def credits_of(group: list[float | None], name: str, k: int | dict[int, float]) -> list[float | None]:
    """What the library gives for one group without its missing rewards, put back in place."""
    values = iter(transform(name, [reward for reward in group if reward is not None], k).tolist())
    return [None if reward is None else next(values) for reward in group]


def pointers(answer: httpx.Response) -> list[str]:
    return [error["pointer"] for error in answer.json().get("errors", [])]


def assert_refused(answer: httpx.Response, status: int, kind: str) -> None:
    assert (answer.status_code, answer.json()["type"]) == (status, kind), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


MIXED = ("mixed(0.25)", "mixed(-1e-05)", "mixed(+.5)", "mixed(0)", "mixed(1)")


@pytest.mark.parametrize("name", [*TRANSFORMS, *MIXED])
def test_ragged_groups_get_the_credits_that_the_library_gives_each_alone(client: httpx.Client, name: str) -> None:
    rewards = PASSES if name == "alpha_loo" else REWARDS
    for k in (1, 2, 3):
        answer = post(client, rewards=rewards, k=k, transform=name).raise_for_status().json()
        assert answer["credits"] == [credits_of(group, name, k) for group in rewards]
        assert answer["max_at_k"] == [max_at_k([g for g in group if g is not None], k) for group in rewards]
        assert (answer["transform"], answer["k"], answer["scale"]) == (name, k, "sum")


def test_max_at_k_beside_mixed_is_that_of_the_rewards_whatever_lam_is(client: httpx.Client) -> None:
    for lam in ("1e20", "-1e100"):
        answer = post(client, rewards=REWARDS, k={"1": 0.5, "2": 2}, transform=f"mixed({lam})").raise_for_status()
        assert answer.json()["max_at_k"] == post(client, rewards=REWARDS, k={"1": 0.5, "2": 2}).json()["max_at_k"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mixed", "transform must be one of"),
        ("mixed(x)", "lam of mixed must be a number"),
        ("mixed(nan)", "lam of mixed must be finite"),
        ("mixed(1e999)", "lam of mixed must be finite"),
        ("top_mean(2)", "top_mean(2) is for Python alone"),
        ("median", "median is for Python alone"),
        ("history(0.5)", "history(0.5) is for Python alone"),
        (f"mixed({'1' * 100})", "at most 100 characters"),
    ],
)
def test_a_name_that_is_none_is_refused_with_what_is_wrong(client: httpx.Client, name: str, said: str) -> None:
    answer = post(client, rewards=[[1, 0, 1]], k=2, transform=name)
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == ["/transform"]
    assert said in answer.text


def test_alpha_loo_refuses_what_is_neither_a_pass_nor_a_failure(client: httpx.Client) -> None:
    answer = post(client, rewards=[[1, 0, None], [0.5, 1, None, 2]], k=1, transform="alpha_loo")
    assert_refused(answer, 422, "not-binary")
    assert pointers(answer) == ["/rewards/1/0", "/rewards/1/3"]


def test_groups_of_one_size_get_the_same_credits_as_ragged_ones(client: httpx.Client) -> None:
    rewards = np.random.default_rng(7).random((32, 8))
    alone = post(client, rewards=rewards.tolist(), k=4).raise_for_status().json()
    beside = post(client, rewards=[*rewards.tolist(), [1.0] * 9], k=4).raise_for_status().json()
    assert alone["credits"] == transform("sloo_minus_one", rewards, 4).tolist() == beside["credits"][:-1]


def test_several_k_are_weighted(client: httpx.Client) -> None:
    answer = post(client, rewards=REWARDS, k={"1": 0.5, "3": 2}).raise_for_status().json()
    assert answer["credits"] == [credits_of(group, "sloo_minus_one", {1: 0.5, 3: 2}) for group in REWARDS]
    each = [post(client, rewards=REWARDS, k=k).json()["max_at_k"] for k in (1, 3)]
    assert_allclose(answer["max_at_k"], 0.5 * np.array(each[0]) + 2 * np.array(each[1]), rtol=1e-15)
    assert answer["k"] == {"1": 0.5, "3": 2}


def test_mean_multiplies_by_the_rewards_that_a_group_has(client: httpx.Client) -> None:
    sums = post(client, rewards=REWARDS, k=2).json()["credits"]
    means = post(client, rewards=REWARDS, k=2, scale="mean").json()["credits"]
    for summed, mean, n in zip(sums, means, (8, 6, 4), strict=True):
        assert_allclose(np.array(mean, dtype=float), np.array(summed, dtype=float) * n, rtol=1e-15)


def test_rms_is_one_factor_for_the_whole_batch(client: httpx.Client) -> None:
    plain = post(client, rewards=REWARDS, k=2).json()["credits"]
    scaled = post(client, rewards=REWARDS, k=2, scale="rms").json()["credits"]
    flat = np.array([credit for group in scaled for credit in group if credit is not None])
    assert_allclose(np.sqrt(np.mean(flat**2)), 1, rtol=1e-15)
    factors = [a / b for one, other in zip(scaled, plain, strict=True) for a, b in zip(one, other, strict=True) if b]
    assert_allclose(factors, factors[0], rtol=1e-14)


def test_true_and_false_are_rewards_of_one_and_zero(client: httpx.Client) -> None:
    as_words = post_text(client, '{"rewards": [[true, false, false, true]], "k": 2}').raise_for_status().json()
    assert as_words == post(client, rewards=[[1, 0, 0, 1]], k=2).json()


@pytest.mark.parametrize("name", [*TRANSFORMS, "mixed(0)", "mixed(0.25)"])
def test_a_group_that_is_too_short_is_refused_by_name_and_bound(client: httpx.Client, name: str) -> None:
    needed = smallest_n(name, 4)
    answer = post(client, rewards=[[1] * needed, [1] * (needed - 1), [0, None], []], k=4, transform=name)
    assert_refused(answer, 422, "group-too-short")
    assert pointers(answer) == ["/rewards/1", "/rewards/2", "/rewards/3"]
    assert f"at least {needed} rewards" in answer.json()["detail"]


def test_short_groups_may_be_given_credits_of_zero(client: httpx.Client) -> None:
    rewards = [[1, 0, 0.5], [1, None, 0.25], [None, None], []]
    answer = post(client, rewards=rewards, k=2, transform="centered", short="zero").raise_for_status().json()
    assert answer["credits"] == [credits_of([1, 0, 0.5], "centered", 2), [0, None, 0], [None, None], []]
    assert answer["max_at_k"] == [max_at_k([1, 0, 0.5], 2), 1, None, None]  # centred needs 3 rewards, max@2 only 2


def test_one_long_group_does_not_pad_the_others(client: httpx.Client) -> None:
    # Padded to the longest, these groups would fill 32 GB.
    rewards = [[1.0] * 200_000] + [[1.0, 0.0]] * 20_000
    answer = post(client, rewards=rewards, k=2).raise_for_status().json()
    assert [len(group) for group in answer["credits"]] == [len(group) for group in rewards]
    assert answer["credits"][-1] == [1.0, 0.0]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000])
def test_a_number_that_is_not_finite_is_refused_where_it_stands(client: httpx.Client, number: str) -> None:
    answer = post_text(client, f'{{"k": 2, "rewards": [[1, 0, 1], [0, {number}, 1]]}}')
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == ["/rewards/1/1"]
    assert "JSON has no NaN, no Infinity" in answer.json()["errors"][0]["code"]
    assert number not in answer.text.replace("no NaN, no Infinity", "")


@pytest.mark.parametrize("text", ["", '{"rewards": [[1', '{"rewards": [[1, x]]}', "[" * 3000, '{"k": "\\ud800"}'])
def test_what_is_no_json_is_not_called_a_number(client: httpx.Client, text: str) -> None:
    answer = post_text(client, text)
    assert_refused(answer, 422, "invalid-request")
    assert [each["code"] for each in answer.json()["errors"]] == ["not-json"]


def test_what_is_no_number_is_refused_where_it_stands(client: httpx.Client) -> None:
    answer = post_text(client, '{"rewards": [[1, 0, "1"], [], [0, [1], {"a": 1}, null]], "k": 1}')
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == ["/rewards/0/2", "/rewards/2/1", "/rewards/2/2"]


@pytest.mark.parametrize(
    "rewards",
    [
        *("[]", "null", "4", '"[[1]]"', "{}", "[1, 0]", "[[1], null]", "[null, [1]]"),
        *('[[1], "1"]', '[[1], {"1": 1}]', '["1"]', '[{"1": 1}]', '[[], ""]', '["", []]', "[[], {}]"),
    ],
)
def test_rewards_are_a_list_of_lists(client: httpx.Client, rewards: str) -> None:
    answer = post_text(client, f'{{"rewards": {rewards}, "k": 1}}')
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer)[0].startswith("/rewards")


@pytest.mark.parametrize(
    "k",
    [
        *("0", "-1", "1.5", '"4"', "true", "null", "[]", "4194305", "9" * 300, "9" * 4999, "1e3"),
        *("{}", '{"0": 1}', '{"01": 1}', '{"a": 1}', '{"4194305": 1}', '{"-1": 1}'),
        *('{"1": "x"}', '{"1": null}', '{"1": true}'),
    ],
)
def test_k_is_a_whole_number_or_weights(client: httpx.Client, k: str) -> None:
    answer = post_text(client, f'{{"rewards": [[1, 0, 1, 0]], "k": {k}}}')
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) in (["/k"], [""])  # a number beyond float64 is not read at all


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({}, "/k"),
        ({"k": 2, "transform": "grpo"}, "/transform"),
        ({"k": 2, "transform": None}, "/transform"),
        ({"k": 2, "scale": "std"}, "/scale"),
        ({"k": 2, "short": True}, "/short"),
        ({"k": 2, "centre": "\x00\ud800"}, ""),
    ],
)
def test_options_are_refused_by_name(client: httpx.Client, fields: dict[str, Any], pointer: str) -> None:
    answer = post_text(client, json.dumps({"rewards": [[1, 0, 1]], **fields}))
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == [pointer]


@pytest.mark.parametrize("body", [b"", b"4", b"null", b"[]", b"[" * 100_000, b'{"k": 2}', b'{"k": "\xff"}', b"\0"])
def test_a_body_that_is_no_request_is_refused(client: httpx.Client, body: bytes) -> None:
    assert_refused(post_text(client, body), 422, "invalid-request")


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-npz", "application/x-www-form-urlencoded", ""])
def test_a_body_said_to_be_no_json_is_not_read(client: httpx.Client, media_type: str) -> None:
    answer = client.post(PATH, content=b'{"rewards": [[1, 0]], "k": 1}', headers={"Content-Type": media_type})
    assert_refused(answer, 415, "unsupported-media-type")


def test_json_is_json_whatever_else_its_header_says(client: httpx.Client) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    client.post(PATH, content=b'{"rewards": [[1, 0]], "k": 1}', headers=headers).raise_for_status()


@pytest.mark.parametrize("fields", [{"k": 2, "scale": "mean"}, {"k": {"1": 1e300, "2": -1e300}}])
def test_credits_beyond_float64_are_refused_not_written_null(client: httpx.Client, fields: dict[str, Any]) -> None:
    answer = post(client, rewards=[[1.7e308, -1.7e308, 0, 0]], **fields)
    assert_refused(answer, 422, "beyond-float64")


def test_rewards_near_the_ends_of_float64_keep_their_credits(client: httpx.Client) -> None:
    rewards: list[list[float | None]] = [[1e308, -1e308, 5e-324, 0], [5e-324, 0, 0, 0]]
    answer = post(client, rewards=rewards, k=2, transform="s").raise_for_status().json()
    assert answer["credits"] == [credits_of(group, "s", 2) for group in rewards]
    assert answer["credits"][0][0] == 5e307


def test_more_rewards_than_the_bound_are_refused(client: httpx.Client) -> None:
    body = b'{"k": 1, "rewards": [[' + b"0," * MOST_REWARDS + b"0]]}"
    assert_refused(post_text(client, body), 413, "too-many-rewards")
    assert_refused(
        post_text(client, b'{"k": 1, "rewards": [' + b"[]," * MOST_REWARDS + b"[]]}"), 413, "too-many-rewards"
    )


def test_more_k_than_the_work_allows_are_refused(client: httpx.Client) -> None:
    weights = {str(k): 1.0 for k in range(1, 101)}
    post(client, rewards=[[0, 1] * 64], k=weights).raise_for_status()
    answer = post(client, rewards=[[0, 1] * 64] * 1000, k=weights)
    assert_refused(answer, 422, "too-many-k")
    assert "at most 65 k" in answer.json()["detail"]


@pytest.mark.parametrize("path", [PATH, "/v1/estimates"])
def test_fields_by_the_hundred_thousand_are_counted_and_none_is_named(client: httpx.Client, path: str) -> None:
    body = b'{"rewards": [[1]], ' + b",".join(b'"%d": 1' % i for i in range(100_000)) + b"}"
    answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert_refused(answer, 422, "invalid-request")
    assert "100001 fields" in answer.json()["detail"]
    assert "errors" not in answer.json()  # as an object each would take a kilobyte


def test_more_weights_than_any_work_needs_are_refused(client: httpx.Client) -> None:
    answer = post(client, rewards=[[1, 0]], k={str(k): 1.0 for k in range(1, 4098)}, short="zero")
    assert_refused(answer, 422, "invalid-request")
    assert answer.json()["errors"] == [{"pointer": "/k", "code": "weights take at most 4096 k"}]


def test_mutated_bodies_are_answered_or_refused(client: httpx.Client) -> None:
    valid = json.dumps({"rewards": REWARDS, "k": {"1": 0.5, "2": 0.5}, "transform": "plugin", "short": "zero"}).encode()
    pieces = [
        b"",
        b"null",
        b"1e308",
        b"-",
        b'"',
        b"[",
        b"]",
        b"{}",
        b",",
        b"NaN",
        b"\xed\xa0\x80",
        b"0",
        b"true",
        b"\0",
    ]
    draw = random.Random(20251120)
    statuses = set()
    for _ in range(500):
        start = draw.randrange(len(valid))
        body = valid[:start] + draw.choice(pieces) + valid[start + draw.randrange(4) :]
        answer = post_text(client, body)
        statuses.add(answer.status_code)
        assert answer.status_code in (200, 422), (body, answer.text)
    assert statuses == {200, 422}


def test_options_in_the_query_of_a_json_body_are_refused_not_ignored(client: httpx.Client) -> None:
    answer = client.post(PATH, params={"transform": "sloo", "k": 1}, json={"rewards": REWARDS, "k": 2})
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == ["query/k", "query/transform"]
