"""How a worker finds the database: the one that is named, or the one that `pkpo serve` runs on the data folder."""

from pathlib import Path
from typing import TYPE_CHECKING

from app.embedded_postgres import EmbeddedPostgresError, running_url

# Not for who only asks where the database is, as the health check of a worker does every few seconds.
if TYPE_CHECKING:
    from app.config import Settings


class NoDatabase(Exception):
    """A sentence for the person at the terminal."""


def database_url(settings: "Settings") -> str:
    """The URL of PKPO_DATABASE_URL, else of the embedded Postgres of PKPO_DATA_DIR; NoDatabase where there is none."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return embedded_url(settings.data_dir)


def embedded_url(folder: Path) -> str:
    """The URL of the Postgres that `pkpo serve` runs on the data folder; NoDatabase where there is none."""
    try:
        url = running_url(folder)
    except EmbeddedPostgresError as error:
        raise NoDatabase(str(error)) from error
    if url is None:
        raise NoDatabase(
            f"no service runs on the data folder {folder}: start one first (pkpo serve), or name its folder "
            "with PKPO_DATA_DIR; for a service on another database name that with PKPO_DATABASE_URL"
        )
    return url


def bounded(url: str, seconds: float) -> str:
    """The URL, for sessions in which nothing lasts longer: a frozen process must not keep what it has locked."""
    from sqlalchemy import make_url

    milliseconds = round(seconds * 1000)
    # idle_in_transaction says nothing of a COPY whose rows do not come; statement_timeout does.
    limits = f"-c idle_in_transaction_session_timeout={milliseconds} -c statement_timeout={milliseconds}"
    target = make_url(url)
    given = target.query.get("options", "")
    options = " ".join([*([given] if isinstance(given, str) else given), limits]).strip()
    return target.update_query_dict({"options": options}).render_as_string(hide_password=False)
