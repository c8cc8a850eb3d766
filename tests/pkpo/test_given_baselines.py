"""mixed and history: baselines that the caller chooses."""

import math
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pkpo
from pkpo import oracle
from tests.examples_of import examples
from tests.pkpo import exact

LAMS = st.sampled_from([0.0, 1.0, 0.5, -0.75, 1 / 3, 3.0])


@settings(max_examples=examples(300))
@given(exact.groups(min_n=2), LAMS, st.data())
def test_mixed_is_its_definition_over_all_subsets(group: list[float], lam: float, data: st.DataObject) -> None:
    n, g = len(group), exact.group_of(group)
    k = data.draw(st.integers(1, n if lam == 0 else n - 1))
    expected = exact.mixed(g, k, Fraction(lam))
    size = max(*map(abs, expected), (1 + abs(Fraction(lam))) * Fraction(k, n) * max(map(abs, g)))
    credits = pkpo.mixed(group, k, lam)
    assert exact.worst_ulps(credits, expected, of=size) <= 16
    for value in set(group):  # ties, to the last bit
        assert len({credit for credit, reward in zip(credits.tolist(), group, strict=True) if reward == value}) == 1
    assert (pkpo.mixed([group[0]] * n, k, lam) == 0).all()


@settings(max_examples=examples(300))
@given(exact.groups(), st.sampled_from([0.0, 0.25, -3.0, 1e6, 1 / 7]), st.data())
def test_history_is_its_definition_over_all_subsets(group: list[float], b: float, data: st.DataObject) -> None:
    n, g = len(group), exact.group_of(group)
    k = data.draw(st.integers(1, n))
    size = Fraction(k, n) * (max(map(abs, g)) + abs(Fraction(b)))
    credits = pkpo.history(group, k, b)
    assert exact.worst_ulps(credits, exact.history(g, k, Fraction(b)), of=size) <= 16
    assert (pkpo.history([b] * n, k, b) == 0).all()


def mixed_exactly(g: tuple[int, ...], k: int, lam: Fraction) -> exact.Group:
    return exact.mixed(exact.group_of(g), k, lam)


def history_exactly(g: tuple[int, ...], k: int, b: Fraction | None) -> exact.Group:
    """With None the group's own estimate, which may not be a baseline."""
    group = exact.group_of(g)
    return exact.history(group, k, exact.max_at_k(group, k) if b is None else b)


@pytest.mark.parametrize("p", [Fraction(1, 10), Fraction(2, 3)])
def test_both_are_unbiased_and_a_baseline_of_the_group_is_not(p: Fraction) -> None:
    for n in range(2, 6):
        for k in range(1, n + 1):
            for b in (Fraction(0), Fraction(1, 3)):
                assert oracle.factor(partial(history_exactly, k=k, b=b), n, k, p) == 1
            assert oracle.factor(partial(pkpo.history, k=k, baseline=0.25), n, k, float(p)) == pytest.approx(1)
            assert oracle.factor(partial(history_exactly, k=k, b=None), n, k, p) == 1 - Fraction(k, n)
            for lam in (Fraction(0), Fraction(1, 3), Fraction(-2)) if k < n else (Fraction(0),):
                assert oracle.factor(partial(mixed_exactly, k=k, lam=lam), n, k, p) == 1
                found = oracle.factor(partial(pkpo.mixed, k=k, lam=float(lam)), n, k, float(p))
                assert found == pytest.approx(1, rel=1e-12)


def test_mixed_holds_the_named_transforms() -> None:
    g = np.random.default_rng(0).normal(size=(5, 9))
    for k in (1, 2, 5, 8):
        np.testing.assert_array_equal(pkpo.mixed(g, k, 1), pkpo.centered(g, k))
        np.testing.assert_array_equal(pkpo.mixed(g, k, 0), pkpo.sloo_minus_one(g, k))
        np.testing.assert_allclose(pkpo.mixed(g, k, (9 - k) / 8), pkpo.plugin(g, k), rtol=0, atol=1e-15)
    np.testing.assert_array_equal(pkpo.mixed(g, 9, 0), pkpo.sloo_minus_one(g, 9))


