import dataclasses
import json
import math
import time
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pkpo
from pkpo import (
    CurvePoint,
    PassAtKCurve,
    bootstrap_interval,
    default_ks,
    max_at_k,
    mean_interval,
    min_at_k,
    pad,
    pass_at_k,
)
from tests.examples_of import examples
from tests.pkpo import exact
from tests.pkpo.results_files import shared


def test_the_published_curve_of_codellama_on_cruxeval_is_reproduced() -> None:
    path = shared("cruxeval", "sample_scored_codellama-7b_temp0.2_output.json")
    verdicts = json.loads(path.read_text())["raw_scored_generations"].values()
    n, c = [len(each) for each in verdicts], [sum(each) for each in verdicts]
    curve = PassAtKCurve.from_counts(n, c, [1, 2, 5, 10])
    # Exact figures, computed in fractions; pass@1 and pass@5 are those that CRUXEval published.
    assert curve.value == pytest.approx([0.342125, 0.3711388888888889, 0.40286706349206347, 0.41875], abs=1e-12)
    assert (curve.problems, curve.n_min, curve.n_max) == (800, 10, 10)
    assert (np.diff(curve.value) > 0).all()
    assert ((curve.low < curve.value) & (curve.value < curve.high)).all()
    rewards = PassAtKCurve.from_rewards(list(verdicts), [1, 2, 5, 10])
    assert rewards.value == pytest.approx(curve.value, abs=1e-15)
    assert rewards.standard_error == pytest.approx(curve.standard_error, abs=1e-15)


counts = st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@settings(max_examples=examples(100))
@given(st.lists(counts, min_size=1, max_size=20), st.floats(0.01, 0.99))
def test_a_curve_is_the_mean_and_interval_of_the_estimates_at_each_k(
    problems: list[tuple[int, int]], level: float
) -> None:
    n, c = np.array(problems).T
    curve = PassAtKCurve.from_counts(n, c, level=level)
    assert curve.k.tolist() == list(default_ks(n.min()))
    for point in curve.points:
        expected = mean_interval(pass_at_k(n, c, point.k), level, bounds=(0.0, 1.0))
        np.testing.assert_equal(dataclasses.astuple(point)[1:], dataclasses.astuple(expected)[:4])
        mean = exact.mean(1 - Fraction(math.comb(a - b, point.k), math.comb(a, point.k)) for a, b in problems)
        assert exact.ulps(point.value, mean) <= 2


@settings(max_examples=examples(100))
@given(st.lists(counts, min_size=2, max_size=20))
def test_pass_at_k_never_falls_and_is_concave_in_k(problems: list[tuple[int, int]]) -> None:
    n, c = np.array(problems).T
    value = PassAtKCurve.from_counts(n, c, range(1, n.min() + 1)).value
    assert (np.diff(value) >= -1e-15).all()
    assert (np.diff(value, n=2) <= 1e-15).all()


def test_a_curve_says_what_it_was_drawn_from() -> None:
    curve = PassAtKCurve.from_counts([4, 8, 8], [1, 0, 8], level=0.9)
    assert (curve.metric, curve.estimator, curve.method, curve.level) == (
        "pass_at_k",
        "1 - C(n-c, k) / C(n, k)",
        "t",
        0.9,
    )
    assert (curve.problems, curve.n_min, curve.n_max) == (3, 4, 8)
    assert [point.k for point in curve.points] == [1, 2, 4]
    for i, point in enumerate(curve.points):
        arrays = (curve.k, curve.value, curve.standard_error, curve.low, curve.high)
        assert point == CurvePoint(*(array[i] for array in arrays))
    with pytest.raises(dataclasses.FrozenInstanceError):
        curve.problems = 4  # type: ignore[misc]


def test_every_metric_of_counts_is_its_estimator_and_stays_in_zero_to_one() -> None:
    n, c = [10, 10, 10], [0, 5, 10]
    for metric, estimate in (
        ("pass_at_k", pkpo.pass_at_k),
        ("fail_at_k", pkpo.fail_at_k),
        ("pass_hat_k", pkpo.pass_hat_k),
    ):
        curve = PassAtKCurve.from_counts(n, c, [1, 3], metric=metric)  # type: ignore[arg-type]
        assert curve.metric == metric
        assert curve.value.tolist() == [float(np.mean(estimate(n, c, k))) for k in (1, 3)]
        assert curve.low.tolist() == [0, 0]
        assert curve.high.tolist() == [1, 1]


