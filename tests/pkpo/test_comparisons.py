import gzip
import json
import math
from fractions import Fraction
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkpo import max_at_k, mean_interval, min_at_k, pass_at_k
from pkpo.bootstrap import bootstrap_interval
from pkpo.comparisons import Comparison, sign_flips
from tests.pkpo.results_files import shared

N_A, C_A = [8, 8, 8, 8, 8], [0, 0, 3, 8, 1]
N_B, C_B = [8, 16, 8, 8, 8], [2, 0, 5, 6, 0]


def test_points_are_paired_differences_of_the_estimates() -> None:
    found = Comparison.from_counts(N_A, C_A, N_B, C_B, k=[4, 1])
    assert [point.k for point in found.points] == [1, 4]
    for point in found.points:
        each = pass_at_k(N_B, C_B, point.k) - pass_at_k(N_A, C_A, point.k)
        expected = mean_interval(each)
        assert (point.difference, point.standard_error) == (expected.value, expected.standard_error)
        assert (point.low, point.high) == (max(expected.low, -1), min(expected.high, 1))
    assert (found.problems_used, found.level, found.metric, found.method) == (5, 0.95, "pass_at_k", "t")
    assert (found.test, found.seed) == ("sign flips, all", None)


def test_problems_that_began_or_ceased_to_be_solved_are_named() -> None:
    names = ["sum/0", "sum/1", "sum/2", "sum/3", "sum/4"]
    found = Comparison.from_counts(N_A, C_A, N_B, C_B, problems=names)
    assert (found.newly_solved, found.forgotten) == (("sum/0",), ("sum/4",))
    assert Comparison.from_counts(N_B, C_B, N_A, C_A).newly_solved == (4,)


def test_exchanging_a_and_b_changes_the_sign_and_nothing_else() -> None:
    one, other = Comparison.from_counts(N_A, C_A, N_B, C_B), Comparison.from_counts(N_B, C_B, N_A, C_A)
    for p, q in zip(one.points, other.points, strict=True):
        assert (p.difference, p.low, p.high) == pytest.approx((-q.difference, -q.high, -q.low))
        assert (p.p_value, p.p_value_any) == (q.p_value, q.p_value_any)


def flipped(columns: list[list[int]]) -> tuple[list[Fraction], list[Fraction]]:
    """p-values by going through all signs: squares of sums over sums of squares, in fractions."""
    rows = list(zip(*columns, strict=True))
    squares = [sum(d * d for d in column) for column in columns]

    def statistics(signs: tuple[int, ...]) -> list[Fraction]:
        sums = [sum(sign * row[j] for sign, row in zip(signs, rows, strict=True)) for j in range(len(columns))]
        return [
            Fraction(total**2, square) if square else Fraction(0) for total, square in zip(sums, squares, strict=True)
        ]

    seen = statistics((1,) * len(rows))
    law = [statistics(signs) for signs in product((1, -1), repeat=len(rows))]
    alone = [Fraction(sum(each[j] >= seen[j] for each in law), len(law)) for j in range(len(columns))]
    together = [Fraction(sum(max(each) >= seen[j] for each in law), len(law)) for j in range(len(columns))]
    return alone, together


@given(
    st.integers(1, 7).flatmap(
        lambda P: st.lists(st.lists(st.integers(-4, 4), min_size=P, max_size=P), min_size=1, max_size=3)
    )
)
@settings(deadline=None)
def test_p_values_are_shares_of_all_signs(columns: list[list[int]]) -> None:
    alone, together = flipped(columns)
    found = sign_flips(np.array(columns).T / 7)
    assert found.exact
    assert found.p_values == pytest.approx([float(each) for each in alone])
    assert found.p_values_any == pytest.approx([float(each) for each in together])


def test_twenty_differences_have_all_signs_tried_and_more_are_drawn() -> None:
    rng = np.random.default_rng(0)
    d = rng.normal(0.3, 1, size=(21, 2))
    exact, drawn = sign_flips(d[:20]), sign_flips(d, seed=1, draws=999)
    assert (exact.exact, drawn.exact, drawn.test) == (True, False, "sign flips, 999 drawn")
    assert all(p * 2**19 == round(p * 2**19) for p in exact.p_values)
    assert all((p * 1000) == pytest.approx(round(p * 1000)) for p in drawn.p_values)
    assert sign_flips(np.vstack([d[:20], np.zeros((9, 2))])) == exact


def test_drawn_signs_near_the_share_of_all_and_never_give_zero() -> None:
    d = np.random.default_rng(3).normal(0.2, 1, size=(24, 1))
    sums = np.zeros(1)
    for each in d[:, 0]:
        sums = np.concatenate([sums + each, sums - each])
    share = np.mean(np.abs(sums) >= abs(d.sum()) - 1e-9)
    assert sign_flips(d, seed=0, draws=40_000).p_values[0] == pytest.approx(share, abs=0.01)
    assert sign_flips(np.ones((50, 1)), seed=0, draws=99).p_values == (0.01,)


def test_no_difference_is_no_evidence() -> None:
    same = Comparison.from_counts(8, C_A, 8, C_A)
    assert all((point.difference, point.p_value, point.p_value_any) == (0, 1, 1) for point in same.points)
    assert same.newly_solved == same.forgotten == ()


def test_p_values_are_uniform_where_nothing_changed() -> None:
    rng = np.random.default_rng(5)
    p = rng.beta(0.3, 0.6, size=(400, 40))
    a, b = rng.binomial(8, p), rng.binomial(8, p)
    found = [
        Comparison.from_counts(8, x, 8, y, k=[1, 4], seed=i, draws=199)
        for i, (x, y) in enumerate(zip(a, b, strict=True))
    ]
    rejected = np.mean(
        [[point.p_value <= 0.05, point.p_value_any <= 0.05] for each in found for point in each.points], axis=0
    )
    assert 0.025 < rejected[0] < 0.075
    assert np.mean([min(point.p_value_any for point in each.points) <= 0.05 for each in found]) < 0.075
    held = np.mean([point.low <= 0 <= point.high for each in found for point in each.points])
    assert 0.93 < held < 0.97


