import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkpo import fail_at_k, max_at_k, max_at_ks, min_at_k, pass_at_k, pass_hat_k
from tests.examples_of import examples
from tests.pkpo import exact

MASKED: Any = np.ma.array([3, 4], mask=[True, False])  # type: ignore[no-untyped-call]


def fail_exactly(n: int, c: int, k: int) -> Fraction:
    return Fraction(math.comb(n - c, k), math.comb(n, k))


@settings(max_examples=examples(100))
@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_count_estimates_are_shares_of_the_k_subsets(counts: tuple[int, int, int]) -> None:
    n, c, k = counts
    subsets = list(itertools.combinations([True] * c + [False] * (n - c), k))
    assert exact.ulps(pass_at_k(n, c, k), Fraction(sum(map(any, subsets)), len(subsets))) <= 1
    assert exact.ulps(fail_at_k(n, c, k), Fraction(sum(not any(subset) for subset in subsets), len(subsets))) <= 1
    assert exact.ulps(pass_hat_k(n, c, k), Fraction(sum(map(all, subsets)), len(subsets))) <= 1


@pytest.mark.parametrize("p", [Fraction(1, 50), Fraction(1, 2), Fraction(9, 10)])
def test_count_estimates_are_unbiased_over_all_outcomes(p: Fraction) -> None:
    n = 8
    for k in range(1, n + 1):
        expected = {pass_at_k: Fraction(0), fail_at_k: Fraction(0), pass_hat_k: Fraction(0)}
        for c in range(n + 1):
            for estimate in expected:
                weight = math.comb(n, c) * p**c * (1 - p) ** (n - c)
                expected[estimate] += weight * Fraction(float(estimate(n, c, k)))
        assert float(expected[pass_at_k]) == pytest.approx(float(1 - (1 - p) ** k), rel=1e-15)
        assert float(expected[fail_at_k]) == pytest.approx(float((1 - p) ** k), rel=1e-15)
        assert float(expected[pass_hat_k]) == pytest.approx(float(p**k), rel=1e-15)


