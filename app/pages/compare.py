"""Two evaluations beside each other, or two runs."""

from collections.abc import Mapping
from typing import Final, cast
from uuid import UUID

from sqlalchemy.orm import Session

from app.errors import AppError
from app.estimates import errors, run_queries
from app.estimates.comparisons import EvaluationComparison, comparison
from app.estimates.curves import EvaluationCurve
from app.estimates.runs import RunOverview, run_overview
from app.estimates.schemas import ComparisonQuery, RunCurvesQuery
from app.estimates.service import evaluation
from app.ingest.evaluations import read_evaluation
from app.ingest.verifiers import options_of_verifiers
from app.pages.queries import CompareQuery
from app.pages.run import other_runs, run_url
from app.pages.training import training_log
from dashboards.compare_page import Changed, Choice, ComparedRun, ComparePage, CompareRunsPage, Side
from dashboards.pages import setting

MOST_CHOICES: Final = 300
CHECKPOINTS: Final = 100


def compare_page(session: Session, project_id: int, query: CompareQuery) -> ComparePage:
    """The evaluations of the query, what changed between them, and what else there is to choose."""
    a, b = (_side(session, project_id, each) if each else None for each in (query.a, query.b))
    first = query.a or query.b
    problem_set_id = evaluation(session, project_id, first).problem_set_id if first else None
    listed = run_queries.newest_evaluations(session, project_id, problem_set_id, MOST_CHOICES, query.filter)
    outcome = _outcome(session, project_id, query) if query.a and query.b else None
    refused = outcome if isinstance(outcome, AppError) else None
    graders = refused.verifiers if isinstance(refused, errors.VerifierNeeded) else ()
    used = (outcome.verifier,) if isinstance(outcome, EvaluationComparison) else ()
    return ComparePage(
        a=a,
        b=b,
        outcome=_changed(outcome) if isinstance(outcome, EvaluationComparison) else str(refused) if refused else None,
        choices=tuple(
            Choice(str(each.evaluation.uuid), run, each.step, each.problem_set, _written(each.evaluation.sampling))
            for run, each in listed[:MOST_CHOICES]
        ),
        more=len(listed) > MOST_CHOICES,
        problem_set=next((each.problem_set for _, each in listed), None) if first else None,
        filter=query.filter,
        verifiers=graders,
        verifier=query.verifier,
        missing=query.missing,
        offers_missing=isinstance(refused, errors.CompletionsMissing),
        further_ks=tuple(query.k),
        runs=() if outcome else other_runs(session, project_id, ()),
        options=options_of_verifiers(session, project_id, (*graders, *used)),
    )


def _side(session: Session, project_id: int, evaluation_id: UUID) -> Side:
    described = read_evaluation(session, project_id, evaluation_id)
    return Side(
        evaluation=str(evaluation_id),
        url=f"/evaluations/{evaluation_id}",
        run=described.run,
        run_url=run_url(described.run),
        step=described.step,
        sampling=_written(described.sampling),
        model=described.model,
    )


def _written(sampling: Mapping[str, object]) -> str:
    """The settings in a line, as `temperature 1.0, top_p 0.95`."""
    return ", ".join(f"{name} {setting(value)}" for name, value in sampling.items())


def _outcome(session: Session, project_id: int, query: CompareQuery) -> EvaluationComparison | AppError:
    """Of pass_at_k, or of max_at_k where the verifier gives rewards only; else why there is none."""
    wanted = ComparisonQuery(
        a=cast(UUID, query.a),
        b=cast(UUID, query.b),
        verifier=query.verifier,
        missing=query.missing,
        k=sorted(set(query.k)) or None,
    )
    try:
        return comparison(session, project_id, wanted)
    except errors.NoPassed:
        by_reward = wanted.model_copy(update={"metric": "max_at_k"})
    except AppError as refusal:
        return refusal
    try:
        return comparison(session, project_id, by_reward)
    except AppError as refusal:
        return refusal


def _changed(compared: EvaluationComparison) -> Changed:
    return Changed(
        found=compared.found,
        a=compared.a,
        b=compared.b,
        newly_solved=compared.newly_solved,
        forgotten=compared.forgotten,
        problems_total=compared.problems_total,
        verifier=compared.verifier,
        unbiased=compared.unbiased,
    )


def compare_runs_page(session: Session, project_id: int, names: list[str]) -> CompareRunsPage:
    """Two runs on the problem set that both were evaluated on; of one alone, what to put beside it."""
    overviews = [_overview(session, project_id, name, None) for name in names]
    shared = next(
        (each for each in overviews[0].problem_sets if all(each in other.problem_sets for other in overviews)), None
    )
    if shared is not None:
        overviews = [_overview(session, project_id, name, shared) for name in names]
    return CompareRunsPage(
        runs=tuple(_compared(session, each, shared) for each in overviews),
        problem_set=shared,
        known=other_runs(session, project_id, ()),
        typed=tuple(names),
    )


def unknown_runs_page(session: Session, project_id: int, names: list[str]) -> CompareRunsPage | None:
    """The form to choose two runs again, where one of them is none; None where both are."""
    unknown = tuple(name for name in dict.fromkeys(names) if run_queries.run(session, project_id, name) is None)
    if not unknown:
        return None
    return CompareRunsPage((), known=other_runs(session, project_id, ()), typed=tuple(names), unknown=unknown)


def _overview(session: Session, project_id: int, name: str, problem_set: str | None) -> RunOverview:
    return run_overview(session, project_id, name, RunCurvesQuery(problem_set=problem_set, limit=CHECKPOINTS))


def _compared(session: Session, found: RunOverview, shared: str | None) -> ComparedRun:
    """One evaluation for each checkpoint: where there are several, the newest."""
    curves = {
        each.found.step: each.outcome.curve
        for each in (found.page.items if shared else ())
        if isinstance(each.outcome, EvaluationCurve)
    }
    return ComparedRun(
        run=found.run.run,
        url=run_url(found.run.run),
        training=training_log(session, found.run.id),
        checkpoints=tuple(curves.items()),
    )
