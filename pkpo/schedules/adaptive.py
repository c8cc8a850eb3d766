"""Schedules that look at how training goes: a plateau of a metric, or the solve rate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpo import inputs
from pkpo.schedules.base import K, Observed, Observes, State, check_state, count, share, size

Direction = Literal["up", "down"]


@dataclass(frozen=True)
class Plateau:
    """The next of its levels where a metric has not risen by more than min_delta in `patience` measurements.

    With hysteresis it goes one level back where the metric falls by more than that below what it was when it left it:
    staying costs patience, going back a fall, so that noise smaller than both moves nothing to and fro. Between two
    steps forward it goes back once at most.
    """

    levels: tuple[float, ...]
    patience: int
    min_delta: float = 0.0
    hysteresis: float | None = None
    watch: Literal["pass_at_k", "cumulative_solve_rate"] = "pass_at_k"

    def __post_init__(self) -> None:
        if not self.levels:
            raise ValueError("levels must name at least one k; got none")
        for level in self.levels:
            size("a level", level)
        count("patience", self.patience, 1)
        for name, value in (("min_delta", self.min_delta), ("hysteresis", self.hysteresis)):
            if value is not None and inputs.finite(name, value) < 0:
                raise ValueError(f"{name} must be at least 0; got {value}")
        if self.watch not in ("pass_at_k", "cumulative_solve_rate"):
            raise ValueError(f"watch must be pass_at_k or cumulative_solve_rate; got {self.watch!r}")

    @property
    def largest(self) -> float:
        """The largest k that it can give."""
        return max(self.levels)

    @property
    def smallest(self) -> float:
        """The smallest k that it can give."""
        return min(self.levels)

    @property
    def observes(self) -> Observes:
        """The metric that it watches."""
        return self.watch

    def start(self) -> State:
        """The state before the first step: at the first level, nothing measured."""
        return {"step": 0, "level": 0, "best": None, "waited": 0, "left_at": None}

    def k(self, state: State, problem: str | None = None) -> K:
        """k for the step that comes next."""
        return self.levels[self._level(state)]

    def after(self, state: State, observed: Observed = None) -> State:
        """The state one step later; observed is the metric, or None where it was not measured."""
        level = self._level(state)
        now = {**state, "step": state["step"] + 1}
        if observed is None:
            return now
        value = inputs.finite(self.watch, observed)
        left_at = state["left_at"]
        if self.hysteresis is not None and left_at is not None and value < left_at - self.hysteresis:
            return {**now, "level": level - 1, "best": value, "waited": 0, "left_at": None}
        if state["best"] is None or value > state["best"] + self.min_delta:
            return {**now, "best": value, "waited": 0}
        waited = state["waited"] + 1
        if waited < self.patience or level + 1 == len(self.levels):
            return {**now, "waited": min(waited, self.patience)}
        return {**now, "level": level + 1, "best": value, "waited": 0, "left_at": state["best"]}

    def _level(self, state: State) -> int:
        check_state(state, "level", "best", "waited", "left_at")
        level = count("the level of the state", state["level"])
        if level >= len(self.levels):
            raise ValueError(f"the state is at level {level}, and there are {len(self.levels)}")
        return level


@dataclass(frozen=True)
class Adaptive:
    """K_min + (K_max - K_min) * min(p / target, 1), p the mean solve rate: the note's, clamped. "down" begins at K_max.

    The note lets K grow with p, "up". The signal K (1-p)^(K-1) is largest at K = -1 / ln(1-p), about 1/p, which falls:
    "down" does. p is a moving average of what is observed; before the first it counts as 0.
    """

    smallest: float
    greatest: float
    target: float
    direction: Direction
    decay: float = 0.9
    observes: ClassVar[Observes] = "solve_rate"

    def __post_init__(self) -> None:
        _check_range(self.smallest, self.greatest, self.decay)
        if share("target", self.target) == 0:
            raise ValueError("target must be above 0; got 0")
        if self.direction not in ("up", "down"):
            raise ValueError(f"direction must be up or down; got {self.direction!r}")

    @property
    def largest(self) -> float:
        """The largest k that it can give."""
        return self.greatest

    def start(self) -> State:
        """The state before the first step: no solve rate."""
        return {"step": 0, "solve_rate": None}

    def k(self, state: State, problem: str | None = None) -> K:
        """k for the step that comes next."""
        check_state(state, "solve_rate")
        way = min(_known(state["solve_rate"]) / self.target, 1.0)
        way = way if self.direction == "up" else 1 - way
        return self.smallest + (self.greatest - self.smallest) * way

    def after(self, state: State, observed: Observed = None) -> State:
        """The state one step later; observed is the solve rate of this step, or None."""
        step = check_state(state, "solve_rate") + 1
        return {"step": step, "solve_rate": _averaged(state["solve_rate"], observed, self.decay)}


@dataclass(frozen=True)
class Signal:
    """K* = -1 / ln(1-p), where K (1-p)^(K-1) is largest, clipped; p of all problems, or of each by itself.

    p is a moving average of what is observed; before the first it counts as 0, whose K* is the largest.
    """

    smallest: float
    greatest: float
    per_problem: bool = False
    decay: float = 0.9

    def __post_init__(self) -> None:
        _check_range(self.smallest, self.greatest, self.decay)
        if not isinstance(self.per_problem, bool):
            raise ValueError(f"per_problem must be true or false; got {self.per_problem!r}")

    @property
    def largest(self) -> float:
        """The largest k that it can give."""
        return self.greatest

    @property
    def observes(self) -> Observes:
        """Solve rates by problem, or their mean."""
        return "solve_rates" if self.per_problem else "solve_rate"

    def start(self) -> State:
        """The state before the first step: no solve rate."""
        return {"step": 0, self.observes: {} if self.per_problem else None}

    def k(self, state: State, problem: str | None = None) -> K:
        """k for the step that comes next, for this problem where each has its own."""
        check_state(state, self.observes)
        known = state[self.observes]
        if self.per_problem:
            if problem is None:
                raise ValueError("this schedule has a k for each problem; name the problem")
            known = known.get(problem)
        return float(signal_k(_known(known), self.smallest, self.greatest))

    def after(self, state: State, observed: Observed = None) -> State:
        """The state one step later; observed is the solve rate of this step, or {problem: solve rate}, or None."""
        step = check_state(state, self.observes) + 1
        known = state[self.observes]
        if not self.per_problem:
            return {"step": step, self.observes: _averaged(known, observed, self.decay)}
        if observed is not None and not isinstance(observed, Mapping):
            raise ValueError(f"this schedule observes a solve rate for each problem; got {observed!r}")
        new = {name: _averaged(known.get(name), rate, self.decay) for name, rate in (observed or {}).items()}
        return {"step": step, self.observes: {**known, **new}}


def signal_k(p: ArrayLike, smallest: float, largest: float) -> NDArray[np.float64]:
    """-1 / ln(1-p) clipped to [smallest, largest], elementwise: the K at which K (1-p)^(K-1) is largest.

    It falls with p, from the largest at p = 0 to the smallest at p = 1; between, it is less than 1/p by 1/2 to 1.

    Raises:
      ValueError: p outside [0, 1], or not 1 <= smallest <= largest.
    """
    _check_range(smallest, largest, 0.0)
    rates = np.asarray(p, dtype=np.float64)
    if not ((rates >= 0) & (rates <= 1)).all():
        raise ValueError(f"solve rates must be in [0, 1]; got {rates[~((rates >= 0) & (rates <= 1))].flat[0]}")
    with np.errstate(divide="ignore", over="ignore"):  # infinite at p = 0, 0 at p = 1, both clipped
        return np.asarray(np.clip(-1 / np.log1p(-rates), smallest, largest))


def _check_range(smallest: float, largest: float, decay: float) -> None:
    if size("smallest", smallest) > size("largest", largest):
        raise ValueError(f"smallest must be at most largest; got {smallest} and {largest}")
    if share("decay", decay) == 1:
        raise ValueError("decay must be below 1, or nothing is ever learnt; got 1")


def _known(rate: object) -> float:
    return 0.0 if rate is None else share("a solve rate of the state", rate)


def _averaged(previous: float | None, observed: object, decay: float) -> float | None:
    if observed is None:
        return previous
    rate = share("a solve rate", observed)
    return rate if previous is None else decay * previous + (1 - decay) * rate
