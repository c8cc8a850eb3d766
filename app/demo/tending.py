"""What the service does for demos while it runs: problems are made, and each job is queued when its turn has come."""

import asyncio
from contextlib import suppress
from typing import Final

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import SQLAlchemyError

from app.auth.service import default_project
from app.demo import service
from app.demo.plan import Demo, Size
from app.demo.problems import CannotMake, Made, made

PAUSE: Final = 1.0  # seconds
LONGER: Final = 10.0  # seconds, where problems could not be made
IDLE: Final = 60.0  # seconds, where nothing waits; another process of the service may have begun something


class Tending:
    """What moves demos on, for as long as the service runs."""

    def __init__(self) -> None:
        self.trouble: str | None = None
        """Why a demo goes no further, a sentence."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._called = asyncio.Event()

    def call(self) -> None:
        """Say, from any thread, that there is something to do once this request is over."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._called.set)

    async def go_on(self, app: FastAPI) -> None:
        """Do what is due, until cancelled."""
        self._loop = asyncio.get_running_loop()
        begun = not app.state.settings.demo
        while True:
            pause = PAUSE
            with suppress(SQLAlchemyError):  # a database that is away is asked again
                if not begun:
                    await run_in_threadpool(_begin, app)
                    begun = True
                pause = await self._move_on(app)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._called.wait(), pause)
                self._called.clear()
                await asyncio.sleep(PAUSE)  # the request that called commits after its answer is made

    async def _move_on(self, app: FastAPI) -> float:
        """The seconds until it is worth looking again."""
        left = await run_in_threadpool(_jobs, app)
        for project_id, size in sorted(left.without_problems):
            try:
                found = await made(size)
            except CannotMake as error:
                self.trouble = str(error)
                return LONGER
            await run_in_threadpool(_store, app, project_id, size, found)
        self.trouble = None
        return PAUSE if left.any else IDLE


def _begin(app: FastAPI) -> None:
    with app.state.sessions.begin() as session:
        if not service.any_wanted(session):
            service.begin(session, default_project(session), Demo(), "compare")


def _jobs(app: FastAPI) -> service.Left:
    with app.state.sessions.begin() as session:
        return service.move_on(session, app.state.settings)


def _store(app: FastAPI, project_id: int, size: Size, found: Made) -> None:
    with app.state.sessions.begin() as session:
        service.store(session, project_id, size, found)
