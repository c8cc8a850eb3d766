"""The definitions, written out over all subsets in fractions: slow, and right by reading."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

Group = tuple[Fraction, ...]


def group_of(rewards: Iterable[float | int | bool]) -> Group:
    return tuple(Fraction(float(reward)) for reward in rewards)


def mean(values: Iterable[Fraction]) -> Fraction:
    each = list(values)
    return sum(each, Fraction(0)) / len(each)


def without(g: Group, i: int) -> Group:
    return g[:i] + g[i + 1 :]


@lru_cache(maxsize=100_000)
def max_at_k(g: Group, k: int) -> Fraction:
    return mean(max(subset) for subset in combinations(g, k))


def g_pass_at_k(n: int, c: int, k: int, needed: Fraction | int) -> Fraction:
    """The share of the k-subsets of which at least `needed`, and at least one, passed."""
    return mean(Fraction(max(1, needed) <= sum(subset)) for subset in combinations([1] * c + [0] * (n - c), k))


def best_of_k(scores: Group, rewards: Group, k: int) -> Fraction:
    """The reward of the best-scored of each k-subset, of several such the mean of theirs."""

    def selected(members: tuple[int, ...]) -> Fraction:
        best = max(scores[i] for i in members)
        return mean(rewards[i] for i in members if scores[i] == best)

    return mean(selected(members) for members in combinations(range(len(scores)), k))


def maj_at_k(answers: Sequence[object], correct: Sequence[bool], k: int, ties: str) -> Fraction:
    """The share of the k-subsets whose most frequent answer is correct; None is no answer."""

    def won(members: tuple[int, ...]) -> Fraction:
        votes = Counter(answers[i] for i in members if answers[i] is not None)
        winners = {answer for answer, count in votes.items() if count == max(votes.values())}
        right = winners & {answers[i] for i in members if correct[i]}
        if ties == "share":
            return Fraction(len(right), len(winners) or 1)
        return Fraction(bool(right) if ties == "correct" else bool(right) and right == winners)

    return mean(won(members) for members in combinations(range(len(answers)), k))


def distinct_at_k(answers: Sequence[object], k: int) -> Fraction:
    """The mean number of different answers among the k-subsets."""
    return mean(Fraction(len(set(subset) - {None})) for subset in combinations(answers, k))


@lru_cache(maxsize=100_000)
def s(g: Group, k: int) -> Group:
    """Eq. (27): the maximum of every k-subset, credited to each of its members."""
    credits = [Fraction(0)] * len(g)
    for members in combinations(range(len(g)), k):
        best = max(g[i] for i in members)
        for i in members:
            credits[i] += best
    return tuple(credit / comb(len(g), k) for credit in credits)


def sloo(g: Group, k: int) -> Group:
    """Eq. (29): less the mean credit of the others among themselves."""
    return tuple(credit - mean(s(without(g, i), k)) for i, credit in enumerate(s(g, k)))


def sloo_minus_one(g: Group, k: int) -> Group:
    """Eq. (33): what each k-subset gains by its member i; at k = 1 Eq. (26), divided by n as s is."""
    n = len(g)
    if k == 1:
        return tuple((g[i] - mean(without(g, i))) / n for i in range(n))
    credits = [Fraction(0)] * n
    for members in combinations(range(n), k):
        for i in members:
            credits[i] += max(g[j] for j in members) - max(g[j] for j in members if j != i)
    return tuple(credit / comb(n, k) for credit in credits)


def centered(g: Group, k: int) -> Group:
    """Less k / n of the estimate from the others."""
    n = len(g)
    return tuple(credit - Fraction(k, n) * max_at_k(without(g, i), k) for i, credit in enumerate(s(g, k)))


def plugin(g: Group, k: int) -> Group:
    """Less k / n of a mixture of the others' estimates at k and k - 1; a term of weight 0 is not there."""
    n = len(g)
    share = Fraction(n - k, n - 1)

    def baseline(others: Group) -> Fraction:
        at_k = share * max_at_k(others, k) if share else Fraction(0)
        return at_k + ((1 - share) * max_at_k(others, k - 1) if share < 1 else 0)

    return tuple(credit - Fraction(k, n) * baseline(without(g, i)) for i, credit in enumerate(s(g, k)))


