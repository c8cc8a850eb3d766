"""The job that trains a run, as the page of the run tells of it."""

from typing import Final

from sqlalchemy.orm import Session

from app.estimates.run_queries import RunSummary
from app.jobs import stored
from app.jobs.of_runs import jobs_of_run
from app.jobs.training_checks import runs_of
from app.models import Job
from dashboards.jobs_page import URL
from dashboards.run_page import RunJob

MOST_LOOKED_AT: Final = 100  # jobs that name the run, or one of whose seeds might


def run_job(session: Session, project_id: int, run: RunSummary) -> RunJob | None:
    """The newest job that trained the run, or is to; None where the service has no such job."""
    newest_first = session.scalars(jobs_of_run(project_id, run.run).order_by(Job.id.desc()).limit(MOST_LOOKED_AT))
    job = next((each for each in newest_first if run.run in runs_of(each.spec)), None)
    return None if job is None else _told(session, job)


def _told(session: Session, job: Job) -> RunJob:
    waits = job.state == "queued"
    return RunJob(
        url=f"{URL}/{job.uuid}",
        state=job.state,
        done=job.done,
        total=job.total,
        runs=len(runs_of(job.spec)),
        error=job.error["detail"] if job.error else None,
        stopping=job.state == "running" and job.cancel_requested_at is not None,
        waits_in_vain=waits and stored.described_all(session, [job])[0].workers == 0,
    )
