"""Bytes on a socket that are hardly HTTP, to a live server: it answers or hangs up, and serves the next one."""

import random
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from sqlalchemy import URL

from app.codings import CODINGS
from tests.app.fuzzing import live_server
from tests.app.test_codings import bomb
from tests.conftest import fresh_database

BODY = b'{"rewards": [[1, 0, 0.5, 0]], "k": 2}'
START = b"POST /v1/transforms HTTP/1.1\r\nHost: localhost\r\n"
JSON = b"Content-Type: application/json\r\n"
WHOLE = START + JSON + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = START + JSON + b"Transfer-Encoding: chunked\r\n"
GET = b"GET /v1/runs HTTP/1.1\r\nHost: localhost\r\n"
LAST = b"Connection: close\r\n"
LONG = 30.0  # seconds for an answer that must come: in the end the server hangs up, so that no test waits for them
ODD = {
    "a length that is none": START + JSON + b"Content-Length: many\r\n\r\n" + BODY,
    "a negative length": START + JSON + b"Content-Length: -1\r\n\r\n" + BODY,
    "two lengths": START + JSON + b"Content-Length: 3\r\nContent-Length: 37\r\n\r\n" + BODY,
    "a length of two values": START + JSON + b"Content-Length: 37, 37\r\n\r\n" + BODY,
    "a length of many digits": START + JSON + b"Content-Length: " + b"9" * 300 + b"\r\n\r\n" + BODY,
    "a length and chunks": CHUNKED + b"Content-Length: 37\r\n\r\n" + BODY,
    "less than the length": START + JSON + b"Content-Length: 99\r\n\r\n" + BODY,
    "more than the length": START + JSON + b"Content-Length: 9\r\n\r\n" + BODY,
    "chunks that are none": CHUNKED + b"\r\n" + BODY,
    "a chunk larger than memory": CHUNKED + b"\r\nffffffffffffffff\r\n" + BODY,
    "a chunk shorter than its size": CHUNKED + b"\r\n40\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a negative chunk": CHUNKED + b"\r\n-25\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a chunk with a long extension": CHUNKED + b"\r\n25;" + b"x" * 200_000 + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
    "no last chunk": CHUNKED + b"\r\n25\r\n" + BODY + b"\r\n",
    "another transfer coding": START
    + JSON
    + b"Transfer-Encoding: gzip, chunked\r\n\r\n25\r\n"
    + BODY
    + b"\r\n0\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n",
    "HTTP/1.0 without a host": b"GET / HTTP/1.0\r\n\r\n",
    "HTTP/9.9": b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)),
    "nothing": b"\r\n\r\n",
    "no host": b"GET /v1/runs HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /v1/runs HTTP/1.1\r\nHost: localhost\r\nHost: example.org\r\n\r\n",
    "an address of another host": b"GET http://example.org/v1/runs HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a proxy's verb": b"CONNECT example.org:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a verb of its own": b"FROB / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an asterisk": b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an address of bytes": b"GET /v1/runs/\xff\xfe\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an address of a mebibyte": b"GET /" + b"a" * 2**20 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a path that is not UTF-8": b"GET /v1/runs/%ff%fe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a header of a mebibyte": GET + b"X: " + b"x" * 2**20 + b"\r\n\r\n",
    "a hundred thousand headers": GET + b"X: y\r\n" * 100_000 + b"\r\n",
    "a header with NUL": GET + b"X: a\0b\r\n\r\n",
    "a header without a name": GET + b": x\r\n\r\n",
    "a header without a colon": GET + b"X\r\n\r\n",
    "a name with a blank": GET + b"X : y\r\n\r\n",
    "a folded header": GET + b"X: y\r\n z\r\n\r\n",
    "bare line feeds": GET.replace(b"\r", b"") + b"\n",
    "bare carriage returns": GET.replace(b"\n", b"") + b"\r",
    "a key of bytes": GET + b"Authorization: Bearer \xff\xfe\r\nIdempotency-Key: \xff\r\n\r\n",
    "an upgrade": GET
    + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    + b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    "an upgrade to HTTP/2": GET
    + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
    "an expectation": START + JSON + b"Expect: 200-maybe\r\nContent-Length: 37\r\n\r\n" + BODY,
}


@pytest.fixture(scope="module")
def live(
    postgres_url: URL, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, subprocess.Popen[bytes], Path]]:
    """The address, the process and the log of a server."""
    log = tmp_path_factory.mktemp("api") / "log"
    with (
        fresh_database(postgres_url, template=migrated_template) as database_url,
        live_server(database_url, log) as (url, process),
    ):
        yield url, process, log