def mixed(g: Group, k: int, lam: Fraction) -> Group:
    """Less k / n of a mixture of the others' estimates at k and k - 1; at k = 1 of their mean."""
    n = len(g)

    def baseline(others: Group) -> Fraction:
        at_k = lam * max_at_k(others, k) if lam else Fraction(0)
        return at_k + ((1 - lam) * max_at_k(others, max(k - 1, 1)) if lam != 1 else 0)

    return tuple(credit - Fraction(k, n) * baseline(without(g, i)) for i, credit in enumerate(s(g, k)))


def history(g: Group, k: int, baseline: Fraction) -> Group:
    """Less k / n of a number that does not come from the group."""
    return tuple(credit - Fraction(k, len(g)) * baseline for credit in s(g, k))


def alpha_loo(g: Group, k: int) -> Group:
    """1 / n of the shaping alpha, estimated from the others, times the reward less the others' mean."""
    n, credits = len(g), []
    for i, reward in enumerate(g):
        c = int(sum(without(g, i)))
        alpha = Fraction(k * comb(n - 1 - c, k - 1), comb(n - 1, k - 1))
        credits.append(alpha * (reward - Fraction(c, n - 1)) / n)
    return tuple(credits)


def statistic(members: Iterable[Fraction], weights: Sequence[Fraction]) -> Fraction:
    return sum((weight * each for weight, each in zip(weights, sorted(members), strict=True)), Fraction(0))


def l_statistic(g: Group, weights: Sequence[Fraction]) -> Group:
    """What each k-subset's statistic changes where i becomes a copy of another, averaged over which."""
    n, k = len(g), len(weights)
    if k == 1:
        return tuple(weights[0] * credit for credit in centered(g, 1))
    credits = [Fraction(0)] * n
    for members in combinations(range(n), k):
        whole = statistic([g[i] for i in members], weights)
        for i in members:
            others = [g[j] for j in members if j != i]
            credits[i] += whole - mean(statistic([*others, copy], weights) for copy in others)
    return tuple(credit / comb(n, k) for credit in credits)


# Those of pkpo.TRANSFORMS that take any rewards.
TRANSFORMS: Mapping[str, Callable[[Group, int], Group]] = {
    "s": s,
    "sloo": sloo,
    "sloo_minus_one": sloo_minus_one,
    "centered": centered,
    "plugin": plugin,
}
SMALLEST_N: Mapping[str, Callable[[int], int]] = {
    "s": lambda k: k,
    "sloo": lambda k: k + 1,
    "sloo_minus_one": lambda k: max(k, 2),
    "centered": lambda k: k + 1,
    "plugin": lambda k: max(k, 2),
}


def ks_of(name: str, n: int) -> list[int]:
    return [k for k in range(1, n + 1) if SMALLEST_N[name](k) <= n]


def ulps(actual: ArrayLike, exact: Fraction, of: Fraction | None = None) -> float:
    """The error in units in the last place of the exact value, or of another reference."""
    error = abs(Fraction(float(np.asarray(actual))) - exact)
    return float(error / Fraction(float(np.spacing(float(abs(exact if of is None else of))))))


def worst_ulps(actual: NDArray[np.float64], exact: Sequence[Fraction], of: Fraction | None = None) -> float:
    return max(ulps(a, e, of) for a, e in zip(actual, exact, strict=True))


# Ties are common, as they are in graded completions; fractions of 1/7 and the like fill every bit of a float.
rewards = st.one_of(
    st.sampled_from([0.0, 1.0]),
    st.sampled_from([-1.0, -0.0, 0.0, 0.1, 0.5, 1.0]),
    st.integers(-20, 20).map(lambda i: i / 7),
    st.floats(-1e6, 1e6, allow_subnormal=False),
)


@st.composite
def groups(draw: st.DrawFn, min_n: int = 1, max_n: int = 8) -> list[float]:
    return draw(st.lists(rewards, min_size=min_n, max_size=max_n))
