"""Off-policy credits: against all subsets in fractions, finite differences, and every outcome of another policy."""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pkpo
from pkpo import offpolicy
from tests.examples_of import examples
from tests.pkpo import exact

named = pytest.mark.parametrize("name", offpolicy.NAMES)


def by_subsets(g: exact.Group, k: int, ratios: Sequence[Fraction], name: str) -> exact.Group:
    """Every subset's best reward, or what i adds to it, times the ratios of its members."""
    n, credits = len(g), [Fraction(0)] * len(g)
    if name == "sloo_minus_one" and k == 1:
        weighted = [r * each for r, each in zip(ratios, g, strict=True)]
        return tuple(ratios[i] * (g[i] - exact.mean(exact.without(tuple(weighted), i))) / n for i in range(n))
    for members in combinations(range(n), k):
        weight = math.prod((ratios[i] for i in members), start=Fraction(1))
        for i in members:
            without = max(g[j] for j in members if j != i) if name == "sloo_minus_one" else 0
            credits[i] += weight * (max(g[j] for j in members) - without)
    return tuple(credit / math.comb(n, k) for credit in credits)


logs = st.sampled_from([0.0, 0.1, -0.1, 1.5, -2.0, 7.0, -30.0])


@settings(max_examples=examples(300))
@given(exact.groups(min_n=2, max_n=7), st.sampled_from(offpolicy.NAMES), st.data())
def test_exact_is_its_definition_over_all_subsets(group: list[float], name: Any, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(group)))
    log_ratios = data.draw(st.lists(logs, min_size=len(group), max_size=len(group)))
    ratios = [Fraction(math.exp(each)) for each in log_ratios]
    g = exact.group_of(group)
    credits = offpolicy.exact(group, k, log_ratios, name=name)
    expected = by_subsets(g, k, ratios, name)
    for i, credit in enumerate(credits):
        # Each within a few roundings of the sum of its terms' sizes, which is its own without a cancellation.
        size = by_subsets(tuple(map(abs, g)), k, ratios, "s")[i]
        if name == "sloo_minus_one" and k == 1:
            size += ratios[i] * max(ratios) * max(map(abs, g))
        if name == "sloo_minus_one" and k > 1:
            size = expected[i]
        assert abs(Fraction(credit) - expected[i]) <= 64 * Fraction(2) ** -53 * abs(size)


@named
@pytest.mark.parametrize(("p", "q"), [(Fraction(1, 4), Fraction(1, 2)), (Fraction(2, 3), Fraction(1, 5))])
def test_exact_is_unbiased_whichever_policy_drew(name: Any, p: Fraction, q: Fraction) -> None:
    ratio = {1: p / q, 0: (1 - p) / (1 - q)}
    for n in range(2, 6):
        for k in range(1, n + 1):
            exactly, ours = Fraction(0), 0.0
            for outcome in product((0, 1), repeat=n):
                chance = math.prod(q if passed else 1 - q for passed in outcome)
                scores = [1 / p if passed else -1 / (1 - p) for passed in outcome]
                ratios = [ratio[passed] for passed in outcome]
                credits = by_subsets(exact.group_of(outcome), k, ratios, name)
                exactly += chance * sum(credit * score for credit, score in zip(credits, scores, strict=True))
                found = offpolicy.exact(outcome, k, np.log(np.array(ratios, dtype=float)), name=name)
                ours += float(chance) * float(found @ np.array(scores, dtype=float))
            assert exactly == k * (1 - p) ** (k - 1)
            assert ours == pytest.approx(float(exactly), rel=1e-12)


@pytest.mark.parametrize("method", [offpolicy.first_order, offpolicy.ppo, partial(offpolicy.truncated, cap=1.2)])
def test_the_others_are_biased(method: Callable[..., Any]) -> None:
    p, q, n, k = 0.5, 0.3, 4, 3
    total = 0.0
    for outcome in product((0, 1), repeat=n):
        passed = np.array(outcome)
        chance = math.prod(q if each else 1 - q for each in outcome)
        credits = method(passed, k, np.where(passed, math.log(p / q), math.log((1 - p) / (1 - q))))
        total += chance * float((credits * np.where(passed, 1 / p, -1 / (1 - p))).sum())
    assert abs(total / (k * (1 - p) ** (k - 1)) - 1) > 0.05


