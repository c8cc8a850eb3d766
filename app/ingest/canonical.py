"""JSON as Postgres can keep it, and one spelling for equal values."""

import json
import math
from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import AfterValidator, WithJsonSchema

MOST_BYTES: Final = 65_536
MOST_BYTES_OF_TESTS: Final = 2**20
DEEPEST: Final = 32
SMALLEST_INTEGER: Final = -(2**63)
LARGEST_INTEGER: Final = 2**64 - 1  # seeds are often unsigned


def canonical_json(value: Any) -> str:
    """The one spelling of a JSON value: keys sorted, no spaces, and 1.0 written as 1, for JSON has one kind of number.

    Jsonb gives back 10000000000000000 for 1e16, so every whole number is written by its digits: what was stored and
    what is sent again are then spelled alike.
    """
    return json.dumps(_whole_numbers(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)


def _whole_numbers(value: Any) -> Any:
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {key: _whole_numbers(each) for key, each in value.items()}
        case list():
            return [_whole_numbers(each) for each in value]
        case _:
            return value


def storable_text(text: str) -> str:
    """The text, which Postgres can store. Raises ValueError where it holds NUL, or half a surrogate pair."""
    if "\0" in text:
        raise ValueError("the character NUL cannot be stored")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a lone surrogate is no character") from None
    return text


def _storable_within(most: int) -> Callable[[Any], Any]:
    """The validator of a value that takes so many bytes at most."""

    def storable(value: Any) -> Any:
        _room_after(value, most, DEEPEST, most)
        size = len(canonical_json(value).encode())
        if size > most:
            raise ValueError(f"the value takes {size} bytes; the most is {most}")
        return value

    return storable


def _room_after(value: Any, room: int, depth: int, most: int) -> int:
    """How many of `room` values may follow this one, each taking a byte at least: a body holds millions.

    Raises ValueError where Postgres cannot store the value, or where it is larger or nested deeper than we take.
    """
    if room == 0:
        raise ValueError(f"the value takes more than {most} bytes")
    if depth < 0:
        raise ValueError(f"objects and lists are nested more than {DEEPEST} deep")
    room -= 1
    match value:
        case str():
            storable_text(value)
        case float() if not math.isfinite(value):
            raise ValueError("numbers must be finite")
        case int() if not SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
            raise ValueError(f"integers must lie between {SMALLEST_INTEGER} and {LARGEST_INTEGER}")
        case dict():
            for key, each in value.items():
                storable_text(key)
                room = _room_after(each, room, depth - 1, most)
        case list():
            for each in value:
                room = _room_after(each, room, depth - 1, most)
    return room


Text = Annotated[str, AfterValidator(storable_text)]
# Of the inside pydantic is told nothing: it would place errors by keys of the client's own making, and so echo them.
JsonObject = Annotated[dict[Any, Any], AfterValidator(_storable_within(MOST_BYTES)), WithJsonSchema({"type": "object"})]
JsonValue = Annotated[Any, AfterValidator(_storable_within(MOST_BYTES_OF_TESTS))]
