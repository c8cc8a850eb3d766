import math
from collections.abc import Mapping
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import pkpo
from pkpo import TRANSFORMS, max_at_k, multi_k, pass_at_k, smallest_n, transform
from tests.examples_of import examples
from tests.pkpo import exact
from tests.pkpo.test_estimators import BAD_REWARDS

NAMES = list(exact.TRANSFORMS)
PASSED, FAILED = Fraction(1), Fraction(0)

named = pytest.mark.parametrize("name", NAMES)


@st.composite
def named_groups(draw: st.DrawFn) -> tuple[str, list[float], int]:
    name = draw(st.sampled_from(NAMES))
    group = draw(exact.groups(min_n=exact.SMALLEST_N[name](1)))
    return name, group, draw(st.sampled_from(exact.ks_of(name, len(group))))


def close_to(actual: NDArray[np.float64], name: str, g: exact.Group, k: int) -> bool:
    """Within the error that each transform promises: its own size for sloo_minus_one, else the group's largest."""
    expected = exact.TRANSFORMS[name](g, k)
    if name == "sloo_minus_one" and k > 1:
        return exact.worst_ulps(actual, expected) <= 16
    largest = max(map(abs, expected))
    if name in ("s", "sloo"):
        largest = max(largest, Fraction(k, len(g)) * max(map(abs, g)))
    return exact.worst_ulps(actual, expected, of=largest) <= 16


# Brute force over all subsets.


@settings(max_examples=examples(400))
@given(named_groups())
def test_credits_are_their_definition_over_all_subsets(case: tuple[str, list[float], int]) -> None:
    name, group, k = case
    assert close_to(transform(name, group, k), name, exact.group_of(group), k)


@settings(max_examples=examples(100))
@given(st.sampled_from(NAMES), st.lists(exact.groups(min_n=4), min_size=1, max_size=6), st.randoms(), st.data())
def test_a_mask_means_leaving_the_completions_out(
    name: str, ragged: list[list[float]], random: Any, data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, 3))
    width = max(map(len, ragged)) + 2
    g = np.array([[random.choice([math.nan, math.inf, 1e308, 0.0]) for _ in range(width)] for _ in ragged])
    mask = np.zeros(g.shape, dtype=bool)
    for row, group in enumerate(ragged):
        places = sorted(random.sample(range(width), len(group)))
        g[row, places], mask[row, places] = group, True
    for scale in ("sum", "mean"):
        credits = transform(name, g, k, mask=mask, scale=scale)
        assert (credits[~mask] == 0).all()
        for row, group in enumerate(ragged):
            assert credits[row, mask[row]].tolist() == transform(name, group, k, scale=scale).tolist()


@settings(max_examples=examples(100))
@given(
    st.sampled_from(NAMES),
    exact.groups(min_n=4),
    st.dictionaries(st.integers(1, 3), st.floats(-2, 2, allow_subnormal=False), min_size=1),
)
def test_several_k_are_the_weighted_sum_of_each(name: str, group: list[float], weights: dict[int, float]) -> None:
    g = exact.group_of(group)
    parts = [[Fraction(weight) * credit for credit in exact.TRANSFORMS[name](g, k)] for k, weight in weights.items()]
    size = Fraction(sum(abs(weight) for weight in weights.values())) * max(map(abs, g))
    expected = [sum(each, Fraction(0)) for each in zip(*parts, strict=True)]
    assert exact.worst_ulps(multi_k(group, weights, name=name), expected, of=size) <= 16


# Unbiasedness: the exact expectation over every outcome of n completions.


def expected_gradient(name: str, n: int, k: int, p: Fraction) -> Fraction:
    """E[sum_i s_i d log p(x_i) / dp] over all 2^n outcomes of completions that pass with probability p."""
    total = Fraction(0)
    for outcome in product((FAILED, PASSED), repeat=n):
        chance = math.prod(p if passed else 1 - p for passed in outcome)
        scores = [1 / p if passed else -1 / (1 - p) for passed in outcome]
        credits = exact.TRANSFORMS[name](tuple(outcome), k)
        total += chance * sum(credit * score for credit, score in zip(credits, scores, strict=True))
    return total


