"""Where a page of a list ended, as an opaque word.

It holds the sort key and id of the last row, not a count of rows: what is added or removed meanwhile moves no other row
to another page.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import orjson

from app.errors import InvalidRequest

T = TypeVar("T")
Position = tuple[str | float | int | None, ...]


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
