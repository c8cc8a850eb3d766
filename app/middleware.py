"""What stands before every route: the Host and the origin of a request, the size and coding of its body, headers.

Pure ASGI: a middleware of Starlette's kind would cost each transform of rewards more than the transform.
"""

import re
from asyncio import sleep
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.codings import CODINGS, Decoder, Undecodable
from app.errors import problem_response

MIB = 2**20
BODY_LIMIT = 25 * MIB
# 4,194,304 rewards as decimal text of full length; a results file of as many bytes.
LARGE_BODY_LIMIT = 128 * MIB
LARGE_BODIES = ("/v1/transforms", "/v1/uploads")
# A name or address, in brackets where it holds colons, and a port: nothing else, for pages show it to the reader.
HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^:\[\]]*)(:[0-9]{1,5})?")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def body_limit(path: str) -> int:
    """The most bytes that a body posted to this path may have."""
    return LARGE_BODY_LIMIT if path in LARGE_BODIES else BODY_LIMIT


class HostCheck:
    """Answer only requests meant for this service, and writes that no other site made a browser send.

    A page of another site can make a browser call a service on loopback. Under a name of its own that resolves here it
    would even read the answers, so names must be known; addresses cannot be rebound.
    """

    def __init__(self, app: ASGIApp, known_names: frozenset[str]) -> None:
        self.app = app
        self.known_names = frozenset(name.lower() for name in known_names)
        self._is_known = lru_cache(maxsize=128)(self._names_us)

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

    def _names_us(self, host: str) -> bool:
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
    """Decode a body while it arrives, and refuse one that goes over the path's limit or cannot be decoded.

    The limit holds for the bytes sent and for those decoded, of which no more are made than it allows.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body decoded and counted, or refuse it."""
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS:
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        limit = body_limit(scope["path"])
        coding = ", ".join(headers.getlist("content-encoding")).strip().lower().removeprefix("x-")
        if coding not in ("", "identity", *CODINGS):
            await _unknown_coding()(scope, receive, send)
        elif (length := headers.get("content-length", "0")).isdecimal() and int(length[:20]) > limit:
            await _too_large(limit)(scope, receive, send)
        else:
            body = _Body(receive, limit, Decoder(coding) if coding in CODINGS else None)
            await self._within(body, scope, send)

    async def _within(self, body: "_Body", scope: Scope, send: Send) -> None:
        async def send_unless_refused(message: Message) -> None:
            if body.refusal is None:
                await send(message)

        with suppress(ClientDisconnect):
            await self.app(scope, body.receive, send_unless_refused)
        if body.refusal is not None:
            await body.refusal(scope, body.receive, send)


class _Body:
    """The messages of one request, their bytes decoded and counted."""

    def __init__(self, receive: Receive, limit: int, decoder: Decoder | None) -> None:
        self.refusal: ASGIApp | None = None
        self._receive, self._limit, self._taken = receive, limit, 0
        self._decoded = self._decode(decoder) if decoder else None

    async def receive(self) -> Message:
        """The next message; that of a client that left once the body is refused. The client is told why."""
        if self.refusal is None:
            try:
                message = await self._next()
            except Undecodable as error:
                self.refusal = problem_response(400, "undecodable-body", str(error))
            else:
                self._taken += len(message.get("body", b""))
                if self._taken <= self._limit:
                    return message
                self.refusal = _too_large(self._limit)
        return {"type": "http.disconnect"}

    async def _next(self) -> Message:
        message = await anext(self._decoded, None) if self._decoded is not None else None
        return message or await self._receive()

    async def _decode(self, decoder: Decoder) -> AsyncIterator[Message]:
        more = True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                yield message
                return
            for piece in decoder.pieces(message.get("body", b"")):
                yield {"type": "http.request", "body": piece, "more_body": True}
                await sleep(0)  # a body of many pieces lets other requests have their turn
            more = message.get("more_body", False)
        decoder.close()
        yield {"type": "http.request", "body": b"", "more_body": False}


def _unknown_coding() -> ASGIApp:
    detail = f"Bodies are decoded from one of {', '.join(CODINGS)}; any other Content-Encoding is not read."
    return problem_response(415, "unsupported-media-type", detail, headers={"Accept-Encoding": ", ".join(CODINGS)})


def _too_large(limit: int) -> ASGIApp:
    detail = f"The body is larger than this route takes: {limit} bytes. Send it in several requests."
    return problem_response(413, "body-too-large", detail)


class HeadAsGet:
    """Answer HEAD as GET is answered: the server leaves the body out, its routes need not know."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on as a GET where it is a HEAD."""
        # In a copy: from the original the server knows to send no body.
        is_head = scope["type"] == "http" and scope["method"] == "HEAD"
        await self.app({**scope, "method": "GET"} if is_head else scope, receive, send)


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