@named
@pytest.mark.parametrize("p", [Fraction(1, 10), Fraction(2, 3)])
def test_the_expected_gradient_is_that_of_pass_at_k_over_all_outcomes(name: str, p: Fraction) -> None:
    for n in range(1, 7):
        for k in exact.ks_of(name, n):
            assert expected_gradient(name, n, k, p) == k * (1 - p) ** (k - 1)  # d/dp of 1 - (1 - p)^k


@named
def test_the_credits_are_the_unbiased_ones_at_every_outcome(name: str) -> None:
    for n in range(1, 7):
        outcomes = list(product((FAILED, PASSED), repeat=n))
        for k in exact.ks_of(name, n):
            credits = transform(name, np.array(outcomes, dtype=float), k)
            assert all(close_to(row, name, g, k) for row, g in zip(credits, outcomes, strict=True))


@named
def test_the_expected_gradient_is_that_of_max_at_k_for_three_rewards(name: str) -> None:
    rewards = (Fraction(-1), Fraction(1, 3), Fraction(5))
    p = (Fraction(1, 6), Fraction(1, 2), Fraction(1, 3))
    scores = (1 / p[0], Fraction(0), -1 / p[2])  # moving chance from the best reward to the worst
    n = 4
    for k in exact.ks_of(name, n):
        total = Fraction(0)
        for outcome in product(range(3), repeat=n):
            credits = exact.TRANSFORMS[name](tuple(rewards[i] for i in outcome), k)
            chance = math.prod(p[i] for i in outcome)
            total += chance * sum(credit * scores[i] for credit, i in zip(credits, outcome, strict=True))
        # max_g@k = sum_j g_j (F_j^k - F_(j-1)^k), and both F_1 and F_2 rise at rate 1.
        below, middle = p[0], p[0] + p[1]
        rates = (k * below ** (k - 1), k * middle ** (k - 1), Fraction(0))
        assert total == sum(g * (r - q) for g, r, q in zip(rewards, rates, (Fraction(0), *rates), strict=False))


@pytest.mark.parametrize("weights", [{1: 0.5, 8: 0.5}, {k: 1 / k for k in range(1, 9)}])
def test_several_k_are_unbiased_for_the_weighted_objective(weights: dict[int, float]) -> None:
    n, p = 8, 0.9
    gradient = 0.0
    for c in range(n + 1):
        passed = np.arange(n) < c
        scores = np.where(passed, 1 / p, -1 / (1 - p))
        chance = math.comb(n, c) * p**c * (1 - p) ** (n - c)
        gradient += chance * float((multi_k(passed, weights) * scores).sum())
    expected = sum(weight * k * (1 - p) ** (k - 1) for k, weight in weights.items())
    assert gradient == pytest.approx(expected, rel=1e-13)


# What the estimators' page states of each.


@settings(max_examples=examples(100))
@given(st.integers(2, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(2, n))))
def test_binary_sloo_minus_one_credits_passes_alone(case: tuple[int, int, int]) -> None:
    n, c, k = case
    credits = pkpo.sloo_minus_one(np.arange(n) < c, k)
    assert (credits[c:] == 0).all()
    if c:
        expected = Fraction(k * math.comb(n - c, k - 1), n * math.comb(n - 1, k - 1))
        assert exact.worst_ulps(credits[:c], [expected] * c) <= 2


def test_binary_s_credits_failures_with_the_others_estimate() -> None:
    n, c, k = 16, 3, 4  # arXiv:2505.15201v4, Eq. (8)
    credits = pkpo.s(np.arange(n) < c, k)
    np.testing.assert_allclose(credits[:c], k / n, rtol=1e-15)
    np.testing.assert_allclose(credits[c:], k / n * pass_at_k(n - 1, c, k - 1), rtol=1e-15)


