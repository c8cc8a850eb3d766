"""What a schedule is, the checks that all share, and what a fractional k stands for."""

import math
from collections.abc import Mapping
from typing import Any, Literal, Protocol, runtime_checkable

from pkpo import inputs

State = dict[str, Any]  # what JSON can hold
K = float | dict[int, float]  # attempts, maybe fractional; or a weight for each of several numbers of attempts
Observed = float | Mapping[str, float] | None
Observes = Literal["pass_at_k", "cumulative_solve_rate", "solve_rate", "solve_rates"]


@runtime_checkable
class Schedule(Protocol):
    """k over the steps of a training run."""

    @property
    def largest(self) -> float:
        """The largest k that it can give: what n has to allow."""

    @property
    def smallest(self) -> float:
        """The smallest k that it can give."""

    @property
    def observes(self) -> Observes | None:
        """What after asks for; "solve_rates" are by problem. None: nothing."""

    def start(self) -> State:
        """The state before the first step."""

    def k(self, state: State, problem: str | None = None) -> K:
        """k for the step that comes next; the problem matters where solve rates are observed by problem."""

    def after(self, state: State, observed: Observed = None) -> State:
        """The state one step later. None where nothing was measured in this step."""


def mixture(k: K) -> dict[int, float]:
    """The whole numbers of attempts that k stands for, with their weights: {floor: ceil - k, ceil: k - floor}.

    max_g@k is defined for whole k. multi_k(g, mixture(k)) is unbiased for the gradient of this mixture of two, which
    moves from one to the other as k does, and at whole k is max_g@k. The weights are exact and sum to 1. Weights by
    number of attempts come back as they are.

        >>> pkpo.schedules.mixture(2.25)
        {2: 0.75, 3: 0.25}

    Raises:
      ValueError: k below 1 or not finite; weights that are not finite, or have a key below 1, or none at all.
    """
    if isinstance(k, Mapping):
        return weights(k)
    attempts = size("k", k, "a real number or a mapping of weights")
    floor = math.floor(attempts)
    above = attempts - floor
    return {floor: 1 - above, floor + 1: above} if above else {floor: 1.0}


def weights(by_k: Mapping[Any, Any]) -> dict[int, float]:
    """A weight for each whole k, from 1 up, in ascending order; keys may be as JSON has them, "8"."""
    if not by_k:
        raise ValueError("k must name at least one number of attempts; got {}")
    found: dict[int, float] = {}
    for key, weight in by_k.items():
        k = int(key) if isinstance(key, str) and key.isascii() and key.isdigit() else key
        if inputs.attempts(k) in found:
            raise ValueError(f"k={k} has two weights")
        found[int(k)] = inputs.finite(f"the weight of k={k}", weight)
    return dict(sorted(found.items()))


def size(name: str, k: object, kind: str = "a real number") -> float:
    """k as a float; ValueError where it is no finite number from 1 up; kind is what it may be."""
    value = inputs.finite(name, k, kind)
    if value < 1:
        raise ValueError(f"{name} must be at least 1; got {k}")
    return value


def count(name: str, value: object, least: int = 0) -> int:
    """value as an int; ValueError where it is no integer or is below the least."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be an integer from {least} up; got {value!r}")
    return value


def share(name: str, value: object) -> float:
    """value as a float; ValueError outside [0, 1]."""
    if not 0 <= (fraction := inputs.finite(name, value)) <= 1:
        raise ValueError(f"{name} must be in [0, 1]; got {value}")
    return fraction


def check_state(state: Any, *keys: str) -> int:
    """The steps done so far; ValueError unless the state has exactly "step" and these keys."""
    if not isinstance(state, Mapping) or set(state) != {"step", *keys}:
        raise ValueError(f"state must be what start or after gave, with {', '.join(('step', *keys))}; got {state!r}")
    return count("the step of the state", state["step"])


def check_unobserved(observed: Observed) -> None:
    """ValueError where something was observed for a schedule that does not look at it."""
    if observed is not None:
        raise ValueError(f"this schedule observes nothing; got {observed!r}")
