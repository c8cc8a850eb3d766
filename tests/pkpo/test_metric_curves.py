"""Curves of G-Pass@k, mG-Pass@k, maj@k and distinct answers."""

import math
from typing import Any

import numpy as np
import pytest

from pkpo import PassAtKCurve, distinct_at_k, g_pass_at_k, maj_at_k, mean_interval, mg_pass_at_k

N, C = [8, 8, 6, 8], [3, 8, 0, 5]
ANSWERS: list[list[str | None]] = [["7", "7", "5", None], ["1", "2", "3", "1", "1"], ["x", "y", "x"]]
CORRECT = [[answer in ("7", "1", "y") for answer in group] for group in ANSWERS]


def test_a_curve_of_g_pass_at_k_averages_it_and_says_its_tau() -> None:
    curve = PassAtKCurve.from_counts(N, C, [2, 5], metric="g_pass_at_k", tau=0.6)
    for point in curve.points:
        expected = mean_interval(g_pass_at_k(N, C, point.k, 0.6), bounds=(0, 1))
        assert (point.value, point.low, point.high) == (expected.value, expected.low, expected.high)
    assert curve.metric == "g_pass_at_k"
    assert curve.estimator.endswith("tau = 0.6")


def test_a_curve_of_mg_pass_at_k_begins_at_two_attempts() -> None:
    curve = PassAtKCurve.from_counts(N, C, metric="mg_pass_at_k")
    assert curve.k.tolist() == [2, 4, 6]
    assert curve.value.tolist() == [mean_interval(mg_pass_at_k(N, C, k)).value for k in (2, 4, 6)]
    with pytest.raises(ValueError, match="no term at k = 1"):
        PassAtKCurve.from_counts(N, C, [1, 2], metric="mg_pass_at_k")
    with pytest.raises(ValueError, match="no term at k = 1"):
        PassAtKCurve.from_counts(1, [1, 0], metric="mg_pass_at_k")


@pytest.mark.parametrize(("metric", "tau"), [("g_pass_at_k", None), ("pass_at_k", 0.5), ("mg_pass_at_k", 0.5)])
def test_tau_is_for_g_pass_at_k_and_it_needs_one(metric: Any, tau: float | None) -> None:
    with pytest.raises(ValueError, match=f"needs tau and no other metric has one; got tau={tau} for {metric}"):
        PassAtKCurve.from_counts(N, C, 2, metric=metric, tau=tau)


def test_a_curve_of_answers_takes_lists_of_any_lengths() -> None:
    for ties in ("share", "correct", "wrong"):
        curve = PassAtKCurve.from_answers(ANSWERS, CORRECT, ties=ties)
        assert curve.k.tolist() == [1, 2, 3]
        for point in curve.points:
            each = [maj_at_k(a, c, point.k, ties) for a, c in zip(ANSWERS, CORRECT, strict=True)]
            assert point.value == mean_interval(each).value
    assert (curve.metric, curve.problems, curve.n_min, curve.n_max) == ("maj_at_k", 3, 3, 5)


def test_a_curve_of_distinct_answers_needs_no_verdicts_and_may_exceed_one() -> None:
    curve = PassAtKCurve.from_answers(ANSWERS, k=3, metric="distinct_at_k")
    assert curve.value.tolist() == [mean_interval([distinct_at_k(group, 3) for group in ANSWERS]).value]
    assert curve.value[0] > 1
    assert curve.high[0] > curve.value[0]


def test_an_array_with_a_mask_is_the_lists_without_what_is_masked() -> None:
    answers, mask = np.full((3, 6), "?", dtype=object), np.zeros((3, 6), dtype=bool)
    correct = np.zeros((3, 6), dtype=bool)
    for row, (group, right) in enumerate(zip(ANSWERS, CORRECT, strict=True)):
        answers[row, 1 : len(group) + 1], correct[row, 1 : len(group) + 1] = group, right
        mask[row, 1 : len(group) + 1] = True
    assert PassAtKCurve.from_answers(answers, correct, mask=mask) == PassAtKCurve.from_answers(ANSWERS, CORRECT)


@pytest.mark.parametrize(
    ("answers", "correct", "options", "said"),
    [
        (ANSWERS, CORRECT, {"metric": "pass_at_k"}, "metric must be one of maj_at_k, distinct_at_k; got 'pass_at_k'"),
        (ANSWERS, None, {}, "maj_at_k needs correct, a boolean for each answer"),
        (ANSWERS, CORRECT[:2], {}, "correct must be a list of booleans for each list of answers, of its length"),
        (ANSWERS, [[1, 1, 0, 0], *CORRECT[1:]], {}, r"correct must be booleans; got \[1, 1, 0, 0\]"),
        (ANSWERS, CORRECT, {"k": 4}, "k must be at most the smallest n; got k=4, n=3"),
        (ANSWERS, CORRECT, {"ties": "first"}, "ties must be one of share, correct, wrong; got 'first'"),
        (["7", "5"], [True, False], {}, r"answers must have shape \(P, n\); got \(2,\)"),
        ([["7", math.nan], ["7"]], [[True, False], [True]], {}, "equal to themselves; got nan"),
        ([["7", "7"], ["7"]], [[True, False], [True]], {}, "the answer '7' in group 0 is correct in one place"),
    ],
)
def test_answers_without_a_curve_are_refused(answers: Any, correct: Any, options: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PassAtKCurve.from_answers(answers, correct, **options)
