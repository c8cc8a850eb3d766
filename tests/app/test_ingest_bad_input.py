"""What a default FastAPI answers with a 500, or takes for something else, is here a clear 4xx that writes nothing."""

from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import URL
from sqlalchemy.orm import Session

from app.db import make_engine
from tests.app.ingesting import JSON, JSON_LINES, assert_refused, evaluation, pointers, row_counts
from tests.app.serving import serving
from tests.conftest import fresh_database

DIGITS = "9" * 5000
# As the value of a field that takes it: the field, its JSON, the pointer of the answer below the row.
ROW = [
    ("problem", '""', "/problem"),
    ("problem", '"a\\nb"', "/problem"),
    ("problem", '"a\\u0085b"', "/problem"),
    ("problem", '"\\u0000"', "/problem"),
    ("problem", f'"{"p" * 501}"', "/problem"),
    ("problem", "7", "/problem"),
    ("problem", '"\\udfff"', "/problem"),
    ("sample_index", "-1", "/sample_index"),
    ("sample_index", "2147483648", "/sample_index"),
    ("sample_index", "1.0", "/sample_index"),
    ("sample_index", '"1"', "/sample_index"),
    ("sample_index", "true", "/sample_index"),
    ("text", '"a\\u0000b"', "/text"),
    ("text", "42", "/text"),
    ("text", '"\\ud800"', "/text"),
    ("text", '"\\udc00\\ud800"', "/text"),
    ("text", "NaN", "/text"),
    ("sample_index", "NaN", "/sample_index"),
    ("finish_reason", '"\\u0000"', "/finish_reason"),
    ("finish_reason", f'"{"f" * 201}"', "/finish_reason"),
    ("prompt_tokens", "2147483648", "/prompt_tokens"),
    ("completion_tokens", "-1", "/completion_tokens"),
    ("logprob", "NaN", "/logprob"),
    ("logprob", "-Infinity", "/logprob"),
    ("logprob", "-1e999", "/logprob"),
    ("logprob", '"-1"', "/logprob"),
    ("seed", "9223372036854775808", "/seed"),
    ("seed", "1e3", "/seed"),
    ("verifications", "{}", "/verifications"),
    ("verifications", "[[]]", "/verifications/0"),
    ("verifications", f"[{'{},' * 1_000_000}{{}}]", "/verifications/0/verifier"),
    ("verifications", f"[{'[],' * 100}[]]", "/verifications/0"),
    ("verifications", "[" + '{"verifier": "v", "passed": true},' * 100 + '{"verifier": "v"}]', "/verifications"),
    ("log_prob", "-1", ""),
    ("\\ud800", "-1", ""),
]
VERDICT = [
    ("reward", "NaN", "/reward"),
    ("reward", "Infinity", "/reward"),
    ("reward", "1e999", "/reward"),
    ("reward", "1" + "0" * 400, "/reward"),
    ("reward", '"nan"', "/reward"),
    ("reward", "true", "/reward"),
    ("passed", '"yes"', "/passed"),
    ("passed", "1", "/passed"),
    ("status", '"Passed"', "/status"),
    ("verifier", '"exact match"', "/verifier"),
    ("verifier", '"a@b@c"', "/verifier"),
    ("verifier", '"v@"', "/verifier"),
    ("answer", '"\\u0000"', "/answer"),
    ("detail", "[]", "/detail"),
    ("detail", '{"a": NaN}', "/detail"),
    ("detail", '{"a": [-1e999]}', "/detail"),
    ("detail", '{"a": "\\u0000"}', "/detail"),
    ("detail", '{"\\u0000": 1}', "/detail"),
    ("detail", '{"a": "\\ud800"}', "/detail"),
    ("detail", '{"\\ud800": {"\\ud800": "\\ud800"}}', "/detail"),
    ("detail", '{"a": 18446744073709551616}', "/detail"),
    ("detail", '{"a": ' + "[" * 40 + "]" * 40 + "}", "/detail"),
    ("detail", '{"a": "' + "x" * 70_000 + '"}', "/detail"),
    ("score", "1", ""),
]
# These cannot be placed: the body as a whole is not JSON, or not the JSON that this route takes.
BODIES = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b'{"completions": null}',
    b'{"completions": [], "evaluation": 1}',
    b'{"completions": [}',
    b'{"completions": []} []',
    b'\xef\xbb\xbf{"completions": []}',
    b'{"completions": [{"problem": "\xff", "sample_index": 0}]}',
    b'{"completions": [{"problem": "p", "sample_index": 0, "text": "\x00"}]}',
    b'{"completions": [{"problem": "p", "sample_index": 0, "text": "\xed\xa0\x80"}]}',
    b'{"completions": [{"problem": "p", "sample_index": ' + DIGITS.encode() + b"}]}",
    b'{"completions": ' + b"[" * 100_000,
    b'{"completions": [{"problem": "p", "sample_index": 0, "verifications": ' + b'[{"detail":' * 50_000,
    '{"completions": []}'.encode("utf-16"),
    b'{"completions": [' + b"{}," * 20_000 + b"{}]}",
    b'{"completions": [{"problem": "p", "sample_index": 0, "text": "a", "text": "b"}]}',
    b'{"completions": [{"problem": "p", "sample_index": 0, "sample_ind\\u0065x": 1}]}',
    b'{"completions": [], "completions": []}',
]


