"""The way to Postgres: engine, the session of a request, migrations."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import Depends, Request
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session, sessionmaker

# Alembic is imported by who migrates or asks for the state of the schema: it is a sixth of the service's start.
if TYPE_CHECKING:
    from alembic.config import Config as AlembicConfig

OLDEST_POSTGRES = 15
# Whoever migrates holds this advisory lock, so that services started together do not migrate together.
MIGRATION_LOCK = 0x706B706F


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
        pool_size=16,
        max_overflow=32,  # FastAPI runs up to 40 endpoints at once in its threads
        pool_timeout=10,
        json_serializer=_to_json,
        json_deserializer=orjson.loads,
        connect_args={"connect_timeout": 10, "application_name": "pkpo"},
    )


def check_database(engine: Engine) -> None:
    """Raise UnsuitableDatabase where Postgres is too old or would acknowledge what it may lose."""
    with engine.connect() as connection:
        version = connection.scalar(text("SELECT current_setting('server_version_num')::int")) or 0
        if version // 10000 < OLDEST_POSTGRES:
            raise UnsuitableDatabase(f"Postgres {version // 10000} is too old; pkpo needs {OLDEST_POSTGRES} or newer")
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


def _session(request: Request) -> Iterator[Session]:
    sessions: sessionmaker[Session] = request.app.state.sessions
    with sessions.begin() as session:
        yield session


# scope="function" ends the transaction before the answer is sent: a 2xx means that it is on disk.
SessionDep = Annotated[Session, Depends(_session, scope="function")]
