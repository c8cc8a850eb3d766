"""The playground over HTTP: its credits are those of POST /v1/transforms."""

from math import isnan
from typing import Any

import httpx
import pytest

from dashboards.numerals import reward
from tests.app.test_page_answers import page
from tests.app.test_pages import table

REWARDS = [[1.0, 0.0, 0.5, 0.0], [0.25, None, 1.0]]


def address(**typed: Any) -> str:
    return f"/transform?{httpx.QueryParams(typed)}"


@pytest.mark.parametrize("transform", ["s", "sloo", "sloo_minus_one", "centered", "plugin", "mixed(-0.5)"])
@pytest.mark.parametrize("scale", ["sum", "mean", "rms"])
def test_the_credits_are_those_of_rest(shared_client: httpx.Client, transform: str, scale: str) -> None:
    body = {"rewards": [[3.0, 0.0, 0.5, -1.0]], "k": 2, "transform": transform, "scale": scale}
    credits = shared_client.post("/v1/transforms", json=body).json()["credits"][0]
    text = page(shared_client, address(rewards="3 0 .5 -1", k=2, transform=transform, scale=scale)).text
    rewards = zip(("3.000", "0.000", "0.5000", "−1.000"), credits, strict=True)
    assert " ".join(f"{i} {g} {reward(each)}" for i, (g, each) in enumerate(rewards)) in text


def test_lam_has_a_field_of_its_own(shared_client: httpx.Client) -> None:
    typed = {"rewards": "3 0 .5 -1", "k": 2, "transform": "mixed", "lam": "0.75"}
    shown = page(shared_client, address(**typed))
    as_rest_names_it = page(shared_client, address(**(typed | {"transform": "mixed(0.75)", "lam": "7"})))
    assert shown.text == as_rest_names_it.text
    rows = table(shared_client, address(**(typed | {"lam": " 0.75 "})).replace("?", "/credits.csv?"))
    assert {row["transform"] for row in rows} == {"mixed(0.75)"}
    body = {"rewards": [[3, 0, 0.5, -1]], "k": 2, "transform": "mixed(0.75)"}
    credits = shared_client.post("/v1/transforms", json=body).json()["credits"][0]
    assert [float(row["credit"]) for row in rows] == credits


@pytest.mark.parametrize("lam", ["x", "nan", "1e999", "1_0", "٣", "0.5)"])
def test_a_lam_that_is_no_number_is_said_beside_its_field(shared_client: httpx.Client, lam: str) -> None:
    shown = page(shared_client, address(rewards="1 0 0", transform="mixed", lam=lam), 422)
    assert "λ is a finite number, such as 0.25." in shown.text
    assert "lam-error" in shown.values("aria-describedby")


def test_lam_is_not_looked_at_where_another_transform_is_chosen(shared_client: httpx.Client) -> None:
    assert "1 problem, n = 3" in page(shared_client, address(rewards="1 0 0", transform="sloo", lam="x")).text


@pytest.mark.parametrize(
    "typed",
    [
        "1 0 0.5 0\n0.25 - 1",
        "1,0,.5,0\r\n\r\n0.25, null, 1.",
        "[1, 0, 0.5, 0]\n[0.25, null, 1]",
        "[[1, 0, 5e-1, 0],\n [0.25, null, 1]]",
        "true false 0.5;false\n\t0.25 NULL +1e0\n",
    ],
)
def test_rewards_are_read_as_people_write_them(shared_client: httpx.Client, typed: str) -> None:
    rest = shared_client.post("/v1/transforms", json={"rewards": REWARDS, "k": 2}).json()
    rows = table(shared_client, address(rewards=typed, k=2).replace("/transform", "/transform/credits.csv"))
    read = [[None if row["reward"] == "" else float(row["reward"]) for row in rows if row["group"] == i] for i in "01"]
    assert read == REWARDS
    credits = [
        [None if row["credit"] == "" else float(row["credit"]) for row in rows if row["group"] == i] for i in "01"
    ]
    assert credits == rest["credits"]
    assert [float(rows[i]["max_at_k"]) for i in (0, -1)] == rest["max_at_k"]


def test_one_json_list_is_one_group(shared_client: httpx.Client) -> None:
    assert "1 problem, n = 4" in page(shared_client, address(rewards="[1,\n0,\n0,\n1]")).text


def test_without_anything_typed_an_example_is_shown(shared_client: httpx.Client) -> None:
    text = page(shared_client, "/transform?rewards=&k=").text
    assert "2 problems, n = 4–5" in text
    assert "Drawn for the largest group." in text


@pytest.mark.parametrize(
    ("rewards", "k", "words"),
    [
        ("1 x", "1", "Line 1, entry 2: a reward is a finite number"),
        ("1 0\n1 1e999", "1", "Line 2, entry 2: a reward is a finite number"),
        ("1 nan", "1", "Line 1, entry 2: a reward is a finite number"),
        ("[1, 0", "1", "Line 1 begins as a JSON list and is none."),
        ('[[1, "0"]]', "1", "See group 0 completion 1."),
        ("[[1, 0], 2]", "1", "Each group must be a list of rewards. See group 1."),
        ("[[[1]]]", "1", "See group 0 completion 0."),
        ("[" * 5000, "1", "begins as a JSON list and is none."),
        (" \n ", "1", "There are no rewards yet"),
        ("[]", "1", "group"),
        ("1 " * 2001, "1", "There are 2,001 rewards; this page takes 2,000."),
        ("1 0", "0", "k is a whole number from 1 to 2,000."),
        ("1 0", "1.5", "k is a whole number from 1 to 2,000."),
        ("1 0", "٣", "k is a whole number from 1 to 2,000."),
        (
            "1 0 0\n1 0\n1 -",
            "3",
            "sloo_minus_one at k = 3 needs 3 rewards in each group. 2 of 3 groups have fewer, group 1 for one: 2.",
        ),
        ("- -", "1", "needs 2 rewards in each group. 1 of 1 groups have fewer, group 0 for one: 0."),
        ("1e308 -1e308", "1", "exceed the range of float64"),
    ],
)
def test_what_is_wrong_is_said_beside_the_form_which_keeps_what_was_typed(
    shared_client: httpx.Client, rewards: str, k: str, words: str
) -> None:
    shown = page(shared_client, address(rewards=rewards, k=k, scale="mean"), 422)
    assert words in shown.text
    assert "aria-invalid" in str(shown.elements)
    answer = shared_client.get(address(rewards=rewards, k=k, scale="mean").replace("?", "/credits.csv?"))
    assert (answer.status_code, answer.json()["type"]) == (422, "invalid-request")


def test_an_address_has_a_bound(shared_client: httpx.Client) -> None:
    assert "query/rewards" in page(shared_client, address(rewards="1" * 12_001), 422).text


def test_credits_of_every_length_that_is_typed_are_finite(shared_client: httpx.Client) -> None:
    typed = " ".join("01"[i % 3 == 0] for i in range(2000))
    rows = table(shared_client, address(rewards=typed, k=1000).replace("?", "/credits.csv?"))
    assert len(rows) == 2000
    assert not any(isnan(float(row["credit"])) for row in rows)
