"""The completions of one problem of an evaluation, one at a time, and the verdicts on all of them."""

import json
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from app.errors import NotFound
from app.estimates import problems
from app.estimates.overview import Overview, overview
from app.ingest import stored
from app.ingest.evaluations import read_evaluation
from app.ingest.schemas import VerificationResponse
from app.ingest.stored import Marked, Strip
from app.ingest.verifiers import options_of_verifiers
from app.pages.evaluation import problem_row
from app.pages.queries import ProblemQuery
from app.pages.run import run_url
from dashboards.pages import ProblemRow
from dashboards.problem_page import Mark, ProblemPage, ShownCompletion, Verdict
from pkpo.curves import default_ks

MARKS_A_SIDE: Final = 200  # of the strip, before the completion that is shown and after it


def problem_page(session: Session, project_id: int, evaluation_id: UUID, query: ProblemQuery) -> ProblemPage:
    """The problem as the query wants it seen; NotFound where it has no completion of the index that is asked for."""
    described = read_evaluation(session, project_id, evaluation_id)
    found = overview(session, project_id, evaluation_id, query.verifier)
    problem_id = stored.problem_id(session, found.evaluation, query.problem)
    verifier = found.graded.verifier if found.graded else None
    strip = stored.strip(session, found.evaluation, problem_id, verifier, query.index or 0, MARKS_A_SIDE)
    at = _place(strip, query.index)
    completion = None if at is None else _completion(session, found, problem_id, strip.marks[at].sample_index)
    ks = default_ks(found.graded.largest_n) if found.graded and found.graded.largest_n else ()
    return ProblemPage(
        url=f"/evaluations/{evaluation_id}/problem",
        evaluation_url=f"/evaluations/{evaluation_id}",
        evaluation=str(evaluation_id),
        run=described.run,
        run_url=run_url(described.run),
        step=described.step,
        problem_set=described.problem_set,
        problem=query.problem,
        row=_row(session, found, problem_id, ks),
        metric=found.graded.metric if found.graded else "pass_at_k",
        ks=ks,
        verifiers=found.verifiers,
        verifier=verifier,
        marks=tuple(map(_mark, strip.marks)),
        at=at,
        more_before=strip.more_before,
        more_after=strip.more_after,
        completion=completion,
        options=options_of_verifiers(session, project_id, found.verifiers),
    )


def _place(strip: Strip, index: int | None) -> int | None:
    """Where in the strip the completion of the index is, by default the first; None where there is none at all."""
    if index is None:
        return 0 if strip.marks else None
    found = (i for i, each in enumerate(strip.marks) if each.sample_index == index)
    if (place := next(found, None)) is None:
        raise NotFound("This problem has no completion of this index.")
    return place


def _row(session: Session, found: Overview, problem_id: int, ks: Sequence[int]) -> ProblemRow | None:
    if found.graded is None:
        return None
    graded = found.graded
    row = problems.one_problem(session, found.evaluation, graded.verifier, problem_id, graded.metric, ks)
    return problem_row(row, graded.metric)


def _mark(marked: Marked) -> Mark:
    match marked:
        case Marked(passed=True):
            return Mark(marked.sample_index, "passed", "passed")
        case Marked(passed=False):
            return Mark(marked.sample_index, "failed", marked.status or "failed")
        case Marked(reward=float() as reward):
            return Mark(marked.sample_index, "scored", f"reward {reward!r}")
        case _:
            return Mark(marked.sample_index, "unknown", marked.status or "no verdict")


def _completion(session: Session, found: Overview, problem_id: int, index: int) -> ShownCompletion:
    completion = stored.completion(session, found.evaluation, problem_id, index)
    facts = {
        "finish reason": completion.finish_reason,
        "prompt tokens": completion.prompt_tokens,
        "completion tokens": completion.completion_tokens,
        "log probability": completion.logprob,
        "seed": completion.seed,
    }
    return ShownCompletion(
        index=completion.sample_index,
        text=completion.text,
        facts=tuple((name, str(value)) for name, value in facts.items() if value is not None),
        verdicts=tuple(map(_verdict, completion.verifications)),
    )


def _verdict(said: VerificationResponse) -> Verdict:
    detail = None if said.detail is None else json.dumps(said.detail, ensure_ascii=False, indent=1)
    return Verdict(said.verifier, said.status, said.passed, said.reward, said.answer, detail)
