"""`Idempotency-Key`: a POST that is sent again is answered as it was, and done once.

The answer is kept in the transaction that it tells of: there are both, or neither. Who sends the same key meanwhile
waits, in this process before it takes a thread or a connection: forty waiting threads would leave none for the first.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final
from weakref import WeakValueDictionary

from fastapi import Depends, Header, Request, Response, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import Field, TypeAdapter, ValidationError
from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.orm import Session

from app.auth.security import authorize
from app.auth.service import Caller, Scope
from app.db import SessionDep
from app.errors import RETRY_AFTER, AppError
from app.models import IdempotencyKey

KEPT: Final = "7 days"
LONGEST_WAIT: Final = 30.0  # seconds
LONGEST_PAUSE: Final = 0.2
CLAIM: Final = "pkpo.claim"  # in the scope of a request that has a key


class KeyReused(AppError):
    """A key that stands for another request."""

    status, type = 422, "idempotency-key-reused"

    def __init__(self) -> None:
        reason = "used with another route or body"
        super().__init__(
            "This Idempotency-Key was used for another request; give each request one of its own.",
            [("header/idempotency-key", reason)],
        )


class KeyInUse(AppError):
    """A key whose first request is still under way after a long wait."""

    status, type = 503, "idempotency-key-in-use"
    headers: ClassVar[dict[str, str]] = {"Retry-After": RETRY_AFTER}

    def __init__(self) -> None:
        super().__init__(f"The first request of this Idempotency-Key takes longer than {LONGEST_WAIT:.0f} seconds.")


class _Replay(Exception):
    """Ends a request whose answer is known."""

    def __init__(self, stored: IdempotencyKey) -> None:
        headers = {"Idempotent-Replayed": "true"} | ({"Location": stored.location} if stored.location else {})
        self.response = Response(stored.answer, stored.status, headers, stored.media_type)


@dataclass(frozen=True)
class _Claim:
    """A key, and the request that it stands for."""

    session: Session
    project_id: int
    key: str
    route: str
    body_sha256: bytes

    def locked(self) -> bool:
        """Whether the key now is this transaction's, to its end."""
        digest = hashlib.sha256(f"{self.project_id} {self.key}".encode()).digest()
        number = int.from_bytes(digest[:8], "big", signed=True)
        return bool(self.session.scalar(select(func.pg_try_advisory_xact_lock(number))))

    def refuse_if_used(self) -> None:
        """Raise _Replay, or KeyReused, where the key has an answer."""
        stored = self.session.get(IdempotencyKey, (self.project_id, self.key))
        if stored is not None:
            if (stored.route, stored.body_sha256) != (self.route, self.body_sha256):
                raise KeyReused
            raise _Replay(stored)

    def keep(self, response: Response) -> None:
        """Store the answer, in the transaction of what it tells."""
        row = {
            "project_id": self.project_id,
            "key": self.key,
            "route": self.route,
            "body_sha256": self.body_sha256,
            "status": response.status_code,
            "media_type": response.headers["content-type"],
            "location": response.headers.get("location"),
            "answer": bytes(response.body),
        }
        self.session.execute(insert(IdempotencyKey).values(row))


@dataclass(frozen=True)
class Gates:
    """A lock for each key, of its project, that some request of this process has; gone with the last of them."""

    _locks: WeakValueDictionary[tuple[int, str], asyncio.Lock] = field(default_factory=WeakValueDictionary)

    def of(self, project_id: int, key: str) -> asyncio.Lock:
        """The lock that all requests with this key share."""
        return self._locks.setdefault((project_id, key), asyncio.Lock())


_PATTERN: Final = "^[!-~]{1,255}$"
_KEY: Final = TypeAdapter[str | None](Annotated[str | None, Field(pattern=_PATTERN)])
IdempotencyKeyHeader = Annotated[
    str | None,
    Header(
        pattern=_PATTERN,
        description="A name of this request, such as a UUID: sent again within seven days, it is not done again but "
        "answered as it was, with `Idempotent-Replayed: true`",
    ),
]


def once(scope: Scope) -> Any:
    """The dependency of every route that writes by POST and asks for this scope.

    It ends before the transaction does: who waited then waits for that in `_take`.
    """
    # The caller comes first: what nobody known sends is refused unread.
    Known = Annotated[Caller, Security(authorize, scopes=[scope])]

    async def read(request: Request, caller: Known) -> bytes:
        return await request.body()

    async def only_once(
        request: Request,
        caller: Known,
        content: Annotated[bytes, Depends(read)],
        session: SessionDep,
        idempotency_key: IdempotencyKeyHeader = None,
    ) -> AsyncIterator[None]:
        if idempotency_key is None:
            yield
            return
        async with _claimed(request, caller, content, session, idempotency_key) as claim:
            request.scope[CLAIM] = claim
            yield

    return Depends(only_once, scope="function")


ONCE: Final = once("write")


@asynccontextmanager
async def _claimed(
    request: Request, caller: Caller, content: bytes, session: Session, key: str
) -> AsyncIterator[_Claim]:
    """Within it the key is this request's; _Replay or KeyReused where it has an answer."""
    route = f"{request.method} {request.url.path}?{request.url.query}"
    claim = _Claim(session, caller.project_id, key, route, hashlib.sha256(content).digest())
    gates: Gates = request.app.state.gates
    async with _passed(gates.of(caller.project_id, key)):
        await _take(claim)
        await run_in_threadpool(claim.refuse_if_used)
        yield claim


async def done_once(
    request: Request, caller: Caller, content: bytes, session: Session, answer: Callable[[], Awaitable[Response]]
) -> Response:
    """The answer, kept where the request has a key, or the one kept: for a route that resolves no dependencies."""
    try:
        key = _KEY.validate_python(request.headers.get("idempotency-key"))
    except ValidationError as error:
        raise RequestValidationError(
            [{**each, "loc": ("header", "idempotency-key")} for each in error.errors(include_input=False)]
        ) from None
    if key is None:
        return await answer()
    try:
        async with _claimed(request, caller, content, session, key) as claim:
            response = await answer()
            await run_in_threadpool(claim.keep, response)
            return response
    except _Replay as replay:
        return replay.response


@asynccontextmanager
async def _passed(gate: asyncio.Lock) -> AsyncIterator[None]:
    """Within it no other request of this process has the key; KeyInUse where one keeps it for too long."""
    try:
        await asyncio.wait_for(gate.acquire(), LONGEST_WAIT)
    except TimeoutError:
        raise KeyInUse from None
    try:
        yield
    finally:
        gate.release()


async def _take(claim: _Claim) -> None:
    """Return when the key is this transaction's: another one may hold it, of another process too."""
    give_up, pause = time.monotonic() + LONGEST_WAIT, 0.002
    while not await run_in_threadpool(claim.locked):
        if time.monotonic() > give_up:
            raise KeyInUse
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


class KeepingRoute(APIRoute):
    """A route that keeps its answers to requests with a key, and gives them again. Errors are raised, so never kept."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of FastAPI, between the check of the key and the end of the transaction."""
        answer = super().get_route_handler()

        async def answer_once(request: Request) -> Response:
            try:
                response = await answer(request)
            except _Replay as replay:
                return replay.response
            if CLAIM in request.scope:
                await run_in_threadpool(request.scope[CLAIM].keep, response)
            return response

        return answer_once


def sweep(session: Session) -> None:
    """Forget the answers that were kept for long enough."""
    age = func.now() - text(f"interval '{KEPT}'")
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < age))