def moments(method: Callable[..., Any], n: int = 8, k: int = 4, p: float = 0.3, q: float = 0.25) -> tuple[float, float]:
    """Mean and variance of the gradient estimate, over the true gradient and its square, of n drawn with q."""
    outcomes = np.tri(n + 1, n, -1)  # with c = 0..n passes
    chances = np.array([math.comb(n, c) * q**c * (1 - q) ** (n - c) for c in range(n + 1)])
    credits = method(outcomes, k, np.where(outcomes > 0, math.log(p / q), math.log((1 - p) / (1 - q))))
    estimates = (credits * np.where(outcomes > 0, 1 / p, -1 / (1 - p))).sum(axis=1) / (k * (1 - p) ** (k - 1))
    return float(chances @ estimates), float(chances @ (estimates - chances @ estimates) ** 2)


def test_the_best_of_the_others_takes_variance_off_and_of_truncated_the_mean_too() -> None:
    means, variances = {}, {}
    for method in (offpolicy.exact, offpolicy.first_order, partial(offpolicy.truncated, cap=1.1)):
        for name in offpolicy.NAMES:
            means[name], variances[name] = moments(partial(method, name=name))
        of_truncated = isinstance(method, partial)
        assert (means["s"] == pytest.approx(means["sloo_minus_one"], rel=1e-12)) != of_truncated
        if method is offpolicy.exact:
            assert variances["s"] / variances["sloo_minus_one"] == pytest.approx(17, abs=0.5)  # docs/transforms.md


def test_s_is_the_derivative_of_the_weighted_estimate() -> None:
    rng = np.random.default_rng(0)
    g, log_ratios = rng.normal(size=6), rng.normal(size=6)

    def value(at: Any) -> float:
        subsets = map(list, combinations(range(6), 3))
        return math.fsum(float(g[members].max()) * math.exp(at[members].sum()) / 20 for members in subsets)

    step = 1e-6
    slopes = [(value(log_ratios + step * e) - value(log_ratios - step * e)) / (2 * step) for e in np.eye(6)]
    np.testing.assert_allclose(offpolicy.exact(g, 3, log_ratios), slopes, rtol=1e-7)