def test_a_comparison_takes_another_interval_of_the_differences() -> None:
    bootstrap = partial(bootstrap_interval, seed=4, draws=500)
    found = Comparison.from_counts(N_A * 5, C_A * 5, N_B * 5, C_B * 5, k=2, interval=bootstrap)
    expected = bootstrap(np.tile(pass_at_k(N_B, C_B, 2) - pass_at_k(N_A, C_A, 2), 5), bounds=(-1, 1))
    assert (found.points[0].low, found.points[0].high) == (expected.low, expected.high)
    assert (found.method, found.seed) == ("studentised bootstrap over problems", None)
    assert Comparison.from_rewards([[1.0], [2.0]], [[3.0], [5.0]], interval=bootstrap).method == found.method


def test_rewards_are_compared_without_a_threshold() -> None:
    a, b = [[0.0, 0.5, 1.0], [0.25, 0.25, 0.0]], [[1.0, 1.0, 0.5, 9.0], [0.0, 0.5, 0.25, 9.0]]
    mask = [[True, True, True, False]] * 2
    found = Comparison.from_rewards(a, b, mask_b=mask, k=2)
    each = max_at_k(b, 2, mask) - max_at_k(a, 2)
    assert found.points[0].difference == pytest.approx(each.mean())
    assert (found.newly_solved, found.forgotten, found.metric) == (None, None, "max_at_k")
    worst = Comparison.from_rewards(a, b, mask_b=mask, k=2, metric="min_at_k").points[0]
    assert worst.difference == pytest.approx((min_at_k(b, 2, mask) - min_at_k(a, 2)).mean())
    assert [point.k for point in Comparison.from_rewards(a, b, mask_b=mask).points] == [1, 2, 3]


def test_one_problem_has_a_difference_and_no_interval() -> None:
    point = Comparison.from_counts([8], [1], [8], [3], k=1).points[0]
    assert (point.difference, point.p_value) == (0.25, 1)
    assert math.isnan(point.low)


UNTYPED: Any = Comparison


@pytest.mark.parametrize("unit", [2.0**-960, 2.0**-600, 2.0**600, 2.0**1020])
def test_the_unit_of_the_rewards_does_not_change_the_p_values(unit: float) -> None:
    a, b = np.random.default_rng(3).integers(0, 8, size=(2, 30, 4)).astype(np.float64)
    expected = Comparison.from_rewards(a, b + 1, k=[1, 2])
    found = Comparison.from_rewards(a * unit, (b + 1) * unit, k=[1, 2])
    for of_unit, of_one in zip(found.points, expected.points, strict=True):
        assert (of_unit.p_value, of_unit.p_value_any) == (of_one.p_value, of_one.p_value_any)
        assert of_one.p_value < 0.1
    with pytest.raises(ValueError, match="must be finite; got -inf"):
        Comparison.from_rewards([[1.7e308], [0.0]], [[-1.7e308], [0.0]], k=1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: UNTYPED.from_counts(8, [1, 2], 8, [1, 2, 3]), "a and b must have the same problems; got 2 and 3"),
        (lambda: UNTYPED.from_counts(8, [1], 4, [1], k=5), "k must be at most the smallest n; got k=5, n=4"),
        (lambda: UNTYPED.from_counts(8, [1], 4, [1], k=[]), "k must hold at least one"),
        (
            lambda: UNTYPED.from_counts(8, [1], 4, [1], problems=["x", "y"]),
            "problems must be one name for each of 1; got 2",
        ),
        (
            lambda: UNTYPED.from_counts(8, [1, 2], 4, [1, 2], problems=["x", "x"]),
            "problems must hold each name once",
        ),
        (lambda: UNTYPED.from_counts(8, [1], 4, [1], metric="max_at_k"), "metric must be one of pass_at_k"),
        (lambda: UNTYPED.from_counts(8, [1], 4, [1], interval="t"), "interval must be a function, as .* got 't'"),
        (lambda: UNTYPED.from_counts([], [], [], []), "a needs one n and c for each of at least one problem"),
        (lambda: UNTYPED.from_rewards([[1.0]], [[1.0], [2.0]]), r"got \(1, 1\) and \(2, 1\)"),
        (
            lambda: UNTYPED.from_rewards([[1.0]], [[1.0]], metric="pass_at_k"),
            "metric must be one of max_at_k, min_at_k",
        ),
        (lambda: sign_flips([1.0, 2.0]), r"differences must have shape \(P, K\)"),
    ],
)
def test_what_cannot_be_compared_is_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_the_verifier_of_gsm8k_helps_by_the_published_difference() -> None:
    path = shared("gsm8k", "example_model_solutions.jsonl.gz")
    with gzip.open(path, "rt") as file:
        solutions = [json.loads(line) for line in file]
    tuned, verified = (
        np.array([int(each[f"6b_{system}"]["is_correct"]) for each in solutions])
        for system in ("finetuning", "verification")
    )
    found = Comparison.from_counts(1, tuned, 1, verified)
    (point,) = found.points
    assert point.difference == pytest.approx(0.3904473086 - 0.2168309325, abs=1e-9)
    assert (found.problems_used, point.p_value, found.test) == (1319, 1e-4, "sign flips, 9999 drawn")
    assert found.newly_solved is not None
    assert found.forgotten is not None
    assert len(found.newly_solved) - len(found.forgotten) == verified.sum() - tuned.sum()
    assert point.low > 0.14