def test_history_takes_a_baseline_for_each_group() -> None:
    g = np.random.default_rng(0).normal(size=(2, 3, 6))
    mask = np.arange(6) < np.array([[6, 5, 4], [3, 6, 2]])[..., None]
    b = np.arange(6.0).reshape(2, 3)
    for scale in pkpo.SCALES:
        whole = pkpo.history(g, 2, b, mask=mask, scale=scale)
        assert (whole[~mask] == 0).all()
        if scale != "rms":
            for i, j in np.ndindex(2, 3):
                alone = pkpo.history(g[i, j][mask[i, j]], 2, b[i, j], scale=scale)
                assert whole[i, j][mask[i, j]].tolist() == alone.tolist()
    np.testing.assert_array_equal(pkpo.history(g, 3, 0), pkpo.s(g, 3))
    np.testing.assert_array_equal(pkpo.history(g, 3, b[0]), pkpo.history(g, 3, np.stack([b[0], b[0]])))


def test_a_baseline_by_group_id() -> None:
    g, groups = np.array([1.0, 0.0, 3.0, 2.0, 5.0]), ["a", "b", "a", "b", "a"]
    credits = pkpo.history(g, 2, np.array([1.0, 7.0, 1.0, 7.0, 1.0]), groups=groups)
    assert credits[[0, 2, 4]].tolist() == pkpo.history(g[[0, 2, 4]], 2, 1.0).tolist()
    assert credits[[1, 3]].tolist() == pkpo.history(g[[1, 3]], 2, 7.0).tolist()


def test_rewards_and_baselines_near_the_ends_of_float64_survive() -> None:
    credits = pkpo.history([1.7e308, 0.0, 0.0, 0.0], 1, -1.7e308)
    np.testing.assert_allclose(credits, [0.85e308] + [0.425e308] * 3, rtol=1e-15)
    assert pkpo.history([5e-324, 5e-324], 2, 5e-324).tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="credits exceed the range of float64"):
        pkpo.history([1.7e308, 1.7e308], 2, -1.7e308)
    lifted = pkpo.mixed(np.array([0.0, 1.0, 0.5]) * 2.0**1020, 2, 0.5)
    np.testing.assert_allclose(lifted, pkpo.mixed([0.0, 1.0, 0.5], 2, 0.5) * 2.0**1020, rtol=1e-15)


@pytest.mark.parametrize(
    ("baseline", "said"),
    [
        (math.nan, "baseline must be finite; got nan"),
        ([0.0, math.inf], "baseline must be finite; got inf"),
        ("1", "baseline must be real numbers"),
        (None, "baseline must be real numbers"),
        ([0.0, 1.0, 2.0], r"baseline of shape \(3,\) does not broadcast to groups of shape \(2,\)"),
    ],
)
def test_a_baseline_that_is_no_number_for_each_group_is_refused(baseline: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        pkpo.history(np.zeros((2, 4)), 2, baseline)


def test_out_of_range_is_refused() -> None:
    for lam in (math.nan, math.inf, None, True, "1"):
        with pytest.raises(ValueError, match="lam must be"):
            pkpo.mixed([0.0, 1.0, 2.0], 1, lam)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mixed at k=3 needs at least 4 rewards per group; got n=3; lam = 0 allows k"):
        pkpo.mixed([0.0, 1.0, 2.0], 3, 0.5)
    with pytest.raises(ValueError, match="history at k=4 needs at least 4 rewards per group; got n=3"):
        pkpo.history([0.0, 1.0, 2.0], 4, 0.5)


def test_a_fractional_k_is_the_mixture_of_its_neighbours() -> None:
    g = np.random.default_rng(0).normal(size=(3, 9))
    for name in exact.TRANSFORMS:
        assert pkpo.smallest_n(name, 2.25) == pkpo.smallest_n(name, 3)
        np.testing.assert_array_equal(pkpo.transform(name, g, 2.25), pkpo.multi_k(g, {2: 0.75, 3: 0.25}, name=name))
        np.testing.assert_array_equal(pkpo.transform(name, g, 2.0), pkpo.transform(name, g, 2))
    for credit in (pkpo.mixed, pkpo.history):
        expected = 0.75 * credit(g, 2, 0.5) + 0.25 * credit(g, 3, 0.5)
        np.testing.assert_allclose(credit(g, 2.25, 0.5), expected, rtol=0, atol=1e-15)
