import math
import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pkpo import max_at_k, pass_at_k
from pkpo.variance import max_at_k_variance_estimate, pass_at_k_variance, pass_at_k_variance_estimate
from tests.examples_of import examples
from tests.pkpo import exact

# n, k and p of a problem, small enough to go through every outcome.
CASES = [
    (n, k, p) for n in (2, 5, 8) for k in range(1, n + 1) for p in (Fraction(1, 50), Fraction(1, 2), Fraction(9, 10))
]


def outcomes(n: int, p: Fraction) -> Iterator[tuple[int, Fraction]]:
    """Every number of passes with its probability."""
    for c in range(n + 1):
        yield c, math.comb(n, c) * p**c * (1 - p) ** (n - c)


def fails(n: int, c: int, k: int) -> Fraction:
    return Fraction(math.comb(n - c, k), math.comb(n, k))


def variance(n: int, k: int, p: Fraction) -> Fraction:
    """The variance of the estimate over all outcomes."""
    squares = sum((chance * fails(n, c, k) ** 2 for c, chance in outcomes(n, p)), Fraction(0))
    return squares - (1 - p) ** (2 * k)


def unbiased_of(g: exact.Group, k: int) -> Fraction:
    """rho^2 less the mean product of the maxima of two disjoint k-subsets."""
    pairs = [
        max(one) * max(other)
        for chosen in combinations(range(len(g)), 2 * k)
        for first in combinations(chosen, k)
        for one, other in [([g[i] for i in first], [g[i] for i in chosen if i not in first])]
    ]
    return exact.max_at_k(g, k) ** 2 - exact.mean(pairs)


def jackknife_of(g: exact.Group, k: int) -> Fraction:
    """(n-1)/n times the sum of squares of what is estimated without each completion, about its mean."""
    n = len(g)
    each = [exact.max_at_k(exact.without(g, i), k) for i in range(n)]
    return Fraction(n - 1, n) * sum(((value - exact.mean(each)) ** 2 for value in each), Fraction(0))


@pytest.mark.parametrize(("n", "k", "p"), CASES)
def test_the_variance_given_p_is_that_over_all_outcomes(n: int, k: int, p: Fraction) -> None:
    assert float(pass_at_k_variance(n, float(p), k)) == pytest.approx(
        float(variance(n, k, Fraction(float(p)))), rel=1e-14
    )


@pytest.mark.parametrize(("n", "k", "p"), [(1000, 400, 0.001), (1000, 900, 0.01), (200, 100, 0.9), (300, 7, 1e-12)])
def test_the_variance_given_p_is_exact_where_it_is_tiny(n: int, k: int, p: float) -> None:
    q, whole = (1 - Fraction(p)).as_integer_ratio()
    terms = (math.comb(k, j) * math.comb(n - k, k - j) * q ** (2 * k - j) * (whole**j - q**j) for j in range(1, k + 1))
    expected = Fraction(sum(terms), math.comb(n, k) * whole ** (2 * k))
    assert float(pass_at_k_variance(n, p, k)) == pytest.approx(float(expected), rel=1e-13, abs=0)


def test_a_million_completions_cost_the_variance_no_accuracy() -> None:
    # k = 1 and 2 have closed forms: pq/n, and q^2 (1 - q^2) H(2) + q^3 p H(1), of which H(1) = 2 (n-2) / C(n, 2).
    n, p = 10**6, 0.3
    q = 1 - p
    assert float(pass_at_k_variance(n, p, 1)) == pytest.approx(p * q / n, rel=1e-13, abs=0)
    pairs = math.comb(n, 2)
    by_hand = (2 * (n - 2) * q**3 * p + q**2 * (1 - q**2)) / pairs
    assert float(pass_at_k_variance(n, p, 2)) == pytest.approx(by_hand, rel=1e-12, abs=0)
    assert float(pass_at_k_variance(n, 1e-6, 500_000)) == pytest.approx(
        math.exp(-1) * (math.exp(0.25) - 1), rel=1e-5, abs=0
    )
    assert float(pass_at_k_variance(n, 1e-6, n)) == pytest.approx(
        (1 - 1e-6) ** n * (1 - (1 - 1e-6) ** n), rel=1e-9, abs=0
    )


def test_a_certain_outcome_has_no_variance() -> None:
    assert pass_at_k_variance(8, [0.0, 1.0], 3).tolist() == [0, 0]
    assert pass_at_k_variance_estimate(8, [0, 8], 3).tolist() == [0, 0]
    assert pass_at_k_variance_estimate(8, [0, 8], 5, method="jackknife").tolist() == [0, 0]
    assert max_at_k_variance_estimate([[0.1] * 8, [1e300] * 8], 3).tolist() == [0, 0]


def test_equation_40_is_the_leading_term_and_far_off_at_small_n() -> None:
    def ratio(n: int, p: float, k: int) -> float:
        return float(pass_at_k_variance(n, p, k)) / (k * k * p * (1 - p) ** (2 * k - 1) / n)

    assert ratio(16, 0.3, 8) == pytest.approx(2.0, abs=0.05)
    assert ratio(16, 0.8, 8) == pytest.approx(150, abs=1)
    assert ratio(10**6, 0.3, 8) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(("n", "k", "p"), [case for case in CASES if 2 * case[1] <= case[0]])
