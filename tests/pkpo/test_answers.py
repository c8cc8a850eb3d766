import math
from collections import Counter
from fractions import Fraction
from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkpo import distinct_at_k, maj_at_k, pass_at_k
from pkpo.majority import TIES, Ballot, majority_at_ks
from tests.examples_of import examples
from tests.pkpo import exact

TRUE = {"a", "d"}  # two answers that are correct, so that correct ones run against each other too
given_answers = st.lists(st.sampled_from(["a", "b", "c", "d", "e", None]), min_size=1, max_size=8)


def correct_of(answers: list[Any]) -> list[bool]:
    return [answer in TRUE for answer in answers]


@settings(max_examples=examples(700))
@given(given_answers, st.sampled_from(TIES), st.data())
def test_maj_at_k_is_the_share_of_k_subsets_that_vote_for_a_correct_answer(
    answers: list[str | None], ties: Any, data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(answers)))
    correct = correct_of(answers)
    expected = exact.maj_at_k(answers, correct, k, ties)
    assert exact.ulps(maj_at_k(answers, correct, k, ties), expected) <= 2


@settings(max_examples=examples(200))
@given(given_answers, st.data())
def test_distinct_at_k_is_the_mean_number_of_answers_in_k_subsets(
    answers: list[str | None], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(answers)))
    assert exact.ulps(distinct_at_k(answers, k), exact.distinct_at_k(answers, k)) <= 2


@pytest.mark.parametrize("ties", TIES)
def test_both_are_unbiased_over_all_outcomes(ties: Any) -> None:
    policy = {"a": Fraction(3, 8), "b": Fraction(1, 4), "d": Fraction(1, 8), None: Fraction(1, 4)}
    n = 5
    chances = [
        {
            drawn: math.prod((policy[answer] for answer in drawn), start=Fraction(1))
            for drawn in product(policy, repeat=k)
        }
        for k in range(n + 1)
    ]
    for k in range(1, n + 1):
        answers = np.array(list(chances[n]), dtype=object)
        correct = np.isin(answers.astype(str), list(TRUE))
        weights = [float(chance) for chance in chances[n].values()]
        true = sum(exact.maj_at_k(d, correct_of(list(d)), k, ties) * chance for d, chance in chances[k].items())
        assert np.dot(weights, maj_at_k(answers, correct, k, ties)) == pytest.approx(float(true), rel=1e-13)
        different = sum(exact.distinct_at_k(d, k) * chance for d, chance in chances[k].items())
        assert np.dot(weights, distinct_at_k(answers, k)) == pytest.approx(float(different), rel=1e-13)