@pytest.mark.parametrize("n", [5, 24, 25, 300])
def test_credits_sum_to_what_each_transform_promises(n: int) -> None:
    g = np.random.default_rng(n).random((7, n))
    for k in (2, 3, n - 1):
        rho, before = max_at_k(g, k), max_at_k(g, k - 1)
        np.testing.assert_allclose(pkpo.s(g, k).sum(axis=1), k * rho, rtol=1e-13)
        np.testing.assert_allclose(pkpo.sloo(g, k).sum(axis=1), -k * rho / (n - 1), rtol=1e-11)
        np.testing.assert_allclose(
            pkpo.sloo_minus_one(g, k).sum(axis=1), k * (rho - before), rtol=0, atol=1e-15 * n * k
        )
        np.testing.assert_allclose(pkpo.centered(g, k).sum(axis=1), 0, atol=1e-13)
        np.testing.assert_allclose(pkpo.s(g, k).mean(axis=1), k * rho / n, rtol=1e-13)


def test_mean_centring_s_is_centered_shrunk_and_zero_at_k_equal_n() -> None:
    g = np.random.default_rng(0).normal(size=(5, 12))
    for k in range(1, 12):
        s = pkpo.s(g, k)
        np.testing.assert_allclose(s - s.mean(axis=1, keepdims=True), (1 - k / 12) * pkpo.centered(g, k), atol=1e-14)
    s = pkpo.s(g, 12)
    assert (s == s[:, :1]).all()


@named
@settings(max_examples=examples(100))
@given(exact.groups(min_n=3), st.integers(-1000, 1000), st.data())
def test_a_constant_added_to_the_rewards_shifts_by_the_stated_law(
    name: str, group: list[float], t: int, data: st.DataObject
) -> None:
    g = np.round(group)  # so that g + t is exact
    n, k = len(g), data.draw(st.sampled_from(exact.ks_of(name, len(g))))
    shift = {"s": t * k / n, "sloo": -t * k / (n * (n - 1))}.get(name, 0.0)
    moved, credits = transform(name, g + t, k), transform(name, g, k)
    if name in ("s", "sloo"):
        np.testing.assert_allclose(moved, credits + shift, rtol=0, atol=1e-14 * (np.abs(g).max() + 1000))
    else:
        assert moved.tolist() == credits.tolist()


@named
@settings(max_examples=examples(50))
@given(exact.groups(min_n=3, max_n=60), st.randoms(), st.data())
def test_credits_follow_their_rewards_through_a_permutation(
    name: str, group: list[float], random: Any, data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(group) - 1))
    order = random.sample(range(len(group)), len(group))
    credits = transform(name, group, k)
    assert transform(name, [group[i] for i in order], k).tolist() == [credits[i] for i in order]


def test_plugin_is_sloo_minus_one_at_k_equal_n_and_centered_at_k_1() -> None:
    g = np.random.default_rng(0).normal(size=(5, 9))
    np.testing.assert_allclose(pkpo.plugin(g, 9), pkpo.sloo_minus_one(g, 9), rtol=1e-15)
    np.testing.assert_array_equal(pkpo.plugin(g, 1), pkpo.centered(g, 1))


def test_one_attempt_is_leave_one_out_reinforce_and_never_the_gain_over_the_minimum() -> None:
    g = np.array([0.0, 1.0, 1.0, 3.0])
    expected = [(g[i] - np.delete(g, i).mean()) / 4 for i in range(4)]
    for name in ("sloo_minus_one", "centered", "plugin"):
        np.testing.assert_allclose(transform(name, g, 1), expected, rtol=1e-15)
    np.testing.assert_allclose(
        multi_k(g, {1: 0.5, 2: 0.5}), 0.5 * np.array(expected) + 0.5 * pkpo.sloo_minus_one(g, 2), rtol=1e-14
    )


def test_squared_credits_are_those_measured_for_uniform_rewards() -> None:
    g = np.random.default_rng(0).random((50_000, 16))
    for name, size in {
        "s": 0.649,
        "sloo": 0.0086,
        "sloo_minus_one": 0.0082,
        "centered": 0.0056,
        "plugin": 0.0057,
    }.items():
        assert np.square(transform(name, g, 4)).sum(axis=1).mean() == pytest.approx(size, rel=0.02)


