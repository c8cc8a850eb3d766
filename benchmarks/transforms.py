"""Rewards to credits over HTTP, in server CPU: against an echo of the body, and the same work without a server."""

import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from time import process_time

import numpy as np
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.auth.service import SCOPES, Caller
from app.body import JSON, Body
from app.db import migrate
from app.embedded_postgres import EmbeddedPostgres, child_process
from app.supervisor import API
from app.transforms import npy, routes
from benchmarks.ratio import Ratio

PATH = "/v1/transforms"
GROUPS, COMPLETIONS, K = 512, 16, 8
ROUNDS, REQUESTS = 150, 15  # many short rounds: on a busy machine some are left alone
OURS = "app.main:create_app"
ECHO = tuple(word.replace(OURS, "benchmarks.transforms:echo") for word in API)


def echo() -> Starlette:
    """The least that a server of this kind can do: read a body, and answer with it."""

    async def answer(request: Request) -> Response:
        return Response(await request.body(), media_type=request.headers["content-type"])

    return Starlette(routes=[Route(PATH, answer, methods=["POST"])])


@dataclass(frozen=True)
class _Post:
    """A request to transform rewards."""

    media_type: str
    query: str
    body: bytes


def measure() -> Iterator[Ratio]:
    """512 groups of 16 rewards of full precision, k = 8, as JSON and as npy: one request after the other."""
    rewards = np.random.default_rng(0).random((GROUPS, COMPLETIONS))
    array = BytesIO()
    np.save(array, rewards)
    posts = {
        6.0: _Post(JSON, "", orjson.dumps({"rewards": rewards.tolist(), "k": K})),
        5.0: _Post(npy.MEDIA_TYPE, f"k={K}", array.getvalue()),
    }
    with (
        tempfile.TemporaryDirectory(prefix="pkpo-bench-") as folder,
        EmbeddedPostgres(Path(folder)) as postgres,
    ):
        migrate(postgres.url)
        with _server(API, postgres.url) as ours, _server(ECHO, postgres.url) as bare:
            for most, post in posts.items():
                yield from _ratios(post, most, ours, bare)


def _ratios(post: _Post, most: float, ours: "_Server", bare: "_Server") -> Iterator[Ratio]:
    works: list[Callable[[], float]] = [lambda: ours.seconds(post), lambda: bare.seconds(post), lambda: _alone(post)]
    best = [float("inf")] * len(works)
    for _ in range(ROUNDS):
        best = [min(least, work()) for least, work in zip(best, works, strict=True)]
    served, echoed, alone = best
    detail = " µs, ".join(
        f"{name} {seconds * 1e6:.0f}" for name, seconds in zip(("", "echo", "alone"), best, strict=True)
    )
    name = f"{GROUPS} × {COMPLETIONS} {post.media_type}"
    yield Ratio(name, served / echoed, "an echo of the body", at_most=most, detail=f"{detail} µs a request")
    yield Ratio(name, served / (echoed + alone), "that echo and the work without a server", at_most=1.5)


def _alone(post: _Post) -> float:
    """CPU seconds of one decoding, transform and encoding in this process."""
    scope = {"type": "http", "query_string": post.query.encode(), "headers": []}
    request, body = Request(scope), Body(post.media_type, post.body)
    caller = Caller(1, None, frozenset(SCOPES))
    start = process_time()
    for _ in range(REQUESTS):
        routes._answer(request, caller, routes._read(body, request))
    return (process_time() - start) / REQUESTS


@dataclass(frozen=True)
class _Server:
    pid: int
    port: int

    def seconds(self, post: _Post) -> float:
        """CPU seconds that the server's process takes for one request."""
        connection = HTTPConnection("127.0.0.1", self.port)
        self._send(connection, post)
        before = self._used()
        for _ in range(REQUESTS):
            self._send(connection, post)
        used = self._used() - before
        connection.close()
        return used / REQUESTS

    def _send(self, connection: HTTPConnection, post: _Post) -> None:
        headers = {"Content-Type": post.media_type}
        connection.request("POST", f"{PATH}?{post.query}", post.body, headers)
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content

    def _used(self) -> float:
        return time.clock_gettime(~self.pid << 3 | 2)


@contextmanager
def _server(command: tuple[str, ...], database_url: str) -> Iterator[_Server]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, "PKPO_DATABASE_URL": database_url, "PKPO_HOST": "127.0.0.1"}
    process = child_process.spawn([*command, "--port", str(port)], environment, sys.stderr)
    try:
        _await(port)
        yield _Server(process.pid, port)
    finally:
        child_process.end(process, [(signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)])


def _await(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"nothing listens on port {port}")
