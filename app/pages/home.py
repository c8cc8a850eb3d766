"""The list of runs with what their latest evaluations show."""

from sqlalchemy.orm import Session

from app.estimates.runs import EvaluationOutcome, runs_with_latest
from app.estimates.schemas import RunsQuery
from app.pages.outcomes import bias, shown
from app.pages.queries import HomeQuery
from app.pages.run import run_url
from dashboards.pages import HomePage, Latest, RunRow

RUNS_A_PAGE = 50


def home_page(session: Session, project_id: int, query: HomeQuery, server: str) -> HomePage:
    """The runs that are not archived and whose name contains the filter, newest first."""
    found = runs_with_latest(session, project_id, RunsQuery(limit=RUNS_A_PAGE, cursor=query.cursor), query.filter)
    rows = tuple(
        RunRow(run_url(each.run.run), each.run.run, _latest(each.latest) if each.latest else None)
        for each in found.items
    )
    return HomePage(server, rows, query.filter, query.cursor, found.next_cursor)


def _latest(latest: EvaluationOutcome) -> Latest:
    evaluation = latest.found.evaluation
    return Latest(
        url=f"/evaluations/{evaluation.uuid}",
        step=latest.found.step,
        problem_set=latest.found.problem_set,
        created=evaluation.created_at,
        outcome=shown(latest.outcome),
        bias=bias(latest.outcome, evaluation),
    )
