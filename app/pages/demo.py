"""The demo as it stands: its parts, their curves, and how they differ."""

from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from app.demo import service
from app.demo.plan import KS, Demo
from app.errors import AppError
from app.estimates.comparisons import comparison
from app.estimates.curves import EvaluationCurve
from app.estimates.runs import run_overview
from app.estimates.schemas import ComparisonQuery, RunCurvesQuery
from app.jobs.story import running
from app.pages.jobs import job_row
from app.pages.queries import DemoPageQuery
from app.pages.run import run_url
from dashboards.demo_page import DemoPage, DemoPart, Held
from dashboards.jobs_page import About
from dashboards.pages import with_query

# What is held against what: b against a.
PAIRS: Final = (("taught", "k1"), ("taught", "k8"), ("k1", "k8"), ("taught", "8-to-1"), ("k8", "8-to-1"))
Evaluated = dict[str, tuple[UUID, DemoPart]]


def demo_page(session: Session, project_id: int, query: DemoPageQuery, server: str, trouble: str | None) -> DemoPage:
    """The demo of the query; where it names none, the newest one, or the one that could be begun."""
    known = service.demos(session, project_id)
    asked = query.size is not None or query.seed is not None
    demo = Demo(query.size or "full", query.seed or 0) if asked or not known else known[0]
    evaluated: Evaluated = {}
    parts = tuple(_part(session, project_id, each, evaluated) for each in service.parts(session, project_id, demo))
    return DemoPage(
        server=server,
        size=demo.size,
        seed=demo.seed,
        minutes=demo.scale.minutes,
        problem_set=demo.problem_set,
        held_out=demo.held_out,
        problems_ready=service.problems_are_there(session, project_id, demo),
        parts=parts,
        held=tuple(held for a, b in PAIRS if (held := _held(session, project_id, evaluated, a, b))),
        trouble=trouble,
        compare_url=f"/compare?runs={demo.run('k1')}&runs={demo.run('k8')}",
        others=tuple((f"{each.size}, seed {each.seed}", _url(each)) for each in known if each != demo),
        running=running(session, project_id),
    )


def _url(demo: Demo) -> str:
    return with_query("/demo", {"size": demo.size, "seed": str(demo.seed)})


def _part(session: Session, project_id: int, part: service.Part, evaluated: Evaluated) -> DemoPart:
    """The part, its latest evaluation being noted."""
    found = run_overview(session, project_id, part.run, RunCurvesQuery(k=list(KS), limit=100))
    drawn = [each for each in found.page.items if isinstance(each.outcome, EvaluationCurve)]
    told = DemoPart(
        name=part.name,
        run=part.run,
        run_url=run_url(part.run),
        job=None if part.job is None else job_row(part.job, About()),
        curves=tuple(
            (each.found.step, each.outcome.curve) for each in drawn if isinstance(each.outcome, EvaluationCurve)
        ),
    )
    if drawn:
        evaluated[part.name] = drawn[-1].found.evaluation.uuid, told
    return told


def _held(session: Session, project_id: int, evaluated: Evaluated, a: str, b: str) -> Held | None:
    """None before both were evaluated, and before b has learned anything."""
    if a not in evaluated or b not in evaluated or evaluated[b][1].curves[-1][0] == 0:
        return None
    (first, of_a), (second, of_b) = evaluated[a], evaluated[b]
    try:
        found = comparison(session, project_id, ComparisonQuery(a=first, b=second, k=list(KS)))
    except AppError:  # a completion is being added at this moment
        return None
    return Held(of_a.label, of_b.label, f"/compare?a={first}&b={second}", found.found)