@pytest.mark.parametrize(
    ("n", "variances"),
    [
        (8, {"s": 118, "sloo": 13.2, "centered": 4.7, "sloo_minus_one": 2.1}),
        (64, {"s": 13.6, "sloo": 0.526, "centered": 0.449, "sloo_minus_one": 0.186}),
    ],
)
def test_gradients_of_figure_4_have_its_mean_and_variance(n: int, variances: Mapping[str, float]) -> None:
    x = np.random.default_rng(n).normal(1, 0.1, (60_000, n))
    g = np.where((x >= 0) & (x <= 1), x * x, 0)  # Eq. (35)
    for name, variance in variances.items():
        gradients = (transform(name, g, 4) * (x - 1) / 0.01).sum(axis=1)
        assert gradients.mean() == pytest.approx(-1.7772, abs=5 * math.sqrt(variance / len(g)))
        assert gradients.var() == pytest.approx(variance, rel=0.06)


# Shapes, scales, refusals.


@named
def test_leading_axes_and_memory_order_do_not_matter(name: str) -> None:
    g = np.random.default_rng(0).normal(size=(2, 3, 5))
    credits = transform(name, g, 2)
    assert credits.shape == g.shape
    assert credits[1, 2].tolist() == transform(name, g[1, 2].tolist(), 2).tolist()
    np.testing.assert_array_equal(transform(name, np.asfortranarray(g), 2), credits)
    np.testing.assert_array_equal(transform(name, g[..., ::-1], 2)[..., ::-1], credits)
    assert transform(name, np.zeros((0, 5)), 2).shape == (0, 5)


@named
def test_the_function_of_each_name_is_its_transform(name: str) -> None:
    g = np.random.default_rng(0).random((2, 6))
    mask = np.array([True] * 5 + [False])
    for scale in pkpo.SCALES:
        alone = TRANSFORMS[name](g, 3, mask=mask, scale=scale)
        assert alone.tolist() == transform(name, g, 3, mask=mask, scale=scale).tolist()
        assert alone.tolist() == transform(name, g, {3: 1}, mask=mask, scale=scale).tolist()
    assert getattr(pkpo, name) is TRANSFORMS[name]


@named
def test_bools_and_integers_are_not_truncated_and_the_input_is_left_alone(name: str) -> None:
    passed = np.array([True, False, True, True])
    for g in (passed.tolist(), passed.astype(np.int8), passed.astype(np.float32)):
        assert transform(name, g, 2).tolist() == transform(name, passed, 2).tolist()
    assert passed.tolist() == [True, False, True, True]
    assert transform(name, passed, 2).dtype == np.float64


@named
def test_mean_is_n_times_sum_for_each_group(name: str) -> None:
    g = np.random.default_rng(0).random((3, 8))
    mask = np.arange(8) < np.array([[8], [5], [3]])
    total = transform(name, g, 2, mask=mask)
    np.testing.assert_allclose(
        transform(name, g, 2, mask=mask, scale="mean"), total * np.array([[8], [5], [3]]), rtol=1e-15
    )
    mean = pkpo.sloo_minus_one(g[0], 1, scale="mean")
    np.testing.assert_allclose(mean, [g[0, i] - np.delete(g[0], i).mean() for i in range(8)], rtol=1e-14)


@named
def test_rms_is_one_positive_factor_for_the_whole_batch(name: str) -> None:
    g = np.random.default_rng(0).random((3, 8)) * [[1.0], [1e-3], [10.0]]
    mask = np.arange(8) < np.array([[8], [5], [3]])
    total, scaled = (transform(name, g, 2, mask=mask, scale=scale) for scale in ("sum", "rms"))
    assert np.sqrt(np.square(scaled[mask]).mean()) == pytest.approx(1, rel=1e-15)
    factors = scaled[mask & (total != 0)] / total[mask & (total != 0)]
    np.testing.assert_allclose(factors, factors[0], rtol=1e-14)
    assert factors[0] > 0
    assert (scaled[~mask] == 0).all()


