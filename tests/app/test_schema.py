"""The migrations make exactly the tables that the models describe."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.db import UnsuitableDatabase, alembic_config, make_engine, migrate, schema_is_current
from app.models import Base, Project
from tests.conftest import fresh_database

OTHERS = "^(alembic_version|procrastinate_.*)$"  # tables that the models do not describe
CONSTRAINTS = text(
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text !~ :others ORDER BY 1, 2"
)
INDEXES = text(
    "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
    " AND tablename !~ :others ORDER BY 1, 2"
)
COLUMNS = text(
    "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns"
    " WHERE table_schema = 'public' AND table_name !~ :others ORDER BY 1, 2"
)


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    engine = make_engine(url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def described(connection: Connection) -> list[Any]:
    """All that Postgres knows of the tables, check constraints and defaults included."""
    return [
        row for query in (COLUMNS, CONSTRAINTS, INDEXES) for row in connection.execute(query, {"others": OTHERS}).all()
    ]


def test_alembic_sees_no_drift(database_url: str) -> None:
    with connected(database_url) as connection:
        ours = {"include_name": lambda name, kind, parents: kind != "table" or not re.match(OTHERS, name)}
        assert compare_metadata(MigrationContext.configure(connection, opts=ours), Base.metadata) == []


def test_migrated_tables_are_those_of_the_models_to_the_last_constraint(
    database_url: str, empty_database_url: str
) -> None:
    with connected(database_url) as migrated, connected(empty_database_url) as created:
        Base.metadata.create_all(created)
        assert described(migrated) == described(created)


def test_migrations_go_down_and_up_again(empty_database_url: str) -> None:
    migrate(empty_database_url)
    command.downgrade(alembic_config(empty_database_url), "base")
    with connected(empty_database_url) as connection, Session(connection) as session:
        assert not schema_is_current(session)
        assert session.scalar(text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")) == 1
    migrate(empty_database_url)
    migrate(empty_database_url)
    with connected(empty_database_url) as connection, Session(connection) as session:
        assert schema_is_current(session)
        assert [project.name for project in session.query(Project)] == ["default"]


@pytest.mark.parametrize(
    "verdict",
    [
        {"reward": float("nan"), "passed": None, "status": "scored"},
        {"reward": float("inf"), "passed": None, "status": "scored"},
        {"reward": 1.0, "passed": True, "status": "infrastructure_error"},
        {"reward": None, "passed": False, "status": "failed"},
        {"reward": 0.0, "passed": False, "status": "wrong"},
    ],
)
def test_the_database_itself_refuses_a_verdict_that_means_nothing(database_url: str, verdict: dict[str, Any]) -> None:
    statement = text(
        "INSERT INTO verification_history"
        " (evaluation_id, problem_id, sample_index, verifier_id, reward, passed, status)"
        " VALUES (1, 1, 0, 1, :reward, :passed, :status)"
    )
    with connected(database_url) as connection, pytest.raises(IntegrityError, match="ck_verification_history"):
        connection.execute(statement, verdict)


def test_texts_are_stored_without_slow_compression(database_url: str) -> None:
    stored = text(
        "SELECT attstorage, attcompression FROM pg_attribute"
        " WHERE attrelid = 'completions'::regclass AND attname = 'text'"
    )
    with connected(database_url) as connection:
        storage, compression = connection.execute(stored).one()
    assert (storage, compression) in (("e", ""), ("x", "l")), "external, or compressed by lz4"


def test_another_database_than_postgres_is_refused() -> None:
    with pytest.raises(UnsuitableDatabase, match="sqlite"):
        make_engine("sqlite:///pkpo.db")


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_hold_every_text_is_refused_with_the_remedy(postgres_url: URL, encoding: str) -> None:
    with fresh_database(postgres_url, template="template0", encoding=encoding) as url:
        with pytest.raises(UnsuitableDatabase, match=f"has the encoding {encoding}.*ENCODING 'UTF8'"):
            migrate(url)
        with connected(url) as connection:
            assert described(connection) == []


def test_the_encoding_of_the_environment_is_not_that_of_the_service(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "SQL_ASCII")
    migrate(empty_database_url)
    with connected(empty_database_url) as connection:
        assert connection.scalar(text("SELECT 'naïve: 素数'")) == "naïve: 素数"
