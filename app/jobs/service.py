"""Jobs submitted, cancelled and retried; and from the workers' side taken, kept, and brought to an end.

A worker may be frozen for so long that another one takes its job over, and wake up. So each attempt has a number, and
who writes a result holds, in the transaction of the write, the row of a job that still is at this attempt. Who takes
the job away waits for that transaction: FOR UPDATE and FOR KEY SHARE exclude each other. To renew the lease does not.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import func, insert, select, text, tuple_, update
from sqlalchemy.orm import Session, sessionmaker

from app.auth.service import Caller
from app.config import Settings
from app.errors import NotFound
from app.ingest.evaluations import sampled_evaluations
from app.ingest.verdicts import versioned_name
from app.jobs.checks import check
from app.jobs.errors import JobOver
from app.jobs.options.identity import is_default
from app.jobs.queue import defer
from app.jobs.specs import NewJob, Queue, SamplingSpec, VerificationSpec, offer
from app.jobs.training_checks import check_retried
from app.models import Job, JobEvent, Worker

MOST_ATTEMPTS: Final = 5
LINES_OF_AN_ERROR: Final = 20
LOST: Final = "The worker that ran it did not say in time that it lives."
EVENTS_LOCK: Final = 0x706B706F
OVER: Final = ("succeeded", "failed", "dead", "cancelled")

# Queued, but in no queue: who took the job from there died before it said so here. `doing` counts only while its
# worker lives.
FORGOTTEN: Final = text(
    "SELECT id FROM jobs WHERE state = 'queued' AND NOT EXISTS ("
    "SELECT FROM procrastinate_jobs AS queued LEFT JOIN procrastinate_workers AS taker ON taker.id = queued.worker_id"
    " WHERE (queued.args->>'job_id')::bigint = jobs.id AND (queued.status = 'todo' OR (queued.status = 'doing'"
    " AND taker.last_heartbeat > now() - make_interval(secs => :patience))))"
    " ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED"
)
# What workers that died were doing, as procrastinate sees it.
ABANDONED: Final = text(
    "DELETE FROM procrastinate_jobs AS queued WHERE status = 'doing' AND NOT EXISTS ("
    "SELECT FROM procrastinate_workers WHERE id = queued.worker_id"
    " AND last_heartbeat > now() - make_interval(secs => :patience))"
)


class AttemptLost(Exception):
    """The job is somebody else's by now, or over: what this attempt would write is refused."""


@dataclass(frozen=True)
class Attempt:
    """A job, and the attempt at it that somebody makes."""

    job_id: int
    number: int


@dataclass(frozen=True)
class Claimed:
    """A job that a worker has taken."""

    attempt: Attempt
    uuid: UUID
    kind: str
    queue: str
    spec: dict[str, Any]


def submit(
    session: Session, caller: Caller, settings: Settings, wanted: NewJob[Any], queue: Queue | None = None
) -> Job:
    """The new job, queued when this transaction commits: in the queue of its kind unless another is named."""
    offer(wanted.kind).capability(wanted.spec)  # raises where no worker could do it
    check(session, caller.project_id, settings, wanted.spec)
    return _queue(session, caller, wanted, queue)


def _queue(session: Session, caller: Caller, wanted: NewJob[Any], queue: Queue | None = None) -> Job:
    offered = offer(wanted.kind)
    spec: BaseModel = wanted.spec
    job = Job(
        project_id=caller.project_id,
        api_key_id=caller.api_key_id,
        kind=wanted.kind,
        spec=spec.model_dump(mode="json", exclude_none=True),
        queue=queue or offered.queue,
        capability=offered.capability(spec),
        priority=wanted.priority,
        state="queued",
        attempt=0,
        forgiven=0,
    )
    session.add(job)
    session.flush()
    _enqueue(session, job)
    return job


def have_judged(session: Session, job: Job, evaluation_id: UUID) -> None:
    """Queue a job for each verifier of a sampling job that has none waiting, for whoever submitted that one.

    One that runs may have read past the latest completions.
    """
    for verifier in job.spec.get("verifiers", []):
        if not _waits(session, job.project_id, evaluation_id, verifier):
            spec = VerificationSpec(evaluation=evaluation_id, verifier=verifier)
            wanted = NewJob[VerificationSpec](kind="verification", spec=spec)
            _queue(session, Caller(job.project_id, job.api_key_id, frozenset()), wanted)


def find_job(session: Session, project_id: int, job_id: UUID, *, for_update: bool = False) -> Job:
    """The job; NotFound where the project has none of this id."""
    wanted = select(Job).filter_by(project_id=project_id, uuid=job_id)
    # Not for a lock that would wait for what a worker is writing.
    job = session.scalar(wanted.with_for_update(key_share=True) if for_update else wanted)
    if job is None:
        raise NotFound("This project has no job of this id.")
    return job


