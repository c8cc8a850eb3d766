"""What has been recorded for an evaluation, read back: totals, and completions with their texts."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, cast
from uuid import UUID

from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.ingest.evaluations import find_evaluation, read_evaluation
from app.ingest.queries import Key
from app.ingest.schemas import (
    CompletionResponse,
    CompletionsQuery,
    CompletionsResponse,
    EvaluationSummary,
    VerificationResponse,
    VerifierTotals,
)
from app.ingest.verdicts import Status
from app.ingest.verifiers import FULL_NAME
from app.models import Completion, Evaluation, EvaluationProblem, GroupStatistics, Problem, Verification, Verifier
from app.paging import decode, page

PAGE_BYTES: Final = 25 * 1024 * 1024  # of texts: as much as one request records


def summary(session: Session, project_id: int, evaluation_id: UUID) -> EvaluationSummary:
    """The evaluation, how many completions it has, and what each verifier says of them in total."""
    evaluation = find_evaluation(session, project_id, evaluation_id)
    counts = select(func.count(), func.coalesce(func.sum(EvaluationProblem.completions), 0)).where(
        EvaluationProblem.evaluation_id == evaluation.id, EvaluationProblem.completions > 0
    )
    problems, completions = session.execute(counts).one()
    return EvaluationSummary(
        **read_evaluation(session, project_id, evaluation_id).model_dump(),
        problems=problems,
        completions=completions,
        verifiers=_totals(session, evaluation),
    )


def _totals(session: Session, evaluation: Evaluation) -> list[VerifierTotals]:
    columns = ("n", "c", "n_rewards", "infrastructure_errors")
    rows = session.execute(
        select(FULL_NAME, Verifier.options, *(func.sum(getattr(GroupStatistics, column)) for column in columns))
        .join(Verifier, Verifier.id == GroupStatistics.verifier_id)
        .where(GroupStatistics.evaluation_id == evaluation.id)
        .group_by(Verifier.id)
        .order_by(Verifier.name, Verifier.version)
    )
    return [
        VerifierTotals(verifier=verifier, options=told, n=n, c=c, rewards=rewards, infrastructure_errors=errors)
        for verifier, told, n, c, rewards, errors in rows
    ]


def completions(session: Session, project_id: int, evaluation_id: UUID, query: CompletionsQuery) -> CompletionsResponse:
    """A page of the evaluation's completions by problem and sample_index, each with the verdicts on it.

    It ends early where its texts would be of more than PAGE_BYTES, after its first completion at the earliest.
    """
    evaluation = find_evaluation(session, project_id, evaluation_id)
    key = tuple_(Completion.problem_id, Completion.sample_index)
    # A length is known without its text being read.
    size = func.coalesce(func.octet_length(Completion.text), 0)
    wanted = select(Completion.problem_id, Completion.sample_index, size).order_by(key).limit(query.limit + 1)
    wanted = wanted.where(Completion.evaluation_id == evaluation.id)
    if query.problem is not None:
        wanted = wanted.where(Completion.problem_id == problem_id(session, evaluation, query.problem))
    if query.cursor is not None:
        wanted = wanted.where(key > tuple_(*decode(query.cursor, (int,), (int,))))
    keys = session.execute(wanted).all()
    listed = page(keys, _fitting([row[2] for row in keys[: query.limit]]), lambda last: (last[0], last[1]))
    return CompletionsResponse(
        completions=_with_verdicts(session, _between(session, evaluation, [(row[0], row[1]) for row in listed.items])),
        next_cursor=listed.next_cursor,
    )


def _between(session: Session, evaluation: Evaluation, keys: Sequence[Key]) -> Sequence[Completion]:
    """The completions from the first of the keys to the last."""
    if not keys:
        return []
    key = tuple_(Completion.problem_id, Completion.sample_index)
    wanted = select(Completion).where(Completion.evaluation_id == evaluation.id).order_by(key)
    return session.scalars(wanted.where(key >= tuple_(*keys[0]), key <= tuple_(*keys[-1]))).all()


def _fitting(sizes: Sequence[int]) -> int:
    """How many of the texts make a page: the first at least."""
    return max(1, sum(total <= PAGE_BYTES for total in accumulate(sizes)))


def problem_id(session: Session, evaluation: Evaluation, problem: str) -> int:
    """The id of a problem of the evaluation's set; NotFound where the set has none of this name."""
    id_ = session.scalar(select(Problem.id).filter_by(problem_set_id=evaluation.problem_set_id, name=problem))
    if id_ is None:
        raise NotFound("The problem set has no problem of this name.")
    return id_