def test_the_estimate_of_the_variance_is_unbiased_over_all_outcomes(n: int, k: int, p: Fraction) -> None:
    expected = sum(chance * Fraction(float(pass_at_k_variance_estimate(n, c, k))) for c, chance in outcomes(n, p))
    assert float(expected) == pytest.approx(float(variance(n, k, p)), rel=1e-13, abs=0)


@pytest.mark.parametrize(("n", "k", "p"), [case for case in CASES if case[1] < case[0]])
def test_the_jackknife_errs_upwards_from_n_minus_one(n: int, k: int, p: Fraction) -> None:
    found = sum(
        chance * Fraction(float(pass_at_k_variance_estimate(n, c, k, method="jackknife")))
        for c, chance in outcomes(n, p)
    )
    assert found >= Fraction(n - 1, n) * variance(n - 1, k, p) * (1 - Fraction(1, 10**12))


@settings(max_examples=examples(100))
@given(exact.groups(min_n=2, max_n=8), st.integers(1, 4))
def test_no_estimate_of_a_variance_is_negative(g: list[float], k: int) -> None:
    assume(not 0 < max(map(abs, g)) < 1e-100)  # whose variance float64 may not hold
    k = min(k, len(g) // 2)
    assert max_at_k_variance_estimate(g, k) >= 0
    assert max_at_k_variance_estimate(g, k, method="jackknife") >= 0


def test_an_estimate_of_zero_is_no_certainty() -> None:
    assert pass_at_k_variance_estimate(8, [0, 1, 6, 7, 8], 2) == pytest.approx(
        [0, (21 / 28) ** 2 - 35 / 70, (1 / 28) ** 2, 0, 0], abs=0
    )


@given(exact.groups(min_n=2, max_n=7), st.data())
@settings(deadline=None)
def test_variances_of_rewards_are_those_of_the_definitions(g: list[float], data: st.DataObject) -> None:
    assume(not 0 < max(map(abs, g)) < 1e-100)
    group, n = exact.group_of(g), len(g)
    size = float(max(map(abs, group)) ** 2)
    k = data.draw(st.integers(1, n - 1))
    found = max_at_k_variance_estimate(g, k, method="jackknife")
    assert float(found) == pytest.approx(float(jackknife_of(group, k)), rel=1e-12, abs=1e-15 * size)
    if 2 * k <= n:
        found = max_at_k_variance_estimate(g, k)
        assert float(found) == pytest.approx(float(unbiased_of(group, k)), rel=1e-12, abs=1e-15 * size)


@pytest.mark.parametrize(("n", "k"), [(2, 1), (4, 1), (4, 2), (6, 2), (6, 3)])
def test_the_variance_of_rewards_is_unbiased_over_all_outcomes(n: int, k: int) -> None:
    levels, chances = (-0.5, 0.25, 2.0), (0.5, 0.3, 0.2)
    groups = np.array(list(product(range(3), repeat=n)))
    weights = np.array(chances)[groups].prod(axis=1)
    g = np.array(levels)[groups]
    estimates = max_at_k(g, k)
    true = weights @ estimates**2 - (weights @ estimates) ** 2
    assert weights @ max_at_k_variance_estimate(g, k) == pytest.approx(true, rel=1e-12, abs=0)


@settings(max_examples=examples(100))
@given(st.integers(2, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n - 1))))
def test_binary_rewards_have_the_variance_of_their_counts(counts: tuple[int, int, int]) -> None:
    n, c, k = counts
    g = [1] * c + [0] * (n - c)
    for method in ("jackknife", *(["unbiased"] if 2 * k <= n else [])):
        of_counts = pass_at_k_variance_estimate(n, c, k, method=method)  # type: ignore[arg-type]
        of_rewards = max_at_k_variance_estimate(g, k, method=method)  # type: ignore[arg-type]
        assert float(of_rewards) == pytest.approx(float(of_counts), rel=1e-11, abs=1e-15)


@pytest.mark.parametrize("k", [1, 8, 300])
def test_a_million_rewards_cost_no_accuracy(k: int) -> None:
    n, c = 10**6, 3_000
    g = np.arange(n) < c
    for method in ("unbiased", "jackknife"):
        of_counts = pass_at_k_variance_estimate(n, c, k, method=method)
        assert float(max_at_k_variance_estimate(g, k, method=method)) == pytest.approx(
            float(of_counts), rel=1e-9, abs=0
        )
    unbiased = fails(n, c, k) ** 2 - fails(n, c, 2 * k)
    assert float(pass_at_k_variance_estimate(n, c, k)) == pytest.approx(float(unbiased), rel=1e-15, abs=0)


