"""How many completions and problems an interval of a wanted width takes, and what more completions cannot buy."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpo import inputs
from pkpo.estimators import fail_at_k
from pkpo.intervals import student_t
from pkpo.variance import overlap_shares

Problems = Literal["sample", "fixed"]


@dataclass(frozen=True)
class Pilot:
    """Made by from_counts: what a pilot evaluation says of the variance of mean pass@k at other sizes.

    The variance of the mean over P problems with n completions each is (between + within(n)) / P: between problems
    their pass@k differs, within a problem its estimate does. More completions lower the second part only.
    """

    k: int
    between: float  # variance of pass@k over problems; unbiased, so it may be negative where problems are alike
    fails: tuple[float, ...]  # mean fail@j over the pilot's problems, j = 0..2k
    problems: int

    @classmethod
    def from_counts(cls, n: ArrayLike, c: ArrayLike, k: int) -> Self:
        """The pilot of problems with n completions each of which c passed, shape (P,), P >= 2, n >= 2k.

        With f_i(j) = C(n-c, j) / C(n, j), unbiased for q_i^j: between is the sample variance of f_i(k) less the mean of
        its unbiased variances f_i(k)^2 - f_i(2k).

        Raises:
          ValueError: counts or k out of range, one problem, or n below 2k.
        """
        k = inputs.attempts(k)
        totals, passed = (np.atleast_1d(each) for each in inputs.tallies(n, c))
        if totals.ndim != 1 or len(totals) < 2:
            raise ValueError(f"a pilot needs at least 2 problems; got shape {totals.shape}")
        if totals.min() < 2 * k:
            raise ValueError(f"a pilot for k={k} needs n >= {2 * k} completions of each problem; got n={totals.min()}")
        each = np.stack([np.ones(len(totals)), *(fail_at_k(totals, passed, j) for j in range(1, 2 * k + 1))])
        between = each[k].var(ddof=1) - (np.square(each[k]) - each[2 * k]).mean()
        return cls(k, float(between), tuple(each.mean(axis=1).tolist()), len(totals))

    def within(self, n: int) -> float:
        """The mean variance of pass_at_k of a problem with n >= k completions; unbiased for any n, the pilot's or not.

        sum_{j=1..k} H(j) (f(2k-j) - f(2k)) with the overlaps H of pass_at_k_variance at n and f the means of the pilot.
        """
        n = self._completions(n)
        j = np.arange(max(0, 2 * self.k - n), self.k + 1)
        fails = np.array(self.fails)
        shares: NDArray[np.float64] = overlap_shares(n, self.k, j.astype(np.float64))
        return float((shares * (fails[2 * self.k - j] - fails[2 * self.k])).sum())

    def half_width(self, n: int, problems: int, level: float = 0.95, *, of: Problems = "sample") -> float:
        """Half the width of the interval for mean pass@k that n completions of each of so many problems should have.

        of="sample": Student's t for new problems of the kind; "fixed": the normal for other completions of the same.

        Raises:
          ValueError: sizes out of range, or a variance below 0, as estimates from a small pilot can give.
        """
        level, problems = inputs.level_of(level), inputs.whole("problems", problems)
        if of == "sample" and problems < 2:
            raise ValueError(f"an interval over a sample of problems needs at least 2; got {problems}")
        variance = self.within(n) + (self.between if of == "sample" else 0.0)
        return _quantile(level, problems, of) * math.sqrt(_not_negative(variance) / problems)

    def completions_needed(
        self, half_width: float, problems: int, level: float = 0.95, *, of: Problems = "sample", most: int = 2**20
    ) -> int:
        """The fewest completions of each of so many problems for this half-width.

        Raises:
          ValueError: the half-width is below what any number of completions gives, the floor: then only more problems
            help; or more than `most` completions are needed.
        """
        wanted = _positive(half_width)
        problems, level = inputs.whole("problems", problems), inputs.level_of(level)
        floor = self.floor(problems, level) if of == "sample" else 0.0
        if wanted <= floor:
            raise ValueError(
                f"no number of completions gives a half-width of {wanted:g} with {problems} problems: how they differ"
                f" leaves {floor:.6g}; take at least {self.problems_needed(wanted, most, level)} problems"
            )
        needed = _least(self.k, most, lambda n: self.half_width(n, problems, level, of=of) <= wanted)
        if needed is None:
            raise ValueError(f"a half-width of {wanted:g} with {problems} problems takes more than {most} completions")
        return needed

    def problems_needed(self, half_width: float, n: int, level: float = 0.95) -> int:
        """The fewest problems, as a sample, with n completions each, for this half-width.

        Raises:
          ValueError: sizes out of range, or more than 2^31 problems are needed.
        """
        wanted, level = _positive(half_width), inputs.level_of(level)
        needed = _least(2, 2**31, lambda problems: self.half_width(n, problems, level) <= wanted)
        if needed is None:
            raise ValueError(f"a half-width of {wanted:g} takes more than {2**31} problems")
        return needed

    def floor(self, problems: int, level: float = 0.95) -> float:
        """The half-width that remains with so many problems however many completions; 0 where between is below 0."""
        return _quantile(inputs.level_of(level), problems, "sample") * math.sqrt(max(self.between, 0.0) / problems)

    def _completions(self, n: int) -> int:
        n = inputs.whole("n", n)
        if n < self.k:
            raise ValueError(f"n must be at least k; got n={n}, k={self.k}")
        return n


def _quantile(level: float, problems: int, of: Problems) -> float:
    if of == "fixed":
        return NormalDist().inv_cdf((1 + level) / 2)
    if of == "sample":
        return student_t(level, inputs.whole("problems - 1", problems - 1))
    raise ValueError(f"of must be sample or fixed; got {of!r}")


def _positive(half_width: float) -> float:
    wanted = inputs.finite("half_width", half_width)
    if wanted <= 0:
        raise ValueError(f"half_width must be above 0; got {half_width}")
    return wanted


def _not_negative(variance: float) -> float:
    if variance < 0:
        raise ValueError(f"the pilot puts the variance at {variance:.3g}, below 0: it is too small to plan by")
    return variance


def _least(lowest: int, highest: int, enough: Callable[[int], bool]) -> int | None:
    """The least number that is enough, if those above it are too; None where the highest is not."""
    if enough(lowest):
        return lowest
    step = lowest
    while not enough(step):
        if step >= highest:
            return None
        lowest, step = step, min(2 * step, highest)
    while step - lowest > 1:
        middle = (lowest + step) // 2
        lowest, step = (lowest, middle) if enough(middle) else (middle, step)
    return step
