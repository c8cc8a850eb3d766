"""Completions as Parquet: the rows of the JSON under its rules, and bytes that would harm whoever decodes them."""

import io
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy.orm import Session

from app.body import PARQUET
from app.ingest.parquet_process import Decoder
from app.ingest.schemas import MOST_ROWS, MOST_VERDICTS_OF_A_REQUEST
from tests.app.ingesting import (
    assert_refused,
    completion,
    evaluation,
    exact,
    pointers,
    post_completions,
    row_counts,
    statistics,
)

HEADERS = {"Content-Type": PARQUET}
SAID: list[dict[str, Any]] = [
    {"passed": True},
    {"reward": 0.5},
    {"status": "timeout"},
    {"passed": False, "answer": "4"},
]
ROWS = [
    completion(
        f"sample_{i % 3}",
        i // 3,
        finish_reason=("stop", None)[i % 2],
        seed=2**62 + i,
        logprob=-1.5 * i,
        completion_tokens=i,
        verifications=[exact(**SAID[i % 4]), {"verifier": "length@2", "reward": float(i)}],
    )
    for i in range(12)
]


@pytest.fixture
def path(shared_client: httpx.Client, request: pytest.FixtureRequest) -> str:
    name = request.node.originalname
    return evaluation(shared_client, run=f"parquet-{name}", sampling={"case": request.node.name})


def parquet(table: pa.Table, **how: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **how)
    return file.getvalue()


def of_rows(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return parquet(pa.Table.from_pylist([dict(row) for row in rows]))


def of_columns(**columns: Any) -> bytes:
    return parquet(pa.table({"problem": ["p", "p"], "sample_index": [0, 1]} | columns))


def post(client: httpx.Client, path: str, body: bytes, **headers: str) -> httpx.Response:
    return client.post(f"{path}/completions", content=body, headers=HEADERS | headers)


def stored(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    """The completions of an evaluation, but for the time at which each came."""
    found = client.get(f"{path}/completions", params={"limit": 500}).raise_for_status().json()["completions"]
    return [{name: value for name, value in each.items() if name != "created_at"} for each in found]


def test_the_same_rows_in_every_form_are_stored_alike(shared_client: httpx.Client, path: str) -> None:
    as_json = evaluation(shared_client, run="parquet-as-json")
    post_completions(shared_client, as_json, *ROWS).raise_for_status()
    assert post(shared_client, path, of_rows(ROWS)).raise_for_status().json() == {"accepted": 12, "replayed": 0}
    assert stored(shared_client, path) == stored(shared_client, as_json)
    assert len(stored(shared_client, path)) == 12


def test_a_replay_in_another_form_is_one(shared_client: httpx.Client, path: str) -> None:
    post(shared_client, path, of_rows(ROWS)).raise_for_status()
    assert post_completions(shared_client, path, *ROWS).json() == {"accepted": 0, "replayed": 12}
    assert post(shared_client, path, of_rows(ROWS)).json() == {"accepted": 0, "replayed": 12}
    other = of_rows([*ROWS[:2], ROWS[2] | {"text": "other"}])
    answer = post(shared_client, path, other)
    assert_refused(answer, 409, "completions-conflict")
    assert pointers(answer) == ["/completions/2"]


def test_a_verdict_a_row_may_stand_in_columns_of_its_own(shared_client: httpx.Client, path: str) -> None:
    body = of_columns(
        text=["a", None], verifier=["exact-match", "exact-match"], passed=[True, None], answer=["4", None]
    )
    assert post(shared_client, path, body).raise_for_status().json() == {"accepted": 2, "replayed": 0}
    first, second = stored(shared_client, path)
    assert [(each["passed"], each["reward"], each["answer"]) for each in first["verifications"]] == [(True, 1.0, "4")]
    assert (second["text"], second["verifications"]) == (None, [])


def test_detail_is_an_object_as_text(shared_client: httpx.Client, path: str) -> None:
    verdicts = {"verifier": ["e", "e"], "passed": [True, False]}
    body = of_columns(**verdicts, detail=['{"b": 1.0, "a": [null]}', None])
    post(shared_client, path, body).raise_for_status()
    assert stored(shared_client, path)[0]["verifications"][0]["detail"] == {"a": [None], "b": 1}
    for text, at in (("[1]", "/completions/1/detail"), ("{", "/completions/1/detail"), ('{"a":1,"a":2}', "")):
        answer = post(shared_client, path, of_columns(**verdicts, detail=[None, text]))
        assert_refused(answer, 422, "invalid-request")
        assert pointers(answer)[0].startswith(at)


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["x", "y"]).dictionary_encode(),
        pa.array(["x", "y"], pa.large_string()),
        pa.chunked_array([["x"], ["y"]]),
    ],
    ids=["dictionary", "large", "chunks"],
)
def test_text_is_text_however_it_lies_in_memory(shared_client: httpx.Client, path: str, column: Any) -> None:
    post(shared_client, path, of_columns(text=column)).raise_for_status()
    assert [each["text"] for each in stored(shared_client, path)] == ["x", "y"]


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_the_body_may_be_compressed_once_more(shared_client: httpx.Client, path: str, coding: str) -> None:
    compressed = pa.Codec(coding).compress(of_rows(ROWS), asbytes=True)
    answer = post(shared_client, path, compressed, **{"Content-Encoding": coding})
    assert answer.raise_for_status().json() == {"accepted": 12, "replayed": 0}


