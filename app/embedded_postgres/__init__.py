"""The Postgres that comes with the service: its binaries, its data folder, its process."""

from app.embedded_postgres.data_folder import EmbeddedPostgresError
from app.embedded_postgres.server import EmbeddedPostgres, running_url

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "running_url"]
