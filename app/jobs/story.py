"""What the pages show of jobs beside what REST answers: log, history, what they are about, and who works."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Integer, and_, cast, func, or_, select, tuple_
from sqlalchemy.orm import Session

from app.jobs.schemas import JobResponse
from app.models import Checkpoint, Evaluation, Job, JobEvent, ProblemSet, Run, Upload

LINES_A_PAGE: Final = 200
MOST_EVENTS: Final = 200  # looked through for the lines of a page
MOST_CHANGES: Final = 50
MOST_EVALUATIONS: Final = 500


@dataclass(frozen=True)
class LogPage:
    """Lines of a job's log, and the event before which there are older ones."""

    lines: tuple[str, ...]
    older: int | None


@dataclass(frozen=True)
class Change:
    """A state that the job came into; `why` where it was taken from an attempt that came to nothing."""

    at: datetime
    state: str
    attempt: int
    why: str | None


@dataclass(frozen=True)
class About:
    """What a job is about, as far as it is there."""

    run: str | None = None
    run_exists: bool = False
    step: int | None = None
    problem_set: str | None = None
    evaluation: UUID | None = None
    filename: str | None = None


def running(session: Session, project_id: int) -> int:
    """How many of the project's jobs run now."""
    wanted = select(func.count()).where(Job.project_id == project_id, Job.state == "running")
    return session.scalar(wanted) or 0


def key_of(session: Session, job_id: UUID) -> tuple[int, bool]:
    """The key of a job that is known to be there, and whether it runs although it was asked to stop."""
    wanted = select(Job.id, and_(Job.state == "running", Job.cancel_requested_at.is_not(None)))
    key, stopping = session.execute(wanted.where(Job.uuid == job_id)).one()
    return key, stopping


def log_page(session: Session, key: int, before: int | None) -> LogPage:
    """The newest lines of a job's log, some 200, or those before an event."""
    newest = select(JobEvent.id, JobEvent.payload).filter_by(job_id=key, kind="log").order_by(JobEvent.id.desc())
    if before is not None:
        newest = newest.where(JobEvent.id < before)
    looked = newest.limit(MOST_EVENTS + 1).subquery()
    length = func.jsonb_array_length(looked.c.payload["lines"])
    newer = cast(func.sum(length).over(order_by=looked.c.id.desc()), Integer) - length
    ranked = select(looked.c.id, looked.c.payload, newer.label("newer")).subquery()
    shown = select(ranked.c.id, ranked.c.payload).where(ranked.c.newer < LINES_A_PAGE).order_by(ranked.c.id)
    events = session.execute(shown.limit(MOST_EVENTS)).all()
    lines = tuple(line for _, payload in events for line in payload["lines"])
    return LogPage(lines, _older(session, key, events[0].id) if events else None)


def _older(session: Session, key: int, first: int) -> int | None:
    """The event, where there are lines before it."""
    earlier = select(JobEvent.id).filter_by(job_id=key, kind="log").where(JobEvent.id < first)
    return first if session.scalar(earlier.limit(1)) is not None else None


def history(session: Session, key: int) -> list[Change]:
    """The states that the job came into, the newest first."""
    states = select(JobEvent.at, JobEvent.payload).filter_by(job_id=key, kind="state").order_by(JobEvent.id.desc())
    changes = session.execute(states.limit(MOST_CHANGES)).all()
    # Why an attempt was lost is logged in the transaction that queues the job again, so at the same instant.
    queued = [at for at, payload in changes if payload["state"] == "queued"]
    logged = select(JobEvent.at, JobEvent.payload).filter_by(job_id=key, kind="log").where(JobEvent.at.in_(queued))
    reasons = {at: " ".join(payload["lines"]) for at, payload in session.execute(logged)}
    return [Change(at, said["state"], said["attempt"], _why(said, reasons.get(at))) for at, said in changes]


def _why(said: dict[str, Any], reason: str | None) -> str | None:
    if said["error"]:
        return str(said["error"]["detail"])
    return reason if said["state"] == "queued" else None


