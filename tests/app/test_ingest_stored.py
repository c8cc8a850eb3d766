"""What has been recorded, read back: totals of an evaluation, and its completions page by page."""

from typing import Any

import httpx
import pytest

from tests.app.evaluations import every_page
from tests.app.ingesting import (
    assert_refused,
    completion,
    evaluation,
    exact,
    pointers,
    post_completions,
    post_verifications,
)

# n=4, c=3 on sample_0, n=3 of 4, c=0 on sample_1, whose last completion was not graded.
GRADED = [
    completion("sample_0", index, seed=index, verifications=[exact(passed=index != 2, detail={"seconds": 0.25})])
    for index in range(4)
] + [completion("sample_1", index, verifications=[exact(passed=False)] * (index < 3)) for index in range(4)]


@pytest.fixture
def path(client: httpx.Client) -> str:
    created = evaluation(client, n=4)
    post_completions(client, created, *reversed(GRADED)).raise_for_status()
    judged = [{"problem": "sample_0", "sample_index": index, "verifier": "judge@2"} for index in range(2)]
    post_verifications(client, created, judged[0] | {"reward": 0.5}, judged[1] | {"status": "infrastructure_error"})
    return created


def listed(client: httpx.Client, path: str, **query: Any) -> list[dict[str, Any]]:
    """The completions on all pages."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.get(f"{path}/completions", params=query | cursor).raise_for_status().json()
        found += page["completions"]
        if page["next_cursor"] is None:
            return found
        assert len(page["completions"]) == query["limit"]
        cursor = {"cursor": page["next_cursor"]}


def test_an_evaluation_is_summed_up_by_verifier(client: httpx.Client, path: str) -> None:
    described = client.get(path).json()
    assert described.items() >= {"run": "codellama-7b", "n": 4, "problems": 2, "completions": 8}.items()
    assert described["verifiers"] == [
        {"verifier": "exact-match@1", "options": {}, "n": 7, "c": 3, "rewards": 7, "infrastructure_errors": 0},
        {"verifier": "judge@2", "options": {}, "n": 0, "c": 0, "rewards": 1, "infrastructure_errors": 1},
    ]


def test_an_evaluation_without_completions_sums_up_to_nothing(client: httpx.Client) -> None:
    described = client.get(evaluation(client)).json()
    assert described.items() >= {"problems": 0, "completions": 0, "verifiers": []}.items()


@pytest.mark.parametrize("limit", [1, 3, 8, 1000])
def test_every_completion_is_on_one_page(client: httpx.Client, path: str, limit: int) -> None:
    found = listed(client, path, limit=limit)
    # Problems stand in the order in which they were first recorded, by name within a request.
    assert [(each["problem"], each["sample_index"], each["text"]) for each in found] == [
        (each["problem"], each["sample_index"], each["text"]) for each in GRADED
    ]


def test_a_completion_comes_back_with_all_verdicts_on_it(client: httpx.Client, path: str) -> None:
    found = listed(client, path, problem="sample_0", limit=2)
    assert [each["seed"] for each in found] == [0, 1, 2, 3]
    assert found[0]["verifications"] == [
        {
            "verifier": "exact-match@1",
            "reward": 1.0,
            "passed": True,
            "status": "passed",
            "answer": None,
            "detail": {"seconds": 0.25},
        },
        {
            "verifier": "judge@2",
            "reward": 0.5,
            "passed": None,
            "status": "scored",
            "answer": None,
            "detail": None,
        },
    ]
    assert [verdict["status"] for each in found[1:] for verdict in each["verifications"]] == [
        "passed",
        "infrastructure_error",
        "failed",
        "passed",
    ]
    assert listed(client, path, problem="sample_1", limit=1000)[3]["verifications"] == []


def test_a_page_ends_before_its_texts_are_more_than_a_request_may_hold(client: httpx.Client) -> None:
    path = evaluation(client)
    # Three bytes a character. The first would fit with all that follow but one; the fifth fits with none.
    sizes = [9, 8, 1, 8, 25, 1, 0]
    for index, mebibytes in enumerate(sizes):
        text = "€" * (mebibytes * 1024 * 1024 // 3 - (mebibytes == 25) * 100)
        post_completions(client, path, completion("sample_0", index, text=text)).raise_for_status()
    pages = list(every_page(client, f"{path}/completions", limit=1000))
    found = [[each["sample_index"] for each in page["completions"]] for page in pages]
    assert found == [[0, 1, 2], [3], [4], [5, 6]]
    texts = [each["text"] for page in pages for each in page["completions"]]
    assert [len(text) // (1024 * 1024 // 3) for text in texts] == [9, 8, 1, 8, 24, 1, 0]


def test_a_problem_that_the_set_does_not_have_is_not_found(client: httpx.Client, path: str) -> None:
    assert_refused(client.get(f"{path}/completions", params={"problem": "sample_9"}), 404, "not-found")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "9" * 5000),
        ("limit", "1.0"),
        ("cursor", "x"),
        ("cursor", "W10"),
        ("cursor", "WyJhIiwwXQ"),
        ("cursor", "Wy05OTk5OTk5OTk5OTk5OTk5OTk5OSwwXQ"),
        ("problem", ""),
        ("problem", "a\0b"),
        ("offset", "1"),
    ],
)
def test_a_page_that_is_none_is_refused(client: httpx.Client, path: str, name: str, value: str) -> None:
    answer = client.get(f"{path}/completions", params={name: value})
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == [f"query/{name}" if name != "offset" else "query"]
    assert len(answer.text) < 1000, "a value was echoed"
