"""Jobs and workers as the service shows them."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select, text
from sqlalchemy.orm import Session

from app.jobs.schemas import (
    JobError,
    JobResponse,
    JobsQuery,
    JobsResponse,
    Progress,
    WorkerResponse,
    WorkersResponse,
)
from app.jobs.service import find_job
from app.jobs.specs import as_declared
from app.models import Job, Worker
from app.paging import PageQuery, decode, page

SILENCE: Final = 30  # seconds after which a worker counts as gone
MOST_PRESENT: Final = 200


def described(session: Session, job: Job) -> JobResponse:
    """The job, as it is in this transaction."""
    session.flush()
    session.refresh(job)
    return described_all(session, [job])[0]


def read_job(session: Session, project_id: int, job_id: UUID) -> JobResponse:
    """The job; NotFound where the project has none of this id."""
    return described_all(session, [find_job(session, project_id, job_id)])[0]


def list_jobs(session: Session, project_id: int, query: JobsQuery) -> JobsResponse:
    """The project's jobs, the newest first."""
    chosen = {name: value for name, value in (("state", query.state), ("kind", query.kind)) if value is not None}
    wanted = select(Job).filter_by(project_id=project_id, **chosen).order_by(Job.id.desc()).limit(query.limit + 1)
    if query.cursor is not None:
        wanted = wanted.where(Job.id < _id_of(query.cursor))
    listed = page(session.scalars(wanted).all(), query.limit, lambda last: (last.id,))
    return JobsResponse(jobs=described_all(session, listed.items), next_cursor=listed.next_cursor)


def list_workers(session: Session, project_id: int, query: PageQuery) -> WorkersResponse:
    """The workers there are and were, the newest first, with those of their jobs that are the project's."""
    wanted = select(Worker, _lives()).order_by(Worker.id.desc()).limit(query.limit + 1)
    if query.cursor is not None:
        wanted = wanted.where(Worker.id < _id_of(query.cursor))
    listed = page(session.execute(wanted).all(), query.limit, lambda last: (last[0].id,))
    workers = _workers(session, project_id, listed.items)
    return WorkersResponse(workers=workers, next_cursor=listed.next_cursor)


def present_workers(session: Session, project_id: int) -> list[WorkerResponse]:
    """The workers that have not stopped and were heard within the hour, the newest first."""
    heard = Worker.heartbeat_at > func.now() - text("interval '1 hour'")
    wanted = select(Worker, _lives()).where(Worker.stopped_at.is_(None), heard).order_by(Worker.id.desc())
    return _workers(session, project_id, session.execute(wanted.limit(MOST_PRESENT)).all())


def _workers(session: Session, project_id: int, rows: Sequence[Any]) -> list[WorkerResponse]:
    jobs = _running(session, project_id, [worker.id for worker, _ in rows])
    return [
        WorkerResponse(
            id=worker.uuid,
            host=worker.host,
            pid=worker.pid,
            queues=worker.queues,
            capabilities=worker.capabilities,
            live=lives,
            jobs=jobs[worker.id],
            started_at=worker.started_at,
            heartbeat_at=worker.heartbeat_at,
            stopped_at=worker.stopped_at,
        )
        for worker, lives in rows
    ]


def _running(session: Session, project_id: int, worker_ids: Sequence[int]) -> dict[int, list[UUID]]:
    found: defaultdict[int, list[UUID]] = defaultdict(list)
    at_work = select(Job.worker_id, Job.uuid).filter_by(project_id=project_id, state="running")
    wanted = at_work.where(Job.worker_id.in_(worker_ids))
    for worker_id, uuid in session.execute(wanted.order_by(Job.id)):
        found[cast(int, worker_id)].append(uuid)
    return found


def described_all(session: Session, jobs: Sequence[Job]) -> list[JobResponse]:
    """The jobs, as they are."""
    workers = _able(session, jobs)
    return [
        JobResponse(
            id=job.uuid,
            kind=cast(Any, job.kind),
            spec=as_declared(job.kind, job.spec),
            state=cast(Any, job.state),
            attempt=job.attempt - job.forgiven,
            progress=_progress(job),
            error=None if job.error is None else JobError(**job.error),
            queue=cast(Any, job.queue),
            capability=job.capability,
            priority=job.priority,
            workers=workers[job.queue, job.capability],
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
        )
        for job in jobs
    ]


def _progress(job: Job) -> Progress:
    remaining = None
    if job.rate and job.total is not None:
        remaining = max(job.total - job.done, 0) / job.rate
    return Progress(done=job.done, total=job.total, rate=job.rate, remaining=remaining)


def _able(session: Session, jobs: Sequence[Job]) -> dict[tuple[str, str], int]:
    """How many live workers have each queue and capability that the jobs need."""
    needs = {(job.queue, job.capability) for job in jobs}
    live = session.execute(select(Worker.queues, Worker.capabilities).where(_lives())).all()
    return {need: sum(need[0] in queues and need[1] in able for queues, able in live) for need in needs}


def _lives() -> ColumnElement[bool]:
    heard = Worker.heartbeat_at > func.now() - text(f"interval '{SILENCE} seconds'")
    return and_(Worker.stopped_at.is_(None), heard)


def _id_of(cursor: str) -> int:
    return cast(tuple[int], decode(cursor, (int,)))[0]
