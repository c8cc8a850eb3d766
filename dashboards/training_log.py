"""What a run has logged, as its page draws it: series by the names that the pages know, whoever logged them.

Names are those that our training jobs log. TRL's and verl's mean the same under others, and are taken for them; a
metric that no page knows is a series like any other, in the list at the end.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isnan, nan

# What ours are called elsewhere, without the prefix that says of what part of a trainer they are.
OTHER_NAMES = {
    "reward": "reward/mean",
    "rewards/mean": "reward/mean",
    "critic/rewards/mean": "reward/mean",
    "reward_std": "reward/std",
    "zero_signal_groups": "zero_signal_share",
    "num_tokens": "tokens",
    "pg_loss": "loss",
    "ppo_kl": "kl",
    "lr": "learning_rate",
}
PREFIX = re.compile(r"^(train|pkpo|actor)/")
PASS_AT = re.compile(r"^(?:pass|max)@([1-9][0-9]{0,6})$")
PHASES = ("sampling", "verifying", "learning", "pkpo")
KNOWN = (
    *("reward/mean", "reward/std", "cumulative_solve_rate", "entropy", "grad_norm", "zero_signal_share", "k"),
    *("learning_rate", "loss", "kl", "tokens", "mean_abs_credit"),
    *(f"seconds/{phase}" for phase in PHASES),
)


@dataclass(frozen=True)
class Point:
    """The values of a metric at neighbouring steps: their mean and extent, nan where none of them is finite."""

    first_step: int
    last_step: int
    steps: int
    mean: float
    low: float = nan
    high: float = nan
    not_finite: int = 0
    first_not_finite: int | None = None

    @property
    def step(self) -> float:
        """Where it is drawn."""
        return (self.first_step + self.last_step) / 2 if self.first_step != self.last_step else self.first_step


@dataclass(frozen=True)
class Series:
    """A metric over the steps of a run."""

    name: str
    """As it was logged; of what was estimated from groups, as it would be."""
    points: tuple[Point, ...]
    given_up: tuple[tuple[int, tuple[Point, ...]], ...] = ()
    """By segment what it logged at steps that a later segment logged again, or began before."""
    from_groups: bool = False

    @property
    def finite(self) -> tuple[Point, ...]:
        """The points that have a mean."""
        return tuple(point for point in self.points if not isnan(point.mean))


@dataclass(frozen=True)
class Life:
    """A segment of a run: the steps that it logged; `until` where a later one has taken over from some step on."""

    segment: int
    first_step: int
    last_step: int
    until: int | None


@dataclass(frozen=True)
class TrainingLog:
    """All that a run has logged, short enough to draw."""

    lives: tuple[Life, ...]
    width: int
    """Steps that each point stands for."""
    known: Mapping[str, Series] = field(default_factory=dict)
    """By our name."""
    others: tuple[Series, ...] = ()
    unlisted: int = 0
    """Further metrics, which the list has no place for."""

    @property
    def first_step(self) -> int:
        """Of all segments."""
        return min(life.first_step for life in self.lives)

    @property
    def last_step(self) -> int:
        """Of the latest segment, which is where the run stands."""
        return self.lives[-1].last_step

    def passes(self, metric: str = "pass") -> dict[int, Series]:
        """The series of pass@k, or of max@k, by k."""
        found = {name: PASS_AT.match(name) for name in self.known if name.startswith(f"{metric}@")}
        return {int(match[1]): self.known[name] for name, match in sorted_by_k(found) if match}


def sorted_by_k(found: Mapping[str, re.Match[str] | None]) -> list[tuple[str, re.Match[str] | None]]:
    """By k as a number."""
    return sorted(found.items(), key=lambda entry: int(entry[1][1]) if entry[1] else 0)


def known_name(name: str) -> str | None:
    """Our name of what is logged under this one; None for a metric that no page knows."""
    short = PREFIX.sub("", name)
    ours = OTHER_NAMES.get(short, short)
    return ours if ours in KNOWN or PASS_AT.match(ours) else None


def by_known_name(names: Iterable[str]) -> dict[str, str]:
    """The logged name of each metric that the pages know. Of two that mean the same the one under our own name."""
    found: dict[str, str] = {}
    for name in sorted(names, key=lambda each: (known_name(each) != each, each)):
        ours = known_name(name)
        if ours is not None:
            found.setdefault(ours, name)
    return found
