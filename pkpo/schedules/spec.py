"""Schedules as a configuration spells them, in JSON."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pkpo.schedules.adaptive import Adaptive, Plateau, Signal
from pkpo.schedules.base import Schedule, size, weights
from pkpo.schedules.fixed import Constant, Ramp, Step

Spec = float | Mapping[str, Any]
Build = Callable[..., Schedule]

# For each schedule, how it is made, and its keys with the arguments that they are: first those it needs.
_ENDS = {"from": "first", "to": "then"}
_RAMP = {**_ENDS, "over": "over"}
_RANGE = {"smallest": "smallest", "largest": "greatest"}
_SCHEDULES: Mapping[str, tuple[Build, dict[str, str], dict[str, str]]] = {
    "constant": (lambda value: Constant(_value(value)), {"k": "value"}, {}),
    "step": (Step, {**_ENDS, "at": "at"}, {}),
    "linear": (lambda **given: Ramp(**given, shape="linear"), _RAMP, {"begin": "begin"}),
    "cosine": (lambda **given: Ramp(**given, shape="cosine"), _RAMP, {"begin": "begin"}),
    "exponential": (lambda **given: Ramp(**given, shape="exponential"), _RAMP, {"begin": "begin"}),
    "plateau": (
        lambda levels, **given: Plateau(_levels(levels), **given),
        {"levels": "levels", "patience": "patience"},
        {"min_delta": "min_delta", "hysteresis": "hysteresis", "watch": "watch"},
    ),
    "adaptive": (Adaptive, {**_RANGE, "target": "target", "direction": "direction"}, {"decay": "decay"}),
    "signal": (Signal, _RANGE, {"per_problem": "per_problem", "decay": "decay"}),
}
SCHEDULES: tuple[str, ...] = tuple(_SCHEDULES)


def from_spec(spec: Spec) -> Schedule:
    """The schedule that a specification names.

        >>> schedule = pkpo.schedules.from_spec({"schedule": "step", "from": 8, "to": 1, "at": 1500})
        >>> schedule.k({"step": 0}), schedule.k({"step": 1500})
        (8, 1)

    Args:
      spec: 8 for a constant k; {"1": 0.5, "8": 0.5} for constant weights; or an object with the field schedule, one of
        SCHEDULES, as {"schedule": "step", "from": 8, "to": 1, "at": 1500}, {"schedule": "linear" (or "cosine",
        "exponential"), "from", "to", "over", "begin"?}, {"schedule": "plateau", "levels": [8, 4, 2, 1], "patience",
        "min_delta"?, "hysteresis"?, "watch"?: "pass_at_k" or "cumulative_solve_rate"}, {"schedule": "adaptive",
        "smallest", "largest", "target", "direction": "up" or "down", "decay"?}, {"schedule": "signal", "smallest",
        "largest", "per_problem"?, "decay"?}, {"schedule": "constant", "k"}.
    Raises:
      ValueError: what is no such specification, naming the key, its value and its bound.
    """
    if not isinstance(spec, Mapping) or "schedule" not in spec:
        return Constant(_value(spec))
    name = spec["schedule"]
    if not isinstance(name, str) or name not in _SCHEDULES:
        raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}; got {name!r}")
    build, needed, others = _SCHEDULES[name]
    arguments = needed | others
    for key in spec:
        if key != "schedule" and key not in arguments:
            raise ValueError(f"schedule {name} takes {', '.join(arguments)}; got {key!r}")
    for key in needed:
        if key not in spec:
            raise ValueError(f"schedule {name} needs {key!r}")
    try:
        return build(**{arguments[key]: _plain(value) for key, value in spec.items() if key != "schedule"})
    except ValueError as error:
        raise ValueError(f"schedule {name}: {error}") from error


def _value(k: Any) -> Any:
    if isinstance(k, Mapping):
        return weights(k)
    size("k", k, "a real number, a mapping of weights or a schedule's specification")
    return _plain(k)


def _levels(levels: Any) -> tuple[float, ...]:
    if not isinstance(levels, list | tuple):
        raise ValueError(f"levels must be a list of k; got {levels!r}")
    return tuple(map(_plain, levels))


def _plain(value: Any) -> Any:
    """A number of NumPy's as Python's: the repr of a schedule, which a checkpoint keeps, does not tell them apart."""
    return value.item() if isinstance(value, np.generic) else value