def test_no_rows_are_no_rows(shared_client: httpx.Client, path: str) -> None:
    empty = pa.schema([("problem", pa.string()), ("sample_index", pa.int32())]).empty_table()
    assert post(shared_client, path, parquet(empty)).raise_for_status().json() == {"accepted": 0, "replayed": 0}


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a null name": ({"problem": ["p", None]}, "/completions/1/problem"),
    "a control character": ({"problem": ["p", "p\n"]}, "/completions/1/problem"),
    "a long name": ({"problem": ["p" * 501, "p"]}, "/completions/0/problem"),
    "a negative index": ({"sample_index": [0, -1]}, "/completions/1/sample_index"),
    "an index of more than int4": ({"sample_index": [0, 2**31]}, "/completions/1/sample_index"),
    "a fraction of an index": ({"sample_index": [0.0, 1.5]}, "/completions/0/sample_index"),
    "NUL": ({"text": ["a", "b\0"]}, "/completions/1/text"),
    "bytes": ({"text": [b"a", b"b"]}, "/completions/0/text"),
    "a number as text": ({"text": [1, 2]}, "/completions/0/text"),
    "a seed beyond int8": ({"seed": pa.array([0, 2**63], pa.uint64())}, "/completions/1/seed"),
    "NaN": ({"logprob": [0.0, float("nan")]}, "/completions/1/logprob"),
    "a long reason": ({"finish_reason": ["stop", "s" * 201]}, "/completions/1/finish_reason"),
    "an unknown column": ({"model": ["a", "b"]}, "/completions/0"),
    "no list": ({"verifications": ["a", "b"]}, "/completions/0/verifications"),
    "a null struct": (
        {"verifications": [[{"verifier": "v", "passed": True}], [None]]},
        "/completions/1/verifications/0/verifier",
    ),
    "a nested NaN": (
        {"verifications": [[{"verifier": "v", "reward": 1.0}, {"verifier": "w", "reward": float("inf")}], []]},
        "/completions/0/verifications/1/reward",
    ),
    "a contradiction": (
        {"verifications": [[], [{"verifier": "v", "passed": True, "status": "failed"}]]},
        "/completions/1/verifications/0",
    ),
    "no verifier": ({"passed": [True, False]}, "/completions/0/verifier"),
    "an unknown status": ({"verifier": ["v", "v"], "status": ["passed", "fine"]}, "/completions/1/status"),
    "two forms of verdicts": ({"verifications": [[], []], "passed": [True, True]}, "/completions/0"),
    "101 verdicts": (
        {"verifications": [[], [{"verifier": f"v{i}", "passed": True} for i in range(101)]]},
        "/completions/1/verifications",
    ),
    "one key twice": ({"sample_index": [0, 0], "text": ["a", "b"]}, "/completions/1"),
}


@pytest.mark.parametrize(("columns", "at"), BAD.values(), ids=BAD)
def test_a_broken_rule_is_told_with_its_place(
    shared_client: httpx.Client, path: str, columns: dict[str, Any], at: str
) -> None:
    answer = post(shared_client, path, of_columns(**columns))
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == [at]
    assert stored(shared_client, path) == []


@pytest.mark.parametrize("name", ["problem", "sample_index"])
def test_columns_that_every_completion_needs(shared_client: httpx.Client, path: str, name: str) -> None:
    table = pa.table({"problem": ["p"], "sample_index": [0]}).drop_columns([name])
    answer = post(shared_client, path, parquet(table))
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == [f"/completions/0/{name}"]


def test_ten_thousand_rows_are_taken_and_one_more_is_not(shared_client: httpx.Client, path: str) -> None:
    def table(rows: int) -> bytes:
        return parquet(pa.table({"problem": ["p"] * rows, "sample_index": range(rows)}))

    answer = post(shared_client, path, table(MOST_ROWS + 1))
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == ["/completions"]
    assert post(shared_client, path, table(MOST_ROWS)).json() == {"accepted": MOST_ROWS, "replayed": 0}


