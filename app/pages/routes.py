"""The addresses of the pages. They are read by people, so they are not in the API's document."""

import re
from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response

from app.auth.security import Reader
from app.db import SessionDep
from app.ingest.schemas import Name
from app.jobs.story import running
from app.pages.answers import html, html_unless_known, not_modified, server_address, tag_of, tagged
from app.pages.compare import compare_page, compare_runs_page, unknown_runs_page
from app.pages.demo import demo_page
from app.pages.evaluation import evaluation_page, surroundings
from app.pages.files import curve_file, problems_file, run_file
from app.pages.home import home_page
from app.pages.jobs import job_page, jobs_page, new_job_page
from app.pages.new_training import training_form
from app.pages.problem import problem_page
from app.pages.queries import (
    CompareQuery,
    CurveFileQuery,
    DemoPageQuery,
    EvaluationQuery,
    HomeQuery,
    JobQuery,
    JobsPageQuery,
    NewJobQuery,
    ProblemQuery,
    RunQuery,
    TransformQuery,
    VerifierQuery,
)
from app.pages.run import run_page, run_state
from app.pages.transform import transform_file, transform_page
from dashboards.assets import CACHE_CONTROL, asset
from dashboards.compare_page import render_compare, render_compare_runs
from dashboards.demo_page import render_demo
from dashboards.jobs_page import render_job, render_jobs, render_new_job
from dashboards.pages import ReferencePage, render_evaluation, render_home, render_reference
from dashboards.problem_page import render_problem
from dashboards.run_page import render_run
from dashboards.transform_page import Wrong, render_transform

router = APIRouter(include_in_schema=False)

TAKES_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", re.IGNORECASE)


@router.get("/")
def home(query: Annotated[HomeQuery, Query()], caller: Reader, session: SessionDep, request: Request) -> Response:
    """Runs with their latest estimates."""
    data_dir = request.app.state.settings.data_dir
    page = home_page(session, caller.project_id, query, server_address(request), data_dir)
    return html_unless_known(request, render_home(replace(page, running=running(session, caller.project_id))))


@router.get("/runs/{run}")
def run(
    run: Annotated[Name, Path()],
    query: Annotated[RunQuery, Query()],
    caller: Reader,
    session: SessionDep,
    request: Request,
) -> Response:
    """A run's estimates over its checkpoints."""
    checkpoints = request.app.state.settings.checkpoints
    state = run_state(session, caller.project_id, run, checkpoints)
    tag = tag_of(request, caller.project_id, state)
    if (same := not_modified(request, tag)) is not None:
        return same
    page = run_page(session, caller.project_id, run, query, server_address(request), checkpoints)
    page = replace(page, job=state.job)
    return tagged(html(render_run(page)), tag)


@router.get("/runs/{run}/curves.csv")
def run_csv(
    run: Annotated[Name, Path()], query: Annotated[RunQuery, Query()], caller: Reader, session: SessionDep
) -> Response:
    """The points of the curves of a run's checkpoints."""
    return run_file(session, caller.project_id, run, query)


@router.get("/evaluations/{evaluation_id:uuid}")
def evaluation(
    evaluation_id: UUID,
    query: Annotated[EvaluationQuery, Query()],
    caller: Reader,
    session: SessionDep,
    request: Request,
) -> Response:
    """The curve, solve rates and problems of an evaluation."""
    around = surroundings(session, caller.project_id, evaluation_id, request.app.state.settings.checkpoints)
    tag = tag_of(request, caller.project_id, around)
    if (same := not_modified(request, tag)) is not None:
        return same
    page = evaluation_page(session, caller.project_id, around, query, server_address(request))
    return tagged(html(render_evaluation(page), 422 if page.refused_ks else 200), tag)


@router.get("/evaluations/{evaluation_id:uuid}/problem")
def problem(
    evaluation_id: UUID, query: Annotated[ProblemQuery, Query()], caller: Reader, session: SessionDep
) -> Response:
    """The completions of one problem."""
    return html(render_problem(problem_page(session, caller.project_id, evaluation_id, query)))


@router.get("/evaluations/{evaluation_id:uuid}/curve.csv")
def curve_csv(
    evaluation_id: UUID, query: Annotated[CurveFileQuery, Query()], caller: Reader, session: SessionDep
) -> Response:
    """The points of the curve."""
    return curve_file(session, caller.project_id, evaluation_id, query)


