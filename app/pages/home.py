"""The list of runs with what their latest evaluations show, and who takes jobs."""

from dataclasses import replace
from pathlib import Path

from sqlalchemy.orm import Session

from app.demo.plan import Demo
from app.demo.service import demos
from app.estimates.runs import EvaluationOutcome, runs_with_latest
from app.estimates.schemas import RunsQuery
from app.jobs.stored import present_workers
from app.pages.outcomes import bias, shown
from app.pages.queries import HomeQuery
from app.pages.run import run_url
from app.worker_state import WorkerState
from dashboards.pages import HomePage, Latest, RunRow
from dashboards.workers_note import Installing, WorkersNote

RUNS_A_PAGE = 50


def home_page(session: Session, project_id: int, query: HomeQuery, server: str, data_dir: Path) -> HomePage:
    """The runs that are not archived and whose name contains the filter, newest first."""
    found = runs_with_latest(session, project_id, RunsQuery(limit=RUNS_A_PAGE, cursor=query.cursor), query.filter)
    rows = tuple(
        RunRow(run_url(each.run.run), each.run.run, _latest(each.latest) if each.latest else None)
        for each in found.items
    )
    note = _workers_note(session, project_id, WorkerState.of_our_launcher(data_dir))
    begun = bool(demos(session, project_id))
    empty = not (rows or query.filter or query.cursor)
    return HomePage(
        server,
        rows,
        query.filter,
        query.cursor,
        found.next_cursor,
        workers=note,
        demo_minutes=Demo().scale.minutes if empty and not begun else None,
        has_demo=begun,
    )


def _workers_note(session: Session, project_id: int, own: WorkerState | None) -> WorkersNote:
    live = [worker for worker in present_workers(session, project_id) if worker.live]
    note = WorkersNote(len(live), tuple(dict.fromkeys(each for worker in live for each in worker.capabilities)))
    if own is None:
        return note
    return replace(
        note,
        kept=True,
        installing=Installing(own.step, own.done, own.steps) if own.phase == "installing" else None,
        given_up=own.why if own.phase == "given_up" else "",
        not_installed=tuple((each.what, each.why) for each in own.not_installed),
        log=own.log,
    )


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
