"""Transforms by name, as a configuration, a request or a file hands them on: "sloo_minus_one", or "mixed(0.25)".

The one place where such names are read. It needs no NumPy, as `pkpo --help` needs none.
"""

import math
import re
from typing import NamedTuple

NAMES = ("s", "sloo", "sloo_minus_one", "centered", "plugin", "alpha_loo")
# Each with its argument in brackets, or None, and an example. history is what a trainer keeps the past for.
_OTHERS = {
    "mixed": ("lam", "mixed(0.25)"),
    "history": ("decay", "history(0.5)"),
    "top_mean": ("m", "top_mean(2)"),
    "cvar": ("alpha", "cvar(0.5)"),
    "median": (None, "median"),
}
KNOWN = f"{', '.join(NAMES)}, mixed(lam), top_mean(m), cvar(alpha), median, or in a trainer history(decay)"


class Named(NamedTuple):
    """A name taken apart."""

    transform: str
    argument: float | None = None  # finite; None where the transform has none


def parsed(name: object) -> Named:
    """The transform that is named, and its argument.

    Raises:
      ValueError: no name of a transform, an argument that is missing, no number or not finite, or one where the
        transform takes none.
    """
    found = re.fullmatch(r"([a-z_]+)(?:\(([^()]*)\))?", name) if isinstance(name, str) else None
    transform, text = found.groups() if found else (None, None)
    if transform in NAMES and text is None:
        return Named(transform)
    argument, example = _OTHERS.get(transform or "", (None, None))
    if example is None or (text is None) != (argument is None):
        raise ValueError(f"transform must be one of {KNOWN}; got {name!r}")
    assert transform is not None
    return Named(transform, None if text is None else _number(f"{argument} of {transform}", text, example))


def _number(what: str, text: str, example: str) -> float:
    try:
        # Python's float would also take blanks, underscores and the digits of every script.
        value = float(text) if re.fullmatch(r"[-+.0-9A-Za-z]+", text) else None
    except ValueError:
        value = None
    if value is None:
        raise ValueError(f"{what} must be a number, as in {example}; got {text!r}")
    if not math.isfinite(value):
        raise ValueError(f"{what} must be finite in float64; got {text}")
    return value
