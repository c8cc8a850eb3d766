"""Unbiased estimates from the answers of completions: majority voting among k, and how many answers differ among k."""

import math
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from itertools import accumulate, compress, pairwise
from operator import not_
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpo import inputs
from pkpo.estimators import pass_at_k
from pkpo.majority import TIES, Ballot, Ties, majority_at_ks

AnswerMetric = Literal["maj_at_k", "distinct_at_k"]


def maj_at_k(
    answers: inputs.Answers, correct: ArrayLike, k: int, ties: Ties = "share", mask: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Unbiased estimate of maj@k, the chance that the most frequent answer among k is correct.

    The share of the C(n, k) subsets of the completions in which it is, computed exactly: no subset is drawn.

        >>> pkpo.maj_at_k([["7", "7", "9", "8"]], [[True, True, False, False]], k=3).round(4)
        array([0.6667])

    Args:
      answers: one of each completion, shape (..., n): strings, numbers or whatever else is hashable, equal where they
        mean the same; None is no answer. Nobody votes by it, and k completions without any answer are wrong.
      correct: booleans of the same shape, as in `answers == references[:, None]`; equal answers of a group have one.
      k: attempts allowed, 1 <= k <= n.
      ties: where t answers are the most frequent, "share" counts 1 / t for each of them that is correct: the mean of a
        random choice, and of the first seen. "correct" counts 1 where one of them is correct, "wrong" where all are.
      mask: booleans that broadcast to answers, True for a real completion; what is masked is as if it were not there.
    Returns:
      Estimates in [0, 1], shape (...), each within 8 ulp for n up to 1000.
    Raises:
      ValueError: an answer that is not hashable, or nan; correct of another shape or type, not one for equal answers,
        or True of no answer; unknown ties; a k outside [1, n] for some group.

    Wang et al. (2022), arXiv:2203.11171, section 2, is the vote; its exact mean over subsets is ours.
    """
    given, valid = inputs.answers(answers, mask)
    k = inputs.attempts(k)
    inputs.check_sizes("maj_at_k", k, f"k={k}", given.shape, valid, of="completions")
    estimates: NDArray[np.float64] = maj_at_ks(given, correct, [k], ties, valid)[..., 0][()]
    return estimates


def maj_at_ks(
    given: NDArray[np.object_],
    correct: ArrayLike,
    ks: Sequence[int],
    ties: Ties,
    valid: NDArray[np.bool_] | None,
) -> NDArray[np.float64]:
    """maj_at_k for each of several k that every group has, shape (..., len(ks)), counting the votes once."""
    if ties not in TIES:
        raise ValueError(f"ties must be one of {', '.join(TIES)}; got {ties!r}")
    right = np.asarray(correct)
    if right.dtype != np.bool_ or right.shape != given.shape:
        raise ValueError(
            f"correct must be booleans of the answers' shape {given.shape}; got {right.dtype} {right.shape}"
        )
    ballots = [
        _ballot(group, [right is True for right in verdicts], index)
        for (index, group), (_, verdicts) in zip(_groups(given, valid), _groups(right, valid), strict=True)
    ]
    return majority_at_ks(ballots, ks, ties).reshape(*given.shape[:-1], len(ks))


def ragged_answers(
    answers: Sequence[Sequence[object]], correct: object
) -> tuple[NDArray[np.object_], NDArray[np.bool_] | None, NDArray[np.bool_]]:
    """Answers of shape (P, N), which of them are correct, and their mask, from lists of any lengths; N is the longest.

    Raises:
      ValueError: correct that is not one boolean for each answer.
    """
    lengths = np.array([len(group) for group in answers], dtype=np.int64)
    mask = np.arange(lengths.max()) < lengths[:, None]
    given = np.full(mask.shape, None, dtype=np.object_)
    for place, group in zip(given, answers, strict=True):
        place[: len(group)] = group
    if correct is None:
        return given, None, mask
    right = np.zeros(mask.shape, dtype=np.bool_)
    if not isinstance(correct, Sequence) or [len(group) for group in correct] != lengths.tolist():
        raise ValueError("correct must be a list of booleans for each list of answers, of its length")
    for place, group in zip(right, correct, strict=True):
        if not all(isinstance(verdict, bool | np.bool_) for verdict in group):
            raise ValueError(f"correct must be booleans; got {group}")
        place[: len(group)] = group
    return given, right, mask


def answer_values(
    metric: AnswerMetric,
    given: NDArray[np.object_],
    correct: ArrayLike | None,
    ks: Sequence[int],
    ties: Ties,
    valid: NDArray[np.bool_] | None,
) -> NDArray[np.float64]:
    """The metric of answers that inputs.answers has checked, at each k, which every group has: shape (..., len(ks))."""
    if metric == "distinct_at_k":
        return np.stack([_distinct(given, k, valid) for k in ks], axis=-1)
    if correct is None:
        raise ValueError("maj_at_k needs correct, a boolean for each answer")
    return maj_at_ks(given, correct, ks, ties, valid)


def distinct_at_k(answers: inputs.Answers, k: int, mask: ArrayLike | None = None) -> NDArray[np.float64]:
    """Unbiased estimate of the expected number of different answers among k: sum_a 1 - C(n - c_a, k) / C(n, k).

    c_a completions have the answer a. Answers, k, mask and shapes are those of maj_at_k; None adds none.

        >>> pkpo.distinct_at_k([["7", "7", "9", "8"]], k=2).round(4)
        array([1.8333])

    Returns:
      Estimates in [0, k], shape (...), each within 2 ulp.
    Raises:
      ValueError: an answer that is not hashable, or nan; a k outside [1, n] for some group.
    """
    given, valid = inputs.answers(answers, mask)
    k = inputs.attempts(k)
    inputs.check_sizes("distinct_at_k", k, f"k={k}", given.shape, valid, of="completions")
    return _distinct(given, k, valid)


def _distinct(given: NDArray[np.object_], k: int, valid: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    votes = [(len(group), _votes(group)) for _, group in _groups(given, valid)]
    seen = pass_at_k([n for n, each in votes for _ in each], [c for _, each in votes for c in each.values()], k)
    ends = accumulate((len(each) for _, each in votes), initial=0)
    sums = [math.fsum(seen[start:end]) for start, end in pairwise(ends)]
    estimates: NDArray[np.float64] = np.array(sums).reshape(given.shape[:-1])[()]
    return estimates


def _groups(
    values: NDArray[np.object_] | NDArray[np.bool_], valid: NDArray[np.bool_] | None
) -> Iterator[tuple[tuple[int, ...], list[Hashable]]]:
    """Each group's index and those of its entries that are not masked."""
    for index in np.ndindex(values.shape[:-1]):
        yield index, (values[index] if valid is None else values[index][valid[index]]).tolist()


def _votes(group: Sequence[Hashable]) -> Counter[Hashable]:
    votes = Counter(group)
    del votes[None]
    return votes


def _ballot(group: Sequence[Hashable], verdicts: Sequence[bool], index: tuple[int, ...]) -> Ballot:
    """How often each answer was given; ValueError where an answer is both correct and not, or None correct."""
    votes = _votes(group)
    correct = set(compress(group, verdicts))
    where = f" in group {index[0] if len(index) == 1 else index}" if index else ""
    if None in correct:
        raise ValueError(f"correct is True of a completion without an answer{where}; no answer cannot win a vote")
    if both := correct & set(compress(group, map(not_, verdicts))):
        raise ValueError(f"the answer {min(both, key=str)!r}{where} is correct in one place and wrong in another")
    counts = sorted(votes.items(), key=lambda vote: -vote[1])
    return Ballot(
        len(group),
        correct=tuple(count for answer, count in counts if answer in correct),
        wrong=tuple(count for answer, count in counts if answer not in correct),
    )
