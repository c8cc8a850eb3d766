"""Schedules that are fixed beforehand: k depends on the step alone."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from pkpo.schedules.base import K, Observed, State, check_state, check_unobserved, count, mixture, size

Shape = Literal["linear", "cosine", "exponential"]


@dataclass(frozen=True)
class _Fixed:
    observes: ClassVar[None] = None

    def start(self) -> State:
        """The state before the first step."""
        return {"step": 0}

    def after(self, state: State, observed: Observed = None) -> State:
        """The state one step later."""
        check_unobserved(observed)
        return {"step": check_state(state) + 1}


@dataclass(frozen=True)
class Constant(_Fixed):
    """The same k, or the same weights of several, at every step."""

    value: K

    def __post_init__(self) -> None:
        mixture(self.value)

    @property
    def largest(self) -> float:
        """The largest k that it can give."""
        return max(self.value) if isinstance(self.value, dict) else self.value

    @property
    def smallest(self) -> float:
        """The smallest k that it can give."""
        return min(self.value) if isinstance(self.value, dict) else self.value

    def k(self, state: State, problem: str | None = None) -> K:
        """Its value."""
        check_state(state)
        return self.value


@dataclass(frozen=True)
class _FromTo(_Fixed):
    first: float
    then: float

    def __post_init__(self) -> None:
        size("from", self.first)
        size("to", self.then)

    @property
    def largest(self) -> float:
        """The largest k that it can give."""
        return max(self.first, self.then)

    @property
    def smallest(self) -> float:
        """The smallest k that it can give."""
        return min(self.first, self.then)


@dataclass(frozen=True)
class Step(_FromTo):
    """One k before step `at`, another from there on. The paper: 8, then 1 from 1500 (arXiv:2505.15201v4, Figure 3)."""

    at: int

    def __post_init__(self) -> None:
        super().__post_init__()
        count("at", self.at)

    def k(self, state: State, problem: str | None = None) -> K:
        """k for the step that comes next."""
        return self.first if check_state(state) < self.at else self.then


@dataclass(frozen=True)
class Ramp(_FromTo):
    """From one k to another in `over` steps after `begin`, never back: linear, along half a cosine, or geometric."""

    over: int
    begin: int = 0
    shape: Shape = "linear"

    def __post_init__(self) -> None:
        super().__post_init__()
        count("over", self.over, 1)
        count("begin", self.begin)
        if self.shape not in ("linear", "cosine", "exponential"):
            raise ValueError(f"shape must be linear, cosine or exponential; got {self.shape!r}")

    def k(self, state: State, problem: str | None = None) -> K:
        """k for the step that comes next."""
        done = min(max(check_state(state) - self.begin, 0) / self.over, 1.0)
        if done in (0, 1):  # the ends, to the last bit
            return self.then if done else self.first
        if self.shape == "exponential":
            return self._bounded(self.first * (self.then / self.first) ** done)
        way = done if self.shape == "linear" else (1 - math.cos(math.pi * done)) / 2
        return self._bounded(self.first + (self.then - self.first) * way)

    def _bounded(self, k: float) -> float:
        return min(max(k, min(self.first, self.then)), max(self.first, self.then))
