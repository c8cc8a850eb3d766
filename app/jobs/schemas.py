"""What the routes of jobs answer."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from app.jobs.specs import JobKind, Queue
from app.paging import PageQuery

JobState = Literal["queued", "running", "succeeded", "failed", "dead", "cancelled"]


class JobsQuery(PageQuery):
    """Which jobs."""

    state: JobState | None = None
    kind: JobKind | None = None


class Progress(BaseModel):
    """How far a job is, in what its kind counts: completions, verdicts."""

    done: int
    total: int | None = Field(description="null while it is not known")
    rate: float | None = Field(description="Done in a second, lately")
    remaining: float | None = Field(description="Seconds, at that rate")


class JobError(BaseModel):
    """Why a job has not succeeded."""

    detail: str = Field(description="A sentence that names the cause")
    log: list[str] = Field(description="The last lines that it wrote")


class JobResponse(BaseModel):
    """A job as it stands."""

    id: UUID
    kind: JobKind
    spec: dict[str, Any]
    state: JobState = Field(
        description="`failed` is for a reason that another attempt would meet too, `dead` after the last attempt"
    )
    attempt: int = Field(description="From 1; 0 before the first. Five at most")
    progress: Progress
    error: JobError | None = None
    queue: Queue
    capability: str = Field(description="What a worker must be able to do", examples=["import"])
    priority: int
    workers: int = Field(description="Live workers that could take it: at 0 it waits for one to be started")
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None


class JobsResponse(BaseModel):
    """A page of the project's jobs."""

    jobs: list[JobResponse] = Field(description="The newest first")
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null at the end")


class WorkerResponse(BaseModel):
    """A process that takes jobs."""

    id: UUID
    host: str
    pid: int
    queues: list[str]
    capabilities: list[str] = Field(description="What it can do")
    live: bool = Field(description="It has not stopped, and said lately that it lives")
    jobs: list[UUID] = Field(description="What it is at")
    started_at: datetime
    heartbeat_at: datetime
    stopped_at: datetime | None = None


class WorkersResponse(BaseModel):
    """A page of the workers there are and were."""

    workers: list[WorkerResponse] = Field(description="The newest first")
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null at the end")


class UploadQuery(BaseModel):
    """What the file is called."""

    filename: Annotated[
        str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f/]+$", description="To recognise it by")
    ] = "upload"


class UploadResponse(BaseModel):
    """A file that was stored."""

    id: UUID = Field(description="For the spec of an import job")
    filename: str
    size: int = Field(description="In bytes")
    sha256: str
