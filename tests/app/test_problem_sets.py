"""Problem sets: made, closed, filled, and read back by pages."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from app.ingest.canonical import MOST_BYTES, MOST_BYTES_OF_TESTS
from tests.app.evaluations import every_page
from tests.app.ingesting import JSON, assert_refused, completion, evaluation, pointers, post_completions

SET = "/v1/problem-sets/cruxeval-output"
FIRST = {
    "problem": "sample_0",
    "prompt": "assert f([1, 1, 3, 1, 3, 1]) ==",
    "answer": "[(4, 1), (2, 3)]",
    "tests": [{"input": "1 1", "output": "2", "weight": 0.5}, 1e16, None],
    "metadata": {"source": "cruxeval", "lines": 7},
}


def put(client: httpx.Client, path: str = SET, **fields: Any) -> httpx.Response:
    return client.put(path, json=fields)


def post(client: httpx.Client, *problems: dict[str, Any]) -> httpx.Response:
    return client.post(f"{SET}/problems", json={"problems": problems})


def listed(client: httpx.Client) -> list[Any]:
    problems: list[Any] = client.get(f"{SET}/problems").raise_for_status().json()["problems"]
    return problems


def bare(name: str) -> dict[str, Any]:
    return {"problem": name, "prompt": None, "answer": None, "tests": None, "metadata": {}}


def test_a_set_is_made_open_and_closed(client: httpx.Client) -> None:
    made = put(client)
    assert made.status_code == 201
    assert made.json() == made.json() | {"problem_set": "cruxeval-output@1", "closed": False, "problems": 0}
    post(client, FIRST).raise_for_status()
    closed = put(client, closed=True)
    assert closed.status_code == 200
    assert closed.json() == made.json() | {"closed": True, "problems": 1}
    assert put(client).json() == closed.json()  # what is left out stays
    assert put(client, closed=False).json() == closed.json() | {"closed": False}


def test_sets_are_listed_and_read_one_by_one(client: httpx.Client) -> None:
    names = ["a@1", "a@10", "a@2", "b.c@1"]
    for name in reversed(names):
        put(client, f"/v1/problem-sets/{name}", closed=name == "a@2").raise_for_status()
    client.post("/v1/problem-sets/b.c/problems", json={"problems": [FIRST]}).raise_for_status()
    pages = list(every_page(client, "/v1/problem-sets", limit=2))
    assert [len(page["problem_sets"]) for page in pages] == [2, 2]
    found = [each for page in pages for each in page["problem_sets"]]
    assert [(each["problem_set"], each["closed"], each["problems"]) for each in found] == [
        (name, name == "a@2", int(name == "b.c@1")) for name in names
    ]
    assert client.get("/v1/problem-sets/b.c").raise_for_status().json() == found[-1]
    assert client.get("/v1/problem-sets/a@2").raise_for_status().json() == found[2]
    assert_refused(client.get("/v1/problem-sets/a"), 422, "ambiguous-problem-set")
    assert_refused(client.get("/v1/problem-sets/nobodys"), 404, "not-found")
    assert_refused(client.get("/v1/problem-sets?cursor=W10"), 422, "invalid-request")


def test_a_bare_name_is_the_only_version(client: httpx.Client) -> None:
    assert put(client, f"{SET}@2").json()["problem_set"] == "cruxeval-output@2"
    assert put(client).json()["problem_set"] == "cruxeval-output@2"
    assert put(client, f"{SET}@3").status_code == 201
    assert_refused(put(client), 422, "ambiguous-problem-set")
    assert_refused(post(client, FIRST), 422, "ambiguous-problem-set")


def test_a_set_that_is_not_there_takes_no_problems(client: httpx.Client) -> None:
    assert_refused(post(client, FIRST), 404, "not-found")
    assert_refused(client.get(f"{SET}/problems"), 404, "not-found")


def test_problems_are_stored_once_and_read_back(client: httpx.Client) -> None:
    put(client)
    second = {"problem": "sample_1", "prompt": "naïve \U0001f600\n"}
    assert post(client, second, FIRST).raise_for_status().json() == {"accepted": 2, "replayed": 0}
    assert listed(client) == [FIRST, bare("sample_1") | second]
    assert post(client, FIRST, second, FIRST).json() == {"accepted": 0, "replayed": 3}
    assert listed(client) == [FIRST, bare("sample_1") | second]


def test_a_problem_known_by_name_takes_what_is_sent(client: httpx.Client) -> None:
    post_completions(client, evaluation(client), completion()).raise_for_status()
    assert listed(client) == [bare("sample_0")]
    prompt = {key: FIRST[key] for key in ("problem", "prompt")}
    assert post(client, prompt).json() == {"accepted": 1, "replayed": 0}
    assert post(client, {"problem": "sample_0", "metadata": {}, "answer": None}).json() == {
        "accepted": 0,
        "replayed": 1,
    }
    put(client, closed=True).raise_for_status()  # nothing is added to the set
    assert post(client, FIRST).json() == {"accepted": 1, "replayed": 0}
    assert listed(client) == [FIRST]


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("prompt", "assert f([1]) =="),
        ("answer", "[]"),
        ("tests", [{"input": "1 1", "output": "2", "weight": 0.25}, 1e16, None]),
        ("metadata", {"source": "cruxeval"}),
    ],
)
def test_what_is_stored_of_a_problem_is_never_changed(client: httpx.Client, field: str, other: Any) -> None:
    put(client)
    post(client, FIRST).raise_for_status()
    answer = post(client, {"problem": "sample_1"}, {"problem": "sample_0", field: other})
    assert_refused(answer, 409, "problems-conflict")
    assert pointers(answer) == [f"/problems/1/{field}"]
    assert listed(client) == [FIRST]


def test_one_request_says_one_thing_of_a_problem(client: httpx.Client) -> None:
    put(client)
    answer = post(client, FIRST, FIRST | {"answer": "[]"})
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == ["/problems/1"]
    assert listed(client) == []


def test_a_closed_set_takes_no_new_problem(client: httpx.Client) -> None:
    put(client, closed=True)
    answer = post(client, FIRST)
    assert_refused(answer, 422, "problem-set-closed")
    assert pointers(answer) == ["/problems/0/problem"]
    refused = post_completions(client, evaluation(client), completion())
    assert_refused(refused, 422, "problem-set-closed")
    put(client, closed=False)
    post(client, FIRST).raise_for_status()


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"problem": ""}, "/problems/0/problem"),
        ({"prompt": "a\0"}, "/problems/0/prompt"),
        ({"prompt": 1}, "/problems/0/prompt"),
        ({"tests": ["\ud800"]}, "/problems/0/tests"),
        ({"tests": {"a\0": 1}}, "/problems/0/tests"),
        ({"tests": 10**400}, "/problems/0/tests"),
        ({"tests": float("nan")}, "/problems/0/tests"),
        ({"tests": "a" * MOST_BYTES_OF_TESTS}, "/problems/0/tests"),
        ({"tests": [0] * (MOST_BYTES_OF_TESTS + 1)}, "/problems/0/tests"),
        ({"metadata": {"a": "b" * MOST_BYTES}}, "/problems/0/metadata"),
        ({"metadata": []}, "/problems/0/metadata"),
        ({"difficulty": 1}, "/problems/0"),
    ],
)
def test_a_problem_that_breaks_a_rule_is_refused(client: httpx.Client, fields: dict[str, Any], pointer: str) -> None:
    put(client)
    body = json.dumps({"problems": [{"problem": "sample_0"} | fields]})
    answer = client.post(f"{SET}/problems", content=body, headers=JSON)
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == [pointer]
    assert listed(client) == []


def test_pages_join_up(client: httpx.Client) -> None:
    put(client)
    names = [f"sample_{i}" for i in range(5)]
    post(client, *({"problem": name} for name in reversed(names))).raise_for_status()
    pages = list(every_page(client, f"{SET}/problems", limit=2))
    assert [[each["problem"] for each in page["problems"]] for page in pages] == [names[:2], names[2:4], names[4:]]


def test_the_same_problems_sent_at_once_are_stored_once(client: httpx.Client) -> None:
    put(client)
    problems = [{"problem": f"sample_{i}", "prompt": f"assert f({i}) =="} for i in range(50)]
    ready = threading.Barrier(8)

    def send(number: int) -> dict[str, int]:
        ready.wait()
        answer: dict[str, int] = post(client, *problems[:: (-1) ** number]).raise_for_status().json()
        return answer

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(send, range(8)))
    assert sum(answer["accepted"] for answer in answers) == 50
    assert all(sum(answer.values()) == 50 for answer in answers)
    assert len(listed(client)) == 50


def test_a_request_sent_again_under_its_key_is_answered_as_it_was(client: httpx.Client) -> None:
    put(client)
    headers = {"Idempotency-Key": "problems"}
    first, again = (client.post(f"{SET}/problems", json={"problems": [FIRST]}, headers=headers) for _ in range(2))
    assert first.raise_for_status().content == again.content
    assert again.headers["idempotent-replayed"] == "true"
