"""An evaluation's problems one by one, in the order that the reader asks for.

Sorted here, not in SQL: Postgres computes no mean of rewards near 1e308. A thousand problems take three milliseconds to
count; with the rewards of 500 completions each, where they are sorted by their mean, fifty.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from app.estimates import queries
from app.estimates.cursors import Page, decode, page
from app.estimates.curves import FROM_COUNTS, FROM_REWARDS, Design, Statistics
from app.estimates.errors import UnknownVerifier
from app.estimates.schemas import Metric, ProblemsQuery
from app.estimates.service import design_of
from app.models import Evaluation
from pkpo.estimators import max_at_k

Value = str | float | None
NO_REWARDS: Final = np.empty(0)
DIGITS: Final = 20  # of the longest number in a name that counts as one


@dataclass(frozen=True)
class ProblemRow:
    """One problem of an evaluation under one verifier."""

    id: int
    problem: str
    completions: int
    n: int  # completions with a result
    c: int | None  # of them passed; None where the verifier gave some only a reward
    missing: int
    mean_reward: float = nan  # nan without a reward
    estimates: tuple[float, ...] = ()  # of the metric at each k; nan where there are too few completions

    @property
    def solve_rate(self) -> float:
        """c/n; nan where either is unknown."""
        return self.c / self.n if self.c is not None and self.n else nan


@dataclass(frozen=True)
class ProblemTable:
    """A page of an evaluation's problems."""

    page: Page[ProblemRow]
    matching: int  # problems whose name contains the filter, on all pages


def problem_table(
    session: Session,
    evaluation: Evaluation,
    verifier: str | None,
    query: ProblemsQuery,
    metric: Metric = "pass_at_k",
    ks: Sequence[int] = (),
) -> ProblemTable:
    """A page of the problems whose name contains the filter, each with the metric at each k.

    Without a verifier no completion has a result.
    """
    verifier_id = _verifier_id(session, evaluation, verifier)
    by_mean = query.sort.removeprefix("-") == "mean_reward"
    names = queries.problem_names(session, evaluation.problem_set_id, query.filter)
    found = queries.statistics(session, {evaluation.id: verifier_id}, rewards=by_mean)
    rows = [row for each in found.values() for row in _rows(each, design_of(evaluation), names, metric, ())]
    listed = page(
        _after(query, _sorted(rows, query.sort)), query.limit, lambda last: (_value(last, query.sort), last.id)
    )
    rewards = queries.rewards(session, evaluation.id, verifier_id, [row.id for row in listed.items])
    shown = (_estimated(row, rewards.get(row.id, NO_REWARDS), metric, ks) for row in listed.items)
    return ProblemTable(Page(tuple(shown), listed.next_cursor), len(rows))


def one_problem(
    session: Session, evaluation: Evaluation, verifier: str, problem_id: int, metric: Metric, ks: Sequence[int]
) -> ProblemRow:
    """A problem of the evaluation's set, with the metric at each k."""
    verifier_id = _verifier_id(session, evaluation, verifier)
    found = queries.statistics(session, {evaluation.id: verifier_id}, rewards=False)
    name = queries.problem_names(session, evaluation.problem_set_id)[problem_id]
    (row,) = _rows(found[evaluation.id], design_of(evaluation), {problem_id: name}, metric, ())
    rewards = queries.rewards(session, evaluation.id, verifier_id, [problem_id])
    return _estimated(row, rewards.get(problem_id, NO_REWARDS), metric, ks)


def every_problem(
    session: Session, evaluation: Evaluation, verifier: str, metric: Metric, ks: Sequence[int]
) -> list[ProblemRow]:
    """All problems by name, each with the metric at each k."""
    names = queries.problem_names(session, evaluation.problem_set_id)
    found = queries.statistics(session, {evaluation.id: _verifier_id(session, evaluation, verifier)}, rewards=True)
    rows = (row for each in found.values() for row in _rows(each, design_of(evaluation), names, metric, ks))
    return _sorted(rows, "problem")


