"""The SQL of an evaluation's problems under one verifier: any part of the list, in any of its orders."""

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Float, Select, and_, cast, func, literal, or_, select, tuple_
from sqlalchemy.orm import Session

from app.models import Evaluation, EvaluationProblem, GroupStatistics, Problem

SortKey: TypeAlias = Literal["problem", "n", "missing", "solve_rate", "mean_reward"]

DIGITS: Final = 20


@dataclass(frozen=True)
class ProblemCounts:
    """A problem, and what the verifier says of its completions."""

    id: int
    problem: str
    n: int  # completions with a known `passed`
    c: int  # of them passed
    n_rewards: int
    missing: int
    rewards: NDArray[np.float64] | None  # None where they were not asked for
    position: tuple[float | None, str, int]  # in the order of the list


@dataclass(frozen=True)
class ProblemsWanted:
    """Which problems, and how they are listed."""

    evaluation: Evaluation
    verifier_id: int
    expected: int  # completions of each
    sort: SortKey = "problem"
    descending: bool = False
    containing: str = ""
    rewards: bool = False