def cancel(session: Session, project_id: int, job_id: UUID) -> Job:
    """The job, cancelled if it was queued; else its worker is asked to stop it. JobOver where it came to its end."""
    job = find_job(session, project_id, job_id, for_update=True)
    match job.state:
        case "queued":
            _end(session, job, "cancelled")
        case "running":
            job.cancel_requested_at = job.cancel_requested_at or func.now()
            overdue = select(Job).where(Job.id == job.id, Job.leased_until < func.now())
            if session.scalar(overdue.with_for_update(skip_locked=True)) is not None:
                _end(session, job, "cancelled")  # whoever ran it is gone, and perhaps nobody else is there
        case "succeeded" | "failed" | "dead":
            raise JobOver(job.state)
    return job


def retry(session: Session, project_id: int, job_id: UUID) -> Job:
    """The job, queued again, with as many attempts as a new one; as it is where it has not ended yet.

    Raises:
      JobOver: it succeeded.
      RunInTraining: another job trains a run of it.
    """
    job = find_job(session, project_id, job_id, for_update=True)
    match job.state:
        case "failed" | "dead" | "cancelled":
            if job.kind == "training":
                check_retried(session, job)
            job.forgiven, job.error = job.attempt, None
            job.done, job.total, job.rate = 0, None, None
            job.cancel_requested_at = job.started_at = job.finished_at = None
            _enqueue(session, job)
        case "succeeded":
            raise JobOver(job.state)
    return job


def register(session: Session, host: str, pid: int, queues: Collection[str], capabilities: Collection[str]) -> int:
    """The id of a new worker."""
    worker = Worker(host=host, pid=pid, queues=list(queues), capabilities=list(capabilities))
    session.add(worker)
    session.flush()
    return worker.id


def unregister(session: Session, worker_id: int) -> None:
    """Say that the worker has stopped."""
    session.execute(update(Worker).where(Worker.id == worker_id).values(stopped_at=func.now()))


def claim(session: Session, job_id: int, worker_id: int, lease: float) -> Claimed | None:
    """The job as this worker's, for `lease` seconds; None where it is not queued any more."""
    job = session.scalar(select(Job).where(Job.id == job_id, Job.state == "queued").with_for_update())
    if job is None:
        return None
    job.state, job.attempt, job.worker_id = "running", job.attempt + 1, worker_id
    job.error = None
    job.leased_until, job.started_at = _in(lease), func.coalesce(Job.started_at, func.now())
    _tell_state(session, job)
    return Claimed(Attempt(job.id, job.attempt), job.uuid, job.kind, job.queue, job.spec)


def renew(session: Session, worker_id: int, attempts: Collection[Attempt], lease: float) -> dict[Attempt, bool]:
    """Whether each of the attempts that still is this worker's should be cancelled; those it has lost are left out."""
    session.execute(update(Worker).where(Worker.id == worker_id).values(heartbeat_at=func.now()))
    if not attempts:
        return {}
    held = tuple_(Job.id, Job.attempt).in_([(each.job_id, each.number) for each in attempts])
    renewed = update(Job).where(held, Job.state == "running").values(leased_until=_in(lease))
    rows = session.execute(renewed.returning(Job.id, Job.attempt, Job.cancel_requested_at))
    return {Attempt(id_, number): asked is not None for id_, number, asked in rows}


@contextmanager
def fenced(sessions: sessionmaker[Session], attempt: Attempt) -> Iterator[Session]:
    """A transaction in which the job is at this attempt, to its end; AttemptLost where it is not. It commits."""
    with sessions.begin() as session:
        hold(session, attempt)
        yield session


def hold(session: Session, attempt: Attempt) -> None:
    """Keep the job at this attempt until the transaction ends; AttemptLost where it is at another, or over."""
    wanted = select(Job.id).where(Job.id == attempt.job_id, Job.attempt == attempt.number, Job.state == "running")
    if session.scalar(wanted.with_for_update(read=True, key_share=True)) is None:
        raise AttemptLost(f"job {attempt.job_id} is no longer at attempt {attempt.number}")


def record_progress(
    session: Session, attempt: Attempt, done: int, total: int | None, rate: float | None, *, tell: bool
) -> None:
    """Note, last in a fenced transaction, how far the job is; `tell` says it to who follows the job."""
    values = {"done": done, "total": total, "rate": rate}
    session.execute(update(Job).where(Job.id == attempt.job_id).values(values))
    if tell:
        _tell(session, attempt, "progress", values)


def record_log(session: Session, attempt: Attempt, lines: Collection[str]) -> None:
    """Keep, in a fenced transaction, lines that the job has written."""
    _tell(session, attempt, "log", {"lines": list(lines)})


def fail(session: Session, attempt: Attempt, reason: str) -> None:
    """Note, in a fenced transaction, what another attempt would meet too: with it the job finishes."""
    error = {"detail": reason, "log": []}
    session.execute(update(Job).where(Job.id == attempt.job_id).values(error=error))


