"""Routes of jobs, of the files that they read, and of the workers that take them."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import Field, TypeAdapter

from app.auth.security import Reader, Submitter
from app.body import Body, JsonBytes, body_in, documented, parse
from app.db import SessionDep, session_slot
from app.estimates.examples import answers
from app.idempotency import KeepingRoute, once
from app.ingest.examples import answered
from app.jobs import examples, service, stored
from app.jobs.following import follow
from app.jobs.schemas import (
    JobResponse,
    JobsQuery,
    JobsResponse,
    UploadQuery,
    UploadResponse,
    WorkersResponse,
)
from app.jobs.specs import ImportSpec, NewJob, OfAnyKind, SamplingSpec, TrainingSpec, VerificationSpec, offer
from app.jobs.uploads import store_upload
from app.paging import PageQuery, WholeNumber, each_parameter_once

router = APIRouter(prefix="/v1", tags=["jobs"], route_class=KeepingRoute, dependencies=[Depends(each_parameter_once)])

OCTETS: Final = "application/octet-stream"
EVENT_STREAM: Final = "text/event-stream"
LastEventId = Annotated[
    int, WholeNumber, Header(alias="Last-Event-ID", ge=0, le=2**63 - 1, description="The last event seen")
]
OF_ANY_KIND: Final = TypeAdapter(OfAnyKind)
AS_DOCUMENTED: Final = TypeAdapter(
    Annotated[
        NewJob[ImportSpec | VerificationSpec | SamplingSpec | TrainingSpec],
        Field(examples=[examples.IMPORT, examples.VERIFICATION, examples.SAMPLING, examples.TRAINING]),
    ]
)
FILE: Final = {
    "requestBody": {"required": True, "content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}}}
}

FileBody = Annotated[Body, Depends(body_in(OCTETS))]


@router.post(
    "/uploads",
    summary="Upload a file",
    status_code=201,
    responses={201: {"description": "It is stored", **answered(examples.UPLOAD)}},
    openapi_extra=FILE,
    dependencies=[once("jobs")],
)
def upload(
    request: Request, query: Annotated[UploadQuery, Query()], caller: Submitter, body: FileBody, session: SessionDep
) -> UploadResponse:
    """A results file for an import job, as it is on disk; gzipped ones too. It is on disk before the answer."""
    data_dir = request.app.state.settings.data_dir
    return store_upload(session, caller.project_id, data_dir, query.filename, body.content)


@router.post(
    "/jobs",
    summary="Submit a job",
    status_code=202,
    responses={202: {"description": "It is queued", **answered(examples.JOB)}},
    openapi_extra=documented(AS_DOCUMENTED),
    dependencies=[once("jobs")],
)
def submit_job(
    request: Request, caller: Submitter, body: JsonBytes, session: SessionDep, response: Response
) -> JobResponse:
    """The job waits for a worker that can do it: `workers` says how many of those there are now."""
    offered = offer(parse(OF_ANY_KIND, body).kind)
    job = service.submit(session, caller, request.app.state.settings, parse(offered.request, body))
    response.headers["Location"] = f"/v1/jobs/{job.uuid}"
    return stored.described(session, job)


@router.get("/jobs", summary="Jobs", responses=answers(examples.JOBS))
def list_jobs(query: Annotated[JobsQuery, Query()], caller: Reader, session: SessionDep) -> JobsResponse:
    """The jobs of the project, the newest first."""
    return stored.list_jobs(session, caller.project_id, query)


@router.get("/jobs/{job_id}", summary="A job", responses=answers(examples.JOB))
def read_job(job_id: UUID, caller: Reader, session: SessionDep) -> JobResponse:
    """Its state, how far it is, and why it failed."""
    return stored.read_job(session, caller.project_id, job_id)


@router.get(
    "/jobs/{job_id}/events",
    summary="Follow a job",
    response_class=StreamingResponse,
    responses={200: {"description": "Server-sent events", "content": {EVENT_STREAM: {"example": examples.EVENTS}}}},
)
async def follow_job(
    request: Request, job_id: UUID, caller: Reader, last_event_id: LastEventId = 0
) -> StreamingResponse:
    """Server-sent events `state`, `progress` and `log`, from the first on, until the job has ended.

    Who lost the connection sends the id of the last event it saw as `Last-Event-ID`, and is told what came after it.
    """
    async with session_slot(request.app):
        known = await run_in_threadpool(_id_of, request, caller.project_id, job_id)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(follow(request.app, known, last_event_id), media_type=EVENT_STREAM, headers=headers)


def _id_of(request: Request, project_id: int, job_id: UUID) -> int:
    with request.app.state.sessions() as session:
        return service.find_job(session, project_id, job_id).id


@router.post(
    "/jobs/{job_id}/cancel",
    summary="Cancel a job",
    status_code=202,
    responses={202: {"description": "It is cancelled, or will be", **answered(examples.JOB)}},
    dependencies=[once("jobs")],
)
def cancel_job(job_id: UUID, caller: Submitter, session: SessionDep) -> JobResponse:
    """One that is queued is cancelled at once; a running one is stopped within seconds. What it stored stays."""
    return stored.described(session, service.cancel(session, caller.project_id, job_id))


@router.post(
    "/jobs/{job_id}/retry",
    summary="Queue a job again",
    status_code=202,
    responses={202: {"description": "It is queued", **answered(examples.JOB)}},
    dependencies=[once("jobs")],
)
def retry_job(job_id: UUID, caller: Submitter, session: SessionDep) -> JobResponse:
    """One that failed, is dead or was cancelled, with as many attempts as a new one. It goes on where it stopped."""
    return stored.described(session, service.retry(session, caller.project_id, job_id))


@router.get("/workers", summary="Workers", responses=answers(examples.WORKERS))
def list_workers(query: Annotated[PageQuery, Query()], caller: Reader, session: SessionDep) -> WorkersResponse:
    """The processes that take jobs, and what they can do: `python -m workers --help`."""
    return stored.list_workers(session, caller.project_id, query)
