"""The checkpoints of a run, and the model card of one."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from app.auth.security import Reader
from app.db import SessionDep
from app.estimates.examples import answers
from app.exports import model
from app.exports.checkpoints import EXAMPLE, CheckpointsResponse, list_checkpoints
from app.ingest.schemas import Name
from app.paging import PageQuery, each_parameter_once

router = APIRouter(prefix="/v1/runs", tags=["runs"], dependencies=[Depends(each_parameter_once)])


MARKDOWN: Final = "text/markdown"


@router.get("/{run}/checkpoints", summary="Checkpoints of a run", responses=answers(EXAMPLE))
def read_checkpoints(
    run: Annotated[Name, Path()],
    query: Annotated[PageQuery, Query()],
    caller: Reader,
    session: SessionDep,
    request: Request,
) -> CheckpointsResponse:
    """By step: those that were evaluated, and those on disk. Whether the weights of each are still there."""
    return list_checkpoints(session, caller.project_id, request.app.state.settings.checkpoints, run, query)


@router.get(
    "/{run}/checkpoints/{step}/card",
    summary="The model card of a checkpoint",
    response_class=Response,
    responses={200: {"content": {MARKDOWN: {"schema": {"type": "string"}}}, "description": "The card"}},
)
def read_card(
    run: Annotated[Name, Path()],
    step: Annotated[int, Path(ge=0, le=2**63 - 1)],
    caller: Reader,
    session: SessionDep,
    request: Request,
) -> Response:
    """As `pkpo export` writes it: problems, objective, settings, results with their intervals, hashes of the files.

    What lies in the checkpoint's folder is said where this server sees that folder.
    """
    checkpoints = request.app.state.settings.checkpoints
    card = model.card_of(session, caller.project_id, checkpoints, run, step)
    return Response(card, media_type=MARKDOWN)
