"""The engine that asks a server, against servers made by the tests: good, busy, broken and wrong."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic, sleep, time
from typing import Any, NamedTuple

import httpx
import pytest

from workers.sampling import Request, Sample, SamplingFailed, SamplingRefused, SamplingSettings, sampling_engine
from workers.sampling.openai_engine import delay, retry_after

SETTINGS = SamplingSettings(max_tokens=4, temperature=0.7, top_p=0.9)
REQUESTS = [Request("1+1", "1+1=", index, 100 + index) for index in range(12)]


class Reply(NamedTuple):
    status: int
    body: str
    headers: dict[str, str] = {}
    length: int | None = None  # of the body, as promised; None: as it is


class Asked(NamedTuple):
    path: str
    body: dict[str, Any]
    authorization: str | None


Answers = Callable[[Asked, int], Reply | None]  # what was asked and how often before; None: the connection is dropped


@contextmanager
def server(answers: Answers) -> Iterator[tuple[str, list[Asked]]]:
    """Its base URL, and what it was asked."""
    asked: list[Asked] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            one = Asked(self.path, body, self.headers["Authorization"])
            with lock:
                before = sum(each.body["seed"] == body["seed"] for each in asked)
                asked.append(one)
            reply = answers(one, before)
            if reply is not None:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                length = len(reply.body.encode()) if reply.length is None else reply.length
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(reply.body.encode())
            self.close_connection = reply is None or reply.length is not None

        def log_message(self, *_: Any) -> None:
            """Not into the tests' output."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}/v1", asked
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


def completion(asked: Asked, _: int = 0) -> Reply:
    """As `vllm serve` answers; the text is the seed."""
    choice = {"index": 0, "finish_reason": "stop", "stop_reason": None}
    text, logprobs = str(asked.body["seed"]), [-0.5, -0.25]
    if asked.path.endswith("/chat/completions"):
        tokens = [{"token": "a", "logprob": logprob, "top_logprobs": []} for logprob in logprobs]
        choice |= {"message": {"role": "assistant", "content": text}, "logprobs": {"content": tokens}}
    else:
        choice |= {"text": text, "logprobs": {"tokens": ["a", "b"], "token_logprobs": logprobs, "text_offset": [0, 1]}}
    usage = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
    return Reply(200, json.dumps({"id": "x", "model": "m", "choices": [choice], "usage": usage}))


def sampled(
    base_url: str, requests: list[Request] = REQUESTS, settings: SamplingSettings = SETTINGS, **options: Any
) -> list[Sample]:
    with sampling_engine("openai", "m", {"base_url": base_url, **options}, []) as engine:
        return sorted(engine.sample(requests, settings), key=lambda sample: sample.sample_index)


def test_every_completion_is_asked_for_with_its_seed() -> None:
    with server(completion) as (base_url, asked):
        samples = sampled(base_url)
    assert samples == [Sample("1+1", i, 100 + i, str(100 + i), "stop", 4, 2, -0.75) for i in range(12)]
    assert sorted(each.body["seed"] for each in asked) == [100 + i for i in range(12)]
    assert {each.path for each in asked} == {"/v1/completions"}
    expected = {
        "model": "m",
        "prompt": "1+1=",
        "temperature": 0.7,
        "top_p": 0.9,
        "max_tokens": 4,
        "seed": 100,
        "logprobs": 1,
    }
    assert expected in [each.body for each in asked]


def test_a_chat_is_a_message_of_the_user() -> None:
    settings = SamplingSettings(prompt="chat", top_k=5, stop=("\n",))
    with server(completion) as (base_url, asked):
        samples = sampled(base_url, REQUESTS[:1], settings, extra_body={"repetition_penalty": 1.0})
    assert samples == [Sample("1+1", 0, 100, "100", "stop", 4, 2, -0.75)]
    assert asked[0].path == "/v1/chat/completions"
    assert asked[0].body["messages"] == [{"role": "user", "content": "1+1="}]
    assert (asked[0].body["top_k"], asked[0].body["stop"], asked[0].body["logprobs"]) == (5, ["\n"], True)
    assert asked[0].body["repetition_penalty"] == 1.0


def test_what_a_server_does_not_say_is_not_known() -> None:
    def terse(asked: Asked, _: int) -> Reply:
        return Reply(200, json.dumps({"choices": [{"text": "2", "finish_reason": "length", "logprobs": None}]}))

    with server(terse) as (base_url, _):
        assert sampled(base_url, REQUESTS[:1]) == [Sample("1+1", 0, 100, "2", "length", None, None, None)]


def test_as_many_are_asked_at_once_as_allowed() -> None:
    under_way, most, lock = 0, 0, threading.Lock()

    def slow(asked: Asked, _: int) -> Reply:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        sleep(0.1)
        with lock:
            under_way -= 1
        return completion(asked)

    with server(slow) as (base_url, _):
        sampled(base_url, concurrency=3)
    assert most == 3


def test_the_first_completions_come_before_the_last_are_asked_for() -> None:
    with (
        server(completion) as (base_url, asked),
        sampling_engine("openai", "m", {"base_url": base_url, "concurrency": 2}, []) as engine,
    ):
        next(iter(engine.sample(iter(REQUESTS), SETTINGS)))
    assert len(asked) <= 2


