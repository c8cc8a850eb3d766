"""Completions as NDJSON: the same rows under the same rules as the JSON's list."""

import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from tests.app.ingesting import JSON_LINES, assert_refused, completion, evaluation, exact, pointers, post_completions

ROWS = [completion(f"sample_{i}", i, verifications=[exact(passed=i % 2 == 0)]) for i in range(4)]


@pytest.fixture
def path(shared_client: httpx.Client, request: pytest.FixtureRequest) -> str:
    return evaluation(shared_client, run=f"lines-{request.node.originalname}")


def line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode()


def post(client: httpx.Client, path: str, body: bytes) -> httpx.Response:
    return client.post(f"{path}/completions", content=body, headers=JSON_LINES)


def test_lines_are_the_rows_of_the_json(shared_client: httpx.Client, path: str) -> None:
    answer = post(shared_client, path, b"\n".join(map(line, ROWS)))
    assert answer.raise_for_status().json() == {"accepted": 4, "replayed": 0}
    assert post_completions(shared_client, path, *ROWS).json() == {"accepted": 0, "replayed": 4}


@pytest.mark.parametrize("body", [b"", b"\n", b" \t\r\n\n"])
def test_no_rows_are_no_rows(shared_client: httpx.Client, path: str, body: bytes) -> None:
    assert post(shared_client, path, body).raise_for_status().json() == {"accepted": 0, "replayed": 0}


def test_blank_lines_and_carriage_returns_are_between_rows(shared_client: httpx.Client, path: str) -> None:
    body = b"\r\n\r\n \n" + b"\r\n\n".join(map(line, ROWS)) + b"\r\n"
    assert post(shared_client, path, body).raise_for_status().json() == {"accepted": 4, "replayed": 0}


def test_only_a_line_feed_ends_a_line(shared_client: httpx.Client, path: str) -> None:
    text = "one\u2028two\u2029three\x85four\u001efive"  # what str.splitlines() would cut
    body = line(completion(text=text)).replace(b"\\u001e", "\u001e".encode())
    assert_refused(post(shared_client, path, body), 422, "invalid-request")  # a control character, unescaped
    assert post(shared_client, path, line(completion(text=text))).raise_for_status().json()["accepted"] == 1
    assert shared_client.get(f"{path}/completions").json()["completions"][0]["text"] == text


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"problem": "p"', "at line 4, column 16"),
        (b'{"problem": "p", "sample_index": 0} {}', "at line 4, column 37"),
        (b'{"problem": "p", "sample_index": 0}, {}', "at line 4, column 36"),
        (b'\xef\xbb\xbf{"problem": "p", "sample_index": 0}', "at line 4, column 1"),
        (b'{"problem": "p", "problem": "p"}', "same key twice"),
        (b"[" * 100_000, "too deeply"),
        (b"9" * 5000, "more than 4300 digits"),
    ],
)
def test_a_line_that_is_not_json_is_named(shared_client: httpx.Client, path: str, bad: bytes, reason: str) -> None:
    answer = post(shared_client, path, line(ROWS[0]) + b"\n\n" + line(ROWS[1]) + b"\n" + bad + b"\n" + line(ROWS[2]))
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == ["/completions/2"]
    assert reason in answer.json()["detail"]
    assert shared_client.get(path).json()["completions"] == 0


def test_bytes_that_are_no_text_are_refused(shared_client: httpx.Client, path: str) -> None:
    answer = post(shared_client, path, line(ROWS[0]) + b"\n\xff")
    assert_refused(answer, 422, "invalid-request")
    assert f"from byte {len(line(ROWS[0])) + 1} on" in answer.json()["detail"]


def test_a_contradiction_and_a_conflict_point_at_lines(shared_client: httpx.Client, path: str) -> None:
    again = ROWS[0] | {"text": "another"}
    answer = post(shared_client, path, line(ROWS[0]) + b"\n\n" + line(again))
    assert (answer.status_code, pointers(answer)) == (422, ["/completions/1"])
    post(shared_client, path, line(ROWS[0])).raise_for_status()
    answer = post(shared_client, path, b"\n" + line(ROWS[1]) + b"\n" + line(again))
    assert (answer.status_code, pointers(answer)) == (409, ["/completions/1"])


def test_rows_are_bounded_as_in_json_and_lines_at_twice_as_many(shared_client: httpx.Client, path: str) -> None:
    most = b"\n\n".join(line(completion(sample_index=i)) for i in range(10_000))
    assert post(shared_client, path, most).raise_for_status().json()["accepted"] == 10_000
    answer = post(shared_client, path, most + b"\n" + line(completion(sample_index=10_000)))
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == ["/completions"]
    assert_refused(post(shared_client, path, b"\n" * 20 * 2**20), 422, "invalid-request")