@pytest.mark.parametrize("n", [2, 16, 25, 300])
def test_on_policy_each_is_the_transform(n: int) -> None:
    g = np.random.default_rng(n).normal(size=(3, n))
    same = np.zeros_like(g)
    for k in sorted({1, 2, n // 2, n} - {0}):
        for name in offpolicy.NAMES:
            expected = pkpo.transform(name, g, k)
            bound = 4 * n * np.spacing(np.abs(g).max())
            np.testing.assert_allclose(offpolicy.exact(g, k, same, name=name), expected, rtol=0, atol=bound)
            np.testing.assert_allclose(offpolicy.truncated(g, k, same, name=name), expected, rtol=0, atol=bound)
            np.testing.assert_array_equal(offpolicy.first_order(g, k, same, name=name), expected)
            np.testing.assert_array_equal(offpolicy.ppo(g, k, same, name=name), expected)


def test_ppo_stops_where_the_ratio_is_far_enough_and_truncation_caps_it() -> None:
    g, logs = np.array([0.0, 1.0, 0.0, 1.0]), np.log([0.7, 1.1, 1.3, 1.3])
    advantages = pkpo.centered(g, 2)
    ratios = np.exp(logs)
    found = offpolicy.ppo(g, 2, logs, name="centered")
    assert found.tolist() == [0.0, (ratios * advantages)[1], (ratios * advantages)[2], 0.0]
    assert offpolicy.first_order(g, 2, logs, name="centered").tolist() == (ratios * advantages).tolist()
    capped = offpolicy.exact(g, 2, np.minimum(logs, math.log(1.2)))
    np.testing.assert_array_equal(offpolicy.truncated(g, 2, logs, 1.2), capped)
    np.testing.assert_array_equal(offpolicy.truncated(g, 2, logs, 9.0), offpolicy.exact(g, 2, logs))


@named
def test_masks_labels_scales_several_k_and_the_order_of_rewards(name: Any) -> None:
    rng = np.random.default_rng(0)
    g, logs = rng.normal(size=(4, 7)), rng.normal(size=(4, 7))
    mask = np.arange(7) < np.array([[7], [5], [7], [4]])
    holed, holed_logs = np.where(mask, g, np.nan), np.where(mask, logs, np.inf)
    call = partial(offpolicy.exact, name=name)
    for scale in ("sum", "mean"):
        whole = call(holed, 3, holed_logs, mask=mask, scale=scale)
        assert (whole[~mask] == 0).all()
        labelled = call(g[mask], 3, logs[mask], groups=np.nonzero(mask)[0], scale=scale)
        np.testing.assert_array_equal(labelled, whole[mask])
        for row, valid in enumerate(mask):
            alone = call(g[row, valid], 3, logs[row, valid], scale=scale)
            np.testing.assert_allclose(whole[row, valid], alone, rtol=1e-14)
    scaled = call(holed, 3, holed_logs, mask=mask, scale="rms")
    assert np.sqrt(np.square(scaled[mask]).mean()) == pytest.approx(1)
    several = 0.75 * call(g, 2, logs) + 0.25 * call(g, 3, logs)
    np.testing.assert_allclose(call(g, 2.25, logs), several, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(call(g, {2: 0.75, 3: 0.25}, logs), several, rtol=1e-13, atol=1e-15)
    order = rng.permutation(7)
    np.testing.assert_array_equal(call(g[:, order], 3, logs[:, order]), call(g, 3, logs)[:, order])
    if name == "sloo_minus_one":
        assert (call(np.full((2, 7), 0.1), 3, logs[:2]) == 0).all()


def test_ratios_that_are_far_apart_or_huge_survive_where_credits_do() -> None:
    g = [0.0, 1.0]
    assert offpolicy.exact(g, 2, [190.0, -190.0]).tolist() == pytest.approx([1.0, 1.0], rel=1e-14)
    assert offpolicy.exact(g, 2, [-800.0, -900.0]).tolist() == [0.0, 0.0]
    assert offpolicy.exact(g, 1, [700.0, 700.0])[1] == pytest.approx(math.exp(700.0) / 2, rel=1e-12)
    huge = offpolicy.exact([0.0, 1e-320, 1e-300], 2, [340.0, 340.0, 340.0])
    assert huge[2] == pytest.approx(1e-300 * math.exp(680.0) * 2 / 3, rel=1e-12)
    credits = offpolicy.exact(np.array([0.0, 1.0, 0.5]) * 2.0**1020, 2, [0.1, 0.2, 0.3])
    np.testing.assert_allclose(credits, offpolicy.exact([0.0, 1.0, 0.5], 2, [0.1, 0.2, 0.3]) * 2.0**1020, rtol=1e-15)
    with pytest.raises(ValueError, match=r"log ratios of a group must be at most 400 apart at k=2; got 401.0"):
        offpolicy.exact(g, 2, [401.0, 0.0])
    with pytest.raises(
        ValueError, match="credits exceed the range of float64; the ratios or the rewards are too large"
    ):
        offpolicy.exact(g, 2, [400.0, 400.0])
    with pytest.raises(ValueError, match="credits exceed"):
        offpolicy.first_order(g, 2, [800.0, 800.0])


OTHER: Any = "other"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            partial(offpolicy.exact, [0.0, 1.0], 1, [0.0]),
            r"log_ratios must be of the rewards' shape \(2,\); got \(1,\)",
        ),
        (partial(offpolicy.exact, [0.0, 1.0], 1, [0.0, math.nan]), "log_ratios must be finite; got nan"),
        (partial(offpolicy.exact, [0.0, 1.0], 3, [0.0, 0.0]), "s at k=3 needs at least 3 rewards"),
        (partial(offpolicy.exact, [0.0, 1.0], 0, [0.0, 0.0]), "k must be at least 1"),
        (partial(offpolicy.exact, [0.0, math.inf], 1, [0.0, 0.0]), "rewards must be finite; got inf"),
        (
            partial(offpolicy.exact, [0.0, 1.0], 1, [0.0, 0.0], name=OTHER),
            "name must be one of s, sloo_minus_one; got",
        ),
        (
            partial(offpolicy.exact, [0.0, 1.0], 1, [0.0, 0.0], scale=OTHER),
            "scale must be one of sum, mean, rms; got",
        ),
        (partial(offpolicy.ppo, [0.0, 1.0], 1, [0.0, 0.0], 1.0), r"clip must be in \(0, 1\); got 1.0"),
        (partial(offpolicy.truncated, [0.0, 1.0], 1, [0.0, 0.0], 0.0), "cap must be above 0; got 0.0"),
        (partial(offpolicy.first_order, [0.0, 1.0], 1, [0.0, 0.0], name="grpo"), "transform must be one of"),
    ],
)
def test_bad_input_is_refused(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()
