"""A problem's page over HTTP: every completion with its text and its verdicts."""

import re
from typing import Any

import httpx
import pytest

from tests.app.evaluations import create_evaluation, record
from tests.app.test_page_answers import page
from tests.app.test_pages import addresses

NAME = "sum/1 <b>&?#%"


def problem(client: httpx.Client, query: dict[str, Any] | None = None, **fields: Any) -> str:
    """The address of the page of a problem with four completions, of which the indexes 0 and 3 passed."""
    evaluation = create_evaluation(client, run="llama-pkpo", n=4, **fields)
    record(client, evaluation, {NAME: [True, False, "timeout", True], "other": [False] * 4})
    return f"/evaluations/{evaluation}/problem?{httpx.QueryParams({'problem': NAME} | (query or {}))}"


def marks(client: httpx.Client, address: str) -> list[str]:
    return [each for each in page(client, address).values("title") if re.match(r"\d+: ", each)]


def test_the_problem_table_leads_to_each_problem(client: httpx.Client) -> None:
    address = problem(client)
    evaluation = address.partition("/problem?")[0]
    (found, _) = addresses(page(client, evaluation), f"{evaluation}/problem?")[:2][::-1]
    shown = page(client, found)
    assert f"{NAME} llama-pkpo · step 0 on" in shown.text
    assert "n, completions with a result 4 c, passed 2 pass@1 0.500 pass@2 0.833 pass@4 1.000" in shown.text
    assert f"{NAME} 0" in shown.text, "the text of the first completion"
    assert {evaluation, "/runs/llama-pkpo"} <= set(shown.values("href"))


def test_the_index_in_the_address_is_the_completion_shown(client: httpx.Client) -> None:
    address = problem(client)
    shown = page(client, f"{address}&index=2")
    assert "Completion 2" in shown.text
    assert f"{NAME} 2 exact-match@1 timeout reward 0.0" in shown.text
    assert marks(client, address) == ["0: passed", "1: failed", "2: timeout", "3: passed"]
    assert "no completion of this index" in page(client, f"{address}&index=4", 404).text


def test_indexes_may_have_gaps(client: httpx.Client) -> None:
    evaluation = create_evaluation(client)
    rows = [{"problem": "p", "sample_index": i, "text": f"text {i}"} for i in (5, 9)]
    client.post(f"/v1/evaluations/{evaluation}/completions", json={"completions": rows}).raise_for_status()
    shown = page(client, f"/evaluations/{evaluation}/problem?problem=p")
    assert "Completion 5" in shown.text
    assert "text 5" in shown.text
    assert addresses(shown, f"/evaluations/{evaluation}/problem?problem=p&index=9")
    assert "No verifier has looked at it." in shown.text


def test_a_long_strip_shows_what_is_about_the_completion(client: httpx.Client) -> None:
    evaluation = create_evaluation(client)
    record(client, evaluation, {"p": [True] * 1000})
    address = f"/evaluations/{evaluation}/problem?problem=p"
    assert [int(each.partition(":")[0]) for each in marks(client, f"{address}&index=500")] == [*range(300, 701)]
    first = page(client, address).values("title")
    assert ("earlier completions" in first, "later completions" in first) == (False, True)
    last = page(client, f"{address}&index=999").values("title")
    assert ("earlier completions" in last, "later completions" in last) == (True, False)


def test_each_verifier_has_its_own_strip_and_all_their_verdicts_are_shown(client: httpx.Client) -> None:
    evaluation = create_evaluation(client)
    record(client, evaluation, {"p": [True, True]}, "base")
    record(client, evaluation, {"p": [True, False]}, "plus")
    address = f"/evaluations/{evaluation}/problem?problem=p"
    assert marks(client, address) == ["0: no verdict", "1: no verdict"]
    assert marks(client, f"{address}&verifier=plus") == ["0: passed", "1: failed"]
    text = page(client, f"{address}&verifier=plus&index=1").text
    assert "base@1 passed reward 1.0" in text
    assert "plus@1 failed reward 0.0" in text


def test_rewards_alone_are_marked_with_their_value(client: httpx.Client) -> None:
    evaluation = create_evaluation(client)
    record(client, evaluation, {"p": [0.5, -2.0]})
    address = f"/evaluations/{evaluation}/problem?problem=p"
    assert marks(client, address) == ["0: reward 0.5", "1: reward -2.0"]
    assert "max@2 0.5000" in page(client, address).text


def test_a_problem_without_completions_says_so(client: httpx.Client) -> None:
    create_evaluation(client, problem_set="sums")
    record(client, create_evaluation(client, problem_set="sums"), {"p": [True]})
    bare = create_evaluation(client, problem_set="sums", run="bare")
    assert "no completions here" in page(client, f"/evaluations/{bare}/problem?problem=p").text


@pytest.mark.parametrize(
    ("query", "status"), [("", 422), ("problem=nobody", 404), ("problem=p&index=-1", 422), ("problem=%00", 422)]
)
def test_what_is_not_there_is_refused_in_words(client: httpx.Client, query: str, status: int) -> None:
    evaluation = create_evaluation(client)
    record(client, evaluation, {"p": [True]})
    assert page(client, f"/evaluations/{evaluation}/problem?{query}", status).text
