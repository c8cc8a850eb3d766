"""The application: settings in, routes and pages out."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.orm import sessionmaker
from starlette.types import ASGIApp

import pkpo
from app import errors, health
from app.auth.service import KeyRing, refuse_open_service
from app.config import Settings
from app.db import check_database, make_engine, session_slots
from app.demo.routes import router as demo
from app.demo.tending import Tending
from app.estimates.routes import router as estimates
from app.exports.routes import router as exports
from app.housekeeping import keep_house
from app.idempotency import Gates
from app.ingest.routes import router as ingest
from app.jobs.routes import router as jobs
from app.middleware import BodyBound, HeadAsGet, HostCheck, SafeHeaders
from app.pages.answers import page_of_problem
from app.pages.routes import router as pages
from app.problem_sets.routes import router as problem_sets
from app.runs.routes import router as runs
from app.training.routes import router as training
from app.transforms.routes import router as transforms

DESCRIPTION = """
Unbiased pass@k and max_g@k, with their intervals, and reward transforms for training on them
([PKPO](https://arxiv.org/abs/2505.15201)). Every number carries its n; where no unbiased answer exists it is refused.

Bodies may come with `Content-Encoding: gzip` or `zstd`; a route's limit holds for what they decode to.

Errors are `application/problem+json` (RFC 9457), one `type` per cause.
"""


class Service(FastAPI):
    """FastAPI, but for the headers of every answer, and the media type of errors in its document."""

    def build_middleware_stack(self) -> ASGIApp:
        """What answers requests; safe headers go around all of it, also around what tells of a defect of ours."""
        return SafeHeaders(super().build_middleware_stack())

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, in which FastAPI would call every model application/json."""
        if self.openapi_schema is None:
            for methods in super().openapi()["paths"].values():
                for operation in methods.values():
                    content = operation["responses"]["default"]["content"]
                    content[errors.MEDIA_TYPE] = content.pop("application/json")
        return super().openapi()


def create_app(settings: Settings | None = None) -> FastAPI:
    """The ASGI application on the database that the settings name."""
    settings = settings or Settings()
    if settings.database_url is None:
        raise SystemExit("PKPO_DATABASE_URL is not set; `pkpo serve` starts an embedded Postgres and sets it")
    engine = make_engine(settings.database_url.get_secret_value())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(_check, app)
        # What is here now stays: the collector need not walk it again for every large body (ingest: + 50 % rows/s).
        gc.collect()
        gc.freeze()
        background = [asyncio.create_task(each(app)) for each in (keep_house, app.state.demo.go_on)]
        yield
        for task in background:
            task.cancel()
        await asyncio.wait(background)
        engine.dispose()

    app = Service(
        title="pkpo",
        summary="pass@k, done right",
        description=DESCRIPTION,
        version=pkpo.__version__,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's page loads its script from elsewhere; app.pages serves ours
        redoc_url=None,
        responses={"default": {"model": errors.Problem, "description": "What went wrong"}},
    )
    app.state.settings = settings
    app.state.sessions = sessionmaker(engine, expire_on_commit=False)
    app.state.session_slots = session_slots()
    app.state.keys = KeyRing(open_to_all=settings.listens_on_loopback)
    app.state.gates = Gates()
    app.state.demo = Tending()
    errors.install(app, page_of_problem)
    for router in (
        transforms,
        problem_sets,
        ingest,
        training,
        runs,
        exports,
        estimates,
        jobs,
        demo,
        health.router,
        pages,
    ):
        app.include_router(router)
    app.add_middleware(HeadAsGet)
    app.add_middleware(BodyBound)
    app.add_middleware(HostCheck, known_names=frozenset({"localhost", settings.host, *settings.allowed_hosts}))
    return app


def _check(app: FastAPI) -> None:
    with app.state.sessions() as session:
        check_database(session.get_bind())
        refuse_open_service(session, app.state.settings)
