"""k over the steps of a training as a small drawing, made without a script."""

from dataclasses import dataclass

from dashboards.numerals import count
from pkpo.schedules import Constant, K, Schedule

WIDTH, HEIGHT = 420.0, 90.0
LEFT, RIGHT, TOP, BOTTOM = 34.0, 8.0, 8.0, 20.0
MOST_POINTS = 200
STEPS_OF_AN_ENDLESS_ONE = 1000


@dataclass(frozen=True)
class KPicture:
    """A line of k over the steps, or where k follows what is observed, the band that it stays in."""

    words: str
    """The same, said."""
    steps: int
    low: float
    high: float
    line: str = ""
    """The points of a polyline."""
    lines: tuple[tuple[float, str], ...] = ()
    """Of several k at once: the height of each, and what stands at it."""
    band: bool = False

    @property
    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Heights of the axis, and what stands at them."""
        return tuple((self._height(k), f"{k:g}") for k in sorted({self.low, self.high}))

    def _height(self, k: float) -> float:
        return height(k, self.low, self.high)

    @property
    def last(self) -> str:
        """The last step, as it is written."""
        return count(self.steps)


def height(k: float, low: float, high: float) -> float:
    """Where a k is drawn, in pixels from above."""
    share = (k - low) / (high - low) if high > low else 0.5
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)


def k_picture(schedule: Schedule, steps: int | None) -> KPicture:
    """The picture of a schedule over so many steps; of a training without a last step, over the first thousand."""
    shown = steps or STEPS_OF_AN_ENDLESS_ONE
    low, high = float(schedule.smallest), float(schedule.largest)
    if schedule.observes is not None:
        words = f"k follows what the training observes, and stays from {low:g} to {high:g}."
        return KPicture(words, shown, low, high, band=True)
    if isinstance(schedule, Constant) and isinstance(schedule.value, dict):
        weights = {int(k): weight for k, weight in schedule.value.items()}
        words = "At every step " + ", ".join(f"pass@{k} with weight {weight:g}" for k, weight in weights.items()) + "."
        lines = tuple((height(k, low, high), f"{k} × {weight:g}") for k, weight in weights.items())
        return KPicture(words, shown, low, high, lines=lines)
    ks = _course(schedule, shown)
    words = f"k is {ks[0][1]:g} at every step." if low == high else f"k goes from {ks[0][1]:g} to {ks[-1][1]:g}."
    return KPicture(words, shown, low, high, line=_points(ks, shown, low, high))


def _course(schedule: Schedule, steps: int) -> list[tuple[int, float]]:
    """k at steps, numbered from 0; a schedule that observes nothing is at a step whatever came before."""
    wanted = sorted({round(i * (steps - 1) / (MOST_POINTS - 1)) for i in range(MOST_POINTS)})
    found = []
    for step in wanted:
        k: K = schedule.k({"step": step})
        assert not isinstance(k, dict), "weights that change are of no schedule that there is"
        found.append((step, float(k)))
    return found


def _points(ks: list[tuple[int, float]], steps: int, low: float, high: float) -> str:
    """Each k until the next one: a step lasts until the next, as a training keeps its k."""
    width = (WIDTH - LEFT - RIGHT) / max(steps, 1)
    points = []
    for (step, k), (following, _) in zip(ks, [*ks[1:], (steps, 0.0)], strict=True):
        points += [(LEFT + width * step, height(k, low, high)), (LEFT + width * following, height(k, low, high))]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
