"""Small servers that answer as a test says, or never."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """What to answer; `body` as JSON."""

    status: int = 200
    body: Any = {"accepted": 1, "replayed": 0, "segment": 0}
    headers: tuple[tuple[str, str], ...] = ()
    media_type: str = ""


Server = Callable[[], AbstractContextManager[str]]


class Seen(NamedTuple):
    """A request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    client: tuple[str, int]
    at: float  # by the monotonic clock


OK = Answer()
BUSY = Answer(503, {"type": "unavailable", "title": "Service Unavailable", "status": 503, "detail": "Send it again."})


@contextmanager
def answering(*answers: Answer) -> Iterator[tuple[str, list[Seen]]]:
    """The address of a server that gives these answers in turn, the last one again and again; and what it has seen."""
    seen: list[Seen] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            at = time.monotonic()
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen.append(Seen(self.command, self.path, headers, body, self.client_address, at))
            answer = answers[min(len(seen), len(answers)) - 1]
            content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            kind = "application/json" if answer.status < 400 else "application/problem+json"
            self.send_header("Content-Type", answer.media_type or kind)
            self.send_header("Content-Length", str(len(content)))
            for name, value in answer.headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer  # noqa: N815  the names that http.server calls

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", seen
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def black_hole() -> Iterator[str]:
    """The address of a server that takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def nothing() -> Iterator[str]:
    """An address at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # keeps the port from others
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
