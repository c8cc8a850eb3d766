"""Requests over one kept connection, sent again while the server is away."""

import logging
import math
import os
import random
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Any
from uuid import uuid4

import httpx

from pkpo.client.answers import Sent
from pkpo.client.errors import ClientError, NoAnswer, ServiceError

FIRST_PAUSE = 0.25  # seconds, before jitter
LONGEST_PAUSE = 10.0
LONGEST_RETRY_AFTER = 60.0
LONGEST_CONNECT = 5.0
JSON = "application/json"
PROBLEM = "application/problem+json"

logger = logging.getLogger("pkpo.client")

Parameter = str | int | float | bool | None


@dataclass(frozen=True)
class Call:
    """One request, which may be sent several times: all that it holds stays the same, its key too."""

    method: str
    path: str
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Parameter | Sequence[Parameter]] = field(default_factory=dict)


def writing(path: str, content: bytes, media_type: str = JSON, key: str | None = None, **headers: str) -> Call:
    """A POST that the server does once, however often it is sent."""
    own = {"Content-Type": media_type, "Idempotency-Key": key or str(uuid4())}
    return Call("POST", path, content, own | headers)


class Connection:
    """The way to one server, for any number of threads; a process forked off opens one of its own."""

    def __init__(self, url: str | None, api_key: str | None, timeout: float, deadline: float) -> None:
        self.url = _address(url or os.environ.get("PKPO_URL") or "http://127.0.0.1:8000")
        if not 0 < timeout < math.inf:
            raise ValueError(f"timeout must be a number of seconds above 0; got {timeout}")
        if not deadline >= 0:  # nan is not
            raise ValueError(f"deadline must be a number of seconds from 0 up; got {deadline}")
        self.timeout, self.deadline = timeout, deadline
        self._headers = _authorization(api_key or os.environ.get("PKPO_API_KEY"))
        self._complained = False
        # Made here and not with the first request: OpenSSL has locks, and a process that is forked off while another
        # thread makes a context would wait for ever when it makes its own.
        self._trust = httpx.create_ssl_context()
        self.start_anew()
        _connections.add(self)

    def start_anew(self) -> None:
        """Forget the connection: in a process forked off, the socket and its bytes belong to the parent."""
        self._lock = threading.Lock()
        self._http: httpx.Client | None = None

    def close(self) -> None:
        """Close the connection; a later request opens it again."""
        with self._lock:
            http, self._http = self._http, None
        if http is not None:
            http.close()

    def send(self, call: Call, deadline: float | None = None) -> httpx.Response:
        """The answer; while the server is away, asks again for `deadline` seconds.

        Raises:
          ServiceError: the server refused, at once; or was busy to the end.
          NoAnswer: it did not answer to the end.
        """
        patience = self.deadline if deadline is None else deadline
        give_up = time.monotonic() + patience
        for attempt in count():
            left = give_up - time.monotonic()
            try:
                response = self.send_once(call, min(self.timeout, max(left, 0.1)) if patience else self.timeout)
            except ClientError as error:
                wait = pause(error, attempt)
                if not error.passing or time.monotonic() + wait > give_up:
                    raise
                self._complain(error, give_up - time.monotonic())
                time.sleep(wait)
            else:
                self._complained = False
                return response
        raise AssertionError("count() has no end")

    def send_once(self, call: Call, timeout: float) -> httpx.Response:
        """The answer to one attempt; NoAnswer or ServiceError where there is none, or no success."""
        try:
            response = self._client().request(
                call.method,
                self.url + call.path,
                content=call.content,
                headers=call.headers,
                params={name: value for name, value in call.params.items() if value is not None} or None,
                timeout=httpx.Timeout(timeout, connect=min(timeout, LONGEST_CONNECT)),
            )
        except httpx.RequestError as error:
            reason = str(error) or type(error).__name__
            hint = "Is the server running (`pkpo serve`)? PKPO_URL names another one."
            raise NoAnswer(f"No answer from {self.url} ({reason}). {hint}") from error
        if response.is_success:
            return response
        raise _service_error(response)

    @contextmanager
    def lines(self, call: Call, silence: float) -> Iterator[Iterator[str]]:
        """The lines of an answer as they come, to its end; NoAnswer where none comes for so many seconds."""
        timeout = httpx.Timeout(silence, connect=LONGEST_CONNECT)
        try:
            with self._client().stream(
                call.method, self.url + call.path, headers=call.headers, timeout=timeout
            ) as answer:
                if not answer.is_success:
                    answer.read()
                    raise _service_error(answer)
                yield answer.iter_lines()
        except httpx.RequestError as error:
            raise NoAnswer(f"{self.url} fell silent ({str(error) or type(error).__name__}).") from error

    def _client(self) -> httpx.Client:
        with self._lock:
            if self._http is None:
                # As many as threads ask for: a pool that is full would make them wait for each other.
                limits = httpx.Limits(max_connections=None, max_keepalive_connections=8)
                self._http = httpx.Client(headers=self._headers, limits=limits, verify=self._trust)
            return self._http

    def _complain(self, error: ClientError, left: float) -> None:
        """One line for each time that the server goes away."""
        if not self._complained:
            logger.warning("%s\nTrying again for %.0f seconds.", error, left)
        self._complained = True


_connections: "weakref.WeakSet[Connection]" = weakref.WeakSet()


def _after_fork() -> None:
    for connection in list(_connections):
        connection.start_anew()


os.register_at_fork(after_in_child=_after_fork)


def pause(error: Exception, attempt: int) -> float:
    """Seconds to wait after attempt 0, 1, …: what the server asked for, and at random up to a bound that doubles."""
    asked = min(error.retry_after or 0.0, LONGEST_RETRY_AFTER) if isinstance(error, ServiceError) else 0.0
    return asked + random.uniform(0, min(FIRST_PAUSE * 2 ** min(attempt, 10), LONGEST_PAUSE))


def seconds_of(retry_after: str | None) -> float | None:
    """The seconds of a Retry-After, which is a number of them or a date; None where it is neither."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        date = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    zoned = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max((zoned - datetime.now(UTC)).total_seconds(), 0.0)


def json_of(response: httpx.Response) -> Any:
    """The JSON of an answer; ServiceError where it is none, as of some other program at this address."""
    if response.headers.get("content-type") != JSON:
        raise _service_error(response)
    return response.json()


def sent_of(response: httpx.Response) -> Sent:
    """What became of the rows of a request; ServiceError where the answer is not of a pkpo server."""
    match json_of(response):
        case {"accepted": int(accepted), "replayed": int(replayed)}:
            return Sent(accepted, replayed)
    raise _service_error(response)


def _service_error(response: httpx.Response) -> ServiceError:
    problem: dict[str, Any] = {}
    if response.headers.get("content-type", "").partition(";")[0] == PROBLEM:
        problem = response.json()
    url = str(response.request.url.copy_with(query=None))
    return ServiceError(response.status_code, problem, url, seconds_of(response.headers.get("retry-after")))


def _address(url: str) -> str:
    """The URL without a slash at its end; ValueError where it is none."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"The server's address must begin with http:// or https:// and a host, not {url!r}")
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise ValueError("The server's address has a user, query or fragment; an API key belongs into PKPO_API_KEY")
    return url.rstrip("/")


def _authorization(api_key: str | None) -> dict[str, str]:
    if not api_key:
        return {}
    if not (api_key.isascii() and api_key.isprintable() and " " not in api_key):
        # httpx would say so too, and show the key
        raise ValueError("The API key has a blank, a line break or another character that no key has")
    return {"Authorization": f"Bearer {api_key}"}