@settings(max_examples=examples(100))
@given(st.lists(st.integers(-20, 20), min_size=4, max_size=9), st.integers(-30, 30), st.integers(1, 2))
def test_variances_ignore_a_constant_and_take_the_square_of_a_scale(g: list[int], shift: int, k: int) -> None:
    base = float(max_at_k_variance_estimate(g, k))
    moved = float(max_at_k_variance_estimate(np.array(g) + shift, k))
    assert moved == pytest.approx(base, rel=1e-9, abs=1e-11)
    assert float(max_at_k_variance_estimate(np.array(g) * 4, k)) == 16 * base


@pytest.mark.parametrize("method", ["unbiased", "jackknife"])
@pytest.mark.parametrize("twos", [-500, -400, 400, 500])
def test_small_and_large_rewards_cost_no_accuracy(method: Any, twos: int) -> None:
    g = np.random.default_rng(0).random((3, 8))
    at_one = max_at_k_variance_estimate(g, 3, method=method)
    assert (max_at_k_variance_estimate(np.ldexp(g, twos), 3, method=method) == np.ldexp(at_one, 2 * twos)).all()


@pytest.mark.parametrize("method", ["unbiased", "jackknife"])
def test_a_variance_below_float64_is_no_certainty(method: Any) -> None:
    g = np.random.default_rng(0).random((3, 8))
    for small, near in ((g * 1e-200, "2^-664"), (np.ldexp(g, -1060), "2^-1060")):
        with pytest.raises(
            ValueError, match=re.escape(f"near {near} is below float64; multiply them by a power of two")
        ):
            max_at_k_variance_estimate(small, 3, method=method)
    beside = max_at_k_variance_estimate(np.concatenate([g[:1], g[1:] * 1e-200]), 3, method=method)
    assert beside.tolist() == [max_at_k_variance_estimate(g[0], 3, method=method), 0, 0]
    assert max_at_k_variance_estimate(np.full((2, 8), 1e-200), 3, method=method).tolist() == [0, 0]
    assert max_at_k_variance_estimate(np.full(8, 0.1), 3, method=method) == 0


def test_either_takes_the_unbiased_estimate_where_there_is_one() -> None:
    either = pass_at_k_variance_estimate([8, 5], [3, 2], 4, method="either")
    assert either[0] == pass_at_k_variance_estimate(8, 3, 4)
    assert either[1] == pass_at_k_variance_estimate(5, 2, 4, method="jackknife")
    g = [[1, 1, 1, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 9, 9, 9]]
    mask = [[True] * 8, [True] * 5 + [False] * 3]
    assert max_at_k_variance_estimate(g, 4, mask, method="either") == pytest.approx(either)


def test_shapes_are_those_of_the_estimates() -> None:
    assert pass_at_k_variance(8, 0.5, 2).shape == ()
    assert pass_at_k_variance([8, 9], [[0.5], [0.2], [0.1]], 2).shape == (3, 2)
    assert pass_at_k_variance_estimate([[8, 9]], [[1], [2]], 2).shape == pass_at_k([[8, 9]], [[1], [2]], 2).shape
    assert max_at_k_variance_estimate(np.zeros((2, 3, 4)), 2).shape == (2, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pass_at_k_variance(8, 1.5, 2), r"p must be in \[0, 1\]; got 1.5"),
        (lambda: pass_at_k_variance(8, -0.5, 2), r"p must be in \[0, 1\]; got -0.5"),
        (lambda: pass_at_k_variance(8, math.nan, 2), "p must be finite"),
        (lambda: pass_at_k_variance(2**31 - 1, 0.5, 2**30), "must be at most 16777216; got 1073741823"),
        (lambda: pass_at_k_variance([8, 3], 0.5, 4), "k=4, n=3"),
        (lambda: pass_at_k_variance(8, 0.5, 0), "k must be at least 1"),
        (lambda: pass_at_k_variance_estimate([9, 7], [1, 1], 4), r"k=4 needs n >= 8; got n=7 \(jackknife: n >= 5\)"),
        (lambda: pass_at_k_variance_estimate(4, 1, 4, method="jackknife"), "needs n >= 5; got n=4"),
        (lambda: pass_at_k_variance_estimate(4, 1, 4, method="either"), "needs n >= 5; got n=4"),
        (lambda: pass_at_k_variance_estimate(4, 5, 1), r"c must be in \[0, n\]"),
        (lambda: max_at_k_variance_estimate([0, 1, 2], 2), "k=2 needs n >= 4; got n=3 in group 0"),
        (lambda: max_at_k_variance_estimate([0, 1, math.inf, 2], 2), "rewards must be finite"),
        (lambda: max_at_k_variance_estimate([0, 1e300, 2, 3], 2), "exceeds float64"),
    ],
)
def test_what_has_no_variance_is_refused_with_the_bound(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("estimate", [pass_at_k_variance_estimate, max_at_k_variance_estimate])
def test_an_unknown_method_is_refused(estimate: Any) -> None:
    arguments = ([0, 1, 1, 0], 1) if estimate is max_at_k_variance_estimate else (4, 2, 1)
    with pytest.raises(ValueError, match="method must be one of unbiased, jackknife, either; got 'bootstrap'"):
        estimate(*arguments, method="bootstrap")
