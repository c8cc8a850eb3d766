"""What a job makes reaches the database whole, in its order, in few batches."""

import threading
import time
from collections.abc import Iterable
from itertools import count, pairwise

import pytest

from workers.child.writer import EVERY, MOST, ROOM, Writer


def test_everything_is_written_once_and_in_order_though_writing_is_slow() -> None:
    batches: list[list[int]] = []

    def write(batch: list[int]) -> None:
        time.sleep(0.05)
        batches.append(batch)

    with Writer(write) as writer:
        for number in range(3 * ROOM):
            writer.put(number)
    assert [number for batch in batches for number in batch] == list(range(3 * ROOM))
    assert max(map(len, batches)) <= MOST


def test_what_comes_slowly_is_written_once_in_a_while_and_the_rest_at_the_end() -> None:
    times: list[float] = []
    with Writer[int](lambda batch: times.append(time.monotonic())) as writer:
        began = time.monotonic()
        while (now := time.monotonic()) < began + 2.2 * EVERY:
            writer.put(1)
            time.sleep(0.01)
    assert time.monotonic() - now < 0.7 * EVERY  # nobody waits for the next batch to be due
    assert times[0] - began < 0.8 * EVERY  # the first can be seen at once
    assert min(later - earlier for earlier, later in pairwise(times[:-1])) > 0.9 * EVERY
    assert len(times) >= 3


def test_what_was_made_before_an_error_is_written() -> None:
    written: list[int] = []
    with pytest.raises(ZeroDivisionError):
        _put_all(Writer(written.extend), (1 // divisor for divisor in (1, 2, 0)))
    assert written == [1, 0]


def test_an_error_of_writing_stops_what_makes_more() -> None:
    def write(_: list[int]) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        _put_all(Writer(write), count())
    assert not any(thread.name.startswith("writer") for thread in threading.enumerate())


def _put_all(writer: Writer[int], things: Iterable[int]) -> None:
    with writer:
        for thing in things:
            writer.put(thing)