def test_the_verdicts_of_a_request_are_bounded_in_every_form(shared_client: httpx.Client, path: str) -> None:
    verdicts = [{"verifier": f"v{i}", "passed": True} for i in range(100)]
    rows = [completion("p", i, verifications=verdicts) for i in range(MOST_VERDICTS_OF_A_REQUEST // 100)]
    more = [*rows, completion("q", 0, verifications=verdicts[:1])]
    for answer in (post(shared_client, path, of_rows(more)), post_completions(shared_client, path, *more)):
        assert_refused(answer, 422, "invalid-request")
        assert pointers(answer) == ["/completions"]
    assert post(shared_client, path, of_rows(rows)).raise_for_status().json()["accepted"] == len(rows)


def bomb() -> bytes:
    """Ten thousand rows of one text of 150 KB: some kilobytes that decode to 1.5 GB."""
    rows, text = MOST_ROWS, "x" * 150_000
    problem = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [text])
    table = pa.table({"problem": ["p"] * rows, "sample_index": range(rows), "text": problem})
    return parquet(table, compression="zstd")


def nested_bomb() -> bytes:
    """The same in the answers of verdicts."""
    struct = pa.StructArray.from_arrays(
        [
            pa.array(["v"] * MOST_ROWS),
            pa.DictionaryArray.from_arrays(pa.array([0] * MOST_ROWS, pa.int32()), ["x" * 60_000]),
        ],
        ["verifier", "answer"],
    )
    lists = pa.ListArray.from_arrays(pa.array(range(MOST_ROWS + 1), pa.int32()), struct)
    table = pa.table({"problem": ["p"] * MOST_ROWS, "sample_index": range(MOST_ROWS), "verifications": lists})
    return parquet(table, compression="zstd")


@pytest.mark.parametrize("make", [bomb, nested_bomb])
def test_what_decodes_to_gigabytes_is_refused(
    shared_client: httpx.Client, path: str, make: Callable[[], bytes]
) -> None:
    body = make()
    assert len(body) < 100_000
    before = peak_memory()
    answer = post(shared_client, path, body)
    assert_refused(answer, 422, "invalid-request")
    assert answer.json()["errors"][0]["code"] == "too-large"
    assert peak_memory() - before < 64 * 2**20


def peak_memory() -> int:
    """The most memory in bytes that this process, which the service runs in, has had."""
    line = next(each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def test_damaged_bodies_are_refused_and_nothing_of_them_is_stored(client: httpx.Client, session: Session) -> None:
    """Cut, flipped, swapped and repeated bytes: never a 5xx, no memory lost, and the next sound body is read."""
    path, randomness, sound = evaluation(client), random.Random(0), [of_rows(ROWS), of_columns(text=["a", "b"])]
    post(client, path, sound[0]).raise_for_status()
    before, memory = row_counts(session), peak_memory()
    refused = 0
    for turn in range(600):
        answer = post(client, path, damaged(sound[turn % 2], randomness))
        assert answer.status_code in (200, 409, 422), (turn, answer.text)
        refused += answer.status_code == 422
        if answer.status_code == 200 and answer.json()["accepted"]:  # the damage lay where it made other, sound rows
            before = row_counts(session)
        else:
            assert row_counts(session)["completions"] == before["completions"]
    assert refused > 300
    assert peak_memory() - memory < 64 * 2**20
    assert post(client, path, sound[0]).json()["replayed"] == 12
    assert statistics(session)


def damaged(body: bytes, randomness: random.Random) -> bytes:
    data = bytearray(body)
    match randomness.randrange(5):
        case 0:
            return bytes(data[: randomness.randrange(len(data))])
        case 1:  # the footer, where sizes and types are
            for _ in range(randomness.randint(1, 8)):
                data[-randomness.randint(9, len(data) // 2)] = randomness.randrange(256)
        case 2:
            for _ in range(randomness.randint(1, 8)):
                data[randomness.randrange(len(data))] ^= 1 << randomness.randrange(8)
        case 3:
            start, end = sorted(randomness.sample(range(len(data)), 2))
            data[start:end] = data[start:end][::-1]
        case _:
            start, end = sorted(randomness.sample(range(len(data)), 2))
            data[start:start] = data[start:end]
    return bytes(data)


def test_a_decoder_that_was_killed_is_started_anew() -> None:
    decoder = Decoder()
    try:
        assert decoder.decode(of_columns())[0]["problem"] == ["p", "p"]
        assert decoder._process is not None
        decoder._process.kill()
        decoder._process.wait()
        assert decoder.decode(of_columns())[0]["sample_index"] == [0, 1]
    finally:
        decoder.close()
