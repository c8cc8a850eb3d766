"""The numbers behind a page as CSV: in full precision, each row with what it takes to read it alone."""

from uuid import UUID

from fastapi import Response
from sqlalchemy.orm import Session

from app.errors import AppError
from app.estimates.curves import EvaluationCurve
from app.estimates.overview import overview
from app.estimates.problems import every_problem
from app.estimates.runs import run_overview
from app.ingest.canonical import canonical_json
from app.ingest.evaluations import read_evaluation
from app.pages.answers import csv_file
from app.pages.queries import CurveFileQuery, RunQuery, VerifierQuery
from app.pages.run import curves_query
from pkpo.curves import default_ks

OF_EVALUATION = ("run", "step", "problem_set", "verifier")
CURVE_COLUMNS = (
    *("metric", "k", "value", "standard_error", "low", "high", "level"),
    *("n_min", "n_max", "problems_used", "problems_total", "missing", "unbiased"),
)


def curve_file(session: Session, project_id: int, evaluation_id: UUID, query: CurveFileQuery) -> Response:
    """The points of the curve; an AppError says why there is none."""
    described = read_evaluation(session, project_id, evaluation_id)
    outcome = overview(session, project_id, evaluation_id, query.verifier, query.missing, query.k).outcome
    if isinstance(outcome, AppError):
        raise outcome
    rows = _point_rows((described.run, described.step, described.problem_set, outcome.verifier), outcome)
    return csv_file(f"{described.run}-step-{described.step}-curve.csv", OF_EVALUATION + CURVE_COLUMNS, rows)


def run_file(session: Session, project_id: int, run: str, query: RunQuery) -> Response:
    """The points of every curve on a run's page, a row without numbers for each evaluation that has no curve."""
    found = run_overview(session, project_id, run, curves_query(query))
    rows: list[tuple[object, ...]] = []
    for each in found.page.items:
        of_evaluation = (run, each.found.step, each.found.problem_set)
        identity = (str(each.found.evaluation.uuid), canonical_json(each.found.evaluation.sampling))
        if isinstance(each.outcome, AppError):
            empty = ("",) * (1 + len(CURVE_COLUMNS))
            rows.append((*of_evaluation, *empty, *identity, each.outcome.type))
        else:
            points = _point_rows((*of_evaluation, each.outcome.verifier), each.outcome)
            rows += [(*point, *identity, "") for point in points]
    header = (*OF_EVALUATION, *CURVE_COLUMNS, "evaluation", "sampling", "refused")
    return csv_file(f"{run}-curves.csv", header, rows)


def _point_rows(of_evaluation: tuple[object, ...], outcome: EvaluationCurve) -> list[tuple[object, ...]]:
    curve, missing = outcome.curve, outcome.query.missing
    source = (curve.n_min, curve.n_max, curve.problems, outcome.problems_total, missing, outcome.unbiased)
    return [
        (*of_evaluation, curve.metric, p.k, p.value, p.standard_error, p.low, p.high, curve.level, *source)
        for p in curve.points
    ]


def problems_file(session: Session, project_id: int, evaluation_id: UUID, query: VerifierQuery) -> Response:
    """Every problem with its counts, and with the metric at every k that the largest n allows."""
    described = read_evaluation(session, project_id, evaluation_id)
    found = overview(session, project_id, evaluation_id, query.verifier)
    if found.graded is None:
        assert isinstance(found.outcome, AppError)
        raise found.outcome
    graded = found.graded
    ks = default_ks(graded.largest_n) if graded.largest_n else ()
    of_evaluation = (described.run, described.step, described.problem_set, graded.verifier)
    header = (*OF_EVALUATION, "problem", "n", "c", "mean_reward", "missing")
    rows = [
        (*of_evaluation, each.problem, each.n, each.c, each.mean_reward, each.missing, *each.estimates)
        for each in every_problem(session, found.evaluation, graded.verifier, graded.metric, ks)
    ]
    names = tuple(graded.metric.removesuffix("k") + str(k) for k in ks)
    return csv_file(f"{described.run}-step-{described.step}-problems.csv", header + names, rows)