def about(session: Session, project_id: int, jobs: Sequence[JobResponse]) -> dict[UUID, About]:
    """What each of the jobs is about, in four queries."""
    verified = _evaluations(session, project_id, Evaluation.uuid.in_(_ids(jobs, "evaluation")))
    by_id = {found.evaluation: found for found, _ in verified}
    pairs = [(job.spec["run"], job.spec["step"]) for job in jobs if "run" in job.spec and "step" in job.spec]
    made = _evaluations(session, project_id, tuple_(Run.name, Checkpoint.step).in_(pairs))
    names = {job.spec["run"] for job in jobs if "run" in job.spec}
    runs = set(session.scalars(select(Run.name).where(Run.project_id == project_id, Run.name.in_(names))))
    uploaded = select(Upload.uuid, Upload.filename).where(
        Upload.project_id == project_id, Upload.uuid.in_(_ids(jobs, "upload"))
    )
    files = dict(session.execute(uploaded).all())
    return {job.id: _about(job, by_id, made, runs, files) for job in jobs}


def _about(
    job: JobResponse,
    by_id: dict[UUID | None, About],
    made: Sequence[tuple[About, dict[str, Any]]],
    runs: set[str],
    files: dict[UUID, str],
) -> About:
    spec = job.spec
    if "run" not in spec:
        return by_id.get(UUID(spec["evaluation"]), About()) if "evaluation" in spec else About()
    into = [each for each, sampling in made if writes_into(job.kind, spec, each, sampling)]
    return About(
        run=spec["run"],
        run_exists=spec["run"] in runs,
        step=spec.get("step"),
        problem_set=into[0].problem_set if len(into) == 1 else spec.get("problem_set"),
        evaluation=into[0].evaluation if len(into) == 1 else None,
        filename=files.get(UUID(spec["upload"])) if "upload" in spec else None,
    )


def writes_into(kind: str, spec: dict[str, Any], evaluation: About, sampling: dict[str, Any]) -> bool:
    """Whether a job with this spec writes into the evaluation, as far as the spec says."""
    if kind == "verification":
        return bool(spec.get("evaluation") == str(evaluation.evaluation))
    wanted, there = spec.get("problem_set"), evaluation.problem_set or ""
    on_it = wanted is None or there == wanted or there.partition("@")[0] == wanted
    at_it = (spec.get("run"), spec.get("step")) == (evaluation.run, evaluation.step)
    given = spec.get("sampling", {})
    if kind == "sampling":  # what the spec leaves out has a default, which the evaluation knows
        given = given | {"prompt": spec.get("prompt", "raw")}
        same = all(sampling.get(name) == value for name, value in given.items())
    else:
        same = given == sampling
    return on_it and at_it and same


def at_work(session: Session, project_id: int, evaluation: About, sampling: dict[str, Any]) -> list[Job]:
    """The jobs that wait or run and write into the evaluation, the oldest first."""
    of_it = and_(Job.kind == "verification", Job.spec["evaluation"].astext == str(evaluation.evaluation))
    into_it = and_(Job.spec["run"].astext == evaluation.run, Job.spec["step"].astext == str(evaluation.step))
    # Each state has an index of its own, of the few jobs that are in it.
    alive = or_(Job.state == "queued", Job.state == "running")
    wanted = select(Job).where(Job.project_id == project_id, alive, or_(of_it, into_it)).order_by(Job.id).limit(20)
    return [job for job in session.scalars(wanted) if writes_into(job.kind, job.spec, evaluation, sampling)]


def _ids(jobs: Sequence[JobResponse], member: str) -> list[UUID]:
    return [UUID(job.spec[member]) for job in jobs if member in job.spec]


def newest_evaluations(session: Session, project_id: int, most: int) -> list[About]:
    """The project's evaluations with completions, the newest first."""
    with_completions = Evaluation.counts_only.is_(False)
    return [found for found, _ in _evaluations(session, project_id, with_completions, most)]


def _evaluations(
    session: Session, project_id: int, which: Any, most: int = MOST_EVALUATIONS
) -> list[tuple[About, dict[str, Any]]]:
    wanted = (
        select(Evaluation.uuid, Evaluation.sampling, Run.name, Checkpoint.step, ProblemSet.name, ProblemSet.version)
        .join(Checkpoint, Checkpoint.id == Evaluation.checkpoint_id)
        .join(Run, Run.id == Checkpoint.run_id)
        .join(ProblemSet, ProblemSet.id == Evaluation.problem_set_id)
        .where(Evaluation.project_id == project_id, which)
        .order_by(Evaluation.id.desc())
        .limit(most)
    )
    return [
        (About(run, True, step, f"{name}@{version}", uuid), sampling)
        for uuid, sampling, run, step, name, version in session.execute(wanted)
    ]
