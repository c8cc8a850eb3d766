"""A valid request for every call, and seeded ways to break one: its bytes, its values, its headers, its address."""

import gzip
import json
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote, urlencode

# In every text that a request brings and no answer may repeat.
MARK: Final = "quagga"
VERDICT: Final = {"verifier": "exact-match", "passed": True, "answer": MARK}
COMPLETION: Final = {
    "problem": "sample_0",
    "sample_index": 9,
    "text": f"{MARK} 😀",
    "seed": 7,
    "finish_reason": MARK,
    "prompt_tokens": 3,
    "logprob": -1.5,
    "verifications": [VERDICT],
}
GROUP: Final = {
    "step": 120,
    "problem": "sample_0",
    "rewards": [1, 0, None, 0],
    "credits": [1.0, 0.0, None, 0.0],
    "k": {"1": 0.5, "2": 0.5},
    "transform": "sloo_minus_one",
    "scale": "sum",
}
OCTETS: Final = (("Content-Type", "application/octet-stream"),)
Parameters = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Sent:
    """A request as it is sent."""

    method: str
    path: str
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    query: str = ""

    @property
    def target(self) -> str:
        """What stands in the request line."""
        return f"{self.path}?{self.query}" if self.query else self.path


def valid(method: str, path: str, body: Any = None, query: Parameters = ()) -> Sent:
    """A request that is as it should be."""
    if body is None:
        return Sent(method, path, query=urlencode(query))
    text = "\n".join(map(json.dumps, body)) if isinstance(body, list) else json.dumps(body)
    kind = "application/x-ndjson" if isinstance(body, list) else "application/json"
    return Sent(method, path, text.encode(), (("Content-Type", kind),), urlencode(query))


def requests(evaluation: str, counted: str, run: str, problem_set: str, job: str) -> dict[str, Sent]:
    """By the name of each call, a valid request to a server that has two evaluations, the run, the set and the job.

    The evaluation to be counted has no completions, and the job is over, so that who follows it is let go.
    """
    one, set_, of_run = f"/v1/evaluations/{evaluation}", f"/v1/problem-sets/{problem_set}", f"/v1/runs/{run}"
    record = {"run": run, "step": 3, "problems": ["sample_0", "sample_1"], "completions": [[MARK] * 3, [MARK, ""]]}
    page, which = (("limit", "2"),), (("verifier", "exact-match@1"),)
    evaluated = {"run": run, "step": 7, "problem_set": problem_set, "sampling": {"stop": [MARK]}, "n": 4}
    problems = [{"problem": "p/1", "prompt": MARK, "answer": MARK, "tests": [MARK], "metadata": {"of": [MARK, 1.5]}}]
    transform = {"rewards": [[1, 0, 0.5], [0.25, None]], "k": 1, "transform": "sloo", "short": "zero"}
    return {
        "POST /v1/transforms": valid("POST", "/v1/transforms", transform | {"record": record}),
        "POST /v1/estimates": valid("POST", "/v1/estimates", {"n": [10, 10], "c": [0, 3], "k": [1, 8]}),
        "PUT /v1/problem-sets/{problem_set}": valid("PUT", set_, {"closed": False}),
        "POST /v1/problem-sets/{problem_set}/problems": valid("POST", f"{set_}/problems", {"problems": problems}),
        "GET /v1/problem-sets": valid("GET", "/v1/problem-sets", query=page),
        "GET /v1/problem-sets/{problem_set}": valid("GET", set_),
        "GET /v1/problem-sets/{problem_set}/problems": valid("GET", f"{set_}/problems", query=page),
        "POST /v1/evaluations": valid("POST", "/v1/evaluations", evaluated),
        "GET /v1/evaluations/{evaluation_id}": valid("GET", one),
        "GET /v1/evaluations/{evaluation_id}/completions": valid(
            "GET", f"{one}/completions", query=(("problem", "sample_0"), *page)
        ),
        "POST /v1/evaluations/{evaluation_id}/completions": valid(
            "POST", f"{one}/completions", {"completions": [COMPLETION]}
        ),
        "NDJSON /v1/evaluations/{evaluation_id}/completions": valid("POST", f"{one}/completions", [COMPLETION] * 2),
        "POST /v1/evaluations/{evaluation_id}/counts": valid(
            "POST",
            f"/v1/evaluations/{counted}/counts",
            {"counts": [{"problem": "sample_0", "n": 10, "c": 7, "verifier": "exact-match"}]},
        ),
        "POST /v1/evaluations/{evaluation_id}/verifications": valid(
            "POST",
            f"{one}/verifications",
            {"verifications": [{"problem": "sample_0", "sample_index": 1, **VERDICT, "detail": {MARK: [MARK]}}]},
        ),
        "GET /v1/evaluations/{evaluation_id}/curve": valid(
            "GET", f"{one}/curve", query=(("k", "1"), ("k", "2"), ("level", "0.9"), ("missing", "fail"), *which)
        ),
        "GET /v1/evaluations/{evaluation_id}/problems": valid(
            "GET", f"{one}/problems", query=(("sort", "-solve_rate"), ("filter", "sample"), *which, *page)
        ),
        "GET /v1/evaluations/{evaluation_id}/missing": valid("GET", f"{one}/missing", query=(("n", "9"), *which)),
        "GET /v1/comparisons": valid(
            "GET",
            "/v1/comparisons",
            query=(("a", evaluation), ("b", evaluation), ("k", "1"), ("missing", "fail"), *which),
        ),
        "GET /v1/runs": valid("GET", "/v1/runs", query=page),
        "GET /v1/runs/{run}": valid("GET", of_run),
        "PATCH /v1/runs/{run}": valid("PATCH", of_run, {"notes": MARK, "tags": [MARK], "archived": False}),
        "DELETE /v1/runs/{run}": valid("DELETE", of_run),
        "GET /v1/runs/{run}/curves": valid("GET", f"{of_run}/curves", query=(("k", "1"), ("metric", "fail_at_k"))),
        "GET /v1/runs/{run}/checkpoints": valid("GET", f"{of_run}/checkpoints"),
        "GET /v1/runs/{run}/checkpoints/{step}/card": valid("GET", f"{of_run}/checkpoints/0/card"),
        "GET /v1/runs/{run}/groups": valid("GET", f"{of_run}/groups", query=(("step", "120"), *page)),
        "GET /v1/runs/{run}/metrics": valid("GET", f"{of_run}/metrics", query=(("name", "train/loss"), *page)),
        "POST /v1/runs/{run}/groups": valid("POST", f"{of_run}/groups", {"groups": [GROUP, GROUP | {"step": 121}]}),
        "POST /v1/runs/{run}/metrics": valid(
            "POST", f"{of_run}/metrics", {"metrics": [{"step": 1, "name": "train/loss", "value": 0.5}]}
        ),
        **_of_jobs(evaluation, f"/v1/jobs/{job}", page),
    }


