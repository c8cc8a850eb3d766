"""The process of one job: `python -m workers.child JOB ATTEMPT`, started by a worker and ended with it.

It exits with 0 when the job is done, or failed for a reason that it noted. Any other end costs the job an attempt. One
that has loaded a model says instead that the job is over, and waits for another one that needs the same.
"""

import os
import socket
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
from workers.child.work import JobFailed, Shelf, Work
from workers.orphans import end_with

# The module of each kind has `run(work)`.
KINDS: Final[Mapping[str, str]] = {
    "import": "workers.child.importing",
    "verification": "workers.child.verification",
    "sampling": "workers.child.sampling",
    "training": "workers.child.training",
}
PARENT: Final = "PKPO_WORKER_PID"
LINE: Final = "PKPO_WORKER_LINE"  # the descriptor of a socket
OVER, TAKEN = b"over\n", b"taken\n"
LOST: Final = 75  # EX_TEMPFAIL


def main(argv: Sequence[str], kinds: Mapping[str, str] = KINDS) -> int:
    """Do the job, and others that need what it has loaded; returns the exit status."""
    end_with(int(os.environ.get(PARENT, os.getppid())))
    settings, shelf, line = Settings(), Shelf(), _line_to_the_worker()
    attempt: Attempt | None = Attempt(*map(int, argv))
    while attempt is not None:
        try:
            _do_on_the_database(settings, attempt, kinds, shelf)
        except AttemptLost as error:
            print(f"{error}: nothing more is written", flush=True)
            return LOST
        attempt = None if line is None or not shelf.holds_something else _next(line)
    shelf.clear()
    return 0


def _do_on_the_database(settings: Settings, attempt: Attempt, kinds: Mapping[str, str], shelf: Shelf) -> None:
    assert settings.database_url is not None, "the worker names it"
    engine = make_engine(settings.database_url.get_secret_value())
    try:
        _do(sessionmaker(engine, expire_on_commit=False), settings, attempt, kinds, shelf)
    finally:
        engine.dispose()


def _do(
    sessions: sessionmaker[Session], settings: Settings, attempt: Attempt, kinds: Mapping[str, str], shelf: Shelf
) -> None:
    with service.fenced(sessions, attempt) as session:
        job = session.get_one(Job, attempt.job_id)
    work = Work(sessions, settings, attempt, job.project_id, job.kind, job.spec, shelf=shelf)
    try:
        import_module(kinds[job.kind]).run(work)
    except (JobFailed, AppError) as error:
        shelf.clear()
        work.say(str(error))
        with service.fenced(sessions, attempt) as session:
            service.fail(session, attempt, str(error))


def _line_to_the_worker() -> socket.socket | None:
    """Where the worker hears that a job is over and tells the next one; None where the process is for one job."""
    if (number := os.environ.pop(LINE, None)) is None:
        return None
    os.set_inheritable(int(number), False)  # what this process starts must not hold it open
    return socket.socket(fileno=int(number))


def _next(line: socket.socket) -> Attempt | None:
    """The next job, once this one is over; None where the worker has none any more."""
    line.sendall(OVER)
    with line.makefile("r") as lines:
        told = lines.readline()
    if not told:
        return None
    line.sendall(TAKEN)
    return Attempt(*map(int, told.split()))
