import math
from fractions import Fraction
from itertools import accumulate

import numpy as np
import pytest
from numpy.typing import NDArray

import pkpo
from pkpo import multi_k, transform
from pkpo.byte_cache import ByteCache
from pkpo.credits import BLOCK
from pkpo.estimators import max_at_ks
from pkpo.transforms import transform_and_max_at_k
from pkpo.weights import LIFT, order_weights
from tests.pkpo import exact

named = pytest.mark.parametrize("name", list(exact.TRANSFORMS))


def test_the_order_weights_are_those_of_figure_2() -> None:
    weights = order_weights(8, 2) * 2.0**-LIFT
    np.testing.assert_allclose(weights, np.arange(8) / 28, rtol=1e-15)
    assert order_weights(8, 1).tolist() == [2.0**LIFT / 8] * 8
    assert order_weights(8, 8).tolist() == [0] * 7 + [2.0**LIFT]
    assert not order_weights(8, 2).flags.writeable  # it is the cache's own


@named
@pytest.mark.parametrize("n", [2, 16, 24, 25, 1000])
def test_ties_share_and_equal_rewards_get_exactly_nothing(name: str, n: int) -> None:
    rng = np.random.default_rng(n)
    for k in {1, n // 2, n - 1}:
        g = rng.integers(0, 5, (20, n)) / 7
        credits = transform(name, g, k)
        for row, group in zip(credits, g, strict=True):
            for value in np.unique(group):
                assert len(set(row[group == value].tolist())) == 1
        if name not in ("s", "sloo"):
            for reward in (0.1, -1e308, 5e-324, 1.0):
                assert (transform(name, np.full((3, n), reward), k) == 0).all()


def sloo_minus_one_exactly(ranked: list[int], k: int) -> tuple[list[int], int]:
    """Numerators in rank order, and their denominator, for integer rewards sorted ascending."""
    n = len(ranked)
    binomials = accumulate(
        range(k, n), lambda binomial, m: binomial * m // (m - k + 1), initial=1
    )  # C(m, k-1), m >= k-1
    gains = [b * (ranked[m] - ranked[m - 1]) for m, b in zip(range(k - 1, n), binomials, strict=True)]
    return [0] * (k - 1) + list(accumulate(gains)), math.comb(n, k)


@pytest.mark.parametrize(("n", "k"), [(24, 2), (25, 3), (100, 50), (1000, 999), (10**4, 3), (10**6, 2), (10**6, 8)])
def test_sloo_minus_one_is_within_16_ulp_of_each_credit(n: int, k: int) -> None:
    ranked = np.sort(np.random.default_rng(n + k).integers(-(2**30), 2**30, n))
    numerators, denominator = sloo_minus_one_exactly(ranked.tolist(), k)
    expected = np.array([numerator / denominator for numerator in numerators])  # each rounded once
    credits = pkpo.sloo_minus_one(ranked, k)
    assert (np.abs(credits - expected) <= 15 * np.spacing(expected)).all()


@pytest.mark.parametrize("exponent", [0, 320])  # rewards up to 4000 and to 1e100
def test_credits_far_below_the_weights_of_float64_are_right(exponent: int) -> None:
    n, k = 4000, 2000  # the smallest weight is 1e-1203
    numerators, denominator = sloo_minus_one_exactly(list(range(n)), k)
    expected = np.array([(numerator << exponent) / denominator for numerator in numerators])
    credits = pkpo.sloo_minus_one(np.ldexp(np.arange(n), exponent), k)
    assert (np.abs(credits - expected) <= 16 * np.spacing(expected)).all()
    assert 0 < credits[credits > 0].min() < 1e-320


def binary_credit(name: str, n: int, c: int, k: int, passed: bool) -> Fraction:
    """The credit of a completion of a group of n of which c passed, by the formula in rho(n, c, k)."""

    def rho(n: int, c: int, k: int) -> Fraction:
        return 1 - Fraction(math.comb(n - c, k), math.comb(n, k))

    at_k, before = {
        "s": (Fraction(0), Fraction(0)),
        "sloo": (Fraction(n, n - 1), Fraction(0)),
        "sloo_minus_one": (Fraction(0), Fraction(1)),
        "centered": (Fraction(1), Fraction(0)),
        "plugin": (Fraction(n - k, n - 1), Fraction(k - 1, n - 1)),
    }[name]
    baseline = at_k * rho(n - 1, c - passed, k) + before * rho(n - 1, c - passed, k - 1)
    return Fraction(k, n) * ((1 if passed else rho(n - 1, c, k - 1)) - baseline)


@named
@pytest.mark.parametrize("n", [1000, 100_000])
def test_credits_of_large_binary_groups_are_within_8_ulp_of_k_over_n(name: str, n: int) -> None:
    c, k = n // 10, 3
    credits = transform(name, np.arange(n) < c, k)
    expected = [binary_credit(name, n, c, k, passed) for passed in (True, False)]
    assert exact.worst_ulps(credits[[0, -1]], expected, of=Fraction(k, n)) <= 8
    assert len(set(credits[:c].tolist())) == len(set(credits[c:].tolist())) == 1


@named
def test_rewards_near_the_ends_of_float64_survive(name: str) -> None:
    g = np.array([0.0, 1.0, -1.0, 0.5, 1.0, 0.25])
    for k in (1, 2, 5):
        credits = transform(name, g, k)
        np.testing.assert_allclose(transform(name, g * 2.0**1020, k), credits * 2.0**1020, rtol=1e-15)
        np.testing.assert_allclose(transform(name, g * 2.0**-1000, k), credits * 2.0**-1000, rtol=1e-15)
        both = transform(name, [g * 2.0**1020, g * 2.0**-1050, g], k)
        np.testing.assert_allclose(both[2], credits, rtol=1e-15)
        np.testing.assert_allclose(both[1], credits * 2.0**-1050, rtol=0, atol=5e-324)
        np.testing.assert_allclose(both[0], credits * 2.0**1020, rtol=1e-15)
    largest = 1.7e308
    assert pkpo.sloo_minus_one([-largest, 0.0, largest], 3).tolist() == [0.0, 0.0, largest]
    assert pkpo.s([-largest, -largest, -largest / 2], 3).tolist() == [-largest / 2] * 3


def test_credits_beyond_float64_are_refused() -> None:
    with pytest.raises(ValueError, match=r"credits exceed the range of float64; their largest \|reward\| is 1.7e\+308"):
        pkpo.sloo_minus_one([-1.7e308, 1.7e308], 2)
    with pytest.raises(ValueError, match="credits exceed"):
        transform(
            "s", [[1.7e308, 1.7e308], [0.0, math.nan]], {1: 2.0}, mask=[[True, True], [True, False]], scale="mean"
        )
    with pytest.raises(ValueError, match="credits exceed"):
        multi_k([1e300, 0.0], {1: 1e300})


@named
@pytest.mark.parametrize("n", [3, 16, 1000])
def test_rows_of_a_batch_do_not_know_of_each_other(name: str, n: int) -> None:
    rows = BLOCK // n + 2  # one full block and a short one
    g = np.random.default_rng(n).normal(size=(rows, n))
    credits = transform(name, g, 2)
    for row in (0, BLOCK // n - 1, BLOCK // n, rows - 1):
        assert credits[row].tolist() == transform(name, g[row], 2).tolist()


@named
@pytest.mark.parametrize("n", [5, 24, 25])
def test_one_sort_gives_the_credits_and_the_estimates_of_two(name: str, n: int) -> None:
    g = np.random.default_rng(n).normal(size=(BLOCK // n + 2, n))
    weights = {1: 0.5, 4: 2.0}
    credits, best = transform_and_max_at_k(name, g, weights, n)
    assert credits.tolist() == transform(name, g, weights, scale="mean").tolist()
    assert best.tolist() == (max_at_ks(g, [1, 4]) @ [0.5, 2.0]).tolist()


def test_the_cache_keeps_what_was_used_last_within_its_bytes() -> None:
    made: list[int] = []

    def array(key: int) -> NDArray[np.float64]:
        made.append(key)
        return np.zeros(1000)

    cache: ByteCache[NDArray[np.float64]] = ByteCache(30_000)
    for key in (1, 2, 3, 1, 4, 1, 2):
        assert cache.get(key, lambda key=key: array(key)).size == 1000  # type: ignore[misc]
        assert cache.nbytes <= 30_000
    assert made == [1, 2, 3, 4, 2]
    assert cache.get(9, lambda: np.zeros(10_000)).size == 10_000  # larger than the cache: made, not kept
    assert cache.get(2, lambda: array(5)).size == 1000
    assert made == [1, 2, 3, 4, 2]