def test_one_problem_has_a_value_and_no_interval() -> None:
    for curve in (PassAtKCurve.from_counts(10, 4, 1), PassAtKCurve.from_rewards([[1, 0, 0, 1, 0]], 1)):
        [point] = curve.points
        assert point.value == 0.4
        assert all(map(math.isnan, (point.standard_error, point.low, point.high)))


def test_rewards_of_any_shape_give_the_same_curve() -> None:
    rng = np.random.default_rng(0)
    ragged = [rng.normal(size=n).tolist() for n in (5, 8, 6)]
    g, mask = pad(ragged)
    for metric, estimate in (("max_at_k", max_at_k), ("min_at_k", min_at_k)):
        curve = PassAtKCurve.from_rewards(ragged, metric=metric)  # type: ignore[arg-type]
        assert curve == PassAtKCurve.from_rewards(g, metric=metric, mask=mask)  # type: ignore[arg-type]
        assert (curve.k.tolist(), curve.n_min, curve.n_max) == ([1, 2, 4, 5], 5, 8)
        for point in curve.points:
            assert point.value == pytest.approx(np.mean([estimate(each, point.k) for each in ragged]), rel=1e-14)
    full = rng.normal(size=(3, 7))
    assert PassAtKCurve.from_rewards(full) == PassAtKCurve.from_rewards(full.tolist())
    assert PassAtKCurve.from_rewards(full).low[0] < full.mean() - 0.01  # not clipped: a reward has no bounds


def test_a_masked_entry_may_hold_anything() -> None:
    g = np.array([[1.0, math.nan, 3.0], [math.inf, 2.0, 5.0]])
    curve = PassAtKCurve.from_rewards(g, 2, mask=np.isfinite(g), metric="min_at_k")
    assert curve.value.tolist() == [1.5]


def test_the_k_of_a_curve_ascend_once_each() -> None:
    n, c = [80, 90], [3, 4]
    assert PassAtKCurve.from_counts(n, c, [64, 33, 1, 64]).k.tolist() == [1, 33, 64]
    assert PassAtKCurve.from_counts(n, c, np.array([2, 1])).k.tolist() == [1, 2]  # type: ignore[arg-type]
    assert PassAtKCurve.from_counts(n, c, 3).k.tolist() == [3]


