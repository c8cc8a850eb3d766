"""A real Postgres: `postgres` is the embedded server, `database_url` a migrated database of the test's own.

Where PKPO_DATABASE_URL is set, databases are made and dropped on its server, and the one it names is left alone.
That server needs max_connections of 300: each service of a test may hold 48, and files of tests run side by side.
"""

import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql
from sqlalchemy import URL, make_url

from app.embedded_postgres import EmbeddedPostgres

# An example on a busy machine takes longer than Hypothesis allows it; how long a test may take, pytest-timeout says.
# The examples are the same in each run, for a change to be told from luck; `make test-thoroughly` tries others.
settings.register_profile("pkpo", deadline=None, derandomize="PKPO_EXAMPLES" not in os.environ)
settings.load_profile("pkpo")


def pytest_configure(config: pytest.Config) -> None:
    """Keep bytecode in a folder of the tests' own where it may not be written beside its sources.

    Each of the hundreds of processes that tests start would compile its libraries anew: half of an import's time.
    """
    if sys.dont_write_bytecode:
        sys.dont_write_bytecode, sys.pycache_prefix = False, str(config.rootpath / ".pytest_cache" / "bytecode")
        os.environ |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": sys.pycache_prefix}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where files run side by side, begin with those that take long: one of them at the end would run alone."""
    if hasattr(config, "workerinput"):
        long = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A running embedded Postgres, in a data folder that is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="pkpo-test-") as folder, EmbeddedPostgres(Path(folder)) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(request: pytest.FixtureRequest) -> URL:
    """A database of the server that tests use, to make and drop others from."""
    url = os.environ.get("PKPO_DATABASE_URL") or request.getfixturevalue("postgres").url
    return make_url(url).set(drivername="postgresql+psycopg", database="postgres")


@pytest.fixture(scope="session")
def migrated_template(postgres_url: URL) -> Iterator[str]:
    """The name of a database with the whole schema, for CREATE DATABASE … TEMPLATE."""
    from app.db import migrate

    with fresh_database(postgres_url) as url:
        migrate(url)
        name = make_url(url).database
        assert name is not None
        yield name


@pytest.fixture
def empty_database_url(postgres_url: URL) -> Iterator[str]:
    """The URL of a database without any table, dropped after the test."""
    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture
def database_url(postgres_url: URL, migrated_template: str) -> Iterator[str]:
    """The URL of a migrated, empty database, dropped after the test."""
    with fresh_database(postgres_url, template=migrated_template) as url:
        yield url


@contextmanager
def fresh_database(postgres_url: URL, template: str = "template1", encoding: str | None = None) -> Iterator[str]:
    """The URL (postgresql+psycopg://…) of a new database, which is dropped at the end, connections or not."""
    name = f"pkpo_test_{secrets.token_hex(8)}"
    names = {"name": sql.Identifier(name), "template": sql.Identifier(template)}
    statement = sql.SQL("CREATE DATABASE {name} TEMPLATE {template}").format(**names)
    if encoding is not None:
        statement += sql.SQL(" ENCODING {} LOCALE_PROVIDER libc LOCALE 'C'").format(sql.Literal(encoding))
    run(postgres_url, statement)
    try:
        yield postgres_url.set(database=name).render_as_string(hide_password=False)
    finally:
        drop(postgres_url, sql.SQL("DROP DATABASE {name} WITH (FORCE)").format(**names))


def drop(postgres_url: URL, statement: sql.Composed) -> None:
    """Run the statement once no autovacuum is at work in the database: only a superuser may end one."""
    for attempt in range(100):
        try:
            run(postgres_url, statement)
            return
        except psycopg.errors.InsufficientPrivilege:
            if attempt == 99:
                raise
            time.sleep(0.1)


def run(postgres_url: URL, statement: sql.Composed) -> None:
    conninfo = postgres_url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(statement)