def finish(session: Session, attempt: Attempt) -> None:
    """End the job whose attempt has come to its own end: it succeeded, or failed for the reason that it noted."""
    if (job := _held_for_update(session, attempt)) is not None:
        reason = job.error and job.error["detail"]
        _end(session, job, "failed" if reason else "succeeded", reason)


def give_back(session: Session, attempt: Attempt) -> None:
    """Queue the job of a worker that stops in good order: the attempt does not count."""
    if (job := _held_for_update(session, attempt)) is not None:
        job.forgiven += 1
        _release(session, job)


def lose(session: Session, attempt: Attempt, reason: str) -> None:
    """Take the job from an attempt that came to nothing: it is queued again, or dead after the last one."""
    if (job := _held_for_update(session, attempt)) is not None:
        _lose(session, job, reason)


def sweep(session: Session, patience: float) -> None:
    """Take jobs from workers that did not renew their lease, and queue what was forgotten.

    A worker of procrastinate that was silent for `patience` seconds counts as dead.
    """
    overdue = select(Job).where(Job.state == "running", Job.leased_until < func.now()).order_by(Job.id).limit(100)
    for job in session.scalars(overdue.with_for_update(skip_locked=True)):
        _lose(session, job, LOST)
    for job_id in session.scalars(FORGOTTEN, {"patience": patience}).all():
        defer(session, session.get_one(Job, job_id))
    session.execute(ABANDONED, {"patience": patience})


def _held_for_update(session: Session, attempt: Attempt) -> Job | None:
    wanted = select(Job).where(Job.id == attempt.job_id, Job.attempt == attempt.number, Job.state == "running")
    return session.scalar(wanted.with_for_update())


def _lose(session: Session, job: Job, reason: str) -> None:
    if job.cancel_requested_at is not None:
        _end(session, job, "cancelled")
    elif job.attempt - job.forgiven >= MOST_ATTEMPTS:
        _end(session, job, "dead", f"{reason} It was attempt {MOST_ATTEMPTS} of {MOST_ATTEMPTS}.")
    else:
        record_log(session, Attempt(job.id, job.attempt), [f"Attempt {job.attempt - job.forgiven} is lost. {reason}"])
        _release(session, job)


def _release(session: Session, job: Job) -> None:
    if job.cancel_requested_at is not None:
        _end(session, job, "cancelled")
    else:
        job.worker_id = job.leased_until = job.rate = None
        _enqueue(session, job)


def _enqueue(session: Session, job: Job) -> None:
    job.state = "queued"
    session.flush()
    defer(session, job)
    _tell_state(session, job)


def _waits(session: Session, project_id: int, evaluation_id: UUID, verifier: str) -> bool:
    """Whether a job of this verifier, without options, is queued; it will not start before this transaction ends."""
    queued = select(Job.spec).filter_by(project_id=project_id, kind="verification", state="queued")
    of_it = queued.where(Job.spec.contains({"evaluation": str(evaluation_id)}))
    specs = session.scalars(of_it.with_for_update(read=True, key_share=True)).all()
    named = [each for each in specs if versioned_name(each["verifier"]) == versioned_name(verifier)]
    return any(is_default(verifier, each.get("options", {})) for each in named)


def _end(session: Session, job: Job, state: str, reason: str | None = None) -> None:
    job.state, job.finished_at = state, func.now()
    job.leased_until = job.rate = None
    job.error = None if reason is None else {"detail": reason, "log": _last_lines(session, job)}
    _tell_state(session, job)
    if job.kind == "sampling" and job.done > 0:
        # However it ended: what was drawn is there, and somebody wants to see what it is worth.
        spec = SamplingSpec.model_validate(job.spec)
        of_it = sampled_evaluations(session, job.project_id, spec.run, spec.step, spec.problem_set, spec.identity())
        for evaluation_id in of_it:
            have_judged(session, job, evaluation_id)


def _last_lines(session: Session, job: Job) -> list[str]:
    written = select(JobEvent.payload).filter_by(job_id=job.id, kind="log").order_by(JobEvent.id.desc())
    lines = [line for payload in session.scalars(written.limit(LINES_OF_AN_ERROR)) for line in payload["lines"][::-1]]
    return lines[:LINES_OF_AN_ERROR][::-1]


def _tell_state(session: Session, job: Job) -> None:
    session.flush()
    said = {"state": job.state, "attempt": job.attempt - job.forgiven, "error": job.error}
    _tell(session, Attempt(job.id, job.attempt), "state", said)


def _tell(session: Session, attempt: Attempt, kind: str, payload: dict[str, Any]) -> None:
    # One writer of a job's events at a time: else one could commit behind a follower that has seen a higher id.
    session.execute(select(func.pg_advisory_xact_lock(EVENTS_LOCK, attempt.job_id % 2**31)))
    row = {"job_id": attempt.job_id, "attempt": attempt.number, "kind": kind, "payload": payload}
    session.execute(insert(JobEvent).values(row))


def _in(seconds: float) -> Any:
    return func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