def test_the_default_k_are_the_powers_of_two_and_the_smallest_n() -> None:
    assert default_ks(1) == (1,)
    assert default_ks(10) == (1, 2, 4, 8, 10)
    assert default_ks(16) == (1, 2, 4, 8, 16)
    for n_min in (0, -1, 2.0, True):
        with pytest.raises(ValueError, match="n_min must be"):
            default_ks(n_min)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("n", "c", "options", "said"),
    [
        ([10, 8], [1, 1], {"k": 9}, "k must be at most the smallest n; got k=9, n=8"),
        ([10, 8], [1, 1], {"k": [1, 10]}, "got k=10, n=8"),
        ([10], [1], {"k": []}, "k must hold at least one"),
        ([10], [1], {"k": 0}, "k must be at least 1"),
        ([10], [1], {"k": [1, 2.0]}, "k must be an integer; got 2.0"),
        ([10], [1], {"k": "1"}, "k must be an integer; got '1'"),
        ([10], [1], {"k": True}, "k must be an integer; got True"),
        ([], [], {}, "at least one problem"),
        ([[10]], [[1]], {}, r"at least one problem; got shape \(1, 1\)"),
        ([10, 0], [1, 0], {}, "every problem needs at least one completion; problem 1 has 0"),
        ([10], [11], {}, r"c must be in \[0, n\]; got c=11, n=10"),
        ([10], [0.5], {}, "c must be integers"),
        (
            [10],
            [1],
            {"metric": "pass@k"},
            "metric must be one of pass_at_k, fail_at_k, pass_hat_k, g_pass_at_k, mg_pass_at_k; got 'pass@k'",
        ),
        ([10], [1], {"metric": "max_at_k"}, "metric must be one of"),
        ([10], [1], {"level": 1.0}, r"level must be in \(0, 1\); got 1.0"),
        ([10], [1], {"level": 95}, "level must be"),
        ([10], [1], {"interval": "bootstrap"}, r"interval must be a function, as pkpo\.mean_interval.*'bootstrap'"),
    ],
)
def test_counts_without_a_curve_are_refused(n: Any, c: Any, options: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PassAtKCurve.from_counts(n, c, **options)


@pytest.mark.parametrize(
    ("rewards", "options", "said"),
    [
        ([[1.0, 0.0], [1.0]], {"k": 2}, "k must be at most the smallest n; got k=2, n=1"),
        ([[1.0, 0.0], []], {}, "every problem needs at least one completion; problem 1 has 0"),
        ([[1.0, 0.0], [1.0, None]], {}, "array of object"),
        ([[1.0, 0.0], [None]], {}, "rewards hold None; pad"),
        ([[1.0, math.nan], [1.0]], {}, "rewards must be finite; got nan"),
        ([1.0, 0.0], {}, r"rewards must have shape \(P, n\); got \(2,\)"),
        ([], {}, "rewards must have shape"),
        ([[1.0, 0.0]], {"metric": "pass_at_k"}, "metric must be one of max_at_k, min_at_k; got 'pass_at_k'"),
        ([[1.0, 0.0]], {"mask": [[1, 1]]}, "mask must be boolean"),
        ([[1.0, 0.0], [1.0, 0.0]], {"mask": [[True, True], [True, False]], "k": 2}, "got k=2, n=1"),
        ([[1.0, 0.0]], {"level": 0}, "level must be in"),
    ],
)
def test_rewards_without_a_curve_are_refused(rewards: Any, options: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PassAtKCurve.from_rewards(rewards, **options)


def test_padding_marks_what_is_missing() -> None:
    g, mask = pad([[1.0, None, 3], [], [True]])
    assert mask.tolist() == [[True, False, True], [False] * 3, [True, False, False]]
    assert g.tolist() == [[1.0, 0.0, 3.0], [0.0] * 3, [1.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ([], "must have shape"),
        ([[]], "must have shape"),
        ([[None]], "must have shape"),
        ([["1"]], "must be real numbers"),
        ([1, 0], "groups must hold the rewards of each problem; got 1 at 0"),
        ([[1, 0], None], "groups must hold the rewards of each problem; got None at 1"),
        (np.array([1.0, 0.0]), r"groups must hold the rewards of each problem; got .*1\.0.* at 0"),
        (1, "groups must hold the rewards of each problem; got 1"),
    ],
)
def test_groups_without_a_reward_are_refused(groups: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        pad(groups)


def test_a_hundred_thousand_problems_take_a_moment() -> None:
    c = np.random.default_rng(0).integers(0, 65, 100_000)
    started = time.perf_counter()
    curve = PassAtKCurve.from_counts(64, c)
    assert time.perf_counter() - started < 2  # measured: 0.1 s; one estimate per problem and k would take 5 s
    assert curve.value[0] == pytest.approx(c.mean() / 64, rel=1e-14)


def test_counts_of_other_problems_are_refused_and_one_n_stands_for_all() -> None:
    with pytest.raises(ValueError, match=r"one entry per problem; got shapes \(2,\) and \(1,\)"):
        PassAtKCurve.from_counts([10, 10], [1])
    assert PassAtKCurve.from_counts(10, [1, 3]) == PassAtKCurve.from_counts([10, 10], [1, 3])


def test_a_curve_takes_another_interval_at_every_k() -> None:
    n, c, clusters = [4, 4, 5, 6], [0, 1, 3, 6], ["a", "a", "b", "c"]
    bootstrap = partial(bootstrap_interval, seed=3)
    for interval in (partial(mean_interval, clusters=clusters), bootstrap):
        curve = PassAtKCurve.from_counts(n, c, [1, 4], interval=interval, level=0.9)
        for point in curve.points:
            expected = interval(pass_at_k(n, c, point.k), 0.9, bounds=(0.0, 1.0))
            assert (point.low, point.high, curve.method) == (expected.low, expected.high, expected.method)
    rewards = [[0.0, 1.0, 3.0], [2.0, 0.5, 0.5], [1.0, 1.0, 0.0]]
    of_rewards = PassAtKCurve.from_rewards(rewards, 2, interval=bootstrap)
    assert of_rewards.points[0].high == bootstrap(max_at_k(rewards, 2)).high
    answers = PassAtKCurve.from_answers([["a", "b"], ["b", "b"]], k=2, metric="distinct_at_k", interval=bootstrap)
    assert answers.method == "studentised bootstrap over problems"
