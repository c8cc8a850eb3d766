"""alpha_loo, the unbiased leave-one-out form of Pass@K-GRPO."""

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

import pkpo
from pkpo import oracle
from tests.pkpo import exact


def test_credits_are_their_definition_at_every_outcome_and_those_of_plugin() -> None:
    for n in range(2, 8):
        outcomes = np.array(list(product((0, 1), repeat=n)))
        for k in range(1, n + 1):
            credits = pkpo.alpha_loo(outcomes, k)
            for row, outcome in zip(credits, outcomes.tolist(), strict=True):
                g = exact.group_of(outcome)
                expected = exact.alpha_loo(g, k)
                assert expected == exact.plugin(g, k)
                assert exact.worst_ulps(row, expected, of=max(map(abs, expected))) <= 4
                assert sum(outcome) not in (0, n) or (row == 0).all()


@pytest.mark.parametrize("p", [Fraction(1, 10), Fraction(2, 3)])
def test_the_expected_gradient_is_that_of_pass_at_k(p: Fraction) -> None:
    for n in range(2, 7):
        for k in range(1, n + 1):
            assert oracle.factor(lambda g, k=k: exact.alpha_loo(exact.group_of(g), k), n, k, p) == 1  # type: ignore[misc]


@pytest.mark.parametrize("n", [1000, 10**6])
def test_large_groups_are_right_within_4_ulp_of_the_largest_credit(n: int) -> None:
    c, k = n // 10, 3
    credits = pkpo.alpha_loo(np.arange(n) < c, k)
    others = {True: c - 1, False: c}
    expected = []
    for passed, beside in others.items():
        alpha = Fraction(k)
        for i in range(k - 1):
            alpha *= Fraction(n - 1 - beside - i, n - 1 - i)
        expected.append(alpha * (passed - Fraction(beside, n - 1)) / n)
    assert exact.worst_ulps(credits[[0, -1]], expected, of=max(map(abs, expected))) <= 4


def test_several_k_masks_and_scales_are_those_of_plugin() -> None:
    g = np.random.default_rng(0).integers(0, 2, (5, 9)).astype(float)
    mask = np.arange(9) < np.array([[9], [8], [7], [9], [4]])
    holed = np.where(mask, g, 0.5)  # what is masked may be anything
    for scale in pkpo.SCALES:
        for k in (2, 2.5, {1: 0.5, 3: 0.5}):
            found = pkpo.alpha_loo(holed, k, mask=mask, scale=scale)
            np.testing.assert_array_equal(found, pkpo.plugin(g, k, mask=mask, scale=scale))


@pytest.mark.parametrize("other", [0.5, -1.0, 2.0, 1e-300, 1 + 2**-52])
def test_a_reward_that_is_neither_pass_nor_failure_is_refused_with_its_place(other: float) -> None:
    g: Any = [[0.0, 1.0, 0.0], [1.0, 0.0, other]]
    with pytest.raises(ValueError, match=r"alpha_loo needs rewards of 0 and 1; got .* at index \(1, 2\); plugin takes"):
        pkpo.alpha_loo(g, 1)
    assert pkpo.smallest_n("alpha_loo", 1) == pkpo.smallest_n("alpha_loo", 2) == 2
    with pytest.raises(ValueError, match="alpha_loo at k=4 needs at least 4 rewards per group; got n=3"):
        pkpo.alpha_loo([0, 1, 1], 4)
