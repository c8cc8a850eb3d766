import math
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkpo import best_of_k, max_at_k
from tests.examples_of import examples
from tests.pkpo import exact

scored = st.lists(st.tuples(st.integers(0, 3) | exact.rewards, exact.rewards), min_size=1, max_size=8)


@settings(max_examples=examples(400))
@given(scored, st.data())
def test_best_of_k_is_the_mean_over_k_subsets_of_what_the_scores_select(
    group: list[tuple[float, float]], data: st.DataObject
) -> None:
    scores, rewards = map(list, zip(*group, strict=True))
    k = data.draw(st.integers(1, len(group)))
    expected = exact.best_of_k(exact.group_of(scores), exact.group_of(rewards), k)
    assert exact.ulps(best_of_k(scores, rewards, k), expected, of=max(map(abs, exact.group_of(rewards)))) <= 8


def test_best_of_k_is_unbiased_over_all_outcomes() -> None:
    outcomes = [(0, Fraction(1, 2), 0.0), (1, Fraction(1, 8), 1.0), (1, Fraction(1, 8), 0.0), (2, Fraction(1, 4), 0.5)]
    n = 4
    for k in range(1, n + 1):

        def expectation(of: Any, draws: int) -> Fraction:
            chances = {
                drawn: math.prod((chance for _, chance, _ in drawn), start=Fraction(1))
                for drawn in product(outcomes, repeat=draws)
            }
            return sum((chance * of(drawn) for drawn, chance in chances.items()), Fraction(0))

        def estimate(drawn: Any, k: int = k) -> Fraction:
            return Fraction(float(best_of_k([s for s, _, _ in drawn], [r for _, _, r in drawn], k)))

        def selected(drawn: Any, k: int = k) -> Fraction:
            scores, _, rewards = zip(*drawn, strict=True)
            return exact.best_of_k(exact.group_of(scores), exact.group_of(rewards), k)

        assert float(expectation(estimate, n)) == pytest.approx(float(expectation(selected, k)), rel=1e-15)


@settings(max_examples=examples(100))
@given(exact.groups(), st.data())
def test_with_rewards_as_scores_it_is_max_at_k(group: list[float], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(group)))
    largest = max(map(abs, exact.group_of(group)))
    assert exact.ulps(best_of_k(group, group, k), Fraction(float(max_at_k(group, k))), of=largest) <= 2


@settings(max_examples=examples(100))
@given(scored, st.data(), st.randoms(use_true_random=False))
def test_the_order_of_completions_and_the_scale_of_scores_do_not_show(
    group: list[tuple[float, float]], data: st.DataObject, random: Any
) -> None:
    k = data.draw(st.integers(1, len(group)))
    shuffled = random.sample(group, len(group))
    scores, rewards = zip(*group, strict=True)
    others, moved = zip(*shuffled, strict=True)
    assert best_of_k(others, moved, k) == best_of_k(scores, rewards, k)
    assert best_of_k(np.array(scores) * 4, rewards, k) == best_of_k(scores, rewards, k)


def test_equal_scores_share_and_the_whole_group_selects_its_best() -> None:
    assert best_of_k([7, 7, 7, 7], [1, 0, 0, 1], 3) == 0.5
    assert best_of_k([1, 2, 2], [5, 6, 9], 3) == 7.5
    assert best_of_k([0.1] * 5, [0.1] * 5, 2) == 0.1
    assert best_of_k([1, 3, 2], [10, 20, 30], 1) == 20


def test_a_million_scored_completions_cost_no_accuracy() -> None:
    n, k = 1_000_000, 2
    random = np.random.default_rng(1)
    scores, numerators = random.integers(0, 1000, n), random.integers(-(2**40), 2**40, n)
    sums, sizes = np.zeros(1000, dtype=np.int64), np.bincount(scores, minlength=1000)
    np.add.at(sums, scores, numerators)
    expected, below = Fraction(0), 0
    for total, size in zip(sums.tolist(), sizes.tolist(), strict=True):
        weight = math.comb(below + size, k) - math.comb(below, k)
        expected += Fraction(weight * total, size)
        below += size
    expected /= math.comb(n, k) * 2**40
    assert exact.ulps(best_of_k(scores, numerators / 2**40, k), expected, of=Fraction(1)) <= 8


@settings(max_examples=examples(100))
@given(st.lists(exact.groups(min_n=3), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_a_mask_means_leaving_the_completions_out(ragged: list[list[float]], random: Any) -> None:
    width = max(map(len, ragged)) + 2
    shape = (len(ragged), width)
    rewards, scores, mask = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, dtype=bool)
    expected = []
    for row, group in enumerate(ragged):
        places = sorted(random.sample(range(width), len(group)))
        graded = [random.randint(0, 3) for _ in group]
        rewards[row, places], scores[row, places], mask[row, places] = group, graded, True
        expected.append(best_of_k(graded, group, 3))
    assert best_of_k(scores, rewards, 3, mask).tolist() == expected


def test_leading_axes_stay() -> None:
    random = np.random.default_rng(0)
    scores, rewards = random.integers(0, 4, (2, 3, 9)), random.normal(size=(2, 3, 9))
    estimates = best_of_k(scores, rewards, 4)
    assert estimates.shape == (2, 3)
    assert estimates[1, 2] == best_of_k(scores[1, 2], rewards[1, 2], 4)
    assert isinstance(best_of_k([1, 2], [0, 1], 1), np.float64)
    assert best_of_k(np.zeros((0, 3)), np.zeros((0, 3)), 2).shape == (0,)


def test_rewards_near_the_ends_of_float64_survive() -> None:
    big, tiny = 1.7e308, 5e-324
    assert best_of_k([1, 1, 2], [big, -big, big], 1) == pytest.approx(big / 3, rel=1e-15)
    assert best_of_k([1, 1], [-big, big], 2) == 0
    assert best_of_k([1, 1, 1], [big] * 3, 2) == big
    assert best_of_k([1, 1], [0, 4 * tiny], 1) == 2 * tiny


@pytest.mark.parametrize(
    ("scores", "rewards", "k", "said"),
    [
        ([1, math.nan], [0, 1], 1, r"scores must be finite; got nan at index \(1,\)"),
        ([1, -math.inf], [0, 1], 1, "scores must be finite; got -inf"),
        ([1, None], [0, 1], 1, "scores must be real numbers; got an array of object"),
        ([1, 2], [0, math.nan], 1, "rewards must be finite"),
        ([1, 2, 3], [0, 1], 1, r"scores and rewards must have one shape; got \(3,\) and \(2,\)"),
        ([1, 2], [0, 1], 3, "best_of_k at k=3 needs at least 3 rewards per group; got n=2"),
        ([1, 2], [0, 1], 0, "k must be at least 1; got k=0"),
        ([1, 2], [0, 1], 1.0, "k must be an integer; got 1.0"),
        ([], [], 1, r"got shape \(0,\)"),
    ],
)
def test_what_has_no_best_is_refused(scores: Any, rewards: Any, k: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        best_of_k(scores, rewards, k)


def test_a_group_that_a_mask_leaves_too_short_is_named() -> None:
    mask = np.array([[True, True, True], [True, False, True]])
    with pytest.raises(ValueError, match="best_of_k at k=3 needs at least 3 rewards per group; group 1 has n=2"):
        best_of_k(np.zeros((2, 3)), np.zeros((2, 3)), 3, mask)