def _of_jobs(evaluation: str, of_job: str, page: tuple[tuple[str, str], ...]) -> dict[str, Sent]:
    to_verify = {"evaluation": evaluation, "verifier": "format", "options": {"extract": ["boxed", "text"]}}
    return {
        "POST /v1/uploads": Sent("POST", "/v1/uploads", b'{"problem": "sample_0"}', OCTETS, "filename=results.jsonl"),
        "POST /v1/jobs": valid("POST", "/v1/jobs", {"kind": "verification", "spec": to_verify, "priority": 1}),
        "GET /v1/jobs": valid("GET", "/v1/jobs", query=(("state", "queued"), ("kind", "import"), *page)),
        "GET /v1/jobs/{job_id}": valid("GET", of_job),
        "GET /v1/jobs/{job_id}/events": valid("GET", f"{of_job}/events"),
        "POST /v1/jobs/{job_id}/cancel": valid("POST", f"{of_job}/cancel", {}),
        "POST /v1/jobs/{job_id}/retry": valid("POST", f"{of_job}/retry", {}),
        "GET /v1/workers": valid("GET", "/v1/workers", query=page),
    }


# Stands for text that no serializer writes.
RAW: Final = "\ue000"
RAW_VALUES: Final = ("1e999", "-1e999", "NaN", "-Infinity", "9" * 5000, "01", "'x'", "[" * 100_000, '{"a":' * 2000)
VALUES: Final[tuple[Any, ...]] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        0.5,
        1e308,
        2**31,
        2**63,
        -(2**63) - 1,
        10**400,
        "",
        "0",
        MARK,
        f"{MARK}@0",
        f"{MARK}@",
    ),
    *("\ud800", "\udfff\ud800", "a\0b", "\x7f", "\u202e", MARK * 200, "../..", "x" * 70_000, {}, [], [[]], {"": ""}),
    *(
        [None] * 1000,
        {MARK: MARK},
        [MARK],
        {"\0": 1},
        {str(i): i for i in range(300)},
        *(RAW + raw for raw in RAW_VALUES),
    ),
)
PIECES: Final = (
    b'"',
    b"\\",
    b"\\u",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    b"1e999",
    b"-",
    b"\n",
)
QUERY_VALUES: Final = (
    *(
        "",
        "0",
        "-1",
        "1.5",
        "1e9",
        "9" * 400,
        "NaN",
        "%00",
        "%FF",
        "%ED%A0%80",
        "%zz",
        "%",
        MARK,
        "a" * 5000,
        "[]",
        "null",
    ),
    *("%C3%A9", "true", "1,2", "-problem", "%2F..%2F", "exact-match@2", "eyJ9"),
)
PATH_PARTS: Final = ("%00", "%2e%2e", "..", ".", "%ff", "%ED%A0%80", MARK, "a" * 300, "%2F", "%20", "0" * 36, "é", "")
HEADERS: Final = (
    *(
        ("Content-Type", kind)
        for kind in ("", "text/plain", "application/json; charset=utf-16", "application/x-npy", ";", MARK)
    ),
    *(
        ("Content-Type", kind)
        for kind in ("application/x-ndjson", "multipart/form-data", "application/json", "a/b" * 999)
    ),
    *(("Content-Encoding", coding) for coding in ("gzip", "zstd", "br", "gzip, gzip", MARK, "identity")),
    *(("Idempotency-Key", key) for key in ("", "x" * 256, "a b", "é", MARK)),
    *(("If-None-Match", tag) for tag in ("*", '"', ",,,", MARK)),
    *(("Accept", kind) for kind in ("", "*/*;q=x", "application/x-npy", "text/csv", MARK)),
    *(("Authorization", word) for word in ("", "Bearer", f"Bearer {MARK}", "Basic Og==", "Bearer \u00e9")),
    ("Range", "bytes=0-"),
    ("Expect", MARK),
    ("X-Forwarded-Host", MARK),
    ("Sec-Fetch-Site", MARK),
)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every member of a value's lists and objects, as what holds it and where it stands there."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in list(inner):
        yield value, key
        yield from _places(member)