@pytest.mark.parametrize(
    "trouble",
    [
        Reply(429, "slow down", {"Retry-After": "0"}),
        Reply(500, "oops"),
        Reply(503, "loading"),
        None,
        Reply(200, '{"choices": [', length=500),
    ],
    ids=["429", "500", "503", "dropped", "dropped in the body"],
)
def test_passing_trouble_is_gone_through(trouble: Reply | None) -> None:
    with server(lambda asked, before: completion(asked) if before else trouble) as (base_url, asked):
        samples = sampled(base_url, REQUESTS[:4])
    assert [sample.text for sample in samples] == ["100", "101", "102", "103"]
    assert len(asked) == 8


def test_a_server_that_says_when_is_asked_then() -> None:
    busy = Reply(429, "busy", {"Retry-After": "1"})
    with server(lambda asked, before: completion(asked) if before else busy) as (base_url, _):
        start = monotonic()
        sampled(base_url, REQUESTS[:1])
    assert monotonic() - start >= 1


@pytest.mark.parametrize(
    ("trouble", "said"),
    [(Reply(500, "out of  memory"), "500 Internal Server Error: out of memory"), (None, "RemoteProtocolError: ")],
)
def test_lasting_trouble_is_named(trouble: Reply | None, said: str) -> None:
    with (
        server(lambda *_: trouble) as (base_url, asked),
        pytest.raises(SamplingFailed, match=f"'1\\+1', completion 0: {base_url} failed 2 times, at last with {said}"),
    ):
        sampled(base_url, REQUESTS[:1], attempts=2)
    assert len(asked) == 2


def test_a_server_that_is_not_there_is_named() -> None:
    with server(completion) as (base_url, _):
        pass
    with pytest.raises(SamplingFailed, match=f"{base_url} failed 2 times, at last with ConnectError"):
        sampled(base_url, REQUESTS[:1], attempts=2)


@pytest.mark.parametrize(
    ("reply", "error", "said"),
    [
        (Reply(400, '{"error": "prompt too long"}'), SamplingRefused, "answered 400 .*prompt too long"),
        (Reply(401, "no key"), SamplingFailed, "answered 401 Unauthorized: no key"),
        (Reply(404, "no model m"), SamplingFailed, "answered 404 Not Found: no model m"),
        (Reply(307, "", {"Location": "http://127.0.0.1:9/"}), SamplingFailed, "answered 307"),
        (Reply(200, "<html>"), SamplingFailed, "not a completion: options: Invalid JSON"),
        (Reply(200, "[]"), SamplingFailed, "not a completion"),
        (Reply(200, '{"choices": []}'), SamplingFailed, "not a completion: choices"),
        (Reply(200, '{"choices": [{"text": "2"}]}'), SamplingFailed, r"choices\.0\.finish_reason: Field required"),
        (Reply(200, '{"choices": [{"finish_reason": "stop"}]}'), SamplingFailed, "neither text nor message"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_answer_is_named_and_not_asked_for_again(reply: Reply, error: type[Exception], said: str) -> None:
    with server(lambda *_: reply) as (base_url, asked), pytest.raises(error, match=f"'1\\+1', completion 0: .*{said}"):
        sampled(base_url, REQUESTS[:1])
    assert len(asked) == 1


def test_what_was_under_way_is_given_before_the_failure() -> None:
    def one_fails(asked: Asked, _: int) -> Reply:
        if asked.body["seed"] == 101:
            return Reply(400, "bad")
        sleep(1.0)
        return completion(asked)

    with (
        server(one_fails) as (base_url, asked),
        sampling_engine("openai", "m", {"base_url": base_url, "concurrency": 4}, []) as engine,
    ):
        samples = engine.sample(REQUESTS, SETTINGS)
        given = [next(samples).sample_index for _ in range(3)]
        with pytest.raises(SamplingRefused, match="completion 1"):
            next(samples)
    assert sorted(given) == [0, 2, 3]
    assert len(asked) == 4


def test_the_key_goes_to_its_own_server_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(completion) as (own, asked_own), server(completion) as (other, asked_other):
        monkeypatch.setenv("PKPO_OPENAI_BASE_URL", own)
        monkeypatch.setenv("PKPO_OPENAI_API_KEY", "secret")
        with sampling_engine("openai", "m", {}, []) as engine:
            list(engine.sample(REQUESTS[:1], SETTINGS))
        sampled(other, REQUESTS[:1])
    assert asked_own[0].authorization == "Bearer secret"
    assert asked_other[0].authorization is None


def test_waiting_times() -> None:
    def asks(value: str) -> float | None:
        return retry_after(httpx.Response(429, headers={b"Retry-After": value.encode()}))

    assert asks("7") == 7
    assert asks(formatdate(time() + 30, usegmt=True)) == pytest.approx(30, abs=2)
    assert asks("soon") is asks("²") is asks("") is None
    assert 5 <= delay(1, 5) <= 6
    assert delay(1, 3600) == 60
    assert 0 <= delay(1, -5) <= 1
    assert max(delay(3, None) for _ in range(200)) <= 4
    assert max(delay(3, None) for _ in range(200)) > 2 > min(delay(3, None) for _ in range(200))
    assert delay(20, None) <= 60
