"""Client: how often it asks, what it says when it gives up, and what it never shows."""

import logging
import math
import os
import ssl
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pkpo.client import Client, NoAnswer, ServiceError
from pkpo.client import connection as connections
from pkpo.client.connection import pause, seconds_of
from tests.pkpo.answering import BUSY, Answer, Server, answering, black_hole, nothing

EVALUATION = {
    "id": "00000000-0000-0000-0000-000000000001",
    "run": "r",
    "step": 0,
    "problem_set": "p@1",
    "sampling": {},
    "model": None,
    "n": None,
    "iid": True,
}
MADE = Answer(201, EVALUATION)
ROW = {"problem": "2+2", "sample_index": 0}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "FIRST_PAUSE", 0.01)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_server_is_asked_again_with_the_same_key(status: int) -> None:
    with (
        answering(BUSY._replace(status=status), BUSY._replace(status=status), MADE) as (url, seen),
        Client(url) as client,
    ):
        assert client.evaluation("r", 0, "p").problem_set == "p@1"
    assert len(seen) == 3
    assert len({each.headers["idempotency-key"] for each in seen}) == 1
    assert len({each.body for each in seen}) == 1


def test_each_call_has_a_key_of_its_own_and_all_share_a_connection() -> None:
    with answering(MADE) as (url, seen), Client(url) as client:
        for _ in range(3):
            client.evaluation("r", 0, "p")
    assert len({each.headers["idempotency-key"] for each in seen}) == 3
    assert len({each.client for each in seen}) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500])
def test_a_refusal_is_raised_at_once(status: int) -> None:
    problem = {
        "type": "k-exceeds-n",
        "title": "No",
        "status": status,
        "detail": "There are enough for k up to 4.",
        "errors": [{"pointer": "query/k", "code": "at most 4"}],
    }
    with answering(Answer(status, problem)) as (url, seen), Client(url) as client:
        with pytest.raises(ServiceError) as caught:
            client.evaluation("r", 0, "p")
        error = caught.value
    assert len(seen) == 1
    assert (error.status, error.type, error.title) == (status, "k-exceeds-n", "No")
    assert error.errors == (("query/k", "at most 4"),)
    assert str(error) == f"{status} k-exceeds-n: There are enough for k up to 4.\n  query/k: at most 4"


@pytest.mark.parametrize(
    "answer", [Answer(404, b"<h1>no</h1>", media_type="text/html"), Answer(200, b"hi", (), "text/html")]
)
def test_another_program_at_the_address_is_recognised(answer: Answer) -> None:
    with (
        answering(answer) as (url, _),
        Client(url) as client,
        pytest.raises(ServiceError, match=r"answered \d+: is that a pkpo server\?"),
    ):
        client.evaluation("r", 0, "p")


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_waited_for(as_date: bool) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=2.5), usegmt=True)  # its seconds are whole ones
    busy = BUSY._replace(headers=(("Retry-After", date if as_date else "1"),))
    with answering(busy, MADE) as (url, seen), Client(url) as client:
        started = time.monotonic()
        client.evaluation("r", 0, "p")
        assert time.monotonic() - started >= 1
    assert len(seen) == 2


def test_a_retry_after_beyond_the_deadline_is_not_waited_for() -> None:
    busy = BUSY._replace(headers=(("Retry-After", "50"),))
    with answering(busy) as (url, seen), Client(url, deadline=5) as client:
        started = time.monotonic()
        with pytest.raises(ServiceError, match="Send it again"):
            client.evaluation("r", 0, "p")
        assert time.monotonic() - started < 20
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("7", 7.0), ("soon", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("-1", None)],
)
def test_what_retry_after_says(header: str | None, seconds: float | None) -> None:
    assert seconds_of(header) == seconds


def test_pauses_double_at_random_are_bounded_and_never_below_what_was_asked() -> None:
    first, later = ([pause(NoAnswer(), attempt) for _ in range(200)] for attempt in (0, 3))
    assert 0 <= min(first) < 0.003 < 0.007 < max(first) <= 0.01
    assert 0.05 < max(later) <= 0.08
    assert pause(NoAnswer(), 100_000) <= connections.LONGEST_PAUSE
    asked = [pause(ServiceError(503, {}, "", retry_after=3), 0) for _ in range(100)]
    assert min(asked) >= 3
    assert pause(ServiceError(503, {}, "", retry_after=1e9), 0) < 61


@pytest.mark.parametrize("server", [nothing, black_hole])
def test_a_server_that_is_away_is_given_up_at_the_deadline(server: Server) -> None:
    with server() as url, Client(url, timeout=0.2, deadline=0.7) as client:
        started = time.monotonic()
        with pytest.raises(NoAnswer, match=url):
            client.evaluation("r", 0, "p")
        assert 0.05 < time.monotonic() - started < 10


def test_a_batch_that_a_proxy_finds_too_large_is_halved() -> None:
    large = Answer(413, b"<h1>Request Entity Too Large</h1>", media_type="text/html")
    stored = Answer(200, {"accepted": 2, "replayed": 0})
    with answering(large, stored) as (url, seen), Client(url) as client:
        rows = [{**ROW, "sample_index": i} for i in range(4)]
        assert client.log_completions(EVALUATION["id"], rows).accepted == 4  # type: ignore[arg-type]
    assert len(seen) == 3
    assert len({each.headers["idempotency-key"] for each in seen}) == 3


