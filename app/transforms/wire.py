"""What a JSON body holds: one object, and in it groups of rewards.

The numbers never meet pydantic, which would take 25 times as long as the transport: orjson parses, NumPy holds.
"""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, starmap
from typing import Any, NoReturn, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from app.body import KeyTwice, broken_rules
from app.errors import MOST_ERRORS, AppError, InvalidRequest
from app.training.fields import MOST_ATTEMPTS

M = TypeVar("M", bound=BaseModel)

MOST_REWARDS = MOST_ATTEMPTS
# Each reward and each group costs a bracket or a comma at most: a body with more has more values than are taken.
MOST_VALUES = 2 * MOST_REWARDS + 1000
# Several times as many as any route takes. Without it a body could have millions, each with an error of its own.
MOST_FIELDS = 50


# Where orjson stops at a number that is not finite: its digits, or a word for it, after a sign or at it.
NOT_FINITE = re.compile(r"-?(?:[1-9]|nan|inf)", re.IGNORECASE)


class TooManyRewards(AppError):
    """More rewards than one request may bring."""

    status, type = 413, "too-many-rewards"

    def __init__(self) -> None:
        super().__init__(f"One request takes at most {MOST_REWARDS} rewards in as many groups. Send it in several.")


@dataclass(frozen=True)
class Groups:
    """The rewards of all groups end to end."""

    rewards: NDArray[np.float64]  # nan = missing, which JSON writes null
    sizes: NDArray[np.int64]  # rewards per group, the missing ones included


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is; InvalidRequest where it is none, TooManyRewards before they take memory."""
    if len(body) > MOST_VALUES and sum(body.count(mark) for mark in (b",", b"[", b"{")) > MOST_VALUES:
        raise TooManyRewards
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        detail = f"The body is not JSON (UTF-8) from line {error.lineno}, column {error.colno} on."
        reason = "JSON has no NaN, no Infinity and no number beyond 1.8e308; null is a missing reward"
        about_a_number = NOT_FINITE.match(error.doc, error.pos) is not None
        pointer = _pointer_into_rewards(error)
        raise InvalidRequest(detail, [(pointer, reason if about_a_number else "not-json")]) from error
    if not isinstance(parsed, dict):
        raise InvalidRequest("The body must be a JSON object.", [("", "not an object")])
    return parsed


def options_of(model: type[M], fields: dict[str, Any]) -> M:
    """The fields of a body but for its rewards; RequestValidationError where they break a rule of the model."""
    if len(fields) > MOST_FIELDS:
        raise InvalidRequest(f"The body has {len(fields)} fields, most of which this route does not take.")
    try:
        return model.model_validate({name: value for name, value in fields.items() if name != "rewards"})
    except ValidationError as error:
        raise broken_rules(error) from None


def refuse_key_twice(body: bytes, fields: dict[str, Any]) -> None:
    """Raise KeyTwice where the body holds more keys than its fields: orjson keeps the last of two with one name.

    Called when the fields are known to be what they should, so that all strings are keys and words at their top.
    """
    strings = len(fields) + sum(type(value) is str for value in fields.values())
    strings += sum(len(value) for value in fields.values() if type(value) is dict)
    after = 0
    for _ in range(2 * strings):  # there are as many at least; to look for each of few is faster than to count all
        after = body.find(b'"', after) + 1
    if body.find(b'"', after) >= 0:
        raise KeyTwice


def groups_of(rewards: object) -> Groups:
    """A list of groups, each a list of rewards, as arrays; InvalidRequest naming what is none, TooManyRewards."""
    if not isinstance(rewards, list) or not rewards:
        raise InvalidRequest("rewards must be a list of at least one group.", [("/rewards", "not a list of groups")])
    if len(rewards) > MOST_REWARDS:
        raise TooManyRewards
    return _of_one_size(rewards) or _of_any_sizes(rewards)


def _of_one_size(rewards: list[Any]) -> Groups | None:
    """Groups of equally many numbers, packed one by one without a list of all; None for all others."""
    n = len(rewards[0]) if type(rewards[0]) is list else 0
    if not n or len(rewards) * n > MOST_REWARDS:
        return None
    try:
        packed = b"".join(starmap(struct.Struct(f"{n}d").pack, rewards))
    except (struct.error, TypeError):  # another size, something that is no number, no list
        return None
    return Groups(np.frombuffer(packed), np.full(len(rewards), n))


def _of_any_sizes(rewards: list[Any]) -> Groups:
    if set(map(type, rewards)) != {list}:
        wrong = (f"/rewards/{i}" for i, group in enumerate(rewards) if type(group) is not list)
        errors = [(pointer, "not a list of rewards") for pointer in islice(wrong, MOST_ERRORS)]
        raise InvalidRequest("Each group must be a list of rewards.", errors)
    flat: list[object] = []
    for group in rewards:
        flat += group
    if len(flat) > MOST_REWARDS:
        raise TooManyRewards
    sizes = np.fromiter(map(len, rewards), np.int64, len(rewards))
    return Groups(_numbers(flat, sizes), sizes)


def _numbers(flat: Sequence[object], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    try:
        # Twice as fast as np.array, which besides would read "1" as a number.
        return np.frombuffer(struct.pack(f"{len(flat)}d", *flat))
    except struct.error:
        if not set(map(type, flat)) <= {float, int, bool, type(None)}:
            _refuse(flat, sizes)
        return np.array(flat, dtype=np.float64)  # None becomes nan


def _refuse(flat: Sequence[object], sizes: NDArray[np.int64]) -> NoReturn:
    wrong = list(islice((i for i, each in enumerate(flat) if not isinstance(each, float | int | None)), MOST_ERRORS))
    ends = np.cumsum(sizes)
    groups = np.searchsorted(ends, wrong, side="right")
    places = zip(groups.tolist(), (wrong - ends[groups] + sizes[groups]).tolist(), strict=True)
    rule = "A reward is a finite number (true and false are 1 and 0), or null where it is missing."
    raise InvalidRequest(rule, [(f"/rewards/{i}/{j}", "not a number") for i, j in places])


def _pointer_into_rewards(error: orjson.JSONDecodeError) -> str:
    """Where in the rewards the parser stopped, or "", the whole body, where it stopped elsewhere."""
    before = error.doc[: error.pos].rpartition('"rewards"')[2]
    group, _, within = before.lstrip(" \t\r\n:").rpartition("[")
    if '"' in before or "{" in before or not group.startswith("["):
        return ""
    return f"/rewards/{group.count(']')}/{within.count(',')}"
