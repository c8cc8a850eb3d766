"""Routes that read: curves."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from app.auth.security import Reader
from app.db import SessionDep
from app.errors import InvalidRequest
from app.estimates import service
from app.estimates.responses import CurveResponse
from app.estimates.schemas import CurveQuery

SEVERAL = ("k",)


def _each_parameter_once(request: Request) -> None:
    """FastAPI would take the last of several values and ignore the others."""
    names = [name for name, _ in request.query_params.multi_items() if name not in SEVERAL]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidRequest("Only k may be given several times.", [("query", f"{len(repeated)} given more than once")])


router = APIRouter(tags=["estimates"], dependencies=[Depends(_each_parameter_once)])


@router.get("/v1/evaluations/{evaluation_id}/curve", summary="The curve of an evaluation")
def read_curve(
    evaluation_id: UUID, query: Annotated[CurveQuery, Query()], caller: Reader, session: SessionDep
) -> CurveResponse:
    """pass@k, or another metric, averaged over the problems of an evaluation, with its interval.

    Problems are taken as a sample. All k are over the same problems, so that pass@k never falls as k grows. A k beyond
    the smallest n is refused: no unbiased estimate exists. So is a curve with completions missing, unless `missing`
    says otherwise.
    """
    return CurveResponse.of(service.curve(session, caller.project_id, evaluation_id, query))