@pytest.mark.parametrize("n", [1, 2, 17, 200, 1000])
def test_count_estimates_are_correctly_rounded_at_every_c(n: int) -> None:
    c = np.arange(n + 1)
    for k in {1, n // 3, n // 2, n - 1, n} - {0}:
        fails = [fail_exactly(n, each, k) for each in c.tolist()]
        assert exact.worst_ulps(pass_at_k(n, c, k), [1 - fail for fail in fails]) <= 0.5
        assert exact.worst_ulps(fail_at_k(n, c, k), fails) <= 0.5
        assert exact.worst_ulps(pass_hat_k(n, n - c, k), fails) <= 0.5


@pytest.mark.parametrize(
    ("c", "k"), [(1, 1), (1, 999_999), (2, 500_000), (1000, 3), (3, 1000), (700, 900), (30_000, 20), (999_000, 2)]
)
def test_a_million_completions_cost_no_accuracy(c: int, k: int) -> None:
    n = 1_000_000
    few, many = sorted((c, k))
    fail = Fraction(math.prod(range(n - many - few + 1, n - many + 1)), math.prod(range(n - few + 1, n + 1)))
    assert exact.ulps(pass_at_k(n, c, k), 1 - fail) <= 1
    assert exact.ulps(fail_at_k(n, c, k), fail) <= 1


def test_estimates_below_the_smallest_float_are_zero_and_their_complement_one() -> None:
    assert fail_at_k(10**6, 5 * 10**5, 5 * 10**5) == 0  # 1e-301030
    assert pass_at_k(10**6, 5 * 10**5, 5 * 10**5) == 1
    assert fail_at_k(2**31 - 1, 10**6, 10**6) > 0


def test_certain_estimates_are_exact() -> None:
    for k in range(1, 11):
        assert pass_at_k(10, 10, k) == 1
        assert pass_at_k(10, 0, k) == 0
        assert fail_at_k(10, 0, k) == 1
        assert pass_hat_k(10, 10, k) == 1
    assert pass_at_k(10, 4, 7) == 1  # only six did not pass
    assert fail_at_k(10, 4, 7) == 0


def test_counts_broadcast_and_keep_their_shape() -> None:
    n, c = np.array([[8], [16]]), np.array([0, 3, 8])
    estimates = pass_at_k(n, c, 4)
    assert estimates.shape == (2, 3)
    assert estimates.dtype == np.float64
    assert estimates[1, 1] == pass_at_k(16, 3, 4)
    assert pass_at_k([10, 10], [1, 2], 1).tolist() == [0.1, 0.2]
    k: Any = np.int32(1)
    assert pass_at_k(np.uint8(200), np.int16(150), k) == 0.75
    assert isinstance(pass_at_k(10, 3, 2), np.float64)
    assert pass_at_k([], [], 1).shape == (0,)


def test_several_k_of_rewards_are_refused_with_what_takes_them() -> None:
    several: Any = (1, 2)
    with pytest.raises(ValueError, match=r"got \(1, 2\); PassAtKCurve\.from_rewards takes several"):
        max_at_k([0.0, 1.0], several)


@pytest.mark.parametrize("estimate", [pass_at_k, fail_at_k, pass_hat_k])
@pytest.mark.parametrize(
    ("n", "c", "k", "said"),
    [
        (10, 3, 11, "at most the smallest n; got k=11, n=10"),
        ([10, 8], [3, 3], 9, "k=9, n=8"),
        (0, 0, 1, "k=1, n=0"),
        (10, 3, 0, "at least 1; got k=0"),
        (10, 3, -2, "at least 1; got k=-2"),
        (10, 3, 1.0, "k must be an integer; got 1.0"),
        (10, 3, True, "k must be an integer; got True"),
        (10, 3, np.bool_(True), "k must be an integer"),
        (10, 3, None, "k must be an integer; got None"),
        (10, 3, math.nan, "k must be an integer; got nan"),
        (10, 3, "1", "k must be an integer; got '1'"),
        (10, 3, [1, 2], r"k must be an integer; got \[1, 2\]; PassAtKCurve\.from_counts takes several"),
        (10, 11, 1, r"c must be in \[0, n\]; got c=11, n=10"),
        ([10, 10], [10, 12], 1, r"c=12, n=10 at index \(1,\)"),
        (10, -1, 1, r"c must be in \[0, 2147483647\]; got -1"),
        (-10, 1, 1, r"n must be in \[0, 2147483647\]; got -10"),
        (2**31, 1, 1, "got 2147483648"),
        (2**64 - 1, 1, 1, "got 18446744073709551615"),
        (10**30, 1, 1, "n must be integers; got object"),
        (10, 2.5, 1, r"c must be integers; got float64 \[2.5\]"),
        (10.0, 2, 1, "n must be integers; got float64"),
        (10, math.nan, 1, "c must be integers"),
        (math.inf, 2, 1, "n must be integers"),
        (10, None, 1, "c must be integers; got object"),
        ([10, None], [1, 1], 1, "n must be integers; got object"),
        (1, True, 1, "c must be integers; got bool"),
        ("10", 2, 1, "n must be integers"),
        ([[1, 2], [3]], 1, 1, "n must be a rectangular array"),
        ([1, 2], [1, 1, 1], 1, r"n of shape \(2,\) and c of shape \(3,\) do not broadcast"),
        (MASKED, [1], 1, "n must hold no masked array"),
    ],
)
def test_counts_without_an_estimate_are_refused(
    estimate: Callable[[Any, Any, Any], Any], n: Any, c: Any, k: Any, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        estimate(n, c, k)


@settings(max_examples=examples(200))
@given(exact.groups(), st.data())
def test_max_at_k_is_the_mean_maximum_of_the_k_subsets(group: list[float], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(group)))
    g = exact.group_of(group)
    largest = max(map(abs, g))
    assert exact.ulps(max_at_k(group, k), exact.max_at_k(g, k), of=largest) <= 8
    lowest = -exact.max_at_k(tuple(-reward for reward in g), k)
    assert exact.ulps(min_at_k(group, k), lowest, of=largest) <= 8


@settings(max_examples=examples(100))
@given(exact.groups(), st.data())
def test_max_at_k_stays_within_the_rewards_and_is_exact_where_it_is_certain(
    group: list[float], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(group)))
    assert min(group) <= max_at_k(group, k) <= max(group)
    assert max_at_k(group, len(group)) == max(group)
    assert min_at_k(group, len(group)) == min(group)
    assert max_at_k([group[0]] * 8, k) == group[0]


@pytest.mark.parametrize("k", [1, 2, 7, 64, 99, 100])
def test_max_at_k_of_binary_rewards_is_pass_at_k(k: int) -> None:
    passed = np.arange(101)[:, None] > np.arange(100)
    np.testing.assert_allclose(max_at_k(passed, k), pass_at_k(100, np.arange(101), k), rtol=4e-16)


