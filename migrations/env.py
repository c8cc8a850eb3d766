"""Runs migrations on one connection, in one transaction: all of them, or none."""

from alembic import context

from app.config import Settings
from app.db import make_engine
from app.models import Base


def _url() -> str:
    url: str | None = context.config.attributes.get("url")
    if url is None:
        configured = Settings().database_url
        if configured is None:
            raise SystemExit("alembic needs PKPO_DATABASE_URL; the embedded Postgres is migrated by `pkpo serve`")
        url = configured.get_secret_value()
    return url


def _ours(name: str | None, kind: str, parents: object) -> bool:
    """Whether a table is one that the models describe; those of the queue follow its own releases."""
    return kind != "table" or name is None or not name.startswith("procrastinate_")


engine = make_engine(_url())
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata, include_name=_ours)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