@pytest.fixture
def address(live: tuple[str, subprocess.Popen[bytes], Path]) -> Iterator[tuple[str, int]]:
    """Where the server listens; in the end it is the same one, well, and has no traceback in its log."""
    url, process, log = live
    yield "127.0.0.1", httpx.URL(url).port or 0
    assert httpx.get(f"{url}/readyz", timeout=60).status_code == 200
    assert process.poll() is None
    assert "Traceback" not in log.read_text()


def answer(address: tuple[str, int], sent: bytes, silence: float = 0.25) -> bytes:
    """All that comes back, until the server hangs up or has said nothing for so many seconds."""
    received = b""
    with socket.create_connection(address, timeout=LONG) as client:
        with suppress(ConnectionResetError, BrokenPipeError):  # it may hang up while there is more to come
            client.sendall(sent)
        client.settimeout(silence)
        with suppress(TimeoutError, ConnectionResetError):
            while more := client.recv(65536):
                received += more
    return received


def statuses(received: bytes) -> list[int]:
    """Of the answers in what came back."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", received)]


def the_last(request: bytes) -> bytes:
    """The request, after whose answer the server is to hang up."""
    return request.replace(b"\r\n", b"\r\n" + LAST, 1)


def test_a_request_in_one_piece_is_answered(address: tuple[str, int]) -> None:
    assert statuses(answer(address, the_last(WHOLE), LONG)) == [200]


@pytest.mark.parametrize("odd", ODD)
def test_what_is_hardly_http_is_refused_or_read_and_harms_nobody(address: tuple[str, int], odd: str) -> None:
    assert all(status < 500 for status in statuses(answer(address, ODD[odd])))


def test_three_hundred_broken_requests_harm_nobody(address: tuple[str, int]) -> None:
    draw = random.Random(20251120)
    whole = (WHOLE, CHUNKED + b"\r\n25\r\n" + BODY + b"\r\n0\r\n\r\n", GET + b"\r\n")
    seen = set()
    for _ in range(300):
        sent = bytearray(the_last(draw.choice(whole)))
        for _ in range(draw.choice((1, 2, 8))):
            at = draw.randrange(len(sent))
            sent[at : at + draw.randrange(3)] = draw.randbytes(draw.randrange(3))
        seen.update(statuses(answer(address, bytes(sent), silence=0.1)))
    assert {200, 400, 422} <= seen
    assert max(seen) < 500


def test_requests_sent_ahead_are_answered_in_their_order(address: tuple[str, int]) -> None:
    bad = WHOLE.replace(b'"k": 2', b'"k": 9')
    ahead = WHOLE + bad + GET + b"\r\n" + the_last(WHOLE)
    assert statuses(answer(address, ahead, LONG)) == [200, 422, 200, 200]


def test_a_slow_body_is_waited_for_while_others_are_served(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=LONG) as slow:
        slow.sendall(WHOLE[:-20])
        for byte in WHOLE[-20:]:
            assert statuses(answer(address, GET + LAST + b"\r\n", LONG)) == [200]
            slow.sendall(bytes([byte]))
        assert statuses(slow.recv(65536)) == [200]


def test_two_hundred_who_say_half_a_request_keep_nobody_waiting(address: tuple[str, int]) -> None:
    with ExitStack() as silent:
        for _ in range(200):
            silent.enter_context(socket.create_connection(address, timeout=LONG)).sendall(WHOLE[:-10])
        started = time.monotonic()
        assert statuses(answer(address, GET + LAST + b"\r\n", LONG)) == [200]
        assert time.monotonic() - started < 20


def peak_mib(pid: int) -> int:
    """The most memory that the process has held since its peak was forgotten."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+([0-9]+) kB", status)[0]) // 1024


@pytest.mark.parametrize("coding", CODINGS)
def test_eight_bombs_of_256_mib_at_once_are_refused_within_little_memory(
    live: tuple[str, subprocess.Popen[bytes], Path], coding: str
) -> None:
    url, process, _ = live
    body = bomb(coding, 256)
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    Path(f"/proc/{process.pid}/clear_refs").write_text("5")
    before = peak_mib(process.pid)
    with ThreadPoolExecutor(8) as threads:
        sent = [
            threads.submit(httpx.post, f"{url}/v1/runs/a/groups", content=body, headers=headers, timeout=60)
            for _ in range(8)
        ]
        answers = [each.result() for each in sent]
    assert [(answer.status_code, answer.json()["type"]) for answer in answers] == [(413, "body-too-large")] * 8
    # Each body up to its limit of 25 MiB, and not 256.
    assert peak_mib(process.pid) - before < 8 * 60
