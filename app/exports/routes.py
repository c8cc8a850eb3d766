"""The model card of a checkpoint."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import PlainTextResponse

from app.auth.security import Reader
from app.db import SessionDep
from app.exports import model
from app.ingest.schemas import Name

router = APIRouter(prefix="/v1/runs", tags=["runs"])


class MarkdownResponse(PlainTextResponse):
    """Markdown, as text."""

    media_type = "text/markdown"


@router.get("/{run}/checkpoints/{step}/card", summary="The model card of a checkpoint", response_class=MarkdownResponse)
def read_card(
    run: Annotated[Name, Path()],
    step: Annotated[int, Path(ge=0, le=2**63 - 1)],
    caller: Reader,
    session: SessionDep,
    request: Request,
) -> MarkdownResponse:
    """As `pkpo export` writes it: problems, objective, settings, results with their intervals, hashes of the files.

    What lies in the checkpoint's folder is said where this server sees that folder.
    """
    checkpoints = request.app.state.settings.checkpoints
    return MarkdownResponse(model.card_of(session, caller.project_id, checkpoints, run, step))