def test_the_key_is_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "pkpo_canary123"
    refused = Answer(401, {"type": "unauthorized", "title": "", "status": 401, "detail": "No such key."})
    with answering(BUSY, refused) as (url, seen), Client(url, secret) as client:
        with pytest.raises(ServiceError, match="401 unauthorized: No such key") as caught:
            client.evaluation("r", 0, "p")
        assert seen[0].headers["authorization"] == f"Bearer {secret}"
        shown = f"{client!r} {caught.value!r} {caught.value.problem} {caplog.text}"
    assert "No such key" in shown
    assert "HTTP Request" in shown, "httpx logs what it does, too"
    assert secret not in shown


@pytest.mark.parametrize("key", ["pkpo_canary\n", "pkpo canary", "pkpo_kanariö"])
def test_a_key_that_is_none_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ValueError, match="no key has") as caught:
        Client("http://127.0.0.1:9", key)
    assert "anar" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000", "ftp://here", "http://", "http://user:pass@here", "http://h:port", "http://h/?a=1"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="server's address"):
        Client(url)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"timeout": -1}, "timeout must be a number of seconds above 0; got -1"),
        ({"timeout": 0}, "timeout must be a number of seconds above 0; got 0"),
        ({"timeout": math.nan}, "timeout must be a number of seconds above 0; got nan"),
        ({"deadline": -0.5}, "deadline must be a number of seconds from 0 up; got -0.5"),
        ({"deadline": math.nan}, "deadline must be a number of seconds from 0 up; got nan"),
    ],
)
def test_times_that_cannot_be_are_refused(given: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Client(spool_limit=1, **given)  # type: ignore[arg-type]


def test_address_and_key_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(MADE) as (url, seen):
        monkeypatch.setenv("PKPO_URL", url + "/")
        monkeypatch.setenv("PKPO_API_KEY", "pkpo_environment")
        with Client() as client:
            client.evaluation("r", 0, "p")
    assert seen[0].headers["authorization"] == "Bearer pkpo_environment"
    assert seen[0].path == "/v1/evaluations"


def test_a_fork_does_not_use_its_parents_socket() -> None:
    with answering(MADE) as (url, seen), Client(url) as client:
        client.evaluation("parent", 0, "p")
        child = os.fork()
        if child == 0:
            client.evaluation("child", 0, "p")
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        client.evaluation("parent", 0, "p")
    ports = [each.client[1] for each in seen]
    assert len(ports) == 3
    assert ports[0] == ports[2] != ports[1]


def test_a_fork_makes_no_tls_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would wait for ever for a lock of OpenSSL's that another thread of its parent held."""
    with answering(MADE) as (url, _), Client(url) as client:
        child = os.fork()
        if child == 0:
            with suppress(BaseException):
                monkeypatch.setattr(ssl, "create_default_context", lambda *_, **__: os._exit(2))
                client.evaluation("child", 0, "p")
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_fork_while_the_client_is_busy_does_not_hang() -> None:
    with answering(MADE) as (url, _), Client(url) as client:
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                client.evaluation("r", 0, "p")

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(5):
            child = os.fork()
            if child == 0:
                client.evaluation("r", 0, "p")
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        for thread in threads:
            thread.join()


def test_a_row_that_no_request_holds_is_named() -> None:
    with answering(Answer(200, {"accepted": 1, "replayed": 0})) as (url, seen), Client(url) as client:
        identity = str(EVALUATION["id"])
        for text, said in [
            ("x" * 26 * 2**20, "27,263,020 bytes"),
            (float("nan"), "is not JSON"),
            ("\ud800", "is not Unicode"),
        ]:
            with pytest.raises(ValueError, match=rf"completion 1 \(problem '2\+2', sample_index 5\).*{said}"):
                client.log_completions(identity, [ROW, {**ROW, "sample_index": 5, "text": text}])
    assert seen == []


def test_rewards_that_are_none_are_refused_before_anything_is_sent() -> None:
    with nothing() as url, Client(url, deadline=0) as client:
        wrong: list[Any] = [[["1", "0"]], [], [[]], np.zeros((2, 2, 2)), 3, [[1, [2]]], "10", [[float("inf"), 1]]]
        for rewards in wrong:
            with pytest.raises(ValueError, match="rewards must be"):
                client.transform(rewards, 1)


def test_the_library_alone_does_not_bring_the_client_and_its_absence_is_said(tmp_path: Path) -> None:
    (tmp_path / "httpx.py").write_text("raise ModuleNotFoundError('no httpx', name='httpx')")
    code = "import sys, pkpo; pkpo.sloo; assert 'httpx' not in sys.modules and 'pkpo.client' not in sys.modules\n"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", f"{code}import pkpo.client"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert "ModuleNotFoundError: pkpo.client needs httpx: install pkpo with its extra `client`" in done.stderr
    done = subprocess.run([sys.executable, "-m", "pkpo", "sync"], capture_output=True, text=True, env=environment)
    assert done.stderr == "pkpo: pkpo.client needs httpx: install pkpo with its extra `client`\n"


def test_a_transform_has_a_key_where_it_records() -> None:
    answer = Answer(200, {"credits": [[0.5, -0.5]], "max_at_k": [0.5]})
    with answering(BUSY, answer) as (url, seen), Client(url) as client:
        client.transform([[1, 0]], 1, record={"run": "r", "step": 0, "problems": ["a"]})
        client.transform([[1, 0]], 1)
    first, again, bare = (each.headers.get("idempotency-key") for each in seen)
    assert first == again is not None
    assert bare is None, "nothing is written"
