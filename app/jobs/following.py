"""The events of a job as they come, without a thread or a connection between two looks at the table."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

import orjson
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from app.db import session_slot
from app.jobs.service import OVER
from app.models import Job, JobEvent

PAUSE: Final = 0.5  # seconds between two looks
HEARTBEAT: Final = 15.0  # seconds after which something is sent, so that nobody on the way closes a silent connection
MOST_AT_ONCE: Final = 500


class Look(NamedTuple):
    """What there is to tell of a job, and whether that is all there will be."""

    events: list[tuple[int, str, dict[str, Any]]]
    over: bool


async def follow(app: FastAPI, job_id: int, after: int) -> AsyncIterator[bytes]:
    """Server-sent events from the first with an id above `after`, until the job has ended or the server stops."""
    spoke = time.monotonic()
    yield b": follows\n\n"  # so that the headers are sent
    while not _is_stopping():
        try:
            async with session_slot(app):
                look = await run_in_threadpool(_look, app, job_id, after)
        except (DBAPIError, PoolTimeout):
            look = Look([], over=False)  # a database that is away will be back
        for id_, kind, payload in look.events:
            yield b"id: %d\nevent: %s\ndata: %s\n\n" % (id_, kind.encode(), orjson.dumps(payload))
            after, spoke = id_, time.monotonic()
        if look.over:
            return
        if time.monotonic() - spoke > HEARTBEAT:
            yield b": still there\n\n"
            spoke = time.monotonic()
        if len(look.events) < MOST_AT_ONCE:
            await asyncio.sleep(PAUSE)


def _is_stopping() -> bool:
    """Whether this process was told to end: uvicorn, whose server listens to signals, first waits for all answers."""
    return bool(getattr(getattr(signal.getsignal(signal.SIGTERM), "__self__", None), "should_exit", False))


def _look(app: FastAPI, job_id: int, after: int) -> Look:
    with app.state.sessions() as session:
        return _events(session, job_id, after)


def _events(session: Session, job_id: int, after: int) -> Look:
    # The state first: what is told after it is seen by the next look.
    state = session.scalar(select(Job.state).where(Job.id == job_id))
    wanted = select(JobEvent.id, JobEvent.kind, JobEvent.payload).where(JobEvent.job_id == job_id, JobEvent.id > after)
    events = [
        (id_, kind, payload) for id_, kind, payload in session.execute(wanted.order_by(JobEvent.id).limit(MOST_AT_ONCE))
    ]
    return Look(events, over=(state is None or state in OVER) and len(events) < MOST_AT_ONCE)
