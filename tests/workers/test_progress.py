"""How fast a job is: by what this attempt does, whatever was done before."""

import time

import pytest

from workers.child.work import LATELY, Progress


class Clock:
    """Seconds, as a test lets them pass."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def test_the_rate_is_of_this_attempt_where_an_earlier_one_did_most(clock: Clock) -> None:
    progress = Progress(total=6000)
    progress.advance(0)  # the job begins
    progress.done = 3500  # it goes on from there
    for _ in range(20):
        clock.now += 0.1
        progress.advance(1)
    assert progress.done == 3520
    assert progress.rate == pytest.approx(10)
    progress.done = 5000  # a seed was saturated before its last step
    clock.now += 0.1
    progress.advance(1)
    assert progress.done == 5001
    assert progress.rate == pytest.approx(10)


def test_the_rate_is_of_late(clock: Clock) -> None:
    progress = Progress()
    for seconds, steps in ((10.0, 10), (1.0, 2 * int(LATELY))):
        for _ in range(steps):
            clock.now += seconds
            progress.advance(1)
    assert progress.rate == pytest.approx(1)


def test_what_comes_before_the_first_is_in_no_rate(clock: Clock) -> None:
    progress = Progress(total=64)
    progress.advance(0)  # the job begins
    clock.now += 6.0  # a model is loaded
    progress.advance(0)  # and noted
    assert progress.rate is None
    clock.now += 0.5
    progress.advance(4)
    assert progress.rate == pytest.approx(8)
    clock.now += 0.5
    progress.advance(0)  # something else is written: time that passes in between counts
    clock.now += 1.0
    progress.advance(4)
    assert progress.rate == pytest.approx(4)


def test_a_first_part_whose_time_nobody_knows_is_in_no_rate(clock: Clock) -> None:
    progress = Progress(total=64)
    progress.advance(50)
    clock.now += 1e-6
    assert progress.rate is None
    clock.now += 1.0
    progress.advance(4)
    assert progress.rate == pytest.approx(4, rel=1e-3)
