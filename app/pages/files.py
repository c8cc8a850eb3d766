"""The numbers behind a page as CSV: in full precision, each row with what it takes to read it alone."""

from uuid import UUID

from fastapi import Response
from sqlalchemy.orm import Session

from app.errors import AppError
from app.estimates.overview import overview
from app.estimates.problems import every_problem
from app.ingest.evaluations import read_evaluation
from app.pages.answers import csv_file
from app.pages.queries import CurveFileQuery, VerifierQuery
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
    curve, of_evaluation = outcome.curve, (described.run, described.step, described.problem_set, outcome.verifier)
    source = (curve.n_min, curve.n_max, curve.problems, outcome.problems_total, query.missing, outcome.unbiased)
    rows = [
        (*of_evaluation, curve.metric, p.k, p.value, p.standard_error, p.low, p.high, curve.level, *source)
        for p in curve.points
    ]
    return csv_file(f"{described.run}-step-{described.step}-curve.csv", OF_EVALUATION + CURVE_COLUMNS, rows)


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
