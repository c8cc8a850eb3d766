"""A run's page over HTTP: the numbers are those that REST answers, checkpoint by checkpoint."""

from typing import Any

import httpx
import pytest

from dashboards.numerals import rate
from tests.app.evaluations import create_evaluation, queries_counted, record
from tests.app.test_page_answers import page
from tests.app.test_pages import addresses, table

RUN = "llama-pkpo"


def checkpoint(client: httpx.Client, step: int, passed: int, n: int = 10, **fields: Any) -> str:
    """The address of an evaluation of two problems, of n completions each: `passed` and one more of them passed."""
    evaluation = create_evaluation(client, **({"run": RUN, "step": step, "problem_set": "sums"} | fields))
    record(client, evaluation, {"a": [i < passed for i in range(n)], "b": [i <= passed for i in range(n)]})
    return f"/evaluations/{evaluation}"


def test_a_run_shows_each_checkpoint_with_the_numbers_of_rest(client: httpx.Client) -> None:
    evaluations = [checkpoint(client, step, passed) for step, passed in ((0, 1), (100, 3), (200, 6))]
    shown = page(client, f"/runs/{RUN}")
    assert f"{RUN} on sums@1 checkpoints 3" in shown.text
    rest = client.get(f"/v1/runs/{RUN}/curves?k=1&k=8&k=10").json()["checkpoints"]
    for each in rest:
        numbers = " ".join(f"{rate(p['value'])} [{rate(p['low'])}, {rate(p['high'])}]" for p in each["points"])
        assert f"step {each['step']} not recorded 10 2 {numbers}" in shown.text
    assert addresses(shown, "/evaluations/") == evaluations
    assert addresses(page(client, "/"), "/runs/") == [f"/runs/{RUN}"]


def test_an_evaluation_leads_to_its_run_and_to_the_steps_beside_it(client: httpx.Client) -> None:
    hot: dict[str, Any] = {"sampling": {"temperature": 1.0}}
    first, _, second, other = (
        checkpoint(client, 0, 1),
        checkpoint(client, 0, 1, **hot),
        checkpoint(client, 100, 2),
        checkpoint(client, 50, 2, problem_set="other"),
    )
    third = checkpoint(client, 200, 2, **hot)
    middle = page(client, second)
    assert addresses(middle, "/runs/") == [f"/runs/{RUN}"]
    assert addresses(middle, "/evaluations/")[:2] == [first, third], "the same sampling first, else what there is"
    assert "← step 0 step 200 →" in middle.text
    assert "→" not in page(client, third).text
    assert "←" not in page(client, other).text


def test_k_is_the_readers_and_a_checkpoint_with_too_few_completions_keeps_the_others_lines(
    client: httpx.Client,
) -> None:
    checkpoint(client, 0, 1, n=4)
    checkpoint(client, 100, 3)
    shown = page(client, f"/runs/{RUN}?k=2,+8")
    points = client.get(f"/v1/runs/{RUN}/curves?k=2").json()["checkpoints"]
    for each in points:
        assert any(str(each["points"][0]["value"]) in title for title in shown.values("title"))
    assert "pass@8 needs 8 completions per problem; the smallest has 4" in shown.values("title")
    rows = table(client, addresses(shown, f"/runs/{RUN}/curves.csv")[0])
    assert [(row["step"], row["k"]) for row in rows] == [("0", "2"), ("100", "2"), ("100", "8")]


def test_problem_sets_are_chosen_between(client: httpx.Client) -> None:
    checkpoint(client, 0, 1)
    checkpoint(client, 100, 1)
    checkpoint(client, 100, 1, problem_set="other")
    shown = page(client, f"/runs/{RUN}")
    assert "on sums@1" in shown.text
    (other,) = addresses(shown, f"/runs/{RUN}?problem_set=other")
    assert page(client, other).text.count("step 100") == 1
    assert "no problem set" in page(client, f"/runs/{RUN}?problem_set=third", 404).text
    checkpoint(client, 200, 1, problem_set="other@2")
    assert "several versions" in page(client, f"/runs/{RUN}?problem_set=other", 422).text


