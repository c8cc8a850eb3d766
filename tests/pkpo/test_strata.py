import math
from typing import Any

import numpy as np
import pytest

import pkpo.strata
from pkpo import PassAtKCurve
from pkpo.strata import curves_by_field, curves_by_reference

N, C = [8, 8, 4, 8, 8], [0, 3, 4, 1, 8]
LEVELS = ["hard", "easy", "easy", "hard", "medium"]


def test_each_value_of_a_field_has_the_curve_of_its_problems() -> None:
    found = curves_by_field(N, C, LEVELS, [1, 4])
    assert list(found) == ["easy", "hard", "medium"]
    assert found["easy"] == PassAtKCurve.from_counts([8, 4], [3, 4], [1, 4])
    assert found["hard"] == PassAtKCurve.from_counts([8, 8], [0, 1], [1, 4])
    assert math.isnan(found["medium"].points[0].low)
    assert list(curves_by_field(8, [1, 2, 3], [3, 1, 3], 2)) == [1, 3]


def test_weighted_by_their_problems_the_strata_make_the_whole() -> None:
    whole = PassAtKCurve.from_counts(N, C)
    found = curves_by_field(N, C, LEVELS)
    assert all(curve.k.tolist() == whole.k.tolist() == [1, 2, 4] for curve in found.values())
    weighted = sum(curve.problems * curve.value for curve in found.values()) / len(N)
    assert weighted == pytest.approx(whole.value)


def test_strata_are_cut_by_the_solve_rates_of_the_reference() -> None:
    reference_c = [0, 1, 2, 3, 4, 5, 6, 7, 8]
    found = curves_by_reference(8, [4] * 9, 8, reference_c, 1)
    assert {name: curve.problems for name, curve in found.items()} == {
        "never": 1, "(0, 0.25]": 2, "(0.25, 0.5]": 2, "(0.5, 0.75]": 2, "(0.75, 1)": 1, "always": 1,
    }  # fmt: skip
    assert list(found) == ["never", "(0, 0.25]", "(0.25, 0.5]", "(0.5, 0.75]", "(0.75, 1)", "always"]
    halves = curves_by_reference(8, [0, 8, 8], [2, 4, 4], [1, 1, 3], 1, edges=[0.5])
    assert {name: curve.value.tolist() for name, curve in halves.items()} == {"(0, 0.5]": [0.5], "(0.5, 1)": [1]}
    assert list(curves_by_reference(8, [4] * 9, 8, reference_c, 1, edges=[])) == ["never", "(0, 1)", "always"]


def test_two_evaluations_that_solved_nothing_have_one_stratum() -> None:
    """Their counts are equal without being the same evaluation's."""
    for solved, name in ((0, "never"), (16, "always")):
        curves = curves_by_reference(16, [solved] * 3, 16, [solved] * 3, 4)
        assert {stratum: (curve.problems, curve.points[0].value) for stratum, curve in curves.items()} == {
            name: (3, solved / 16)
        }


def test_strata_of_another_draw_have_no_bias_and_those_of_the_same_draw_would() -> None:
    rng = np.random.default_rng(0)
    p = rng.choice([0.2, 0.4], size=20_000)
    reference, fresh = rng.binomial(4, p), rng.binomial(4, p)
    found = curves_by_reference(4, fresh, 4, reference, 1)
    true = {"never": p[reference == 0].mean(), "(0.25, 0.5]": p[reference == 2].mean()}
    for name, value in true.items():
        assert found[name].value[0] == pytest.approx(value, abs=0.02)
    same = PassAtKCurve.from_counts(4, reference[reference == 0], 1)
    assert same.value[0] == 0 < true["never"] - 0.2


UNTYPED: Any = pkpo.strata


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: UNTYPED.curves_by_reference(8, [1, 2], 8, [1, 2]),
            "the reference has the very counts of the evaluation",
        ),
        (lambda: UNTYPED.curves_by_reference(8, [1, 2], 8, [1, 2, 3]), "the reference must have the same 2 problems"),
        (
            lambda: UNTYPED.curves_by_reference(8, [1, 2], [8, 0], [1, 0]),
            "a completion of each problem; problem 1 has none",
        ),
        (
            lambda: curves_by_reference(8, [1, 2], 8, [1, 3], edges=[0.5, 0.5]),
            r"edges must be ascending inside \(0, 1\)",
        ),
        (lambda: UNTYPED.curves_by_reference(8, [1, 2], 8, [1, 3], edges=[0.0]), "edges must be ascending"),
        (lambda: UNTYPED.curves_by_reference(8, [1, 2], 8, [1, 3], edges=[1.0]), "edges must be ascending"),
        (
            lambda: UNTYPED.curves_by_field(8, [1, 2], ["a"]),
            r"field must be one string or integer for each of 2 problems",
        ),
        (lambda: UNTYPED.curves_by_field(8, [1, 2], [0.5, 1.5]), "field must be .* got float64"),
        (lambda: UNTYPED.curves_by_field(8, [1, 2], ["a", "b"], 9), "k must be at most the smallest n"),
    ],
)
def test_strata_that_would_mislead_are_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