def _verifier_id(session: Session, evaluation: Evaluation, verifier: str | None) -> int:
    if verifier is None:
        return 0  # the id of none
    verifiers = queries.verifiers(session, [evaluation.id])[evaluation.id]
    if verifier not in verifiers:
        raise UnknownVerifier(list(verifiers))
    return verifiers[verifier]


def _rows(
    statistics: Statistics, design: Design, names: Mapping[int, str], metric: Metric, ks: Sequence[int]
) -> Iterator[ProblemRow]:
    """The problems that have a name here, with what their rewards show where those were read."""
    counts = statistics.drawn_as(design)
    columns = (counts.problem_ids, counts.completions, counts.n_rewards, counts.n, counts.c, counts.wanted(design))
    for i, (id_, completions, n, judged, c, wanted) in enumerate(
        zip(*(each.tolist() for each in columns), strict=True)
    ):
        if id_ in names:
            row = ProblemRow(id_, names[id_], completions, n, c if judged == n else None, wanted - n)
            yield row if counts.rewards is None else _estimated(row, counts.rewards[i], metric, ks)


def _estimated(row: ProblemRow, rewards: NDArray[np.float64], metric: Metric, ks: Sequence[int]) -> ProblemRow:
    mean = float(max_at_k(rewards, 1)) if len(rewards) else nan  # right where a sum would overflow
    return replace(row, mean_reward=mean, estimates=tuple(_estimate(row, rewards, metric, k) for k in ks))


def _estimate(row: ProblemRow, rewards: NDArray[np.float64], metric: Metric, k: int) -> float:
    if metric in FROM_REWARDS:
        return float(FROM_REWARDS[metric](rewards, k)) if k <= len(rewards) else nan
    return nan if row.c is None or k > row.n else float(FROM_COUNTS[metric](row.n, row.c, k))


def _value(row: ProblemRow, sort: str) -> Value:
    """What the row is sorted by; None where it is not known."""
    value: str | float = getattr(row, sort.removeprefix("-"))
    return None if isinstance(value, float) and isnan(value) else value


def _key(value: str | float) -> str | float:
    """What sorts as the value should: numbers in names count as numbers, sample_2 before sample_10."""
    return re.sub("[0-9]+", lambda number: number[0].zfill(DIGITS), value) if isinstance(value, str) else value


def _sorted(rows: Iterable[ProblemRow], sort: str) -> list[ProblemRow]:
    """The rows in order, by id where they are equal; those without what they are sorted by come last either way."""
    valued = [(_value(row, sort), row) for row in sorted(rows, key=lambda row: row.id)]
    known = [(_key(value), row) for value, row in valued if value is not None]
    known.sort(key=lambda entry: cast(float, entry[0]), reverse=sort.startswith("-"))
    return [row for _, row in known] + [row for value, row in valued if value is None]


def _after(query: ProblemsQuery, rows: Sequence[ProblemRow]) -> Sequence[ProblemRow]:
    """The sorted rows behind the place where the page before ended."""
    if query.cursor is None:
        return rows
    kinds: tuple[type, ...] = (str,) if query.sort.removeprefix("-") == "problem" else (int, float, type(None))
    ended = cast(tuple[Value, int], decode(query.cursor, kinds, (int,)))
    return [row for row in rows if _follows((_value(row, query.sort), row.id), ended, query.sort.startswith("-"))]


def _follows(place: tuple[Value, int], ended: tuple[Value, int], descending: bool) -> bool:
    (value, id_), (last_value, last_id) = place, ended
    if value is None or last_value is None:
        return value is None and (last_value is not None or id_ > last_id)
    key, last_key = cast(float, _key(value)), cast(float, _key(last_value))
    return id_ > last_id if key == last_key else (key < last_key) == descending
