"""Curves of parts of the problems: by a field such as level or subject, or by how hard another evaluation found them.

Never by the evaluation itself. Its luck would then choose the stratum and count in it: what it calls hard looks harder
than it is, what it calls easy easier (regression to the mean; docs/intervals.md shows by how much).
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpo import inputs
from pkpo.curves import CountMetric, PassAtKCurve


def curves_by_field(
    n: ArrayLike,
    c: ArrayLike,
    field: Sequence[str] | Sequence[int],
    k: int | Sequence[int] | None = None,
    *,
    metric: CountMetric = "pass_at_k",
    level: float = 0.95,
) -> dict[str | int, PassAtKCurve]:
    """The curve of each value of a field, in ascending order of the values.

    Weighted by their number of problems, the curves have the curve of all problems as their mean. All have one k: those
    up to the smallest n of all. A stratum of one problem has an interval of nan.

    Args:
      n, c: completions and passes per problem, shape (P,); one n may stand for all.
      field: what each problem is filed under, one string or integer for each, known before its completions were drawn.
      k, metric, level: as for PassAtKCurve.from_counts.
    Raises:
      ValueError: not one value of the field for each problem, or what PassAtKCurve.from_counts refuses.
    """
    whole = PassAtKCurve.from_counts(n, c, k, metric=metric, level=level)  # refuses what it refuses, for all at once
    totals, passed = (np.atleast_1d(each) for each in inputs.tallies(n, c))
    values = np.asarray(field)
    if values.shape != totals.shape or values.dtype.kind not in "iuUS":
        raise ValueError(
            f"field must be one string or integer for each of {len(totals)} problems;"
            f" got {values.dtype} of shape {values.shape}"
        )
    ks = whole.k.tolist()
    return {
        value: PassAtKCurve.from_counts(
            totals[values == value], passed[values == value], ks, metric=metric, level=level
        )
        for value in np.unique(values).tolist()
    }


def curves_by_reference(
    n: ArrayLike,
    c: ArrayLike,
    reference_n: ArrayLike,
    reference_c: ArrayLike,
    k: int | Sequence[int] | None = None,
    *,
    edges: Sequence[float] = (0.25, 0.5, 0.75),
    metric: CountMetric = "pass_at_k",
    level: float = 0.95,
) -> dict[str, PassAtKCurve]:
    """The curve of each stratum of solve rates in a reference evaluation, hardest first; no empty strata.

    Strata are "never" (the reference never passed), "always", and between them the intervals that edges cut:
    "(0, 0.25]", ..., "(0.75, 1)".

    Args:
      n, c, k, metric, level: as for curves_by_field.
      reference_n, reference_c: the counts of another evaluation of the same problems, in the same order: an earlier
        checkpoint, another model, or completions set aside.
      edges: ascending, inside (0, 1); a solve rate that equals one belongs below it.
    Raises:
      ValueError: the reference has the counts of the evaluation, unless they are none or all of every problem; it has
        those of another number of problems; edges are not ascending inside (0, 1); or what PassAtKCurve.from_counts
        refuses.
    """
    totals, passed = (np.atleast_1d(each) for each in inputs.tallies(n, c))
    drawn, solved = (np.atleast_1d(each) for each in inputs.tallies(reference_n, reference_c))
    if drawn.shape != totals.shape:
        raise ValueError(f"the reference must have the same {len(totals)} problems; got shape {drawn.shape}")
    if (drawn == 0).any():
        raise ValueError(f"the reference must have a completion of each problem; problem {drawn.argmin()} has none")
    strata, names = _strata(drawn, solved, edges)
    undecided = solved.any() and (solved < drawn).any()  # two evaluations may both have solved nothing, or everything
    if undecided and np.array_equal(drawn, totals) and np.array_equal(solved, passed):
        raise ValueError(
            "the reference has the very counts of the evaluation: strata of its own solve rates would be biased by its"
            " luck; take another evaluation, or set completions aside"
        )
    curves = curves_by_field(totals, passed, strata.tolist(), k, metric=metric, level=level)
    return {names[int(stratum)]: curve for stratum, curve in curves.items()}


def _strata(n: NDArray[np.int64], c: NDArray[np.int64], edges: Sequence[float]) -> tuple[NDArray[np.int64], list[str]]:
    """The number of each problem's stratum, and the names of the strata."""
    inner = [inputs.finite("edges", edge) for edge in edges]
    bounds = [0.0, *inner, 1.0]
    if not all(low < high for low, high in pairwise(bounds)):
        raise ValueError(f"edges must be ascending inside (0, 1); got {list(edges)}")
    between = [f"({low:g}, {high:g}]" for low, high in pairwise(bounds)]
    names = ["never", *between[:-1], between[-1].replace("]", ")"), "always"]
    rates = c / n
    strata = 1 + np.searchsorted(inner, rates, side="left")
    strata[c == 0], strata[c == n] = 0, len(names) - 1
    return strata, names