@pytest.fixture(scope="module")
def database(postgres_url: URL, migrated_template: str) -> Iterator[str]:
    """One database for the module: nothing here is written but the evaluation."""
    with fresh_database(postgres_url, template=migrated_template) as url:
        yield url


@pytest.fixture(scope="module")
def bad_client(database: str) -> Iterator[httpx.Client]:
    with serving(database) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def path(bad_client: httpx.Client) -> str:
    return evaluation(bad_client)


@pytest.fixture
def unwritten(database: str, path: str) -> Iterator[None]:
    """Fails the test when it wrote a row to any table."""
    engine = make_engine(database)
    with Session(engine) as session:
        before = row_counts(session)
        yield
        assert row_counts(session) == before
    engine.dispose()


def row(field: str, value: str) -> str:
    fields = {"problem": '"sample_0"', "sample_index": "0"} | {field: value}
    return "{" + ", ".join(f'"{name}": {each}' for name, each in fields.items()) + "}"


def verdict(field: str, value: str) -> str:
    fields = {"verifier": '"exact-match"', "passed": "true"} | {field: value}
    return ", ".join(f'"{name}": {each}' for name, each in fields.items())


def assert_invalid(answer: httpx.Response, pointer: str) -> None:
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == [pointer]
    assert len(answer.text) < 1000, "a value was echoed"


@pytest.mark.parametrize(("field", "value", "pointer"), ROW, ids=lambda text: text[:40])
@pytest.mark.usefixtures("unwritten")
def test_a_bad_field_of_a_completion(bad_client: httpx.Client, path: str, field: str, value: str, pointer: str) -> None:
    body = f'{{"completions": [{row("sample_index", "1")}, {row(field, value)}]}}'
    answer = bad_client.post(f"{path}/completions", content=body, headers=JSON)
    assert_invalid(answer, f"/completions/1{pointer}")
    lines = f"{row('sample_index', '1')}\n\n{row(field, value)}\n"
    answer = bad_client.post(f"{path}/completions", content=lines, headers=JSON_LINES)
    assert_invalid(answer, f"/completions/1{pointer}")


@pytest.mark.parametrize(("field", "value", "pointer"), VERDICT, ids=lambda text: text[:40])
@pytest.mark.usefixtures("unwritten")
def test_a_bad_field_of_a_verdict(bad_client: httpx.Client, path: str, field: str, value: str, pointer: str) -> None:
    body = f'{{"completions": [{row("verifications", f"[{{{verdict(field, value)}}}]")}]}}'
    answer = bad_client.post(f"{path}/completions", content=body, headers=JSON)
    assert_invalid(answer, f"/completions/0/verifications/0{pointer}")
    body = f'{{"verifications": [{{"problem": "sample_0", "sample_index": 0, {verdict(field, value)}}}]}}'
    answer = bad_client.post(f"{path}/verifications", content=body, headers=JSON)
    assert_invalid(answer, f"/verifications/0{pointer}")


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:70]))
@pytest.mark.usefixtures("unwritten")
def test_a_body_that_is_no_batch(bad_client: httpx.Client, path: str, body: bytes) -> None:
    answer = bad_client.post(f"{path}/completions", content=body, headers=JSON)
    assert_refused(answer, 422, "invalid-request")
    assert len(answer.text) < 1000, "a value was echoed"


