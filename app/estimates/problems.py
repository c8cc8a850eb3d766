"""An evaluation's problems one by one, in the order that the reader asks for.

Sorted here, not in SQL: Postgres computes no mean of rewards near 1e308. A thousand problems take three milliseconds to
count; with the rewards of 500 completions each, where they are sorted by their mean, fifty.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from app.estimates import kept, queries
from app.estimates.curves import FROM_COUNTS, FROM_REWARDS, Design, Statistics
from app.estimates.errors import UnknownVerifier
from app.estimates.schemas import Metric, ProblemsQuery
from app.estimates.service import design_of
from app.models import Evaluation
from app.paging import Page, decode, page
from pkpo.estimators import max_at_ks

Value = str | float | None
NO_REWARDS: Final = np.empty(0)
NOTHING: Final = np.empty(0, dtype=np.int64)
NO_PROBLEMS: Final = Statistics(NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING)
PLACES_AT_ONCE: Final = 1_048_576  # rewards sorted together: eight megabytes
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
    found = _counts(session, evaluation, verifier_id, rewards=by_mean)
    rows = _rows(found, design_of(evaluation), names)
    if found.rewards is not None:
        rows = _estimated(rows, _by_id(found), metric, ())
    listed = page(
        _after(query, _sorted(rows, query.sort)), query.limit, lambda last: (_value(last, query.sort), last.id)
    )
    rewards = queries.rewards(session, evaluation.id, verifier_id, [row.id for row in listed.items])
    return ProblemTable(Page(tuple(_estimated(listed.items, rewards, metric, ks)), listed.next_cursor), len(rows))


def one_problem(
    session: Session, evaluation: Evaluation, verifier: str, problem_id: int, metric: Metric, ks: Sequence[int]
) -> ProblemRow:
    """A problem of the evaluation's set, with the metric at each k."""
    verifier_id = _verifier_id(session, evaluation, verifier)
    found = _counts(session, evaluation, verifier_id)
    name = queries.problem_names(session, evaluation.problem_set_id)[problem_id]
    rows = _rows(found, design_of(evaluation), {problem_id: name})
    rewards = queries.rewards(session, evaluation.id, verifier_id, [problem_id])
    return _estimated(rows, rewards, metric, ks)[0]


def every_problem(
    session: Session, evaluation: Evaluation, verifier: str, metric: Metric, ks: Sequence[int]
) -> list[ProblemRow]:
    """All problems by name, each with the metric at each k."""
    names = queries.problem_names(session, evaluation.problem_set_id)
    found = _counts(session, evaluation, _verifier_id(session, evaluation, verifier), rewards=True)
    return _sorted(_estimated(_rows(found, design_of(evaluation), names), _by_id(found), metric, ks), "problem")


def _counts(session: Session, evaluation: Evaluation, verifier_id: int, rewards: bool = False) -> Statistics:
    """The counts of the evaluation, from memory where they are kept there; the rewards never are."""
    wanted = {evaluation.id: verifier_id}
    if rewards:
        return queries.statistics(session, wanted, rewards=True).get(evaluation.id, NO_PROBLEMS)
    return kept.counts(session, wanted, kept.states(session, [evaluation])).get(evaluation.id, NO_PROBLEMS)


def _by_id(statistics: Statistics) -> dict[int, NDArray[np.float64]]:
    """The rewards of each problem."""
    return dict(zip(statistics.problem_ids.tolist(), statistics.rewards or (), strict=True))


def _verifier_id(session: Session, evaluation: Evaluation, verifier: str | None) -> int:
    if verifier is None:
        return 0  # the id of none
    verifiers = kept.verifiers(session, [evaluation])[evaluation.id]
    if verifier not in verifiers:
        raise UnknownVerifier(list(verifiers))
    return verifiers[verifier]


def _rows(statistics: Statistics, design: Design, names: Mapping[int, str]) -> list[ProblemRow]:
    """The problems that have a name here, without what takes their rewards to say."""
    if not len(statistics.n):
        return []
    counts = statistics.drawn_as(design)
    columns = (counts.problem_ids, counts.completions, counts.n_rewards, counts.n, counts.c, counts.wanted(design))
    return [
        ProblemRow(id_, names[id_], completions, n, c if judged == n else None, wanted - n)
        for id_, completions, n, judged, c, wanted in zip(*(each.tolist() for each in columns), strict=True)
        if id_ in names
    ]


def _estimated(
    rows: Sequence[ProblemRow], rewards: Mapping[int, NDArray[np.float64]], metric: Metric, ks: Sequence[int]
) -> list[ProblemRow]:
    """The rows with the mean of their rewards, which lie by id, and the metric at each k."""
    if not rows:
        return []
    drawn = [rewards.get(row.id, NO_REWARDS) for row in rows]
    means = _from_rewards(drawn, "max_at_k", [1])[:, 0]  # right where a sum would overflow
    estimates = _from_rewards(drawn, metric, ks) if metric in FROM_REWARDS else _from_counts(rows, metric, ks)
    return [
        replace(row, mean_reward=mean, estimates=tuple(each))
        for row, mean, each in zip(rows, means.tolist(), estimates.tolist(), strict=True)
    ]


def _from_rewards(rewards: Sequence[NDArray[np.float64]], metric: Metric, ks: Sequence[int]) -> NDArray[np.float64]:
    """The metric of each problem at each k, shape (P, len(ks)); nan where it has fewer rewards than k."""
    sign = -1.0 if metric == "min_at_k" else 1.0
    estimates = np.full((len(rewards), len(ks)), nan)
    sizes = np.array([len(each) for each in rewards])
    for size in np.unique(sizes[sizes > 0]).tolist():
        within = [k for k in ks if k <= size]
        of_size = np.flatnonzero(sizes == size)
        for some in np.array_split(of_size, -(-len(of_size) * size // PLACES_AT_ONCE)):
            found = sign * max_at_ks(sign * np.stack([rewards[i] for i in some]), within)
            estimates[np.ix_(some, [k <= size for k in ks])] = found
    return estimates


def _from_counts(rows: Sequence[ProblemRow], metric: Metric, ks: Sequence[int]) -> NDArray[np.float64]:
    """The same from counts; nan where some of the problem's results have a reward only, too."""
    n = np.array([row.n if row.c is not None else 0 for row in rows], dtype=np.int64)
    c = np.array([row.c or 0 for row in rows], dtype=np.int64)
    estimates = np.full((len(rows), len(ks)), nan)
    for i, k in enumerate(ks):
        enough = n >= k
        estimates[enough, i] = FROM_COUNTS[metric](n[enough], c[enough], k)
    return estimates


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
