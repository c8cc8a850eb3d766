"""Errors as RFC 9457 problem details: one class per cause, each writing its own sentence; never echoing a value sent.

Nothing here leaves a 5xx for bad input: what a client can act on is an AppError, what the body got wrong is a list of
JSON pointers, and a database that is away is a 503 that says when to come back. A browser gets the same as a page.
"""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, TypeAlias

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 20
RETRY_AFTER = "1"  # seconds: a killed Postgres is back in two
# Deadlock, serialization failure, out of memory or connections or disk, shutting down, read-only after a failover.
PASSING_SQLSTATES = ("40001", "40P01", "53", "57P", "58", "08", "25006")


class ErrorDetail(BaseModel):
    """One thing wrong with a request: where, and what."""

    pointer: str = Field(description="JSON pointer into the body, or `query/<name>`, `header/<name>`, `path/<name>`")
    code: str = Field(description="What is wrong there")


class Problem(BaseModel):
    """An error answer, RFC 9457."""

    type: str = Field(description="The cause: one word per cause, the same for ever", examples=["k-exceeds-n"])
    title: str
    status: int
    detail: str
    errors: list[ErrorDetail] = []


class AppError(Exception):
    """Something a client can act on. Subclasses set `status` and `type`, and write the sentence."""

    status: ClassVar[int] = 400
    type: ClassVar[str]
    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, detail: str, errors: Sequence[tuple[str, str]] = (), **more: Any) -> None:
        super().__init__(detail)
        self.errors = errors  # (pointer, code)
        self.more = more  # further members of the problem, such as counts


class NotFound(AppError):
    """A name or id that this project does not have."""

    status, type = 404, "not-found"


class InvalidRequest(AppError):
    """A request that breaks a rule of its schema."""

    status, type = 422, "invalid-request"


class UnsupportedMediaType(AppError):
    """A body in a form that this route does not read."""

    status, type = 415, "unsupported-media-type"


PageOf: TypeAlias = Callable[[Request, Mapping[str, Any]], Response | None]


class ProblemResponse(JSONResponse):
    """A problem as JSON, or as the page that the application makes of it for this request."""

    media_type = MEDIA_TYPE

    def __init__(self, problem: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        super().__init__(problem, problem["status"], headers)
        self.problem = problem
        self.extra_headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request; whoever made this, a route or what stands before all routes, need not know how."""
        page_of: PageOf = scope["app"].state.page_of_problem
        page = page_of(Request(scope), self.problem)
        if page is None:
            await super().__call__(scope, receive, send)
        else:
            for name, value in self.extra_headers.items():
                page.headers.setdefault(name, value)
            await page(scope, receive, send)


def problem_response(
    status: int,
    type_: str,
    detail: str,
    errors: Sequence[tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> ProblemResponse:
    """An error answer of the given cause."""
    body: dict[str, Any] = {"type": type_, "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    if errors:
        body["errors"] = [{"pointer": pointer, "code": code} for pointer, code in errors[:MOST_ERRORS]]
    return ProblemResponse(body | more, headers or {})


def _on_app_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AppError)
    return problem_response(error.status, error.type, str(error), error.errors, error.headers, **error.more)


def _pointer(location: Sequence[int | str]) -> str:
    """`("body", "rewards", 3)` as `/rewards/3`; a query parameter as `query/k`."""
    part, *path = (str(step).replace("~", "~0").replace("/", "~1") for step in location)
    return "".join(f"/{step}" for step in path) if part == "body" else "/".join((part, *path))


def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    detail, errors = rules_broken(error)
    return problem_response(422, InvalidRequest.type, detail, errors)


def rules_broken(error: RequestValidationError) -> tuple[str, list[tuple[str, str]]]:
    """What a request breaks, in a sentence, and where (pointer, code)."""
    errors = []
    for each in error.errors():
        # A key of the client's own making would be an echo of what it sent.
        location = each["loc"][:-1] if each["type"] == "extra_forbidden" else each["loc"]
        # A validator of ours says all there is to say; "value_error" before it would be pydantic's word for it.
        kind = "" if each["type"] == "value_error" else f"{each['type']}: "
        errors.append((_pointer(location), f"{kind}{_without_value(each)}"))
    count = len(errors)
    return f"The request breaks {count} rule{'s' * (count > 1)} of its schema; /docs shows what it takes.", errors


def _without_value(error: Mapping[str, Any]) -> str:
    kind, message = str(error["type"]), str(error["msg"])
    match kind:
        case "value_error":  # a validator of ours: its own sentence
            return message.removeprefix("Value error, ")
        case "json_invalid":
            return "the body is not JSON"
        case "uuid_parsing":  # here, and below, pydantic quotes the input
            return "not an id, which is a UUID"
        case "enum" | "int_parsing_size":
            return "not a valid value"
        case _:
            return in_words_of_json(kind, message)


def in_words_of_json(kind: str, message: str) -> str:
    """What pydantic says, without Python's names for what JSON calls a list and an object."""
    if kind in ("tuple_type", "list_type"):
        return "Input should be a list"
    if kind in ("dict_type", "model_type"):
        return "Input should be an object"
    return message.replace("Tuple should have", "List should have")


def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    sentence = {404: "There is nothing at this address; /docs lists what there is."}.get(
        error.status_code, error.detail
    )
    return problem_response(error.status_code, kind, sentence, headers=error.headers)


def _on_database_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DBAPIError | psycopg.Error)
    original = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(original, "sqlstate", None)
    if state is None:  # the connection broke, or could not be made
        passing = isinstance(original, psycopg.OperationalError | psycopg.InterfaceError)
    else:
        passing = state.startswith(PASSING_SQLSTATES)
    if not passing:
        raise error
    return _unavailable("The database did not answer. Send it again: what is written already is not written twice.")


def _on_pool_timeout(request: Request, error: Exception) -> Response:
    return _unavailable("More requests are under way than the database has connections for. Send it again.")


def _unavailable(detail: str) -> Response:
    return problem_response(503, "unavailable", detail, headers={"Retry-After": RETRY_AFTER})


def _on_defect(request: Request, error: Exception) -> Response:
    """What only a defect of ours can cause: the server's log has the traceback, the client gets a sentence."""
    return problem_response(500, "internal-error", "The server failed; its log says why.")


def install(app: FastAPI, page_of: PageOf) -> None:
    """Answer every error of the application with a problem detail, or with the page made of it."""
    app.state.page_of_problem = page_of
    app.add_exception_handler(AppError, _on_app_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(DBAPIError, _on_database_error)
    app.add_exception_handler(psycopg.Error, _on_database_error)  # COPY does without SQLAlchemy
    app.add_exception_handler(PoolTimeout, _on_pool_timeout)
    app.add_exception_handler(Exception, _on_defect)