def completion(session: Session, evaluation: Evaluation, problem: int, sample_index: int) -> CompletionResponse:
    """A completion that there is, with the verdicts on it."""
    key = (evaluation.id, problem, sample_index)
    return _with_verdicts(session, [session.get_one(Completion, key)])[0]


@dataclass(frozen=True)
class Marked:
    """A completion of a problem, and what one verifier says of it, if anything."""

    sample_index: int
    passed: bool | None
    reward: float | None
    status: str | None


@dataclass(frozen=True)
class Strip:
    """Completions of a problem by index, about one of them."""

    marks: tuple[Marked, ...]
    more_before: bool
    more_after: bool


def strip(
    session: Session, evaluation: Evaluation, problem: int, verifier: str | None, index: int, a_side: int
) -> Strip:
    """The completions about an index, so many on either side of it, as the verifier sees them."""
    wanted = _marked(evaluation, problem, verifier).limit(a_side + 1)
    here = Completion.sample_index
    before = session.execute(wanted.where(here < index).order_by(here.desc())).all()
    # One more than on the other side: that of the index itself.
    after = session.execute(wanted.where(here >= index).order_by(here).limit(a_side + 2)).all()
    rows = [*before[:a_side][::-1], *after[: a_side + 1]]
    return Strip(tuple(Marked(*row) for row in rows), len(before) > a_side, len(after) > a_side + 1)


def _marked(
    evaluation: Evaluation, problem: int, verifier: str | None
) -> Select[int, bool | None, float | None, str | None]:
    said = (
        select(Verification)
        .join(Verifier, Verifier.id == Verification.verifier_id)
        .where(
            Verification.evaluation_id == evaluation.id,
            Verification.problem_id == problem,
            FULL_NAME.is_not_distinct_from(verifier),
        )
        .subquery()
    )
    return (
        select(Completion.sample_index, said.c.passed, said.c.reward, said.c.status)
        .outerjoin(said, said.c.sample_index == Completion.sample_index)
        .where(Completion.evaluation_id == evaluation.id, Completion.problem_id == problem)
    )


def _with_verdicts(session: Session, found: Sequence[Completion]) -> list[CompletionResponse]:
    names = select(Problem.id, Problem.name).where(Problem.id.in_({each.problem_id for each in found}))
    problems = {row[0]: row[1] for row in session.execute(names)}
    verdicts = _verdicts(session, found)
    return [
        CompletionResponse(
            problem=problems[each.problem_id],
            sample_index=each.sample_index,
            text=each.text,
            finish_reason=each.finish_reason,
            prompt_tokens=each.prompt_tokens,
            completion_tokens=each.completion_tokens,
            logprob=each.logprob,
            seed=each.seed,
            created_at=each.created_at,
            verifications=verdicts[each.problem_id, each.sample_index],
        )
        for each in found
    ]


def _verdicts(session: Session, found: Sequence[Completion]) -> Mapping[Key, list[VerificationResponse]]:
    """What verifiers have said of completions that follow each other in one evaluation."""
    verdicts: defaultdict[Key, list[VerificationResponse]] = defaultdict(list)
    if not found:
        return verdicts
    key = tuple_(Verification.problem_id, Verification.sample_index)
    first, last = ((each.problem_id, each.sample_index) for each in (found[0], found[-1]))
    said = session.scalars(
        select(Verification)
        .where(Verification.evaluation_id == found[0].evaluation_id, key >= tuple_(*first), key <= tuple_(*last))
        .order_by(key, Verification.verifier_id)
    ).all()
    names = select(Verifier.id, FULL_NAME).where(Verifier.id.in_({each.verifier_id for each in said}))
    verifiers = {row[0]: row[1] for row in session.execute(names)}
    for each in said:
        verdicts[each.problem_id, each.sample_index].append(
            VerificationResponse(
                verifier=verifiers[each.verifier_id],
                reward=each.reward,
                passed=each.passed,
                status=cast(Status, each.status),
                answer=each.answer,
                detail=each.detail,
            )
        )
    return verdicts
