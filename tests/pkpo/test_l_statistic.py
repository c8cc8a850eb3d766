"""l_statistic and the weights for it."""

from fractions import Fraction
from functools import partial
from itertools import product
from math import comb, prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pkpo
from pkpo import l_statistics, oracle
from tests.examples_of import examples
from tests.pkpo import exact

WEIGHTS = st.floats(-2, 2, allow_subnormal=False)


@settings(max_examples=examples(300))
@given(exact.groups(min_n=2, max_n=7), st.data())
def test_credits_are_their_definition_over_all_subsets(group: list[float], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(group)))
    v = data.draw(st.lists(WEIGHTS, min_size=k, max_size=k))
    expected = exact.l_statistic(exact.group_of(group), [Fraction(each) for each in v])
    size = Fraction(k, len(group)) * sum(abs(Fraction(each)) for each in v) * max(map(abs, exact.group_of(group)))
    credits = pkpo.l_statistic(group, k, v)
    assert exact.worst_ulps(credits, expected, of=max(size, *map(abs, expected))) <= 16
    for value in set(group):
        assert len({credit for credit, reward in zip(credits.tolist(), group, strict=True) if reward == value}) == 1
    assert (pkpo.l_statistic([group[0]] * len(group), k, v) == 0).all()
    assert pkpo.l_statistic(group[::-1], k, v).tolist() == credits[::-1].tolist()


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_the_expected_gradient_is_that_of_the_statistic_of_k_fresh_completions(k: int) -> None:
    rewards = (Fraction(-1), Fraction(1, 3), Fraction(5))
    p = [Fraction(1, 6), Fraction(1, 2), Fraction(1, 3)]
    v = [Fraction(2, 3), Fraction(-1, 5), Fraction(1), Fraction(1, 2)][:k]
    found = oracle.categorical(partial(exact.l_statistic, weights=v), 4, rewards, p).mean
    gradient = [Fraction(0)] * 3
    for outcome in product(range(3), repeat=k):
        value = prod(p[i] for i in outcome) * exact.statistic([rewards[i] for i in outcome], v)
        for a in range(3):
            gradient[a] += value * (outcome.count(a) - k * p[a])  # the softmax logit's score
    assert found.tolist() == gradient
    ours = oracle.categorical(
        lambda g: pkpo.l_statistic(g, k, [float(each) for each in v]),
        4,
        [float(each) for each in rewards],
        [float(each) for each in p],
    )
    np.testing.assert_allclose(ours.mean, [float(each) for each in gradient], rtol=1e-12)


def test_the_best_alone_is_sloo_minus_one_and_the_mean_is_one_attempt() -> None:
    g = np.random.default_rng(0).normal(size=(3, 40))
    for k in (1, 2, 5, 40):
        best = np.eye(k)[-1]
        np.testing.assert_allclose(pkpo.l_statistic(g, k, best), pkpo.sloo_minus_one(g, k), rtol=1e-14, atol=1e-17)
        worst = pkpo.l_statistic(g, k, best[::-1])
        np.testing.assert_allclose(worst, -pkpo.sloo_minus_one(-g, k), rtol=0, atol=1e-15)
        mean = pkpo.l_statistic(g, k, np.full(k, 1 / k))
        np.testing.assert_allclose(mean, pkpo.centered(g, 1), rtol=0, atol=1e-15)


