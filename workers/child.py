"""The process of one job: `python -m workers.child JOB ATTEMPT`, started by a worker and ended with it.

It exits with 0 when the job is done, or failed for a reason that it noted. Any other end costs the job an attempt.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Final

from sqlalchemy.orm import Session, sessionmaker

from app.config import Settings
from app.db import make_engine
from app.errors import AppError
from app.jobs import service
from app.jobs.service import Attempt, AttemptLost
from app.models import Job
from workers.child_work import JobFailed, Work

# The module of each kind has `run(work)`.
KINDS: Final[Mapping[str, str]] = {
    "import": "workers.child_import",
    "verification": "workers.child_verification",
    "sampling": "workers.child_sampling",
}
PARENT: Final = "PKPO_WORKER_PID"
PR_SET_PDEATHSIG: Final = 1
LOST: Final = 75  # EX_TEMPFAIL


def main(argv: Sequence[str], kinds: Mapping[str, str] = KINDS) -> int:
    """Do the job; returns the exit status."""
    _end_with_the_worker()
    attempt = Attempt(*map(int, argv))
    settings = Settings()
    assert settings.database_url is not None, "the worker names it"
    engine = make_engine(settings.database_url.get_secret_value())
    try:
        _do(sessionmaker(engine, expire_on_commit=False), settings, attempt, kinds)
    except AttemptLost as error:
        print(f"{error}: nothing more is written", flush=True)
        return LOST
    finally:
        engine.dispose()
    return 0


def _do(sessions: sessionmaker[Session], settings: Settings, attempt: Attempt, kinds: Mapping[str, str]) -> None:
    with service.fenced(sessions, attempt) as session:
        job = session.get_one(Job, attempt.job_id)
    work = Work(sessions, settings, attempt, job.project_id, job.kind, job.spec)
    try:
        import_module(kinds[job.kind]).run(work)
    except (JobFailed, AppError) as error:
        work.say(str(error))
        with service.fenced(sessions, attempt) as session:
            service.fail(session, attempt, str(error))


def _end_with_the_worker() -> None:
    """Be killed when the worker is, by kill -9 too; elsewhere than on Linux the fence alone holds."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(os.environ.get(PARENT, os.getppid())):
            os.kill(os.getpid(), signal.SIGKILL)  # it died before we asked


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
