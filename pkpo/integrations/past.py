"""What earlier steps of a training found of each problem: the baseline of history, which no completion of now is in."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pkpo.estimators import max_at_ks

Floats = NDArray[np.float64]


@dataclass
class Past:
    """A moving average of max_g@k of each problem over the steps it was drawn in, at k = 1..largest.

    A problem that was never drawn takes the mean of those that were, and before the first step 0. What is drawn in a
    step counts from the next one on, so that every baseline is fixed before the completions that it is taken off.

    decay: in [0, 1), the weight of what was known before; 0 keeps a problem's last step alone.
    """

    decay: float
    largest: int
    known: dict[str, Floats] = field(default_factory=dict)  # shape (largest,), nan where every group was shorter
    drawn: dict[str, Floats] = field(default_factory=dict)  # the same of the step that is under way

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise ValueError(f"decay of history must be in [0, 1); got {self.decay}")

    def baselines(self, problems: Sequence[str]) -> Floats:
        """What is known of each of the problems, shape (P, largest)."""
        unknown = np.full(self.largest, np.nan)
        of_all = _mean(np.array([*self.known.values()])) if self.known else unknown
        of_all = np.where(np.isnan(of_all), 0.0, of_all)
        found = np.array([self.known.get(problem, unknown) for problem in problems]).reshape(-1, self.largest)
        return np.where(np.isnan(found), of_all, found)

    def draw(self, rewards: Floats, problems: Sequence[str]) -> None:
        """Take all groups of the step that is under way, shape (P, n), nan where a reward is missing."""
        groups = defaultdict(list)
        for problem, estimates in zip(problems, _estimates(rewards, self.largest), strict=True):
            groups[problem].append(estimates)
        self.drawn = {problem: _mean(np.array(each)) for problem, each in groups.items()}

    def advance(self) -> None:
        """End the step that is under way."""
        for problem, new in self.drawn.items():
            old = self.known.get(problem, new)
            averaged = self.decay * old + (1 - self.decay) * new
            self.known[problem] = np.where(np.isnan(old), new, np.where(np.isnan(new), old, averaged))
        self.drawn = {}

    def saved(self) -> dict[str, dict[str, list[float | None]]]:
        """What JSON can hold of it."""
        return {"known": _listed(self.known), "drawn": _listed(self.drawn)}

    def resume(self, saved: Mapping[str, Mapping[str, Sequence[float | None]]]) -> None:
        """Go on from what saved() gave, with any number of k."""
        self.known, self.drawn = (self._arrays(saved[name]) for name in ("known", "drawn"))

    def _arrays(self, listed: Mapping[str, Sequence[float | None]]) -> dict[str, Floats]:
        found = {}
        for problem, values in listed.items():
            found[problem] = np.full(self.largest, np.nan)
            kept = np.array(values[: self.largest], dtype=np.float64)  # None becomes nan
            found[problem][: len(kept)] = kept
        return found


def _estimates(rewards: Floats, largest: int) -> Floats:
    """max_g@k of each group at k = 1..largest, nan where it has fewer rewards than k."""
    there = ~np.isnan(rewards)
    sizes, found = there.sum(axis=1), np.full((len(rewards), largest), np.nan)
    for n in np.unique(sizes[sizes > 0]).tolist():
        rows, ks = sizes == n, range(1, min(n, largest) + 1)
        found[rows, : len(ks)] = max_at_ks(np.where(there, rewards, 0.0)[rows], ks, there[rows])
    return found


def _mean(rows: Floats) -> Floats:
    """The mean of each column over what is not nan; nan where all are."""
    there = ~np.isnan(rows)
    counts = there.sum(axis=0)
    means: Floats = np.where(counts, np.where(there, rows, 0.0).sum(axis=0) / np.maximum(counts, 1), np.nan)
    return means


def _listed(arrays: Mapping[str, Floats]) -> dict[str, list[float | None]]:
    return {
        problem: [None if np.isnan(value) else value for value in each.tolist()] for problem, each in arrays.items()
    }
