"""What the service answers, with names and types."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

Metric = Literal["pass_at_k", "fail_at_k", "pass_hat_k", "max_at_k", "min_at_k"]
Missing = Literal["error", "drop", "fail"]


@dataclass(frozen=True)
class Sent:
    """Rows that the service has: `accepted` were new, `replayed` were there already, the same."""

    accepted: int = 0
    replayed: int = 0

    def __add__(self, other: "Sent") -> "Sent":
        """The totals of both."""
        return Sent(self.accepted + other.accepted, self.replayed + other.replayed)


@dataclass(frozen=True)
class Verified:
    """What became of verdicts: the first of a verifier on a completion, in place of another, there already."""

    added: int = 0
    replaced: int = 0
    unchanged: int = 0

    def __add__(self, other: "Verified") -> "Verified":
        """The totals of both."""
        return Verified(self.added + other.added, self.replaced + other.replaced, self.unchanged + other.unchanged)


@dataclass(frozen=True, eq=False)
class Transformed:
    """Credits of groups of rewards.

    Attributes:
      credits: float64 of the rewards' shape, 0 where a reward is missing, as in the library.
      max_at_k: the estimate of each group, weighted over k, nan where it has fewer than k rewards; None where an array
        was sent, for then the service answers with the credits alone.
      recorded: the segment and totals, where the groups were stored.
    """

    credits: NDArray[np.float64]
    max_at_k: NDArray[np.float64] | None = None
    recorded: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Evaluation:
    """One checkpoint (run and step) on one problem set with one sampling configuration."""

    id: str
    run: str
    step: int
    problem_set: str  # with its version
    sampling: Mapping[str, Any]
    model: str | None
    n: int | None  # completions per problem, declared beforehand
    iid: bool

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """The evaluation of an answer."""
        return cls(**{name: answer[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Point:
    """The metric at one k: the mean over problems, its standard error and interval; None with one problem only."""

    k: int
    value: float
    standard_error: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Curve:
    """The curve of an evaluation: every number with its n, its interval and its problems."""

    metric: Metric
    estimator: str  # the formula per problem
    points: tuple[Point, ...]  # in ascending k, all over the same problems
    level: float | None  # of the interval; None where one problem says nothing of the spread
    problems_used: int
    problems_total: int
    n_min: int
    n_max: int
    missing: Missing
    unbiased: bool  # independent completions, of every problem just the n declared, or where none was, equally many
    verifier: str

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """The curve of an answer."""
        same = {name: answer[name] for name in cls.__dataclass_fields__ if name not in ("points", "level")}
        level = answer["interval"] and answer["interval"]["level"]
        return cls(**same, points=_points(answer), level=level)

    def at(self, k: int) -> Point:
        """The point at k; ValueError where the curve has none."""
        for point in self.points:
            if point.k == k:
                return point
        raise ValueError(f"the curve has no point at k={k}, only at {', '.join(str(each.k) for each in self.points)}")


@dataclass(frozen=True)
class Difference:
    """The mean of b − a over problems at one k, its interval and p-value; no interval with one problem only."""

    k: int
    difference: float
    low: float | None
    high: float | None
    p_value: float


@dataclass(frozen=True)
class Comparison:
    """What changed from one evaluation to another of the same problems."""

    metric: Metric
    points: tuple[Difference, ...]  # in ascending k
    level: float | None  # of the interval; None where one problem says nothing of the spread
    test: str  # of the p-values
    seed: int | None  # of the signs that it drew, None where all were tried
    newly_solved: tuple[str, ...] | None  # never passed in a, at least once in b; None for metrics of rewards
    forgotten: tuple[str, ...] | None  # passed at least once in a, never in b
    problems_used: int
    problems_total: int
    missing: Missing
    unbiased: bool  # the curves of both are
    verifier: str

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """The comparison of an answer."""
        own = ("points", "level", "test", "seed", "newly_solved", "forgotten")
        solved, forgotten = (
            None if answer[name] is None else tuple(answer[name]) for name in ("newly_solved", "forgotten")
        )
        return cls(
            **{name: answer[name] for name in cls.__dataclass_fields__ if name not in own},
            points=tuple(Difference(**each) for each in answer["points"]),
            level=answer["interval"] and answer["interval"]["level"],
            test=answer["test"]["method"],
            seed=answer["test"]["seed"],
            newly_solved=solved,
            forgotten=forgotten,
        )


@dataclass(frozen=True)
class Checkpoint:
    """One evaluation of a run, with its curve's points; none where it is `refused`, which says why."""

    step: int
    evaluation: str
    problem_set: str
    points: tuple[Point, ...]
    problems_used: int | None
    problems_total: int | None
    n_min: int | None
    n_max: int | None
    unbiased: bool | None
    verifier: str | None
    refused: str | None

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """The checkpoint of an answer."""
        same = {name: answer[name] for name in cls.__dataclass_fields__ if name not in ("points", "refused")}
        return cls(**same, points=_points(answer), refused=answer["refused"] and answer["refused"]["detail"])


@dataclass(frozen=True)
class MissingOfProblem:
    """The sample indexes that one problem lacks, ascending."""

    problem: str
    sample_indexes: tuple[int, ...]


def _points(answer: Mapping[str, Any]) -> tuple[Point, ...]:
    return tuple(Point(**each) for each in answer["points"])