@pytest.mark.parametrize(("n", "k"), [(300, 7), (1200, 600), (10**5, 4)])
def test_large_groups_are_right_within_16_ulp_of_the_largest_credit(n: int, k: int) -> None:
    """Of passes and failures, where credits come of counting subsets."""
    for above in (1, n // 3):
        g = (np.arange(n) >= n - above).astype(float)
        v = l_statistics.median(k)
        credits = pkpo.l_statistic(g, k, v)
        # With r of k above, h is V_r, the sum of the top r weights.
        tails = [Fraction(0)]
        for weight in reversed(v):
            tails.append(tails[-1] + Fraction(weight))
        for passed, others, place in ((True, above - 1, -1), (False, above, 0)):
            total = Fraction(0)
            for r in range(max(0, k - n + others), min(others, k - 1) + 1):  # of k - 1 others, how many are above
                h = tails[r + passed]
                copied = (r * tails[r + 1] + (k - 1 - r) * tails[r]) / (k - 1)
                if h != copied:
                    total += comb(others, r) * comb(n - 1 - others, k - 1 - r) * (h - copied)
            expected = total / comb(n, k)
            assert exact.ulps(credits[place], expected, of=Fraction(float(np.abs(credits).max()))) <= 16


def test_scales_masks_and_extremes() -> None:
    g = np.array([[0.0, 1.0, 0.5, 0.25], [1.0, 9.0, 0.0, 2.0]])
    mask = np.array([[True] * 4, [True, False, True, True]])
    v = l_statistics.top_mean(3, 2)
    credits = pkpo.l_statistic(g, 3, v, mask=mask, scale="mean")
    assert credits[1, [0, 2, 3]].tolist() == (pkpo.l_statistic([1.0, 0.0, 2.0], 3, v, scale="mean")).tolist()
    assert credits[1, 1] == 0
    huge = pkpo.l_statistic(g[0] * 2.0**1020, 3, v)
    np.testing.assert_allclose(huge, pkpo.l_statistic(g[0], 3, v) * 2.0**1020, rtol=1e-15)
    with pytest.raises(ValueError, match="credits exceed the range of float64"):
        pkpo.l_statistic(g[0] * 1e300, 1, [1e300])


@pytest.mark.parametrize(
    ("k", "weights", "said"),
    [
        (2, [1.0], "weights must be k=2 numbers, one for each rank; got 1"),
        (2, [[1.0, 0.0]], r"a weight must be a real number; got \[1.0, 0.0\]"),
        (2, [1.0, np.nan], "a weight must be finite in float64; got nan"),
        (2, ["a", "b"], "a weight must be a real number; got 'a'"),
        (2, 1.0, "weights must be k=2 numbers, one for each rank; got 1.0"),
        (2.5, [1.0, 1.0], "k must be an integer; got 2.5"),
        (0, [], "k must be at least 1"),
        (5, [1.0] * 5, "l_statistic at k=5 needs at least 5 rewards per group; got n=4"),
    ],
)
def test_what_is_no_statistic_of_k_attempts_is_refused(k: Any, weights: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        pkpo.l_statistic([0.0, 1.0, 2.0, 3.0], k, weights)


def test_the_weights_of_each_statistic() -> None:
    assert l_statistics.top_mean(4, 1) == (0, 0, 0, 1)
    assert l_statistics.top_mean(4, 2) == (0, 0, 0.5, 0.5)
    assert l_statistics.top_mean(4, 2.5) == (0, 0.2, 0.4, 0.4)
    assert l_statistics.top_mean(4, 4) == (0.25,) * 4
    assert l_statistics.top_mean(2, 0.5) == (0, 1)
    assert l_statistics.cvar(4, 0.5) == (0.5, 0.5, 0, 0)
    assert l_statistics.cvar(4, 1) == (0.25,) * 4
    assert l_statistics.median(1) == (1,)
    assert l_statistics.median(4) == (0, 0.5, 0.5, 0)
    assert l_statistics.median(5) == (0, 0, 1, 0, 0)
    for bad in (0, -1, 4.5, np.nan, "1", True):
        with pytest.raises(ValueError, match="m must be"):
            l_statistics.top_mean(4, bad)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="alpha must be"):
            l_statistics.cvar(4, bad)  # type: ignore[arg-type]
    for constructor in (partial(l_statistics.top_mean, m=1), partial(l_statistics.cvar, alpha=1), l_statistics.median):
        with pytest.raises(ValueError, match="k must be"):
            constructor(0)