def test_rms_of_nothing_is_nothing_and_of_extremes_is_finite() -> None:
    assert pkpo.sloo_minus_one(np.ones((4, 8)), 3, scale="rms").tolist() == np.zeros((4, 8)).tolist()
    assert pkpo.centered(np.zeros((0, 8)), 3, scale="rms").shape == (0, 8)
    for size in (1e-310, 1e-200, 1e200, 1e307):
        credits = pkpo.centered([0.0, size, 0.0, size], 2, scale="rms")
        np.testing.assert_allclose(credits, [-1, 1, -1, 1], rtol=1e-6)


def test_rms_credit_changes_with_k_as_measured() -> None:
    """So no fixed factor keeps the step size through a change of k: 7.0 at p = .02, .3 at p = .5 from k = 1 to 8."""
    n = 16
    by_c = {k: np.square([pkpo.sloo_minus_one(np.arange(n) < c, k) for c in range(n + 1)]).mean(axis=1) for k in (1, 8)}
    for p, ratio in ((0.02, 7.0), (0.5, 0.3)):
        chances = np.array([math.comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)])
        assert math.sqrt(chances @ by_c[8] / (chances @ by_c[1])) == pytest.approx(ratio, abs=0.05)


@named
def test_the_smallest_group_is_accepted_and_one_fewer_refused(name: str) -> None:
    for k in (1, 2, 5):
        n = smallest_n(name, k)
        assert n == exact.SMALLEST_N[name](k)
        assert transform(name, np.arange(n), k).shape == (n,)
        if n > 1:
            with pytest.raises(
                ValueError, match=f"{name} at k={k} needs at least {n} rewards per group; got n={n - 1}"
            ):
                transform(name, np.arange(n - 1), k)
    assert smallest_n(name, {1: 0.5, 8: 0.5}) == exact.SMALLEST_N[name](8)


def test_a_group_that_a_mask_leaves_too_short_is_named() -> None:
    mask = np.array([[True] * 4, [True, False, True, True]])
    with pytest.raises(ValueError, match=r"group 1 has n=3; sloo_minus_one allows k = n"):
        pkpo.sloo(np.zeros((2, 4)), 3, mask=mask)
    with pytest.raises(ValueError, match="k=4 needs at least 4 rewards per group; group 1 has n=3"):
        pkpo.multi_k(np.zeros((2, 4)), {1: 0.5, 4: 0.5}, mask=mask)
    with pytest.raises(ValueError, match="group 0 has n=0"):
        pkpo.s(np.zeros((1, 4)), 1, mask=[False] * 4)


@named
@pytest.mark.parametrize(("g", "said"), BAD_REWARDS)
def test_rewards_without_an_order_are_refused(name: str, g: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        transform(name, g, 1)


@named
@pytest.mark.parametrize(
    "k", [0, -1, 0.99, math.nan, math.inf, True, None, "1", (1,), {0: 1.0}, {True: 1.0}, {"1": 1.0}]
)
def test_a_k_that_is_no_number_of_attempts_is_refused(name: str, k: Any) -> None:
    with pytest.raises(ValueError, match="k must be"):
        transform(name, [0.0, 1.0, 2.0], k)


@pytest.mark.parametrize("weight", [math.nan, math.inf, None, "1", True, np.bool_(True), 10**400, 1j])
def test_a_weight_that_is_no_finite_number_is_refused(weight: Any) -> None:
    with pytest.raises(ValueError, match="a weight of k must be"):
        multi_k([0.0, 1.0], {1: 0.5, 2: weight})


def test_unknown_names_scales_and_no_k_are_refused() -> None:
    unknown: Any = "grpo"
    with pytest.raises(ValueError, match=r"transform must be one of s, sloo, .*; got 'grpo'"):
        transform(unknown, [0.0, 1.0], 1)
    with pytest.raises(ValueError, match="transform must be one of"):
        smallest_n(unknown, 1)
    with pytest.raises(ValueError, match="scale must be one of sum, mean, rms; got 'grpo'"):
        transform("s", [0.0, 1.0], 1, scale=unknown)
    with pytest.raises(ValueError, match="at least one number of attempts; got an empty mapping"):
        multi_k([0.0, 1.0], {})
