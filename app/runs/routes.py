"""Routes that change and delete runs; those that read them are in app.estimates."""

from typing import Annotated, Final

from fastapi import APIRouter, BackgroundTasks, Path, Request
from pydantic import TypeAdapter

from app.auth.security import Admin, Writer
from app.body import JsonBytes, documented, parse
from app.db import SessionDep
from app.estimates import examples
from app.estimates.examples import answers
from app.estimates.responses import RunResponse
from app.ingest.schemas import Name
from app.runs import service
from app.runs.schemas import RunChanges
from app.training.checkpoint import folder_of_run

router = APIRouter(prefix="/v1/runs", tags=["runs"])

RUN_CHANGES: Final = TypeAdapter(RunChanges)

RunName = Annotated[Name, Path()]


@router.patch("/{run}", summary="Change a run", responses=answers(examples.RUN), openapi_extra=documented(RUN_CHANGES))
def change_run(run: RunName, caller: Writer, body: JsonBytes, session: SessionDep) -> RunResponse:
    """Its tags, its notes, and whether it is archived; what is left out stays as it is."""
    return RunResponse.of(service.change_run(session, caller.project_id, run, parse(RUN_CHANGES, body)))


@router.delete("/{run}", summary="Delete a run", status_code=204)
def delete_run(run: RunName, caller: Admin, session: SessionDep, request: Request, afterwards: BackgroundTasks) -> None:
    """Its checkpoints, evaluations, completions, verdicts, groups and metrics are deleted with it, for good.

    So are the weights of its checkpoints that lie on a disk of this server, right after the answer. Problems and
    verifiers stay. The audit log keeps who deleted it, and when. A run that a job trains, or whose checkpoint is the
    model of a job, is not deleted: 409.
    """
    folder = folder_of_run(request.app.state.settings.checkpoints, caller.project_id, run)
    deleted = service.delete_run(session, caller, run, folder)
    afterwards.add_task(service.remove_weights, folder, deleted)