def majority_exactly(ballot: Ballot, k: int, ties: str) -> Fraction:
    """By how many completions of each answer are among the k, in integers."""
    counts = [*ballot.correct, *ballot.wrong]
    blank = ballot.n - sum(counts)
    won = Fraction(0)
    for votes in product(*(range(min(count, k) + 1) for count in counts)):
        if sum(votes) > k or not any(votes):
            continue
        ways = math.prod(map(math.comb, counts, votes)) * math.comb(blank, k - sum(votes))
        winners = [place for place, each in enumerate(votes) if each == max(votes)]
        right = sum(place < len(ballot.correct) for place in winners)
        share = Fraction(right, len(winners))
        won += ways * (share if ties == "share" else math.ceil(share) if ties == "correct" else math.floor(share))
    return won / math.comb(ballot.n, k)


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize(
    "ballot",
    [
        Ballot(64, (20,), (24, 10)),
        Ballot(64, (1,), (30, 2)),
        Ballot(40, (7, 6), (8, 7)),
        Ballot(30, (4, 4), (4, 4)),
        Ballot(300, (9,), (12, 3)),
        Ballot(1000, (12,), (13, 7)),
    ],
)
def test_votes_of_many_completions_cost_no_accuracy(ballot: Ballot, ties: Any) -> None:
    ks = [1, 2, 3, 16, 24, ballot.n // 2, ballot.n]
    found = majority_at_ks([ballot], ks, ties)[0]
    assert exact.worst_ulps(found, [majority_exactly(ballot, k, ties) for k in ks]) <= 8


def test_more_completions_than_float64_can_count_subsets_of() -> None:
    ballot, ks = Ballot(1200, (3,), (4, 2)), [600, 1199]
    assert math.comb(1200, 600) > 2**1024
    found = majority_at_ks([ballot], ks, "share")[0]
    assert exact.worst_ulps(found, [majority_exactly(ballot, k, "share") for k in ks]) <= 1
    answers = np.repeat([1, 0], [60_000, 40_000])
    assert maj_at_k(answers, answers == 1, 3) == pytest.approx(0.6**3 + 3 * 0.6**2 * 0.4, rel=1e-5)


def test_one_attempt_is_the_share_of_correct_completions_and_n_the_vote_of_all() -> None:
    answers = np.array([["x", "y", "y", "z"], ["x", "x", "y", "z"], ["x", "y", "z", "z"], ["x", "y", "x", "y"]])
    correct = answers == "x"
    assert maj_at_k(answers, correct, 1).tolist() == [0.25, 0.5, 0.25, 0.5]
    assert maj_at_k(answers, correct, 4).tolist() == [0, 1, 0, 0.5]
    assert maj_at_k(answers, correct, 4, "correct").tolist() == [0, 1, 0, 1]
    assert maj_at_k(answers, correct, 4, "wrong").tolist() == [0, 1, 0, 0]


def test_two_answers_and_an_odd_k_are_the_majority_of_passes() -> None:
    c = np.arange(10)
    passed = np.arange(9) < c[:, None]
    expected = [float(sum(_hypergeometric(9, each, 5, j) for j in range(3, 6))) for each in c.tolist()]
    np.testing.assert_allclose(maj_at_k(passed, passed, 5), expected, rtol=4e-16)


def _hypergeometric(n: int, c: int, k: int, j: int) -> Fraction:
    return Fraction(math.comb(c, j) * math.comb(n - c, k - j), math.comb(n, k))


@settings(max_examples=examples(100))
@given(given_answers, st.data())
def test_the_shared_tie_is_what_the_first_seen_gives_in_a_random_order(
    answers: list[str | None], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, min(4, len(answers))))
    firsts = (Counter(filter(None, order)).most_common(1) for order in permutations(answers[:6], k))
    won = exact.mean(Fraction(bool(first and first[0][0] in TRUE)) for first in firsts)
    assert maj_at_k(answers[:6], correct_of(answers[:6]), k) == pytest.approx(float(won), rel=1e-15)


def test_ties_are_ordered_and_only_ties_tell_them_apart() -> None:
    answers = np.random.default_rng(0).integers(0, 5, (200, 12))
    correct = answers == 0
    for k in (2, 5, 12):
        wrong, share, right = (maj_at_k(answers, correct, k, ties) for ties in ("wrong", "share", "correct"))
        assert ((wrong <= share + 1e-15) & (share <= right + 1e-15)).all()
        assert (wrong < right).any()
    np.testing.assert_array_equal(maj_at_k(answers, correct, 1, "wrong"), maj_at_k(answers, correct, 1, "correct"))


def test_no_answer_never_wins_and_never_counts() -> None:
    assert maj_at_k([None, None, None, "x"], [False, False, False, True], 4) == 1
    assert maj_at_k([None, None, None, "x"], [False, False, False, True], 2) == 0.5
    assert maj_at_k([None, None], [False, False], 2) == 0
    assert distinct_at_k([None, None, "x"], 3) == 1
    assert distinct_at_k([None, None], 1) == 0
    # As an answer of its own, or as if the completion were not there: by what is passed in, not by a flag.
    assert maj_at_k(["", "", "", "x"], [False, False, False, True], 4) == 0
    assert maj_at_k([None, "x"], [False, True], 1, mask=[False, True]) == 1


def test_all_the_same_answer_and_all_different_ones() -> None:
    assert maj_at_k(["x"] * 9, [True] * 9, 5) == 1
    assert maj_at_k(["x"] * 9, [False] * 9, 5) == 0
    assert distinct_at_k(["x"] * 9, 5) == 1
    assert distinct_at_k(list(range(9)), 5) == pytest.approx(5, rel=1e-15)
    assert distinct_at_k(["x", "x", "y"], 2) == pass_at_k(3, 2, 2) + pass_at_k(3, 1, 2)


