"""What is kept of each step of a training: its groups, and its figures."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pkpo.estimators import max_at_ks

ROLLING: Final = 10  # steps that pass@k is averaged over
WHOLE: Final = 1.0  # the reward of a solved problem


@dataclass(frozen=True)
class GroupRecord:
    """The rewards of a problem at a step, None where missing, and the credits that they became."""

    problem: str
    rewards: tuple[float | None, ...]
    credits: tuple[float | None, ...]
    k: Mapping[int, float]


@dataclass(frozen=True)
class StepRecord:
    """A step, counted from 1, as it is stored."""

    step: int
    groups: tuple[GroupRecord, ...]
    transform: str
    scale: str
    metrics: Mapping[str, float]


@dataclass
class Tally:
    """What the figures of a step need of those before it. JSON can hold it."""

    ks: Sequence[int]
    problems: int  # that there are to solve
    solved: set[str] = field(default_factory=set)
    last_new: int = 0  # the step at which a problem was solved for the first time
    _recent: deque[dict[str, float]] = field(default_factory=lambda: deque(maxlen=ROLLING))

    def add(self, step: int, rewards: NDArray[np.float64], problems: Sequence[str]) -> dict[str, float]:
        """The figures of a step's rewards, shape (P, n) with nan for missing, and of the steps before it."""
        new = {name for name, group in zip(problems, rewards, strict=True) if (group >= WHOLE).any()} - self.solved
        if new:
            self.solved |= new
            self.last_new = step
        self._recent.append(_estimates(rewards, self.ks))
        there = rewards[~np.isnan(rewards)]
        return {
            "reward/mean": float(there.mean()) if there.size else np.nan,
            "reward/std": float(there.std()) if there.size else np.nan,
            "cumulative_solve_rate": len(self.solved) / self.problems,
            **self._rolling(),
        }

    def _rolling(self) -> dict[str, float]:
        """The means over the last steps; of pass@k where all rewards of these were 0 or 1, else of max@k."""
        names = set.intersection(*(set(each) for each in self._recent))
        if any(name.startswith("pass@") for name in names):
            names = {name for name in names if name.startswith("pass@")}
        return {name: float(np.mean([each[name] for each in self._recent])) for name in sorted(names)}

    def saved(self) -> dict[str, Any]:
        """What JSON can hold of it."""
        return {"solved": sorted(self.solved), "last_new": self.last_new, "recent": list(self._recent)}

    def resume(self, saved: Mapping[str, Any]) -> None:
        """Go on from what saved() gave."""
        self.solved, self.last_new = set(saved["solved"]), saved["last_new"]
        self._recent = deque(saved["recent"], maxlen=ROLLING)


def _estimates(rewards: NDArray[np.float64], ks: Sequence[int]) -> dict[str, float]:
    """The mean of max@k, and pass@k, over the groups that have rewards enough for every k."""
    valid = ~np.isnan(rewards)
    whole = valid.sum(axis=1) >= max(ks)
    if not whole.any():
        return {}
    means = max_at_ks(np.where(valid, rewards, 0.0)[whole], ks, valid[whole]).mean(axis=0)
    found = {f"max@{k}": float(mean) for k, mean in zip(ks, means, strict=True)}
    if np.isin(rewards[valid], (0.0, 1.0)).all():
        found |= {f"pass@{k}": float(mean) for k, mean in zip(ks, means, strict=True)}
    return found


def group_records(
    rewards: NDArray[np.float64],
    credits: NDArray[np.float64],
    problems: Sequence[str],
    ks: Sequence[Mapping[int, float]],
) -> tuple[GroupRecord, ...]:
    """A record of each group; a completion without a reward has no credit either."""
    missing = np.isnan(rewards)
    return tuple(
        GroupRecord(name, _listed(group, gone), _listed(made, gone), k)
        for name, group, made, gone, k in zip(problems, rewards, credits, missing, ks, strict=True)
    )


def _listed(values: NDArray[np.float64], missing: NDArray[np.bool_]) -> tuple[float | None, ...]:
    return tuple(None if gone else float(value) for value, gone in zip(values, missing, strict=True))
