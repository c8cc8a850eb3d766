"""`python -m workers.health` exits with 0 where a worker of this machine lives: its heartbeat is in the database.

A worker that hangs, is frozen or has lost its database is as dead to its jobs as one that is gone. This is asked every
few seconds beside each worker, so it reads the two settings that it needs itself: with SQLAlchemy, pydantic and the
tables' models it took five times as long.
"""

import argparse
import os
import re
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import psycopg

from app.jobs.database import NoDatabase, embedded_url

CHECKOUT: Final = Path(__file__).resolve().parent.parent
SCHEME: Final = re.compile(r"postgres(ql)?(\+\w+)?://")
NEWEST: Final = (
    "SELECT extract(epoch FROM now() - max(heartbeat_at))::float8 FROM workers WHERE host = %s AND stopped_at IS NULL"
)


class Unhealthy(Exception):
    """Why, in a sentence."""


def main(argv: Sequence[str] | None = None) -> int:
    """Look once; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m workers.health", description=__doc__)
    parser.add_argument(
        "--within", type=float, default=30.0, metavar="SECONDS", help="how old its last heartbeat may be (30)"
    )
    arguments = parser.parse_args(argv)
    host = socket.gethostname()
    try:
        age = heartbeat_age(conninfo(os.environ), host)
        if age is None:
            raise Unhealthy(f"no worker runs on {host}")
        if age > arguments.within:
            raise Unhealthy(f"the last heartbeat of a worker on {host} was {age:.0f} s ago")
    except (Unhealthy, NoDatabase) as error:
        print(f"workers: {error}", file=sys.stderr)
        return 1
    return 0


def conninfo(environment: Mapping[str, str]) -> str:
    """The database of PKPO_DATABASE_URL, else the embedded one of PKPO_DATA_DIR, as libpq is told."""
    folder = Path(environment.get("PKPO_DATA_DIR") or CHECKOUT / ".pkpo")
    url = environment.get("PKPO_DATABASE_URL") or embedded_url(folder)
    if not SCHEME.match(url):
        # The text itself may hold a password.
        raise Unhealthy("PKPO_DATABASE_URL is not a URL: postgresql://user:password@host:port/db")
    return SCHEME.sub("postgresql://", url, count=1)


def heartbeat_age(target: str, host: str) -> float | None:
    """Seconds, by the database's clock, since a worker of the host said that it lives; None where all have stopped."""
    try:
        with psycopg.connect(target, connect_timeout=10, application_name="pkpo", client_encoding="utf8") as database:
            database.execute("SET statement_timeout = '10s'")
            row = database.execute(NEWEST, (host,)).fetchone()
    except psycopg.ProgrammingError as error:
        # Of an address that cannot be read psycopg repeats parts; of a table that is missing it names that.
        raise Unhealthy(error.diag.message_primary or "PKPO_DATABASE_URL cannot be read") from None
    except psycopg.Error as error:
        # The driver's own sentence names host and cause, and not the password.
        raise Unhealthy(f"the database does not answer: {error}") from None
    return None if row is None else row[0]


if __name__ == "__main__":
    sys.exit(main())
