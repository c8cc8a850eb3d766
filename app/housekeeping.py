"""What the service does by itself beside requests: it takes jobs from workers that died, and removes what is old."""

import asyncio
import logging
import time
from contextlib import suppress
from typing import Final

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import SQLAlchemyError

from app import idempotency
from app.jobs import service, tidying

SWEPT_EVERY: Final = 30.0  # seconds
TIDIED_EVERY: Final = 3600.0  # seconds
# A worker's lease may be as long: what procrastinate thinks of one that is silent for less, its fellows judge.
LONGEST_LEASE: Final = 3600.0  # seconds
logger = logging.getLogger(__name__)


async def keep_house(app: FastAPI) -> None:
    """Go on until cancelled."""
    tidied = -TIDIED_EVERY
    while True:
        with suppress(SQLAlchemyError):  # a database that is away is swept when it is back
            await run_in_threadpool(_sweep_jobs, app)
            if time.monotonic() - tidied >= TIDIED_EVERY:
                tidied = time.monotonic()
                await _tidy(app)
        await asyncio.sleep(SWEPT_EVERY)


def _sweep_jobs(app: FastAPI) -> None:
    with app.state.sessions.begin() as session:
        service.sweep(session, LONGEST_LEASE)


async def _tidy(app: FastAPI) -> None:
    await run_in_threadpool(_forget_answers, app)
    for step in tidying.STEPS:
        try:
            while await run_in_threadpool(_take_step, app, step):
                pass
        except OSError as error:
            logger.warning("the upload folder cannot be tidied: %s", error)


def _forget_answers(app: FastAPI) -> None:
    with app.state.sessions.begin() as session:
        idempotency.sweep(session)


def _take_step(app: FastAPI, step: tidying.Step) -> bool:
    with app.state.sessions.begin() as session:
        return tidying.take_step(session, app.state.settings, step)
