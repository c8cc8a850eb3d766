"""The completions that an evaluation does not have yet, or has without a verdict: what is left to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from sqlalchemy.orm import Session

from app.estimates import queries
from app.estimates.errors import CountsOnly, UnknownN, VerifierNotFound
from app.estimates.schemas import MOST_N, MissingQuery
from app.ingest.verdicts import versioned_name
from app.models import Evaluation
from app.paging import Page, decode, page


@dataclass(frozen=True)
class MissingOfProblem:
    """The sample indexes that a problem lacks."""

    problem_id: int
    problem: str
    sample_indexes: tuple[int, ...]


@dataclass(frozen=True)
class MissingCompletions:
    """What an evaluation lacks of n completions for each problem."""

    n: int
    total: int  # of all problems, on all pages
    page: Page[MissingOfProblem]


def missing_completions(session: Session, evaluation: Evaluation, query: MissingQuery) -> MissingCompletions:
    """The sample indexes below n without a completion; with a verifier, also those without a verdict of it."""
    if evaluation.counts_only:
        raise CountsOnly
    n = query.n or evaluation.n or queries.most_completions(session, evaluation.id)
    if not 1 <= n <= MOST_N:
        raise UnknownN(MOST_N)
    done = queries.Done(evaluation.id, n, _verifier_id(session, evaluation, query.verifier))
    total = n * queries.problem_count(session, evaluation.problem_set_id) - queries.done_count(session, done)
    after = 0 if query.cursor is None else cast(int, decode(query.cursor, (int,))[0])
    limit = min(query.limit, max(1, MOST_N // n))  # so that no page lists more than a million indexes
    rows = queries.unfinished_problems(session, done, evaluation.problem_set_id, after, limit)
    found = [MissingOfProblem(id_, name, _others(n, indexes)) for id_, name, indexes in rows]
    return MissingCompletions(n, total, page(found, limit, lambda last: (last.problem_id,)))


def _others(n: int, indexes: Sequence[int] | None) -> tuple[int, ...]:
    return tuple(sorted(set(range(n)).difference(indexes or ())))


def _verifier_id(session: Session, evaluation: Evaluation, full_name: str | None) -> int | None:
    if full_name is None:
        return None
    found = queries.verifier_id(session, evaluation.project_id, *versioned_name(full_name))
    if found is None:
        raise VerifierNotFound
    return found