@pytest.mark.parametrize("k", [1, 2, 8])
def test_max_at_k_of_a_million_rewards_is_within_8_ulp(k: int) -> None:
    n = 1_000_000
    numerators = np.random.default_rng(k).integers(-(2**40), 2**40, n)
    weights = accumulate(range(k, n), lambda binomial, i: binomial * i // (i - k + 1), initial=1)  # C(i-1, k-1), i >= k
    ranked = np.sort(numerators).tolist()[k - 1 :]
    expected = Fraction(sum(w * g for w, g in zip(weights, ranked, strict=True)), math.comb(n, k) * 2**40)
    assert exact.ulps(max_at_k(numerators / 2**40, k), expected, of=Fraction(1)) <= 8


def test_several_k_agree_with_one_at_a_time() -> None:
    g = np.random.default_rng(0).normal(size=(3, 4, 12))
    together = max_at_ks(g, [5, 1, 12])
    assert together.shape == (3, 4, 3)
    for column, k in enumerate([5, 1, 12]):
        np.testing.assert_array_equal(together[..., column], max_at_k(g, k))
    assert max_at_ks(g, []).shape == (3, 4, 0)


@settings(max_examples=examples(100))
@given(st.lists(exact.groups(min_n=3), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_a_mask_means_leaving_the_completions_out(ragged: list[list[float]], random: Any) -> None:
    width = max(map(len, ragged)) + 2
    g, mask = np.full((len(ragged), width), np.nan), np.zeros((len(ragged), width), dtype=bool)
    for row, group in enumerate(ragged):
        places = sorted(random.sample(range(width), len(group)))
        g[row, places], mask[row, places] = group, True
    for estimate in (max_at_k, min_at_k):
        assert estimate(g, 3, mask).tolist() == [estimate(group, 3) for group in ragged]


def test_rewards_near_the_ends_of_float64_survive() -> None:
    big, tiny = 1.7e308, 5e-324
    assert max_at_k([-big, big], 1) == 0
    assert max_at_k([-big, -big, -big / 2], 1) == pytest.approx(-big / 1.2, rel=1e-15)
    assert max_at_k([big, big, -big], 2) == pytest.approx(big, rel=1e-15)
    assert max_at_k([big] * 5, 3) == big
    assert max_at_k([0.0, tiny], 2) == tiny
    assert max_at_k([0.0, 0.0, 300 * tiny], 2) == 200 * tiny
    assert max_at_k([[big, -big, 0.0], [tiny, 3 * tiny, 2 * tiny]], 2).tolist()[1] == pytest.approx(8 / 3 * tiny)
    many = np.arange(1000) * tiny
    assert abs(max_at_k(many, 1) - 499.5 * tiny) <= tiny


BAD_REWARDS = [
    ([1.0, math.nan], r"rewards must be finite; got nan at index \(1,\)"),
    ([[0.0, 1.0], [math.inf, 0.0]], r"got inf at index \(1, 0\)"),
    ([-math.inf, 0.0], "got -inf"),
    ([], r"at least 1; got shape \(0,\)"),
    (np.zeros((3, 0)), r"got shape \(3, 0\)"),
    (1.0, r"got shape \(\)"),
    ([1.0, None], "array of object"),
    (np.array([1.0, 2.0], dtype=object), "array of object"),
    ([1.0, "2"], "real numbers; got an array of <U"),
    ([1 + 2j, 0], "array of complex128"),
    (np.array(["2020-01-01"], dtype="datetime64[D]"), "array of datetime64"),
    ([[1.0, 2.0], [3.0]], "rewards must be a rectangular array; pkpo.pad makes one, and its mask"),
    (MASKED, "rewards must hold no masked array"),
    ([MASKED, MASKED], "rewards must hold no masked array; give its data, and ~its mask as mask"),
    ([1.0, np.ma.masked], "rewards must hold no masked array"),
]


@pytest.mark.parametrize(("g", "said"), BAD_REWARDS)
def test_rewards_without_a_maximum_are_refused(g: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        max_at_k(g, 1)


@pytest.mark.skipif(np.finfo(np.longdouble).max == np.finfo(np.float64).max, reason="long double is float64 here")
def test_a_long_double_beyond_float64_is_refused() -> None:
    with pytest.raises(ValueError, match="rewards must be finite; got inf"):
        max_at_k(np.array([1.0, np.longdouble(2.0) ** 2000]), 1)


@pytest.mark.parametrize("k", [0, -1, 3, 1.0, True, None, "1"])
def test_k_outside_one_to_n_is_refused(k: Any) -> None:
    with pytest.raises(ValueError, match=r"^(k must be|max_at_k at k=3 needs at least 3 rewards per group; got n=2)"):
        max_at_k([0.0, 1.0], k)


def test_a_group_that_a_mask_leaves_too_short_is_named() -> None:
    mask = np.array([[True, True, True], [True, False, True]])
    with pytest.raises(ValueError, match="max_at_k at k=3 needs at least 3 rewards per group; group 1 has n=2"):
        max_at_k(np.zeros((2, 3)), 3, mask)
    with pytest.raises(ValueError, match=r"group \(0, 1\) has n=2"):
        max_at_k(np.zeros((1, 2, 3)), 3, mask)
    with pytest.raises(ValueError, match="the group has n=0"):
        max_at_k(np.zeros(3), 1, [False, False, False])


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        ([1, 0], "mask must be boolean, True for a real completion; got int64"),
        ([True, None], "mask must be boolean"),
        ([True, False, True], r"mask of shape \(3,\) does not broadcast to rewards of shape \(2,\)"),
        ([[True, True], [True, True]], "does not broadcast"),
    ],
)
def test_a_mask_of_another_type_or_shape_is_refused(mask: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        max_at_k([0.0, 1.0], 1, mask)


def test_rewards_of_every_numeric_type_are_taken_as_float64() -> None:
    for g in ([False, True, True], [0, 1, 1], np.array([0, 1, 1], dtype=np.uint8), np.array([0, 1, 1], np.float16)):
        assert max_at_k(g, 1) == pytest.approx(2 / 3, rel=1e-15)
    g = np.array([0.25, 0.75])
    max_at_k(g, 1)
    assert g.tolist() == [0.25, 0.75]
