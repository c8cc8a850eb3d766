"""A run over its checkpoints, on one of its problem sets."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote
from uuid import UUID

from sqlalchemy.orm import Session

from app.errors import AppError
from app.estimates import errors
from app.estimates.comparisons import solved_changes
from app.estimates.curves import EvaluationCurve
from app.estimates.runs import EvaluationOutcome, run_overview
from app.estimates.schemas import RunCurvesQuery
from app.ingest.verifiers import options_of_verifiers
from app.models import Evaluation
from app.pages.outcomes import bias
from app.pages.queries import RunQuery
from app.pages.training import training_log
from dashboards.numerals import count
from dashboards.pages import with_query
from dashboards.run_page import CheckpointRow, RunPage, SolvedChange

CHECKPOINTS_A_PAGE: Final = 100  # with 800 problems each, half a second on two cores


def run_page(session: Session, project_id: int, run: str, query: RunQuery, server: str) -> RunPage:
    """The run as the query wants it seen."""
    found = run_overview(session, project_id, run, curves_query(query))
    changes = _changes(session, found.page.items, query.verifier)
    return RunPage(
        url=run_url(run),
        run=run,
        server=server,
        rows=tuple(_row(each, changes.get(each.found.evaluation.id)) for each in found.page.items),
        problem_sets=found.problem_sets,
        problem_set=found.problem_set,
        checkpoints=found.run.checkpoints,
        verifiers=found.verifiers,
        verifier=query.verifier,
        missing=query.missing,
        further_ks=tuple(sorted(set(query.k))),
        cursor=query.cursor,
        next_cursor=found.page.next_cursor,
        training=training_log(session, found.run.id),
        options=options_of_verifiers(session, project_id, found.verifiers),
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


def _changes(session: Session, items: Sequence[EvaluationOutcome], verifier: str | None) -> dict[int, SolvedChange]:
    """What each evaluation, by id, newly solves and forgets against that of the checkpoint before.

    Where a checkpoint was evaluated with several samplings, each is held against its own.
    """
    series = [
        (each.found, each.outcome.verifier)
        for each in items
        if isinstance(each.outcome, EvaluationCurve) and each.outcome.query.metric == "pass_at_k"
    ]
    several = len({found.step for found, _ in series}) < len(series)
    latest: dict[bytes, tuple[Evaluation, str]] = {}
    pairs = []
    for found, grader in series:
        sampling = found.evaluation.sampling_sha256 if several else b""
        before = latest.get(sampling)
        if before and before[1] == grader:
            pairs.append((before[0], found.evaluation))
        latest[sampling] = (found.evaluation, grader)
    verifiers = {found.evaluation.id: grader for found, grader in series}
    changes = solved_changes(session, pairs, verifiers)
    return {
        b.id: SolvedChange(each.newly_solved, each.forgotten, compare_url(a.uuid, b.uuid, verifier))
        for (a, b), each in zip(pairs, changes, strict=True)
    }


def compare_url(a: UUID, b: UUID, verifier: str | None = None) -> str:
    """The path of the page that compares two evaluations."""
    return with_query("/compare", {"a": str(a), "b": str(b), "verifier": verifier})


def _row(each: EvaluationOutcome, change: SolvedChange | None) -> CheckpointRow:
    evaluation, outcome = each.found.evaluation, each.outcome
    return CheckpointRow(
        url=f"/evaluations/{evaluation.uuid}",
        step=each.found.step,
        sampling=evaluation.sampling,
        outcome=outcome.curve if isinstance(outcome, EvaluationCurve) else _why(outcome),
        created=evaluation.created_at,
        bias=bias(outcome, evaluation),
        evaluation=str(evaluation.uuid),
        change=change,
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
