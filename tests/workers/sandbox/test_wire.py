"""What crosses between a completion and its tests, and what never does."""

import json
import os
from collections import Counter, OrderedDict, defaultdict, namedtuple
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.sandbox.inside.wire import MAX_BYTES, MAX_DEPTH, Ended, Handle, Refused, decode, encode, receive, send

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.complex_numbers(allow_nan=False)
HASHABLE = SCALARS | st.text() | st.binary()
VALUES = st.recursive(
    HASHABLE | st.builds(bytearray, st.binary()) | st.builds(range, st.integers(-99, 99)),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(HASHABLE, inner)
        | st.sets(HASHABLE)
        | st.frozensets(HASHABLE)
    ),
    max_leaves=20,
)
Point = namedtuple("Point", "x y")


def keep(value: object) -> int:
    return 7


def crossed(value: object) -> Any:
    return decode(json.loads(json.dumps(encode(value, keep))), Handle)


def typed(value: object) -> object:
    """The value with the type of every part of it: 1, True and 1.0 are three values here."""
    match value:
        case dict():
            return dict, [(typed(key), typed(item)) for key, item in value.items()]
        case list() | tuple():
            return type(value), [typed(item) for item in value]
        case set() | frozenset():
            return type(value), sorted(map(repr, value))
        case _:
            return type(value), repr(value)


@given(VALUES)
def test_a_builtin_value_arrives_as_it_was(value: object) -> None:
    assert typed(crossed(value)) == typed(value)


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        (Counter("aab"), {"a": 2, "b": 1}),
        (OrderedDict(a=1), {"a": 1}),
        (defaultdict(int, a=1), {"a": 1}),
        (Point(1, 2), (1, 2)),
        (float("inf"), float("inf")),
        ("\ud800", "\ud800"),
    ],
)
def test_a_subclass_arrives_as_its_builtin_base(value: object, arrives: object) -> None:
    assert typed(crossed(value)) == typed(arrives)


def test_a_number_of_5000_digits_arrives() -> None:
    assert crossed(10**5000) - 10**5000 == 0


def test_an_iterator_arrives_as_one() -> None:
    arrived = crossed(item * 2 for item in range(3))
    assert isinstance(arrived, Iterator)
    assert list(arrived) == [0, 2, 4]


def test_an_object_arrives_as_a_handle_that_equals_nothing() -> None:
    class Everything:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    arrived = crossed(Everything())
    assert isinstance(arrived, Handle)
    assert arrived._handle == 7
    assert arrived != crossed(42)
    assert arrived != crossed(Everything())


def deep(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_depth_is_bounded_both_ways() -> None:
    assert crossed(deep(MAX_DEPTH)) == deep(MAX_DEPTH)
    with pytest.raises(Refused, match="deeper than 64"):
        encode(deep(MAX_DEPTH + 1), keep)
    message: Any = None
    for _ in range(MAX_DEPTH):
        message = ["list", [message]]
    with pytest.raises(Refused, match="deeper than 64"):
        decode(message, Handle)


@pytest.mark.parametrize(
    "message",
    [
        {},
        [],
        ["list"],
        ["list", "ab"],
        ["list", [], []],
        ["object", "os", "system"],
        ["dict", [[1]]],
        ["dict", [[["list", []], 1]]],
        ["set", [["dict", []]]],
        ["int", "nonsense"],
        ["int", 3],
        ["bytes", "0g"],
        ["range", 0, 10**30, 1],
        ["range", 0, 1, 0],
        ["range", 0, 100_001, 1],
        ["complex", "1", 2],
        ["handle", "0"],
    ],
)
def test_what_encode_never_writes_is_refused(message: object) -> None:
    with pytest.raises(Refused):
        decode(message, Handle)


def test_an_endless_iterator_is_refused() -> None:
    with pytest.raises(Refused, match="iterator of more than 100000"):
        encode(iter(int, 1), keep)


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        ((MAX_BYTES + 1).to_bytes(4, "big"), Refused),
        ((3).to_bytes(4, "big") + b"{x}", Refused),
        ((200_000).to_bytes(4, "big") + b"[" * 200_000, Refused),
        ((3).to_bytes(4, "big") + b"[1", Ended),
        (b"", Ended),
    ],
)
def test_a_message_that_is_none_is_refused(sent: bytes, error: type[Exception]) -> None:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write, sent)
        os._exit(0)
    os.close(write)
    with pytest.raises(error):
        receive(read)
    os.close(read)
    os.waitpid(pid, 0)


def test_receiving_ends_at_its_deadline() -> None:
    read, write = os.pipe()
    with pytest.raises(TimeoutError):
        receive(read, deadline=0.0)
    os.close(read)
    os.close(write)


def test_a_message_over_4_mib_is_not_sent() -> None:
    with pytest.raises(Refused, match="at most 4194304"):
        send(1, "x" * MAX_BYTES)