def test_the_order_of_completions_and_the_names_of_answers_do_not_show() -> None:
    random = np.random.default_rng(3)
    answers = random.integers(0, 6, (50, 15))
    correct = np.isin(answers, [2, 4])
    order = random.permuted(np.tile(np.arange(15), (50, 1)), axis=1)
    moved, right = np.take_along_axis(answers, order, 1), np.take_along_axis(correct, order, 1)
    for ties in TIES:
        np.testing.assert_array_equal(maj_at_k(moved + 100, right, 7, ties), maj_at_k(answers, correct, 7, ties))
    np.testing.assert_array_equal(distinct_at_k(moved.astype(str), 7), distinct_at_k(answers, 7))


def test_problems_at_once_agree_with_one_at_a_time_and_a_mask_with_leaving_out() -> None:
    random = np.random.default_rng(5)
    answers = np.minimum(random.zipf(1.6, (2, 60, 24)), 12)
    correct, mask = answers == 1, random.random((2, 60, 24)) < 0.7
    mask[..., :6] = True
    together, different = maj_at_k(answers, correct, 6, mask=mask), distinct_at_k(answers, 6, mask)
    assert together.shape == different.shape == (2, 60)
    for index in np.ndindex(2, 60):
        kept = mask[index]
        assert together[index] == maj_at_k(answers[index][kept], correct[index][kept], 6)
        assert different[index] == distinct_at_k(answers[index][kept], 6)
    assert isinstance(maj_at_k(["x"], [True], 1), np.float64)


def test_no_problems_have_no_estimates() -> None:
    none = np.empty((0, 3), dtype=object)
    assert maj_at_k(none, np.zeros((0, 3), dtype=bool), 2).shape == distinct_at_k(none, 2).shape == (0,)


def test_equal_text_and_number_are_different_answers() -> None:
    assert distinct_at_k([1, "1"], 2) == 2
    assert distinct_at_k([1, 1.0], 2) == 1


@pytest.mark.parametrize(
    ("answers", "correct", "k", "said"),
    [
        (["x", "x"], [True, False], 1, "the answer 'x' is correct in one place and wrong in another"),
        ([["x", "x"], ["y", "y"]], [[True, True], [False, True]], 1, "the answer 'y' in group 1 is correct in one"),
        ([["x", None]], [[True, True]], 1, "correct is True of a completion without an answer in group 0"),
        (["x", math.nan], [True, False], 1, r"equal to themselves; got nan at index \(1,\), where None is no answer"),
        (["x", {}], [True, False], 1, r"strings, numbers or None; got a dict at index \(1,\)"),
        ([["x", "y"], ["x"]], [[True, False], [True]], 1, "got a list at index"),
        ([], [], 1, r"at least 1; got shape \(0,\)"),
        ("x", True, 1, r"got shape \(\)"),
        (["x", "y"], [1, 0], 1, r"correct must be booleans of the answers' shape \(2,\); got int64 \(2,\)"),
        (["x", "y"], [True], 1, r"got bool \(1,\)"),
        (["x", "y"], [True, None], 1, "got object"),
        (["x", "y"], [True, False], 3, "maj_at_k at k=3 needs at least 3 completions per group; got n=2"),
        (["x", "y"], [True, False], 0, "k must be at least 1; got k=0"),
        (["x", "y"], [True, False], 1.0, "k must be an integer; got 1.0"),
        (np.ma.array(["x", "y"], mask=[True, False]), [True, False], 1, "answers must hold no masked array"),  # type: ignore[no-untyped-call]
    ],
)
def test_votes_that_cannot_be_counted_are_refused(answers: Any, correct: Any, k: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        maj_at_k(answers, correct, k)


def test_unknown_ties_and_groups_that_are_too_short_are_refused() -> None:
    ties: Any = "first"
    with pytest.raises(ValueError, match="ties must be one of share, correct, wrong; got 'first'"):
        maj_at_k(["x", "y"], [True, False], 1, ties)
    mask = np.array([[True, True, True], [True, False, True]])
    with pytest.raises(
        ValueError, match="distinct_at_k at k=3 needs at least 3 completions per group; group 1 has n=2"
    ):
        distinct_at_k([["x", "y", "z"]] * 2, 3, mask)
    with pytest.raises(ValueError, match=r"mask of shape \(2,\) does not broadcast to answers of shape \(3,\)"):
        distinct_at_k(["x", "y", "z"], 1, [True, True])
