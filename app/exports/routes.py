"""The model card of a checkpoint."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Request, Response

from app.auth.security import Reader
from app.db import SessionDep
from app.exports import model
from app.ingest.schemas import Name
from app.paging import each_parameter_once

router = APIRouter(prefix="/v1/runs", tags=["runs"], dependencies=[Depends(each_parameter_once)])


MARKDOWN: Final = "text/markdown"


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
