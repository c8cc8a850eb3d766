"""What jobs leave behind is removed once nobody needs it: a bounded part in a transaction, by one process at a time.

A job itself stays, with its spec, its outcome and the states that it came through.
"""

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from sqlalchemy import CursorResult, delete, func, select, text
from sqlalchemy.orm import Session

from app.config import Settings
from app.jobs.queue import TASK
from app.jobs.uploads import FOLDER, is_taken
from app.models import Upload
from app.training.checkpoint import DELETED

Step = Callable[[Session, Settings], bool]

LOCK: Final = 0x706B7074
LONGEST: Final = text("SET LOCAL statement_timeout = '20s'")  # a service that is told to stop waits for it
ROWS_AT_ONCE: Final = 1000
FILES_AT_ONCE: Final = 100
A_DAY: Final = 86_400.0

# An import that failed or was cancelled may be retried, so its file is needed for as long as one never used.
DUE_UPLOADS: Final = text(
    "WITH used AS (SELECT spec->>'upload' AS upload, max(finished_at) AS latest,"
    " bool_or(state IN ('queued', 'running')) AS needed, (array_agg(state ORDER BY id DESC))[1] AS outcome"
    " FROM jobs WHERE kind = 'import' GROUP BY 1)"
    " SELECT uploads.id, uploads.sha256, uploads.path FROM uploads LEFT JOIN used ON used.upload = uploads.uuid::text"
    " WHERE used.needed IS NOT TRUE"
    " AND (greatest(uploads.created_at, used.latest) < now() - make_interval(days => :days)"
    " OR (used.outcome = 'succeeded' AND used.latest < now() - interval '1 day'))"
    " ORDER BY uploads.id LIMIT :most FOR UPDATE OF uploads SKIP LOCKED"
)
# How far a job was, nobody asks for once it has ended; but for who still follows it.
DUE_EVENTS: Final = text(
    "DELETE FROM job_events WHERE id IN (SELECT event.id FROM job_events AS event JOIN jobs ON jobs.id = event.job_id"
    " WHERE jobs.state IN ('succeeded', 'failed', 'dead', 'cancelled')"
    " AND ((event.kind = 'progress' AND jobs.finished_at < now() - interval '1 hour')"
    " OR (event.kind = 'log' AND jobs.finished_at < now() - make_interval(days => :days))) LIMIT :most)"
)
# procrastinate drops what a worker has taken. What no worker takes stays there: of a job that was cancelled, mostly.
DUE_TURNS: Final = text(
    "DELETE FROM procrastinate_jobs WHERE id IN (SELECT turn.id FROM procrastinate_jobs AS turn"
    " LEFT JOIN jobs ON jobs.id = (turn.args->>'job_id')::bigint"
    " WHERE turn.task_name = :task AND (turn.status NOT IN ('todo', 'doing') OR (turn.status = 'todo'"
    " AND (jobs.id IS NULL OR jobs.state IN ('succeeded', 'failed', 'dead', 'cancelled'))))"
    " LIMIT :most FOR UPDATE OF turn SKIP LOCKED)"
)


def take_step(session: Session, settings: Settings, step: Step) -> bool:
    """Do a part of a step in this transaction; whether there may be more. Nothing where another process is at it."""
    session.execute(LONGEST)
    free = session.scalar(select(func.pg_try_advisory_xact_lock(LOCK)))
    return bool(free) and step(session, settings)


def remove_uploads(session: Session, settings: Settings) -> bool:
    """Remove uploads that were imported, or that no job has used for long enough, with their files."""
    due = session.execute(DUE_UPLOADS, {"days": settings.upload_days, "most": FILES_AT_ONCE}).all()
    removable = [each for each in due if not is_taken(session, each.sha256)]
    chosen = Upload.id.in_([each.id for each in removable])
    for path in session.scalars(select(Upload.path).where(chosen).distinct()).all():
        others = select(Upload.id).where(Upload.path == path, ~chosen).limit(1)
        if session.scalar(others) is None:
            (settings.data_dir / path).unlink(missing_ok=True)
    session.execute(delete(Upload).where(chosen))
    return len(due) == FILES_AT_ONCE == len(removable)


def remove_drafts(session: Session, settings: Settings) -> bool:
    """Remove what is left of uploads in whose middle the service was killed."""
    with suppress(FileNotFoundError):
        for draft in (settings.data_dir / FOLDER).glob("tmp*"):
            _remove_if_old(draft)
    return False


def _remove_if_old(draft: Path) -> None:
    with suppress(FileNotFoundError):
        if time.time() - draft.stat().st_mtime > A_DAY:
            draft.unlink()


def remove_events(session: Session, settings: Settings) -> bool:
    """Remove how far ended jobs were, and the logs of those that ended long ago."""
    return _all_of_them(session.execute(DUE_EVENTS, {"days": settings.job_log_days, "most": ROWS_AT_ONCE}))


def remove_turns(session: Session, settings: Settings) -> bool:
    """Remove the rows of procrastinate that no worker will take."""
    return _all_of_them(session.execute(DUE_TURNS, {"task": TASK, "most": ROWS_AT_ONCE}))


def remove_weights(session: Session, settings: Settings) -> bool:
    """Remove what is left of the weights of deleted runs in whose removal the service was stopped."""
    for each in settings.checkpoints.glob(f"*/*{DELETED}*"):
        shutil.rmtree(each, ignore_errors=True)  # who began the removal may still be at it
    return False


def _all_of_them(result: object) -> bool:
    assert isinstance(result, CursorResult)
    return result.rowcount == ROWS_AT_ONCE


STEPS: Final[tuple[Step, ...]] = (remove_uploads, remove_drafts, remove_weights, remove_events, remove_turns)
