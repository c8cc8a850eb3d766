"""What stands before every route: the Host and the origin of a request, the size and coding of its body, headers.

Pure ASGI: a middleware of Starlette's kind would cost each transform of rewards more than the transform.
"""

import re
from contextlib import suppress
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import problem_response

MIB = 2**20
BODY_LIMIT = 25 * MIB
# 4,194,304 rewards as decimal text of full length.
TRANSFORM_BODY_LIMIT = 128 * MIB
# A name or address, in brackets where it holds colons, and a port: nothing else, for pages show it to the reader.
HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^:\[\]]*)(:[0-9]{1,5})?")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def body_limit(path: str) -> int:
    """The most bytes that a body posted to this path may have."""
    return TRANSFORM_BODY_LIMIT if path == "/v1/transforms" else BODY_LIMIT


class HostCheck:
    """Answer only requests meant for this service, and writes that no other site made a browser send.

    A page of another site can make a browser call a service on loopback. Under a name of its own that resolves here it
    would even read the answers, so names must be known; addresses cannot be rebound.
    """

    def __init__(self, app: ASGIApp, known_names: frozenset[str]) -> None:
        self.app = app
        self.known_names = frozenset(name.lower() for name in known_names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            refusal = None
            if not self._is_known(headers.get("host", "")):
                detail = "This service does not answer to that Host; PKPO_ALLOWED_HOSTS names further ones."
                refusal = problem_response(400, "unknown-host", detail)
            elif scope["method"] not in SAFE_METHODS and headers.get("sec-fetch-site") in ("cross-site", "same-site"):
                refusal = problem_response(403, "cross-site", "A page of another site may not write here.")
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _is_known(self, host: str) -> bool:
        parts = HOST.fullmatch(host)
        if parts is None:
            return False
        name = parts["name"].lower()
        if name in self.known_names:
            return True
        try:
            ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True


class BodyBound:
    """Refuse a body over the path's limit while it arrives, and one in a coding that no route reads."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body counted, or refuse it."""
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS:
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        limit = body_limit(scope["path"])
        if headers.get("content-encoding", "identity") != "identity":
            detail = "Bodies are read as they are: send it without Content-Encoding."
            await problem_response(415, "unsupported-media-type", detail)(scope, receive, send)
        elif (length := headers.get("content-length", "0")).isdecimal() and int(length[:20]) > limit:
            await _too_large(limit)(scope, receive, send)
        else:
            await self._within(limit, scope, receive, send)

    async def _within(self, limit: int, scope: Scope, receive: Receive, send: Send) -> None:
        taken = 0

        async def receive_within_limit() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            # The application sees a client that left; this one is told why.
            return message if taken <= limit else {"type": "http.disconnect"}

        async def send_unless_too_large(message: Message) -> None:
            if taken <= limit:
                await send(message)

        with suppress(ClientDisconnect):
            await self.app(scope, receive_within_limit, send_unless_too_large)
        if taken > limit:
            await _too_large(limit)(scope, receive, send)


def _too_large(limit: int) -> ASGIApp:
    detail = f"The body is larger than this route takes: {limit} bytes. Send it in several requests."
    return problem_response(413, "body-too-large", detail)


class SafeHeaders:
    """Tell browsers not to guess: on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add the headers to its answer."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)
