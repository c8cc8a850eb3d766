"""Jobs, their events, the workers that take them, and uploaded files."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, LargeBinary, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, BigKey, EmptyList, EmptyObject, Now, PublicId, one_of

JOB_KINDS = ("sampling", "verification", "training", "import")
JOB_STATES = ("queued", "running", "succeeded", "failed", "dead", "cancelled")


class Worker(Base):
    """A process that takes jobs, and what it can do."""

    __tablename__ = "workers"
    id: Mapped[BigKey]
    uuid: Mapped[PublicId]
    host: Mapped[str]
    pid: Mapped[int] = mapped_column(Integer)
    queues: Mapped[list[str]]
    capabilities: Mapped[EmptyList]
    started_at: Mapped[Now]
    heartbeat_at: Mapped[Now]
    stopped_at: Mapped[datetime | None]


class Job(Base):
    """Work to be done at least once. Its `attempt` fences every write: a worker that lost the job writes nothing."""

    __tablename__ = "jobs"
    id: Mapped[BigKey]
    uuid: Mapped[PublicId]
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    api_key_id: Mapped[int | None] = mapped_column(ForeignKey("api_keys.id", ondelete="SET NULL"))
    kind: Mapped[str]
    spec: Mapped[dict[str, Any]]
    queue: Mapped[str]
    capability: Mapped[str]  # what a worker must be able to do
    priority: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    state: Mapped[str] = mapped_column(server_default="queued")
    attempt: Mapped[int] = mapped_column(Integer, server_default=text("0"))  # only ever goes up: it is the fence
    forgiven: Mapped[int] = mapped_column(Integer, server_default=text("0"))  # attempts that count against no bound
    worker_id: Mapped[int | None] = mapped_column(ForeignKey("workers.id", ondelete="SET NULL"))
    leased_until: Mapped[datetime | None]  # the worker that runs it says anew, before that, that it lives
    cancel_requested_at: Mapped[datetime | None]
    done: Mapped[int] = mapped_column(server_default=text("0"))
    total: Mapped[int | None]
    rate: Mapped[float | None]  # done in a second, lately
    error: Mapped[Any | None] = mapped_column(JSONB)
    created_at: Mapped[Now]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    __table_args__ = (
        one_of("kind", JOB_KINDS),
        one_of("state", JOB_STATES),
        CheckConstraint("attempt >= 0", name="attempt"),
        CheckConstraint("0 <= forgiven AND forgiven <= attempt", name="forgiven"),
        Index(None, "project_id", "id"),
        Index(None, "leased_until", postgresql_where=text("state = 'running'")),
        Index(None, "id", postgresql_where=text("state = 'queued'")),
    )


class JobEvent(Base):
    """A line of a job's story, streamed to who follows it: state, progress, log."""

    __tablename__ = "job_events"
    id: Mapped[BigKey]
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    attempt: Mapped[int] = mapped_column(Integer)
    at: Mapped[Now]
    kind: Mapped[str]
    payload: Mapped[EmptyObject]
    __table_args__ = (Index(None, "job_id", "id"),)


class Upload(Base):
    """A file sent for an import job."""

    __tablename__ = "uploads"
    id: Mapped[BigKey]
    uuid: Mapped[PublicId]
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    filename: Mapped[str]
    path: Mapped[str]
    size: Mapped[int]  # in bytes
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[Now]
    __table_args__ = (CheckConstraint("size >= 0", name="size"),)
