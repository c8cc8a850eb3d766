"""The factors of `pkpo bias`, computed and written."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from types import MappingProxyType
from typing import Any

from pkpo import oracle
from pkpo.baselines import BASELINES, baseline
from pkpo.names import parsed
from pkpo.transforms import TRANSFORMS, transform

# Credits err by some 1e-16 of k/n; below this size of the gradient their rounding would show in the factor.
SMALLEST_GRADIENT = 1e-9
NONE = "–"
METHODS: tuple[str, ...] = (*TRANSFORMS, *BASELINES)


@dataclass(frozen=True)
class Factor:
    """E[gradient estimate] / gradient of a method at one (n, k, p); None, and why, where there is no such number."""

    method: str
    claims: str
    n: int
    k: int | None  # None where the objective is a sum over k
    p: float
    factor: float | None
    why: str | None = None


def is_method(name: str) -> bool:
    """Whether it is one of METHODS, or mixed with its lam, as "mixed(0.25)"."""
    if name in METHODS:
        return True
    try:
        return parsed(name).transform == "mixed"
    except ValueError:
        return False


def factors(methods: Iterable[str], ns: Sequence[int], ks: Sequence[int], ps: Sequence[float]) -> Iterator[Factor]:
    """The factor of each method at each n, k and p; at one k only where the method has no other."""
    for method in methods:
        claims = BASELINES[method].claims if method in BASELINES else "pass@k"
        for n in ns:
            own: dict[str, list[int | None]] = {"pass@1": [1], "pass@n": [n], "MaxRL": [None]}
            of_n: Sequence[int | None] = own.get(claims, [*ks])
            for k in of_n:
                for p in ps:
                    yield _factor(method, claims, n, k, p)


def _factor(method: str, claims: str, n: int, k: int | None, p: float) -> Factor:
    at = partial(Factor, method, claims, n, k, p)
    true = sum((1 - p) ** j for j in range(n)) if k is None else oracle.pass_at_k_gradient(k, p)
    credits: Callable[[Any], Any]
    if method in BASELINES:
        credits = partial(baseline, method, k=k if claims == "pass@k" else None)
        ordered = BASELINES[method].ordered
    else:
        assert k is not None
        credits, ordered = partial(transform, method, k=k), False
    try:
        mean = oracle.bernoulli(credits, n, p, ordered=ordered).mean
    except ValueError as error:
        return at(None, str(error))
    if true < SMALLEST_GRADIENT:
        return at(None, f"the gradient, {true:.1e}, is below {SMALLEST_GRADIENT}")
    return at(mean / true)


def as_json(found: Sequence[Factor]) -> str:
    """An object a line."""
    return "\n".join(json.dumps(asdict(each)) for each in found)


def as_csv(found: Sequence[Factor]) -> str:
    """A table with a line for each p."""
    text = io.StringIO()
    table = csv.DictWriter(text, list(Factor.__dataclass_fields__), lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(each) for each in found)
    return text.getvalue().rstrip("\n")


def as_table(found: Sequence[Factor]) -> str:
    """A line for each (method, n, k), a column for each p."""
    rows = _rows(found)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def as_markdown(found: Sequence[Factor]) -> str:
    """The same as a table of Markdown."""
    head, *rows = _rows(found)
    lines = [head, ["---"] * 2 + ["---:"] * (len(head) - 2), *([f"`{row[0]}`", *row[1:]] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


WRITERS: Mapping[str, Callable[[Sequence[Factor]], str]] = MappingProxyType(
    {"table": as_table, "json": as_json, "csv": as_csv, "markdown": as_markdown}
)


def _rows(found: Sequence[Factor]) -> list[list[str]]:
    rows = [["method", "claims", "n", "k", *(f"p={p:g}" for p in dict.fromkeys(each.p for each in found))]]
    for (method, claims, n, k), group in groupby(found, lambda each: (each.method, each.claims, each.n, each.k)):
        rows.append([method, claims, str(n), NONE if k is None else str(k), *map(_shown, group)])
    return rows


def _shown(each: Factor) -> str:
    return NONE if each.factor is None else f"{round(each.factor, 9) + 0.0:.4g}"  # + 0.0: no -0
