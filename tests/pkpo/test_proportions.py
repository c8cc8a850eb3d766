import math
from statistics import NormalDist
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkpo.proportions import ProportionMethod, pass_at_k_interval
from tests.examples_of import examples

METHODS: tuple[ProportionMethod, ...] = ("wilson", "jeffreys", "clopper-pearson")


def tail(n: int, c: int, p: float) -> float:
    """The chance of c passes or more."""
    return math.fsum(math.comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(c, n + 1))


@settings(max_examples=examples(100))
@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), st.floats(0.5, 0.99))
def test_clopper_and_pearson_stop_where_a_tail_of_the_binomial_does(counts: tuple[int, int], level: float) -> None:
    n, c = counts
    found = pass_at_k_interval(n, c, level=level, method="clopper-pearson")
    assert tail(n, c, found.low) == pytest.approx((1 - level) / 2 if c else 1, rel=1e-9)
    assert 1 - tail(n, c + 1, found.high) == pytest.approx((1 - level) / 2 if c < n else 1, rel=1e-9)


@settings(max_examples=examples(100))
@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), st.floats(0.5, 0.99))
def test_wilson_stops_where_the_share_is_z_deviations_away(counts: tuple[int, int], level: float) -> None:
    n, c = counts
    found = pass_at_k_interval(n, c, level=level, method="wilson")
    assert (found.low == 0, found.high == 1) == (c == 0, c == n)
    for end in (found.low, found.high):
        if 0 < end < 1:
            z = abs(c / n - end) / math.sqrt(end * (1 - end) / n)
            assert 2 * NormalDist().cdf(z) - 1 == pytest.approx(level, rel=1e-9)


# Brown, Cai and DasGupta (2001), Table 5: the Jeffreys interval at 95 %, to three digits.
@pytest.mark.parametrize(("n", "c", "low", "high"), [(10, 0, 0, 0.217), (10, 1, 0.011, 0.381), (10, 5, 0.224, 0.776)])
def test_jeffreys_is_that_of_the_printed_table(n: int, c: int, low: float, high: float) -> None:
    found = pass_at_k_interval(n, c, method="jeffreys")
    assert (round(found.low, 3), round(found.high, 3)) == (low, high)


def test_ends_have_their_closed_forms_at_a_million_completions() -> None:
    none = pass_at_k_interval(10**6, 0, method="clopper-pearson")
    assert none.high == pytest.approx(-math.expm1(math.log(0.025) / 10**6), rel=1e-8)
    once = pass_at_k_interval(10**6, 1, method="clopper-pearson")
    assert once.low == pytest.approx(-math.expm1(math.log1p(-0.025) / 10**6), rel=1e-8)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=examples(100))
@given(st.integers(1, 50).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), st.integers(1, 200))
def test_an_interval_for_pass_at_k_is_that_for_p_put_into_the_formula(
    method: ProportionMethod, counts: tuple[int, int], k: int
) -> None:
    n, c = counts
    for_p, for_pass = (pass_at_k_interval(n, c, each, method=method) for each in (1, k))
    assert for_pass.low == pytest.approx(1 - (1 - for_p.low) ** k, rel=1e-12, abs=1e-15)
    assert for_pass.high == pytest.approx(1 - (1 - for_p.high) ** k, rel=1e-12)
    assert 0 <= for_pass.low <= for_pass.high <= 1
    assert for_p.low < for_p.high
    assert for_p.low <= c / n <= for_p.high


@pytest.mark.parametrize("method", METHODS)
def test_passes_and_failures_mirror_each_other(method: ProportionMethod) -> None:
    for n, c in ((7, 0), (7, 2), (100, 99)):
        found, mirrored = pass_at_k_interval(n, c, method=method), pass_at_k_interval(n, n - c, method=method)
        assert found.low == pytest.approx(1 - mirrored.high, rel=1e-12)


def coverage(method: ProportionMethod, n: int, p: float) -> float:
    held = (pass_at_k_interval(n, c, method=method) for c in range(n + 1))
    return math.fsum(
        math.comb(n, each.c) * p**each.c * (1 - p) ** (n - each.c) for each in held if each.low <= p <= each.high
    )


def test_coverage_over_all_outcomes_is_the_level_on_average_and_never_below_for_clopper_and_pearson() -> None:
    grid = [(i + 0.5) / 50 for i in range(50)]
    for n in (8, 16, 64):
        found = {method: [coverage(method, n, p) for p in grid] for method in METHODS}
        mean = {method: math.fsum(each) / len(grid) for method, each in found.items()}
        assert 0.945 < mean["wilson"] < 0.965
        assert 0.93 < mean["jeffreys"] < 0.965
        assert mean["clopper-pearson"] > 0.96
        assert min(found["clopper-pearson"]) >= 0.95


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0, "c": 0}, "n must be at least 1; got n=0"),
        ({"n": 8, "c": 9}, r"c must be in \[0, n\]; got c=9, n=8"),
        ({"n": 8, "c": -1}, "c must be in"),
        ({"n": 8, "c": 1.0}, "c must be integers"),
        ({"n": 8, "c": [1, 2]}, r"c must be the count of one problem; got shape \(2,\)"),
        ({"n": 8, "c": 1, "k": 0}, "k must be at least 1"),
        ({"n": 8, "c": 1, "level": 95}, "level must be in"),
        ({"n": 8, "c": 1, "method": "wald"}, "method must be one of wilson, jeffreys, clopper-pearson; got 'wald'"),
    ],
)
def test_what_has_no_interval_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pass_at_k_interval(**arguments)


def test_where_every_problem_is_solved_or_not_the_share_of_solved_ones_has_an_interval_near_one() -> None:
    # At k = n a mean over P problems is a share: docs/intervals.md has these figures.
    found = {method: round(coverage(method, 100, 0.99), 2) for method in METHODS}
    assert found == {"wilson": 0.92, "jeffreys": 0.98, "clopper-pearson": 0.98}