@router.get("/evaluations/{evaluation_id:uuid}/problems.csv")
def problems_csv(
    evaluation_id: UUID, query: Annotated[VerifierQuery, Query()], caller: Reader, session: SessionDep
) -> Response:
    """Every problem of the evaluation."""
    return problems_file(session, caller.project_id, evaluation_id, query)


@router.get("/compare")
def compare(query: Annotated[CompareQuery, Query()], caller: Reader, session: SessionDep, request: Request) -> Response:
    """Two evaluations of one problem set, or two runs."""
    if query.runs:
        return _two_runs(query.runs, caller, session, request)
    return html_unless_known(request, render_compare(compare_page(session, caller.project_id, query)))


def _two_runs(names: list[str], caller: Reader, session: SessionDep, request: Request) -> Response:
    if (page := unknown_runs_page(session, caller.project_id, names)) is not None:
        return html(render_compare_runs(page), 404)
    checkpoints = request.app.state.settings.checkpoints
    tag = tag_of(
        request, caller.project_id, [run_state(session, caller.project_id, each, checkpoints) for each in names]
    )
    if (same := not_modified(request, tag)) is not None:
        return same
    return tagged(html(render_compare_runs(compare_runs_page(session, caller.project_id, names))), tag)


@router.get("/jobs")
def jobs(query: Annotated[JobsPageQuery, Query()], caller: Reader, session: SessionDep, request: Request) -> Response:
    """Jobs, and the workers that take them."""
    page = jobs_page(session, caller.project_id, query, server_address(request))
    return html_unless_known(request, render_jobs(page))


@router.get("/jobs/new")
def new_job(query: Annotated[NewJobQuery, Query()], caller: Reader, session: SessionDep, request: Request) -> Response:
    """The form for a new job, which a script sends to the API."""
    training = None
    if query.kind == "training":
        typed, settings = dict(request.query_params), request.app.state.settings
        training = training_form(session, caller.project_id, settings, typed, like=query.like, look=query.look)
    page = new_job_page(session, caller.project_id, query, training, server_address(request))
    return html(render_new_job(page), 422 if training and training.refusal else 200)


@router.get("/jobs/{job_id:uuid}")
def job(
    job_id: UUID, query: Annotated[JobQuery, Query()], caller: Reader, session: SessionDep, request: Request
) -> Response:
    """A job with its log."""
    return html_unless_known(request, render_job(job_page(session, caller.project_id, job_id, query)))


@router.get("/demo")
def demo(query: Annotated[DemoPageQuery, Query()], caller: Reader, session: SessionDep, request: Request) -> Response:
    """The demo, part by part."""
    trouble = request.app.state.demo.trouble
    page = demo_page(session, caller.project_id, query, server_address(request), trouble)
    return html_unless_known(request, render_demo(page))


@router.get("/transform")
def transform(query: Annotated[TransformQuery, Query()], caller: Reader) -> Response:
    """Credits for rewards that are typed into a form."""
    page = transform_page(query)
    return html(render_transform(page), 422 if isinstance(page.outcome, Wrong) else 200)


@router.get("/transform/credits.csv")
def credits_csv(query: Annotated[TransformQuery, Query()], caller: Reader) -> Response:
    """The same credits, in full precision."""
    return transform_file(query)


@router.get("/docs")
def reference(request: Request) -> Response:
    """The API as its OpenAPI document describes it, open to everybody as that is."""
    return html(render_reference(ReferencePage(server_address(request), request.app.openapi())))


@router.get("/assets/{digest}/{name}")
def read_asset(digest: str, name: str, request: Request) -> Response:
    """A file that pages load, open to everybody: it is the same on every server of this version."""
    found = asset(name, digest)
    if found is None:
        raise HTTPException(404)
    headers = {"Cache-Control": CACHE_CONTROL, "Vary": "Accept-Encoding"}
    if TAKES_GZIP.search(request.headers.get("accept-encoding", "")):
        return Response(found.gzipped, media_type=found.media_type, headers=headers | {"Content-Encoding": "gzip"})
    return Response(found.content, media_type=found.media_type, headers=headers)
