"""Length-prefixed tagged JSON between the tests and a completion that may lie.

Only exact builtin types are ever rebuilt, so no object of the completion's own making reaches the tests: an `__eq__`
that is always
true arrives as a `Handle`, which equals nothing else. Unlike a pickle, a message can name no class and call nothing.
"""

import json
import os
import select
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

MAX_DEPTH = 64
MAX_ITEMS = 100_000
MAX_BYTES = 4 << 20
PREFIX = 4  # bytes of the length, big-endian
# Decimal digits of an integer in JSON are limited by Python, and slow; hexadecimal ones are neither.
PLAIN_INT_BITS = 64


class Refused(Exception):
    """A value that may not cross, or a message that is none."""


class Handle:
    """An object that stays with the completion. It equals itself and nothing else."""

    __slots__ = ("_handle",)

    def __init__(self, number: int) -> None:
        self._handle = number


class Ended(Exception):
    """The other side has closed the channel."""


Kept = Callable[[Any], int]
CONTAINERS: dict[str, type[Any]] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}


def encode(value: Any, kept: Kept, depth: int = MAX_DEPTH) -> Any:
    """The value as JSON. Subclasses become their builtin base; `kept` numbers what has none.

    Raises:
      Refused: nested deeper than 64, an iterator of more than 100,000 items, or what `kept` refuses.
    """
    if depth == 0:
        raise Refused(f"a value nested deeper than {MAX_DEPTH}")
    match value:
        case None | bool():
            return value
        case str():
            return str.__str__(value)
        case int():
            return int(value) if value.bit_length() <= PLAIN_INT_BITS else ["int", hex(value)]
        case float():
            return float(value)
        case complex():
            return ["complex", value.real, value.imag]
        case bytes() | bytearray():
            return ["bytes" if isinstance(value, bytes) else "bytearray", bytes(value).hex()]
        case dict():
            pairs = dict.items(value)
            return ["dict", [[encode(key, kept, depth - 1), encode(item, kept, depth - 1)] for key, item in pairs]]
        case range() if len(value) <= MAX_ITEMS:
            return ["range", value.start, value.stop, value.step]
        case Iterator():
            items = list(islice(value, MAX_ITEMS + 1))
            if len(items) > MAX_ITEMS:
                raise Refused(f"an iterator of more than {MAX_ITEMS} items")
            return ["iterator", [encode(item, kept, depth - 1) for item in items]]
    for tag, container in CONTAINERS.items():
        if isinstance(value, container):
            return [tag, [encode(item, kept, depth - 1) for item in value]]
    return ["handle", kept(value)]


def decode(message: Any, held: Callable[[int], Any], depth: int = MAX_DEPTH) -> Any:
    """The value that JSON stands for, of exact builtin types, or what `held` has under a number.

    Raises:
      Refused: nested deeper than 64, or a tag or payload that `encode` does not write.
    """
    if depth == 0:
        raise Refused(f"a value nested deeper than {MAX_DEPTH}")
    if message is None or isinstance(message, (bool, int, float, str)):
        return message
    try:
        return _decoded(message, lambda item: decode(item, held, depth - 1), held)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise Refused(f"not a value: {error}") from None


def _decoded(message: list[Any], inner: Callable[[Any], Any], held: Callable[[int], Any]) -> Any:
    match message:
        case ["list" | "tuple" | "set" | "frozenset" as tag, list(items)]:
            return CONTAINERS[tag](map(inner, items))
        case ["dict", list(pairs)]:
            return {inner(key): inner(item) for key, item in pairs}
        case ["iterator", list(items)]:
            return iter([inner(item) for item in items])
        case ["range", int(start), int(stop), int(step)] if len(range(start, stop, step)) <= MAX_ITEMS:
            return range(start, stop, step)
        case ["int", str(digits)]:
            return int(digits, 16)
        case ["complex", int() | float() as real, int() | float() as imaginary]:
            return complex(real, imaginary)
        case ["bytes", str(digits)]:
            return bytes.fromhex(digits)
        case ["bytearray", str(digits)]:
            return bytearray.fromhex(digits)
        case ["handle", int(number)]:
            return held(number)
    raise Refused("a value of no known kind")


def send(descriptor: int, message: Any) -> None:
    """Writes one message of at most 4 MiB.

    Raises:
      Refused: the message is larger.
      Ended: nobody reads.
    """
    body = json.dumps(message, separators=(",", ":")).encode()
    if len(body) > MAX_BYTES:
        raise Refused(f"a message of {len(body)} bytes; at most {MAX_BYTES} may cross")
    rest = memoryview(len(body).to_bytes(PREFIX, "big") + body)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except (BrokenPipeError, ConnectionResetError):
        raise Ended from None


def receive(descriptor: int, deadline: float = float("inf")) -> Any:
    """Reads one message, until `deadline` on the monotonic clock.

    Raises:
      Ended: the other side closed the channel.
      TimeoutError: the deadline passed.
      Refused: a message over 4 MiB, or not JSON.
    """
    size = int.from_bytes(_read(descriptor, PREFIX, deadline), "big")
    if size > MAX_BYTES:
        raise Refused(f"a message of {size} bytes; at most {MAX_BYTES} may cross")
    try:
        return json.loads(_read(descriptor, size, deadline))
    except (ValueError, RecursionError) as error:
        raise Refused(f"not a message: {type(error).__name__}") from None


def _read(descriptor: int, size: int, deadline: float) -> bytes:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    read = bytearray()
    while len(read) < size:
        wait = deadline - time.monotonic()
        if wait <= 0 or not poll.poll(None if wait == float("inf") else wait * 1000):
            raise TimeoutError
        try:
            piece = os.read(descriptor, min(size - len(read), 1 << 16))
        except ConnectionResetError:
            raise Ended from None
        if not piece:
            raise Ended
        read += piece
    return bytes(read)
