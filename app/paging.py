"""Lists a page at a time: what is asked for, and where a page ended, as an opaque word.

The word holds the sort key and id of the last row, not a count of rows: what is added or removed meanwhile moves no
other row to another page.
"""

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Generic, TypeVar

import orjson
from fastapi import Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from app.errors import InvalidRequest

T = TypeVar("T")
STRICT = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

Position = tuple[str | float | int | None, ...]


def written(pattern: str, reads: Callable[[str], float], sentence: str) -> BeforeValidator:
    """Reads a number as we write it: pydantic alone would take 8.0, 1_000 and blanks for a k, and nan for a level."""

    def read(value: object) -> object:
        if not isinstance(value, str):
            return value
        if not re.fullmatch(pattern, value, re.ASCII):
            raise ValueError(sentence)
        return reads(value)

    return BeforeValidator(read)


WholeNumber = written(r"[0-9]{1,10}", int, "a whole number, written in digits")


class PageQuery(BaseModel):
    """Which part of a list."""

    model_config = STRICT

    limit: Annotated[int, WholeNumber, Field(ge=1, le=1000, description="At most so many")] = 100
    cursor: Annotated[
        str | None, Field(max_length=4096, description="The `next_cursor` of the page before; none for the first")
    ] = None


SEVERAL: Final = ("k",)


def each_parameter_once(request: Request) -> None:
    """FastAPI would take the last of several values and ignore the others."""
    names = [name for name, _ in request.query_params.multi_items() if name not in SEVERAL]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidRequest("Only k may be given several times.", [("query", f"{len(repeated)} given more than once")])


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some rows of a list, and the cursor of the next ones; None at the end."""

    items: tuple[T, ...]
    next_cursor: str | None


def page(rows: Sequence[T], limit: int, position: Callable[[T], Position]) -> Page[T]:
    """The first `limit` of the rows, of which one more was read if there is one."""
    more = len(rows) > limit
    return Page(tuple(rows[:limit]), encode(position(rows[limit - 1])) if more else None)


def encode(position: Position) -> str:
    """The cursor of what follows this position."""
    return base64.urlsafe_b64encode(orjson.dumps(position)).rstrip(b"=").decode()


def decode(cursor: str, *kinds: tuple[type, ...]) -> Position:
    """The position of a cursor; InvalidRequest where it is none that `encode` made of these kinds of values."""
    try:
        position = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except ValueError as error:
        raise _invalid() from error
    if not isinstance(position, list) or len(position) != len(kinds):
        raise _invalid()
    if not all(type(value) in kind and _storable(value) for value, kind in zip(position, kinds, strict=True)):
        raise _invalid()
    return tuple(position)


def _storable(value: object) -> bool:
    """Whether Postgres can compare with it."""
    match value:
        case int():
            return -(2**63) <= value < 2**63
        case str():
            return "\0" not in value
        case _:
            return True


def _invalid() -> InvalidRequest:
    return InvalidRequest("Give as cursor a next_cursor of this list, unchanged.", [("query/cursor", "not a cursor")])
