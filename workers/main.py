"""A worker: it says what it can do, takes jobs from its queues, one from each at a time, and stops in good order.

What can happen to it: its database goes away for a while, and comes back; it is frozen, and finds its jobs given to
others; it is told to stop, and gives its jobs back.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import psycopg
import psycopg_pool
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ConnectorException
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from app.db import make_engine
from app.jobs import service
from app.jobs.database import bounded
from app.jobs.queue import TASK, lane
from workers.heartbeat import Heartbeat
from workers.job_process import Standby
from workers.tasks import Jobs

CHILD: Final = (sys.executable, "-m", "workers.child")
PAUSE: Final = 1.0  # seconds before a queue that failed is asked again
PASSING: Final = (ConnectorException, psycopg.Error, psycopg_pool.PoolTimeout)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What a worker works on, and how."""

    url: str  # of the database
    queues: tuple[str, ...]
    capabilities: tuple[str, ...]
    lease: float = 30.0  # seconds without a heartbeat after which others may take its jobs
    grace: float = 10.0  # seconds between SIGTERM and SIGKILL for a job
    idle: float = 60.0  # seconds that a model stays loaded after a job, for the next one
    child: Sequence[str] = CHILD  # what does a job, once its id and attempt are added


def work(plan: Plan) -> int:
    """Take jobs until SIGTERM or SIGINT; 0 when they are given back and nothing of them is left running."""
    url = bounded(plan.url, plan.lease)
    engine = make_engine(url)
    try:
        asyncio.run(_work(plan, url, sessionmaker(engine, expire_on_commit=False)))
    finally:
        engine.dispose()
    return 0


async def _work(plan: Plan, url: str, sessions: sessionmaker[Session]) -> None:
    worker_id = _register(plan, sessions)
    heartbeat = Heartbeat(sessions, worker_id, plan.lease)
    jobs = Jobs(sessions, heartbeat, worker_id, url, plan.lease, plan.grace, plan.child, Standby(plan.idle, plan.grace))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, jobs.stop.set)
    heartbeat.start()
    logger.info("worker %d takes %s from %s", worker_id, ", ".join(plan.capabilities), " and ".join(plan.queues))
    try:
        await asyncio.gather(*(_take(plan, queue, jobs) for queue in plan.queues))
    finally:
        await jobs.standby.end()
        heartbeat.stop()
        with suppress(SQLAlchemyError), sessions.begin() as session:
            service.unregister(session, worker_id)
    logger.info("worker %d has stopped", worker_id)


def _register(plan: Plan, sessions: sessionmaker[Session]) -> int:
    with sessions.begin() as session:
        return service.register(session, socket.gethostname(), os.getpid(), plan.queues, plan.capabilities)


async def _take(plan: Plan, queue: str, jobs: Jobs) -> None:
    """Take jobs from a queue until told to stop, however often the database goes away."""
    complained = False
    while not jobs.stop.is_set():
        try:
            await _take_while_it_lasts(plan, queue, jobs)
            complained = False
        except PASSING as error:
            if not complained:
                logger.warning("the queue %s does not answer: %s; asking again", queue, error.__cause__ or error)
            complained = True
        with suppress(TimeoutError):
            await asyncio.wait_for(jobs.stop.wait(), PAUSE)


async def _take_while_it_lasts(plan: Plan, queue: str, jobs: Jobs) -> None:
    # Not the bounded URL: procrastinate's LISTEN is a statement without an end.
    conninfo = make_url(plan.url).set(drivername="postgresql").render_as_string(hide_password=False)
    app = App(connector=PsycopgConnector(conninfo=conninfo, min_size=1, max_size=4, timeout=10))
    app.task(name=TASK)(jobs.run)
    async with app.open_async():
        taking = asyncio.create_task(
            app.run_worker_async(
                queues=[lane(queue, capability) for capability in plan.capabilities],
                concurrency=1,
                install_signal_handlers=False,
                delete_jobs="always",
                fetch_job_polling_interval=1.0,
                update_heartbeat_interval=plan.lease / 5,
                stalled_worker_timeout=plan.lease,
            )
        )
        stopping = asyncio.create_task(jobs.stop.wait())
        await asyncio.wait({taking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        taking.cancel()  # it waits for the job that it has given us, which ends when we stop
        with suppress(asyncio.CancelledError):
            await taking