@pytest.mark.parametrize("route", ["/completions", "/verifications", ""])
@pytest.mark.parametrize("media_type", ["", "text/plain", "application/ndjson", "application/jsonx"])
@pytest.mark.usefixtures("unwritten")
def test_a_body_of_another_type(bad_client: httpx.Client, path: str, route: str, media_type: str) -> None:
    target = f"{path}{route}" if route else "/v1/evaluations"
    answer = bad_client.post(target, content=b'{"completions": []}', headers={"Content-Type": media_type})
    assert_refused(answer, 415, "unsupported-media-type")


def test_the_charset_of_json_may_be_said(bad_client: httpx.Client, path: str) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert bad_client.post(f"{path}/completions", content=b'{"completions": []}', headers=headers).status_code == 200


@pytest.mark.usefixtures("unwritten")
def test_an_unknown_or_malformed_evaluation(bad_client: httpx.Client) -> None:
    unknown = "/v1/evaluations/00000000-0000-4000-8000-000000000000"
    for route, body in (("completions", b'{"completions": []}'), ("verifications", b'{"verifications": []}')):
        assert_refused(bad_client.post(f"{unknown}/{route}", content=body, headers=JSON), 404, "not-found")
        malformed = bad_client.post(f"/v1/evaluations/1/{route}", content=body, headers=JSON)
        assert_refused(malformed, 422, "invalid-request")
    assert_refused(bad_client.get(unknown), 404, "not-found")


@pytest.mark.usefixtures("unwritten")
def test_every_wrong_row_is_counted_and_twenty_are_named(bad_client: httpx.Client, path: str) -> None:
    body = '{"completions": [' + ",".join([row("sample_index", "-1")] * 30) + "]}"
    answer = bad_client.post(f"{path}/completions", content=body, headers=JSON)
    assert pointers(answer) == [f"/completions/{index}/sample_index" for index in range(20)]
    assert "30 rules" in answer.json()["detail"]


@pytest.mark.usefixtures("unwritten")
def test_the_inside_of_an_object_is_looked_at_no_longer_than_it_may_be(bad_client: httpx.Client, path: str) -> None:
    said = verdict("detail", '{"a": [' + "[1]," * 100_000 + "NaN]}")
    body = '{"completions": [' + row("verifications", f"[{{{said}}}]") + "]}"
    answer = bad_client.post(f"{path}/completions", content=body, headers=JSON)
    assert_refused(answer, 422, "invalid-request")
    assert "more than 65536 bytes" in answer.json()["errors"][0]["code"]


@pytest.mark.usefixtures("unwritten")
def test_half_a_million_broken_rules_are_counted_and_none_is_named(bad_client: httpx.Client, path: str) -> None:
    row_of_strangers = "{" + ",".join(f'"{i}": 1' for i in range(50)) + "}"
    body = '{"completions": [' + ",".join([row_of_strangers] * 10_000) + "]}"
    answer = bad_client.post(f"{path}/completions", content=body, headers=JSON)
    assert_refused(answer, 422, "invalid-request")
    assert "520000 rules" in answer.json()["detail"]
    assert "errors" not in answer.json()  # as an object each would take a kilobyte


@pytest.mark.parametrize(
    ("path", "body", "pointer", "members"),
    [
        ("/v1/evaluations", {"runs": "a"}, "", "run, step, problem_set, sampling, model, n, iid"),
        ("/v1/runs/r/metrics", {"metrics": [{"canary": 1}]}, "/metrics/0", "step, segment, name, value"),
        ("/v1/problem-sets/p/problems", {"problem": []}, "", "problems"),
        (
            "/v1/evaluations/00000000-0000-0000-0000-000000000000/completions",
            {"completions": [{"verifications": [{"canary": True}]}]},
            "/completions/0/verifications/0",
            "verifier, reward, passed, status, answer, detail",
        ),
        (
            "/v1/transforms",
            {"rewards": [[1, 0]], "k": 1, "record": {"canary": 1}},
            "/record",
            "run, step, segment, problems, completions",
        ),
    ],
)
def test_an_unknown_member_is_answered_by_those_there_are(
    shared_client: httpx.Client, path: str, body: object, pointer: str, members: str
) -> None:
    answer = shared_client.post(path, json=body)
    assert_refused(answer, 422, "invalid-request")
    expected = {"pointer": pointer, "code": f"extra_forbidden: the members of this object are {members}"}
    assert expected in answer.json()["errors"]
    assert "canary" not in answer.text
