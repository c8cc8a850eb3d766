"""One measured ratio and the bound that it is held to.

The machines that measure are noisy, so a benchmark never reports a time alone: it measures the work and a yardstick
side by side, in one process and one run, interleaved, and reports the quotient of the best times.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter


@dataclass(frozen=True)
class Ratio:
    """`value` = measured work ÷ yardstick. `at_most` or `at_least` is the bound that it is held to, if any."""

    name: str
    value: float
    yardstick: str
    at_most: float | None = None
    at_least: float | None = None
    detail: str = ""

    @property
    def met(self) -> bool:
        low, high = self.at_least, self.at_most
        return (high is None or self.value <= high) and (low is None or self.value >= low)

    @property
    def bound(self) -> str:
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        return "" if self.at_least is None else f"≥ {self.at_least:g}"


def best_seconds(*works: Callable[[], object], repeats: int = 7) -> list[float]:
    """The least wall time of each work in seconds, taken in turns so that a disturbance meets all of them alike."""
    best = [float("inf")] * len(works)
    for _ in range(repeats):
        for index, work in enumerate(works):
            start = perf_counter()
            work()
            best[index] = min(best[index], perf_counter() - start)
    return best
