"""The way to Postgres: engine, the session of a request, migrations."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import Depends, FastAPI, Request
from fastapi.concurrency import contextmanager_in_threadpool
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

# Alembic is imported by who migrates or asks for the state of the schema: it is a sixth of the service's start.
if TYPE_CHECKING:
    from alembic.config import Config as AlembicConfig

OLDEST_POSTGRES = 15
# Whoever migrates holds this advisory lock, so that services started together do not migrate together.
MIGRATION_LOCK = 0x706B706F


# Requests that hold a session at once. FastAPI runs endpoints in 40 threads. Of writers that wait for one another's
# locks, the one that holds them needs a thread once more, to encode its answer before it commits, and must find one.
MOST_SESSIONS = 24
_LONGEST_WAIT = 10.0  # seconds, for a session


class UnsuitableDatabase(Exception):
    """The database named cannot hold what the service promises."""


def _to_json(value: Any) -> str:
    return orjson.dumps(value).decode()


def make_engine(url: str) -> Engine:
    """An engine on the URL of a Postgres database, by whatever driver name it was written with."""
    try:
        target = make_url(url)
    except ArgumentError:
        # The text itself may hold a password.
        raise UnsuitableDatabase("PKPO_DATABASE_URL is not a URL: postgresql://user:password@host:port/db") from None
    if target.get_backend_name() not in ("postgresql", "postgres"):
        raise UnsuitableDatabase(f"PKPO_DATABASE_URL must name a Postgres database, not {target.get_backend_name()}")
    return create_engine(
        target.set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,  # a Postgres that was restarted costs a reconnection, not an error
        pool_size=MOST_SESSIONS,
        max_overflow=MOST_SESSIONS,  # for keys that are looked up meanwhile
        pool_timeout=_LONGEST_WAIT,
        json_serializer=_to_json,
        json_deserializer=orjson.loads,
        # In another one, of the database or of PGCLIENTENCODING, not even the answers to the driver are understood.
        connect_args={"connect_timeout": 10, "application_name": "pkpo", "client_encoding": "utf8"},
    )


def check_database(engine: Engine) -> None:
    """Raise UnsuitableDatabase where Postgres is too old, cannot hold every text, or acknowledges what it may lose."""
    with engine.connect() as connection:
        version = connection.scalar(text("SELECT current_setting('server_version_num')::int")) or 0
        if version // 10000 < OLDEST_POSTGRES:
            raise UnsuitableDatabase(f"Postgres {version // 10000} is too old; pkpo needs {OLDEST_POSTGRES} or newer")
        encoding = connection.scalar(text("SELECT current_setting('server_encoding')"))
        if encoding != "UTF8":
            raise UnsuitableDatabase(
                f"the database {engine.url.database} has the encoding {encoding}, which cannot hold every text: pkpo "
                "needs UTF8; CREATE DATABASE pkpo TEMPLATE template0 ENCODING 'UTF8' makes one"
            )
        for setting in ("fsync", "synchronous_commit"):
            if connection.scalar(text("SELECT current_setting(:name)"), {"name": setting}) == "off":
                raise UnsuitableDatabase(f"Postgres runs with {setting} = off, so what is acknowledged could be lost")


def alembic_config(url: str) -> "AlembicConfig":
    """Where the migrations are, and the database that they are for."""
    from alembic.config import Config as AlembicConfig

    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(__file__).resolve().parent.parent / "migrations"))
    config.attributes["url"] = url
    return config


def migrate(url: str) -> None:
    """Bring the schema of the database to this version's, whoever else is trying the same."""
    from alembic import command

    engine = make_engine(url)
    try:
        check_database(engine)
        with engine.connect() as lock:
            lock.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
            command.upgrade(alembic_config(url), "heads")
    finally:
        engine.dispose()


def schema_is_current(session: Session) -> bool:
    """Whether the database has exactly the migrations that this version knows."""
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    applied = MigrationContext.configure(session.connection()).get_current_heads()
    return set(applied) == set(ScriptDirectory.from_config(alembic_config("")).get_heads())


def session_slots() -> asyncio.Semaphore:
    """What `session_slot` counts, one for each application."""
    return asyncio.Semaphore(MOST_SESSIONS)


@asynccontextmanager
async def session_slot(app: FastAPI) -> AsyncIterator[None]:
    """Within it a request may hold a session; PoolTimeout where none of those that do comes to an end for too long."""
    try:
        await asyncio.wait_for(app.state.session_slots.acquire(), _LONGEST_WAIT)
    except TimeoutError:
        raise PoolTimeout(f"no session within {_LONGEST_WAIT} s") from None
    try:
        yield
    finally:
        app.state.session_slots.release()


@asynccontextmanager
async def session_of(app: FastAPI) -> AsyncIterator[Session]:
    """A session in a slot of its own, committed at the end, or rolled back where that is an error."""
    async with session_slot(app), contextmanager_in_threadpool(app.state.sessions.begin()) as session:
        yield session


async def _session(request: Request) -> AsyncIterator[Session]:
    async with session_of(request.app) as session:
        yield session


# scope="function" ends the transaction before the answer is sent: a 2xx means that it is on disk.
SessionDep = Annotated[Session, Depends(_session, scope="function")]
