"""Jobs with the workers there are, one job with its log, and the form for a new one."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, get_args
from uuid import UUID

from sqlalchemy.orm import Session

from app.estimates.runs import list_runs
from app.estimates.schemas import RunsQuery
from app.ingest.schemas import EvaluationResponse
from app.jobs import stored, story
from app.jobs.options.engines import EngineName
from app.jobs.options.identity import named
from app.jobs.options.verifiers import faults_of_verifier
from app.jobs.schemas import JobResponse, JobsQuery, JobState, WorkerResponse
from app.jobs.specs import OFFERS, RAREST, VERIFIERS
from app.middleware import LARGE_BODY_LIMIT
from app.pages.queries import JobQuery, JobsPageQuery, NewJobQuery
from app.pages.run import run_url
from app.paging import PageQuery
from app.problem_sets.service import list_problem_sets
from dashboards.jobs_page import DOING, FORMS, About, Change, JobPage, JobRow, JobsPage, NewJobPage, WorkerRow
from dashboards.pages import JobAtWork, with_query
from dashboards.training_form import TrainingForm
from pkpo.readers import READERS

JOBS_A_PAGE: Final = 50
TO_CHOOSE: Final = 200  # of problem sets, of runs, of evaluations
WANTED: Final = (
    ("cpu", "import"),
    *(("cpu", capability) for capability in RAREST),
    *(("gpu", f"sampling:{engine}") for engine in get_args(EngineName)),
    # What trains verifies meanwhile, so it needs as much as a verifier does.
    *(("gpu", each.replace("verify", "train", 1)) for each in RAREST if "training" in OFFERS),
)


def jobs_page(session: Session, project_id: int, query: JobsPageQuery, server: str) -> JobsPage:
    """The jobs that match the query, newest first, and the workers."""
    wanted = JobsQuery(state=query.state, kind=query.kind, cursor=query.cursor, limit=JOBS_A_PAGE)
    found = stored.list_jobs(session, project_id, wanted)
    return JobsPage(
        now=datetime.now(UTC),
        server=server,
        jobs=_rows(session, project_id, found.jobs),
        workers=tuple(map(_worker, stored.present_workers(session, project_id))),
        wanted=WANTED,
        kinds=tuple(OFFERS),
        states=get_args(JobState),
        state=query.state,
        kind=query.kind,
        cursor=query.cursor,
        next_cursor=found.next_cursor,
        running=story.running(session, project_id),
    )


def job_page(session: Session, project_id: int, job_id: UUID, query: JobQuery) -> JobPage:
    """The job; NotFound where the project has none of this id."""
    found = stored.read_job(session, project_id, job_id)
    (row,) = _rows(session, project_id, [found])
    key, stopping = story.key_of(session, job_id)
    log = story.log_page(session, key, query.before)
    workers = stored.present_workers(session, project_id) if found.state == "running" else []
    return JobPage(
        now=datetime.now(UTC),
        job=replace(row, stopping=stopping),
        spec=found.spec,
        worker=next((_worker(each) for each in workers if job_id in each.jobs), None),
        history=tuple(Change(each.at, each.state, each.attempt, each.why) for each in story.history(session, key)),
        lines=log.lines,
        older=with_query(row.url, {"before": str(log.older)}) if log.older is not None else None,
        is_tail=query.before is None,
        running=story.running(session, project_id),
    )


def new_job_page(
    session: Session, project_id: int, query: NewJobQuery, training: TrainingForm | None = None, server: str = ""
) -> NewJobPage:
    """The form of a kind of job; of training the one that is given."""
    sets = list_problem_sets(session, project_id, PageQuery(limit=TO_CHOOSE)).problem_sets
    evaluations = story.newest_evaluations(session, project_id, TO_CHOOSE) if query.kind == "verification" else []
    given = query.model_dump(exclude={"kind", "like", "look"})
    return NewJobPage(
        kind=query.kind,
        kinds=FORMS,
        given=given,
        verifiers=tuple(VERIFIERS),
        without_options=tuple(name for name in VERIFIERS if not any(faults_of_verifier(name, {}))),
        engines=get_args(EngineName),
        formats=tuple(reader.NAME for reader in READERS),
        problem_sets=tuple(each.problem_set for each in sets),
        runs=tuple(each.run for each in list_runs(session, project_id, RunsQuery(limit=TO_CHOOSE)).items),
        evaluations={
            str(each.evaluation): f"{each.run} step {each.step} on {each.problem_set}" for each in evaluations
        },
        most_bytes=LARGE_BODY_LIMIT,
        running=story.running(session, project_id),
        training=training,
        server=server,
    )


def at_work(session: Session, project_id: int, evaluation: EvaluationResponse) -> tuple[JobAtWork, ...]:
    """The jobs that wait or run and write into the evaluation."""
    of_it = story.About(evaluation.run, True, evaluation.step, evaluation.problem_set, evaluation.id)
    found = story.at_work(session, project_id, of_it, evaluation.sampling)
    return tuple(_at_work(job_row(each, About())) for each in stored.described_all(session, found))


def _at_work(job: JobRow) -> JobAtWork:
    if job.state == "queued":
        waits = " for a worker: none is there that could" if job.waits_in_vain else ""
        return JobAtWork(job.url, f"{job.kind} waits", waits.strip(), None)
    return JobAtWork(job.url, DOING[job.kind], job.progress, job.share)


def _rows(session: Session, project_id: int, jobs: Sequence[JobResponse]) -> tuple[JobRow, ...]:
    about = story.about(session, project_id, jobs)
    return tuple(job_row(job, _about(about[job.id], job.spec)) for job in jobs)


def job_row(job: JobResponse, about: About) -> JobRow:
    """The job as its pages show it."""
    progress, error = job.progress, job.error
    return JobRow(
        id=str(job.id),
        kind=job.kind,
        state=job.state,
        attempt=job.attempt,
        done=progress.done,
        total=progress.total,
        rate=progress.rate,
        remaining=progress.remaining,
        queue=job.queue,
        capability=job.capability,
        workers=job.workers,
        priority=job.priority,
        created=job.created_at,
        started=job.started_at,
        finished=job.finished_at,
        error=error.detail if error else None,
        about=about,
    )


def _about(found: story.About, spec: dict[str, Any]) -> About:
    verifier, told = _judge(spec)
    return About(
        run=found.run,
        run_url=run_url(found.run) if found.run is not None and found.run_exists else None,
        step=found.step,
        problem_set=found.problem_set,
        evaluation_url=f"/evaluations/{found.evaluation}" if found.evaluation else None,
        verifier=verifier,
        told=told,
        filename=found.filename,
    )


def _judge(spec: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """The verifier of a job as its verdicts are stored, and what it is told beside its defaults."""
    if "verifier" not in spec:
        return None, {}
    return named(spec["verifier"], spec.get("options") or spec.get("verifier_options") or {})


def _worker(found: WorkerResponse) -> WorkerRow:
    return WorkerRow(
        host=found.host,
        pid=found.pid,
        queues=tuple(found.queues),
        capabilities=tuple(found.capabilities),
        live=found.live,
        heard=found.heartbeat_at,
        started=found.started_at,
        jobs=tuple(map(str, found.jobs)),
    )
