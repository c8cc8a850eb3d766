"""A run over its checkpoints, on one of its problem sets."""

from typing import Final
from urllib.parse import quote

from sqlalchemy.orm import Session

from app.errors import AppError
from app.estimates import errors
from app.estimates.curves import EvaluationCurve
from app.estimates.runs import EvaluationOutcome, run_overview
from app.estimates.schemas import RunCurvesQuery
from app.pages.outcomes import bias
from app.pages.queries import RunQuery
from dashboards.numerals import count
from dashboards.run_page import CheckpointRow, RunPage

CHECKPOINTS_A_PAGE: Final = 100  # with 800 problems each, half a second on two cores


def run_page(session: Session, project_id: int, run: str, query: RunQuery, server: str) -> RunPage:
    """The run as the query wants it seen."""
    found = run_overview(session, project_id, run, curves_query(query))
    return RunPage(
        url=run_url(run),
        run=run,
        server=server,
        rows=tuple(map(_row, found.page.items)),
        problem_sets=found.problem_sets,
        problem_set=found.problem_set,
        checkpoints=found.run.checkpoints,
        verifiers=found.verifiers,
        verifier=query.verifier,
        missing=query.missing,
        further_ks=tuple(sorted(set(query.k))),
        cursor=query.cursor,
        next_cursor=found.page.next_cursor,
    )


def curves_query(query: RunQuery) -> RunCurvesQuery:
    """What the read side is asked for a page."""
    return RunCurvesQuery(
        problem_set=query.problem_set,
        verifier=query.verifier,
        missing=query.missing,
        k=sorted(set(query.k)) or None,
        limit=CHECKPOINTS_A_PAGE,
        cursor=query.cursor,
    )


def run_url(run: str) -> str:
    """The path of a run's page."""
    return f"/runs/{quote(run, safe=':@')}"


def _row(each: EvaluationOutcome) -> CheckpointRow:
    evaluation, outcome = each.found.evaluation, each.outcome
    return CheckpointRow(
        url=f"/evaluations/{evaluation.uuid}",
        step=each.found.step,
        sampling=evaluation.sampling,
        outcome=outcome.curve if isinstance(outcome, EvaluationCurve) else _why(outcome),
        created=evaluation.created_at,
        bias=bias(outcome, evaluation),
    )


def _why(refusal: AppError) -> str:
    """Why there is no curve, in the few words that a row of a table has place for."""
    match refusal:
        case errors.CompletionsMissing():
            return f"{count(refusal.missing)} of {count(refusal.expected)} completions missing"
        case errors.NoVerdict():
            return f"{count(refusal.completions)} completions, no verdict yet"
        case errors.VerifierNeeded():
            return f"{len(refusal.verifiers)} verifiers: choose one"
        case errors.UnknownVerifier():
            return "not graded by this verifier"
        case _:
            return str(refusal)