def _another_value(sent: Sent, draw: random.Random) -> Sent:
    """Values swapped, taken away, wrapped, or under another name."""
    if sent.body is None:
        return _another_query(sent, draw)
    lines = [json.loads(line) for line in sent.body.split(b"\n")]
    for _ in range(draw.choice((1, 1, 2, 5))):
        if not (places := list(_places(lines))):
            break
        holder, key = draw.choice(places)
        match draw.randrange(5):
            case 0 if isinstance(holder, dict):
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[draw.choice((MARK, "__proto__", "", "k\0"))] = holder.pop(key)
            case 2:
                holder[key] = [holder[key]]
            case _:
                holder[key] = deepcopy(draw.choice(VALUES))
    text = "\n".join(map(json.dumps, lines))
    for raw in RAW_VALUES:
        text = text.replace(json.dumps(RAW + raw), raw)
    return replace(sent, body=text.encode())


def _other_bytes(sent: Sent, draw: random.Random) -> Sent:
    """Bytes flipped, cut off, put in or sent twice."""
    if sent.body is None:
        return _another_query(sent, draw)
    body = bytearray(sent.body)
    for _ in range(draw.choice((1, 1, 3, 10))):
        at = draw.randrange(len(body) + 1)
        to = at + draw.randrange(1, 9)
        match draw.randrange(5):
            case 0:
                body[at:to] = bytes(byte ^ 1 << draw.randrange(8) for byte in body[at:to])
            case 1:
                del body[at:]
            case 2:
                del body[at:to]
            case 3:
                body[at:at] = draw.choice(PIECES)
            case 4:
                body += body[at:]
    return replace(sent, body=bytes(body))


def _another_encoding(sent: Sent, draw: random.Random) -> Sent:
    """The body in an encoding that is not declared, or not the one that is."""
    body = sent.body or b""
    packed = gzip.compress(body, mtime=0)
    at = draw.randrange(len(packed))
    body, coding = draw.choice(
        (
            (body.decode().encode("utf-16"), "identity"),
            (body.decode().encode("latin-1", "replace"), "identity"),
            (b"\xef\xbb\xbf" + body, "identity"),
            (packed, "identity"),
            (packed, "zstd"),
            (packed[:at], "gzip"),
            (packed[:at] + bytes([packed[at] ^ 255]) + packed[at + 1 :], "gzip"),
            (packed * 2, "gzip"),
        )
    )
    return replace(sent, body=body, headers=(*sent.headers, ("Content-Encoding", coding)))


def _other_headers(sent: Sent, draw: random.Random) -> Sent:
    """Headers changed, added, twice or gone."""
    chosen = draw.sample(HEADERS, draw.choice((1, 1, 2, 4)))
    kept = () if draw.random() < 0.2 else sent.headers
    if draw.random() < 0.5:
        kept = tuple(each for each in kept if each[0] not in dict(chosen))
    return replace(sent, headers=(*kept, *((name, quote(value, safe=' /;=*",@')) for name, value in chosen)))


def _another_query(sent: Sent, draw: random.Random) -> Sent:
    """Parameters with other values, twice, or of other names; or another path."""
    parameters = [*sent.query.split("&"), *(f"{name}=1" for name in ("k", "limit", "cursor", MARK, "verifier", "n"))]
    for _ in range(draw.choice((1, 1, 2))):
        name = draw.choice(parameters).partition("=")[0]
        parameters.append(f"{name}={draw.choice(QUERY_VALUES)}")
    draw.shuffle(parameters)
    sent = replace(sent, query="&".join(parameters[: draw.randrange(1, 6)]))
    if draw.random() < 0.3:
        parts = sent.path.split("/")
        parts[draw.randrange(1, len(parts))] = quote(draw.choice(PATH_PARTS), safe="%/")
        sent = replace(sent, path="/".join(parts))
    return sent


MUTATIONS: Final[tuple[Callable[[Sent, random.Random], Sent], ...]] = (
    *(_another_value,) * 4,
    *(_other_bytes,) * 3,
    _another_encoding,
    _other_headers,
    _another_query,
)


def broken(sent: Sent, draw: random.Random) -> Sent:
    """The request, broken in one way; it may still be one that the service takes."""
    return draw.choice(MUTATIONS)(sent, draw)
