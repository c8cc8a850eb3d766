"""The chance that a vote among k of a problem's answers is won by a correct one, exactly, by dynamic programming."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Ties = Literal["share", "correct", "wrong"]
TIES: tuple[Ties, ...] = get_args(Ties)

# Numbers of subsets are float64 up to here and Python integers beyond: C(1029, 514) is the first that float64 lacks.
_MOST = 1 << 1000
# Numbers in the table of one block of rows: it then stays in the processor's cache.
_BLOCK = 1 << 17


@dataclass(frozen=True)
class Ballot:
    """How many of a problem's n completions gave each answer, the most frequent first; the rest of n gave none."""

    n: int
    correct: tuple[int, ...]
    wrong: tuple[int, ...]


@dataclass(frozen=True)
class _Race:
    """A correct answer against its rivals: what has to happen for it to be the one that is counted as the winner."""

    own: int  # completions with this answer
    rivals: tuple[tuple[int, bool], ...]  # completions with another, and whether it may tie; the most frequent first
    blank: int  # completions without an answer


def majority_at_ks(ballots: Sequence[Ballot], ks: Sequence[int], ties: Ties) -> NDArray[np.float64]:
    """The share of the k-subsets of each ballot whose most frequent answer is correct, shape (len(ballots), len(ks)).

    Each k is in 1..n of every ballot.
    """
    ballots, places = _distinct(ballots)
    races = [(row, race) for row, ballot in enumerate(ballots) for race in _races(ballot, ties)]
    # Those that can win with many votes first: as the winner's votes grow, fewer races go on, and they are a slice.
    races.sort(key=lambda each: (each[1].own, each[1].rivals), reverse=True)
    most = max(ks)
    exact = any(math.comb(ballot.n, min(most, ballot.n // 2)) > _MOST for ballot in ballots)
    won: NDArray[Any] = np.zeros((len(ballots), most + 1), dtype=object if exact else np.float64)
    for block in _blocks(races, most):
        np.add.at(won, [row for row, _ in block], _won([race for _, race in block], most, ties, won.dtype))
    estimates = np.empty((len(ballots), len(ks)))
    for row, ballot in enumerate(ballots):
        for column, k in enumerate(ks):
            estimates[row, column] = min(1.0, float(won[row, k] / math.comb(ballot.n, k)))
    return estimates[places]


def _distinct(ballots: Sequence[Ballot]) -> tuple[list[Ballot], list[int]]:
    """The ballots without repetition, and where each is among them: problems that are all but solved are alike."""
    place: dict[Ballot, int] = {}
    places = [place.setdefault(ballot, len(place)) for ballot in ballots]
    return list(place), places


def _races(ballot: Ballot, ties: Ties) -> list[_Race]:
    """One race for each correct answer; what a subset counts for is the sum over them."""
    blank = ballot.n - sum(ballot.correct) - sum(ballot.wrong)
    races = []
    for place, own in enumerate(ballot.correct):
        # Where a tie is not shared, the first of several correct winners stands for them all.
        before = [(count, ties == "share") for count in ballot.correct[:place]]
        after = [(count, True) for count in ballot.correct[place + 1 :]]
        wrong = [(count, ties != "wrong") for count in ballot.wrong]
        races.append(_Race(own, tuple(sorted(before + after + wrong, reverse=True)), blank))
    return races


def _blocks(races: list[tuple[int, _Race]], most: int) -> list[list[tuple[int, _Race]]]:
    size = max(1, _BLOCK // (most + 1) ** 2)
    return [races[start : start + size] for start in range(0, len(races), size)]


def _won(races: Sequence[_Race], most: int, ties: Ties, dtype: np.dtype[Any]) -> NDArray[Any]:
    """How many subsets of each size 0..most each race wins, a tie of t shared as 1 / t: shape (races, most + 1)."""
    own = np.array([race.own for race in races])
    width = max(len(race.rivals) for race in races)
    padded = [race.rivals + ((0, False),) * (width - len(race.rivals)) for race in races]
    rivals, may_tie = np.array(padded, dtype=np.int64).reshape(len(races), width, 2).transpose(2, 0, 1)
    blank = np.array([race.blank for race in races])
    won = np.zeros((len(races), most + 1), dtype=dtype)
    for votes in range(1, min(most, int(own.max())) + 1):
        running = int(np.count_nonzero(own >= votes))
        others = _others(votes, rivals[:running], may_tie[:running], blank[:running], most, ties, dtype)
        won[:running, votes:] += _choose(own[:running], votes, dtype)[:, votes:] * others
    return won


def _choose(counts: NDArray[np.int64], most: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """C(count, 0..most) for each count, shape (len(counts), most + 1)."""
    distinct, places = np.unique(counts, return_inverse=True)
    return np.array([_binomials(count, most) for count in distinct.tolist()], dtype=dtype)[places]


@lru_cache(maxsize=512)
def _binomials(count: int, most: int) -> tuple[int, ...]:
    return tuple(accumulate(range(most), lambda binomial, j: binomial * (count - j) // (j + 1), initial=1))


def _others(
    votes: int,
    rivals: NDArray[np.int64],
    may_tie: NDArray[np.int64],
    blank: NDArray[np.int64],
    most: int,
    ties: Ties,
    dtype: np.dtype[Any],
) -> NDArray[Any]:
    """In how many ways others fill a subset in which the winner has `votes`: shape (races, most - votes + 1).

    A rival has fewer votes, or as many where it may tie. Those with too few completions for that are free, as are
    blanks: together they are one binomial. The third axis of `ways` is how many rivals tie, where that counts.
    """
    sizes = most - votes + 1
    rivalling = np.count_nonzero(rivals >= votes, axis=1)
    tied = min((sizes - 1) // votes, int(rivalling.max(initial=0))) if ties == "share" else 0
    ways = np.zeros((len(rivals), sizes, tied + 1), dtype=dtype)
    ways[:, :, 0] = _choose(blank + (rivals * (rivals < votes)).sum(axis=1), sizes - 1, dtype)
    for rival in range(int(rivalling.max(initial=0))):
        rows = np.flatnonzero(rivalling > rival)
        weights, before = _choose(rivals[rows, rival], votes, dtype)[:, :, None, None], ways[rows]
        after = np.zeros_like(before)
        for received in range(min(votes, sizes)):
            after[:, received:] += weights[:, received] * before[:, : sizes - received]
        if votes < sizes:
            ties_here = weights[:, votes] * may_tie[rows, rival, None, None]
            if tied:
                after[:, votes:, 1:] += ties_here * before[:, :-votes, :-1]
            else:
                after[:, votes:] += ties_here * before[:, :-votes]
        ways[rows] = after
    shares = [Fraction(1, 1 + t) for t in range(tied + 1)]
    shared: NDArray[Any] = ways @ np.array(shares, dtype=dtype)
    return shared
