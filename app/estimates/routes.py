"""Routes that read: curves, problems, what is missing, runs."""

import hashlib
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from app.auth.security import Reader
from app.body import JsonBytes
from app.db import SessionDep
from app.estimates import examples, posted, runs, service
from app.estimates.comparisons import comparison
from app.estimates.examples import answers
from app.estimates.missing import missing_completions
from app.estimates.problems import problem_table
from app.estimates.responses import (
    CheckpointCurve,
    ComparisonResponse,
    CurveResponse,
    EstimatesResponse,
    MissingResponse,
    ProblemsResponse,
    RunCurvesResponse,
    RunResponse,
    RunsResponse,
)
from app.estimates.schemas import (
    ESTIMATE_BODY,
    ComparisonQuery,
    CurveQuery,
    MissingQuery,
    ProblemsQuery,
    RunCurvesQuery,
    RunsQuery,
)
from app.ingest.schemas import Name
from app.paging import each_parameter_once


def _unless_known(request: Request, body: bytes) -> Response:
    """The answer with its ETag; 304 where the client has it already."""
    tag = f'"{hashlib.sha256(body).hexdigest()}"'
    known = ",".join(request.headers.getlist("if-none-match")).split(",")
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if any(each.strip().removeprefix("W/") in (tag, "*") for each in known):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


AS_IT_WAS: Final[dict[int | str, dict[str, Any]]] = {304: {"description": "As it was when its ETag was given"}}

router = APIRouter(tags=["estimates"], dependencies=[Depends(each_parameter_once)])


@router.post(
    "/v1/estimates",
    summary="Estimates from counts or rewards",
    openapi_extra=ESTIMATE_BODY,
    responses=answers(examples.ESTIMATES, EstimatesResponse),
)
def estimate(caller: Reader, body: JsonBytes) -> Response:
    """pass@k, or another metric, of each problem, and its mean over problems with its interval. Nothing is stored.

    Of `n` completions of each problem `c` passed; or `rewards` has those of each problem, in lists of any length.
    """
    return Response(EstimatesResponse.json_of(posted.estimates(body)), media_type="application/json")


@router.get(
    "/v1/evaluations/{evaluation_id}/curve",
    summary="The curve of an evaluation",
    responses=answers(examples.CURVE, CurveResponse) | AS_IT_WAS,
)
def read_curve(
    evaluation_id: UUID, query: Annotated[CurveQuery, Query()], caller: Reader, session: SessionDep, request: Request
) -> Response:
    """pass@k, or another metric, averaged over the problems of an evaluation, with its interval.

    Problems are taken as a sample. All k are over the same problems, so that pass@k never falls as k grows. A k beyond
    the smallest n is refused: no unbiased estimate exists. So is a curve with completions missing, unless `missing`
    says otherwise. The answer has an ETag: sent back as If-None-Match, it is answered by 304 until the curve changes.
    """
    curve = CurveResponse.of(service.curve(session, caller.project_id, evaluation_id, query))
    return _unless_known(request, curve.model_dump_json().encode())


@router.get(
    "/v1/comparisons",
    summary="What changed from one evaluation to another",
    responses=answers(examples.COMPARISON, ComparisonResponse) | AS_IT_WAS,
)
def read_comparison(
    query: Annotated[ComparisonQuery, Query()], caller: Reader, session: SessionDep, request: Request
) -> Response:
    """b − a at each k, with the interval and p-value of the mean difference over problems, and what b newly solves.

    Both are on one problem set. Differences are taken problem by problem, over the problems that both allow: what makes
    a problem hard for both cancels. Options are those of a curve, for both. Where the interval leaves 0 out, the data
    tells the two apart at that k.
    """
    compared = ComparisonResponse.of(comparison(session, caller.project_id, query))
    return _unless_known(request, compared.model_dump_json().encode())


@router.get(
    "/v1/evaluations/{evaluation_id}/problems",
    summary="The problems of an evaluation",
    responses=answers(examples.PROBLEMS),
)
def list_problems(
    evaluation_id: UUID, query: Annotated[ProblemsQuery, Query()], caller: Reader, session: SessionDep
) -> ProblemsResponse:
    """Every problem of the set with its completions, how many have a result, and how many of them passed."""
    evaluation = service.evaluation(session, caller.project_id, evaluation_id)
    verifier = service.verifier(session, evaluation, query.verifier)
    return ProblemsResponse.of(problem_table(session, evaluation, verifier, query), verifier)


@router.get(
    "/v1/evaluations/{evaluation_id}/missing",
    summary="What an evaluation lacks",
    responses=answers(examples.MISSING),
)
def list_missing(
    evaluation_id: UUID, query: Annotated[MissingQuery, Query()], caller: Reader, session: SessionDep
) -> MissingResponse:
    """The sample indexes, from 0 to n - 1, without a completion; with a verifier, also those without its verdict.

    An infrastructure error is no verdict. A page lists at most a million indexes, and fewer problems than the limit
    where n is large.
    """
    evaluation = service.evaluation(session, caller.project_id, evaluation_id)
    return MissingResponse.of(missing_completions(session, evaluation, query))


@router.get(
    "/v1/runs",
    summary="Runs, newest first",
    responses=answers(examples.RUNS),
)
def list_runs(query: Annotated[RunsQuery, Query()], caller: Reader, session: SessionDep) -> RunsResponse:
    """The runs of the project, without those that are archived unless `archived` asks for them."""
    listed = runs.list_runs(session, caller.project_id, query)
    return RunsResponse(runs=[RunResponse.of(each) for each in listed.items], next_cursor=listed.next_cursor)


@router.get(
    "/v1/runs/{run}",
    summary="A run",
    responses=answers(examples.RUN),
)
def read_run(run: Annotated[Name, Path()], caller: Reader, session: SessionDep) -> RunResponse:
    """A run: a model being trained or evaluated, a series of checkpoints."""
    return RunResponse.of(runs.read_run(session, caller.project_id, run))


@router.get(
    "/v1/runs/{run}/curves",
    summary="The curves of a run's checkpoints",
    responses=answers(examples.RUN_CURVES, RunCurvesResponse) | AS_IT_WAS,
)
def read_run_curves(
    run: Annotated[Name, Path()],
    query: Annotated[RunCurvesQuery, Query()],
    caller: Reader,
    session: SessionDep,
    request: Request,
) -> Response:
    """Each evaluation of a run by step, with its curve; where a curve is refused, why.

    A checkpoint evaluated on several problem sets, or with several sampling configurations, is listed once for each.
    The answer has an ETag, as that of one curve has.
    """
    listed = runs.run_curves(session, caller.project_id, run, query)
    checkpoints = [CheckpointCurve.of(each) for each in listed.items]
    found = RunCurvesResponse(metric=query.metric, checkpoints=checkpoints, next_cursor=listed.next_cursor)
    return _unless_known(request, found.model_dump_json().encode())
