import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkpo import g_pass_at_k, mg_pass_at_k, pass_at_k, pass_hat_k
from tests.examples_of import examples
from tests.pkpo import exact

counts = st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n)))


def at_least(n: int, c: int, k: int, least: int) -> Fraction:
    """The chance that at least so many of k pass, as a ratio of integers."""
    ways = sum(math.comb(c, j) * math.comb(n - c, k - j) for j in range(least, min(c, k) + 1))
    return Fraction(ways, math.comb(n, k))


def mg_exactly(n: int, c: int, k: int) -> Fraction:
    return Fraction(2, k) * sum(at_least(n, c, k, i) for i in range((k + 1) // 2 + 1, k + 1))


@settings(max_examples=examples(200))
@given(counts, st.floats(0, 1) | st.sampled_from([0.0, 0.5, 1.0]))
def test_g_pass_at_k_is_the_share_of_k_subsets_in_which_enough_passed(nck: tuple[int, int, int], tau: float) -> None:
    n, c, k = nck
    enough = Fraction(tau).limit_denominator(10**12) * k
    assert exact.ulps(g_pass_at_k(n, c, k, tau), exact.g_pass_at_k(n, c, k, enough)) <= 0.5


@settings(max_examples=examples(200))
@given(counts.filter(lambda nck: nck[2] > 1))
def test_mg_pass_at_k_is_the_published_sum_over_k_subsets(nck: tuple[int, int, int]) -> None:
    n, c, k = nck
    terms = [exact.g_pass_at_k(n, c, k, i) for i in range(math.ceil(k / 2) + 1, k + 1)]
    assert exact.ulps(mg_pass_at_k(n, c, k), 2 * sum(terms, Fraction(0)) / k) <= 0.5


@pytest.mark.parametrize("k", [2, 4, 8])
def test_mg_pass_at_k_of_an_even_k_is_the_integral_over_tau(k: int) -> None:
    steps = 64  # of tau, at their middles, where G-Pass does not jump
    integral = 2 * sum(g_pass_at_k(8, 6, k, 0.5 + (i + 0.5) / (2 * steps)) for i in range(steps)) / (2 * steps)
    assert mg_pass_at_k(8, 6, k) == pytest.approx(integral, rel=1e-14)


@pytest.mark.parametrize("p", [Fraction(1, 50), Fraction(1, 2), Fraction(9, 10)])
def test_both_are_unbiased_over_all_outcomes(p: Fraction) -> None:
    n = 7
    binomial = [math.comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)]
    for k in range(2, n + 1):
        chances = [math.comb(k, j) * p**j * (1 - p) ** (k - j) for j in range(k + 1)]
        for least in range(1, k + 1):
            mean = sum(
                w * Fraction(float(g_pass_at_k(n, c, k, least / k)))
                for c, w in zip(range(n + 1), binomial, strict=True)
            )
            assert float(mean) == pytest.approx(float(sum(chances[least:])), rel=1e-15)
        mean = sum(w * Fraction(float(mg_pass_at_k(n, c, k))) for c, w in zip(range(n + 1), binomial, strict=True))
        true = Fraction(2, k) * sum(sum(chances[i:]) for i in range((k + 1) // 2 + 1, k + 1))
        assert float(mean) == pytest.approx(float(true), rel=1e-15)


def test_a_share_of_k_is_never_off_by_one() -> None:
    for k in range(1, 60):
        for j in range(1, k + 1):
            # c = n = k attempts of which all were drawn: G-Pass is 1 where j are enough of j passes, else 0.
            below, above = np.nextafter(j / k, 0), np.nextafter(j / k, 2)
            taus: list[Any] = [j / k, np.float32(j / k), j * (1 / k), below, min(above, 1.0)]
            for tau in taus:
                assert g_pass_at_k(k, j, k, tau) == 1, (j, k, tau)
                assert g_pass_at_k(k, j - 1, k, tau) == 0, (j, k, tau)
    assert math.ceil(0.28 * 25) == 8
    assert g_pass_at_k(25, 7, 25, 0.28) == 1
    assert g_pass_at_k(25, 7, 25, 0.2801) == 0
    assert g_pass_at_k(10, 3, 10, 0.1 + 0.2) == 1


def test_the_ends_of_tau_are_pass_at_k_and_pass_hat_k() -> None:
    c = np.arange(101)
    for k in (1, 3, 50, 100):
        np.testing.assert_allclose(g_pass_at_k(100, c, k, 0), pass_at_k(100, c, k), rtol=3e-16)
        np.testing.assert_allclose(g_pass_at_k(100, c, k, 1), pass_hat_k(100, c, k), rtol=3e-16)


@pytest.mark.parametrize(("n", "k"), [(64, 16), (200, 199), (1000, 330)])
def test_both_are_correctly_rounded_at_every_c(n: int, k: int) -> None:
    c = np.arange(0, n + 1, max(1, n // 50))
    for least in (1, k // 3, k // 2 + 1, k):
        expected = [at_least(n, each, k, least) for each in c.tolist()]
        assert exact.worst_ulps(g_pass_at_k(n, c, k, least / k), expected) <= 0.5
    few = c[:: len(c) // 8]
    assert exact.worst_ulps(mg_pass_at_k(n, few, k), [mg_exactly(n, each, k) for each in few.tolist()]) <= 0.5


@pytest.mark.parametrize(
    ("c", "k", "least"), [(500_000, 20, 15), (1000, 5000, 9), (30, 999_000, 29), (999_990, 40, 40)]
)
def test_a_million_completions_cost_no_accuracy(c: int, k: int, least: int) -> None:
    n = 1_000_000
    # C(c, j) C(n-c, k-j) / C(n, k) = C(k, j) C(n-k, c-j) / C(n, c): the smaller of k and c makes small binomials.
    few, many = sorted((c, k))
    ways = sum(math.comb(few, j) * _falling(many, j) * _falling(n - many, few - j) for j in range(least, few + 1))
    assert exact.ulps(g_pass_at_k(n, c, k, least / k), Fraction(ways, _falling(n, few))) <= 0.5


def _falling(n: int, count: int) -> int:
    return math.prod(range(n - count + 1, n + 1))


def test_chances_below_the_smallest_float_are_zero_and_certain_ones_exact() -> None:
    assert g_pass_at_k(10**6, 5 * 10**5, 5 * 10**5, 1.0) == 0
    assert g_pass_at_k(10**6, 5 * 10**5, 5 * 10**5, 0.0) == 1
    assert 0 < g_pass_at_k(1000, 500, 100, 1.0) < 1e-30
    assert g_pass_at_k(10, 9, 5, 0.8) == 1  # one failure at most among any five
    assert mg_pass_at_k(10, 10, 4) == 1
    assert mg_pass_at_k(10, 2, 4) == 0


def test_counts_broadcast_and_keep_their_shape() -> None:
    n, c = np.array([[8], [16]]), np.array([0, 3, 8])
    for estimates in (g_pass_at_k(n, c, 4, 0.5), mg_pass_at_k(n, c, 4)):
        assert estimates.shape == (2, 3)
        assert estimates.dtype == np.float64
    assert g_pass_at_k(n, c, 4, 0.5)[1, 1] == g_pass_at_k(16, 3, 4, 0.5)
    assert isinstance(mg_pass_at_k(10, 3, 2), np.float64)


@pytest.mark.parametrize(
    ("tau", "said"),
    [
        (1.5, r"tau must be in \[0, 1\]; got 1.5"),
        (-0.1, r"tau must be in \[0, 1\]; got -0.1"),
        (math.nan, "tau must be finite in float64; got nan"),
        (math.inf, "tau must be finite"),
        (None, "tau must be a real number; got None"),
        (True, "tau must be a real number; got True"),
        ("0.5", "tau must be a real number; got '0.5'"),
        ([0.5, 1.0], "tau must be a real number"),
    ],
)
def test_a_share_that_is_none_is_refused(tau: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        g_pass_at_k(10, 3, 4, tau)


def test_one_attempt_has_no_mg_pass() -> None:
    with pytest.raises(ValueError, match=r"k of at least 2, .* no term at k = 1; got k=1"):
        mg_pass_at_k(10, 3, 1)


@pytest.mark.parametrize("estimate", [lambda n, c, k: g_pass_at_k(n, c, k, 0.5), mg_pass_at_k])
@pytest.mark.parametrize(
    ("n", "c", "k", "said"),
    [
        (10, 3, 11, "at most the smallest n; got k=11, n=10"),
        (10, 3, 0, "at least 1; got k=0"),
        (10, 3, 2.0, "k must be an integer; got 2.0"),
        (10, 11, 2, r"c must be in \[0, n\]; got c=11, n=10"),
        (10, 2.5, 2, "c must be integers"),
    ],
)
def test_counts_without_an_estimate_are_refused(
    estimate: Callable[[Any, Any, Any], Any], n: Any, c: Any, k: Any, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        estimate(n, c, k)