def test_a_checkpoint_without_a_number_says_why(client: httpx.Client) -> None:
    checkpoint(client, 0, 2)
    record(client, create_evaluation(client, run=RUN, step=1, problem_set="sums", n=10), {"a": [True, False]})
    record(client, create_evaluation(client, run=RUN, step=2, problem_set="sums"), {"a": [None], "b": [None]})
    both = create_evaluation(client, run=RUN, step=3, problem_set="sums")
    for verifier in ("base", "plus"):
        record(client, both, {"a": [True], "b": [False]}, verifier)
    shown = page(client, f"/runs/{RUN}")
    for words in (
        "step 1 not recorded 18 of 20 completions missing",
        "step 2 not recorded 2 completions, no verdict yet",
        "step 3 not recorded 2 verifiers: choose one",
    ):
        assert words in shown.text
    plus = page(client, addresses(shown, f"/runs/{RUN}?verifier=plus")[0])
    assert "step 0 not recorded not graded by this verifier" in plus.text
    assert "step 3 not recorded 1 2 0.500" in plus.text
    assert "step 1 not recorded 10 2 0.050" in page(client, f"/runs/{RUN}?missing=fail").text


def test_checkpoints_are_paged(client: httpx.Client) -> None:
    for step in range(101):
        create_evaluation(client, run=RUN, step=step, problem_set="sums")
    first = page(client, f"/runs/{RUN}?k=2")
    assert ("step 99 " in first.text, "step 100 " in first.text) == (True, False)
    (following,) = addresses(first, f"/runs/{RUN}?k=2&cursor=")
    last = page(client, following)
    assert ("step 99 " in last.text, "step 100 " in last.text) == (False, True)
    rows = table(client, addresses(last, f"/runs/{RUN}/curves.csv")[0])
    assert [row["step"] for row in rows] == ["100"], "the file has what the page shows"


def test_the_file_has_every_point_and_why_there_is_none(client: httpx.Client) -> None:
    address = checkpoint(client, 7, 3, sampling={"temperature": 0.8})
    create_evaluation(client, run=RUN, step=8, problem_set="sums")
    *points, last = table(client, f"/runs/{RUN}/curves.csv")
    for row, point in zip(points, client.get(f"/v1{address}/curve").json()["points"], strict=True):
        assert {name: float(row[name]) for name in point} == point
        assert (row["step"], row["n_min"], row["problems_used"], row["verifier"]) == ("7", "10", "2", "exact-match@1")
        assert (row["evaluation"], row["sampling"]) == (address.rpartition("/")[2], '{"temperature":0.8}')
    assert (last["step"], last["value"], last["refused"]) == ("8", "", "no-verdict")


def test_rewards_are_shown_as_max_at_k(client: httpx.Client) -> None:
    record(client, create_evaluation(client, run=RUN, step=5), {"a": [0.5, 2.0], "b": [1.0, 3.0]})
    shown = page(client, f"/runs/{RUN}")
    assert "max@k over steps" in shown.text
    assert "max@1 1.625" in shown.text


def test_a_run_without_an_evaluation_and_one_that_is_not_there(client: httpx.Client) -> None:
    assert "This project has no run of this name." in page(client, "/runs/nobody", 404).text
    assert client.get("/runs/a%20b").status_code == 422


@pytest.mark.parametrize("query", ["k=0", "k=1,2,3,4,5,6,7", "missing=perhaps", "cursor=abc", "verifier=a b"])
def test_a_query_that_means_nothing_is_refused_in_words(client: httpx.Client, query: str) -> None:
    checkpoint(client, 0, 1)
    assert f"query/{query.partition('=')[0]}" in page(client, f"/runs/{RUN}?{query}", 422).text


def test_a_page_asks_the_database_a_fixed_number_of_times(client: httpx.Client) -> None:
    with queries_counted(client) as queries_of:
        checkpoint(client, 0, 1)
        few = queries_of(f"/runs/{RUN}?k=1,2,3")
        for step in range(1, 12):
            checkpoint(client, step, 1)
        assert queries_of(f"/runs/{RUN}?k=1,2,3") == few <= 16
