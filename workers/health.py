"""`python -m workers.health` exits with 0 where a worker of this machine lives: its heartbeat is in the database.

A worker that hangs, is frozen or has lost its database is as dead to its jobs as one that is gone.
"""

import argparse
import socket
import sys
from collections.abc import Sequence

from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.config import Settings
from app.db import UnsuitableDatabase, make_engine
from app.jobs.database import NoDatabase, database_url
from app.models import Worker


def main(argv: Sequence[str] | None = None) -> int:
    """Look once; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m workers.health", description=__doc__)
    parser.add_argument(
        "--within", type=float, default=30.0, metavar="SECONDS", help="how old its last heartbeat may be (30)"
    )
    arguments = parser.parse_args(argv)
    host = socket.gethostname()
    try:
        age = heartbeat_age(database_url(Settings()), host)
    except (NoDatabase, UnsuitableDatabase, ValidationError) as error:
        return _unhealthy(str(error))
    except OperationalError as error:
        return _unhealthy(f"the database does not answer: {error.orig}")
    if age is None:
        return _unhealthy(f"no worker runs on {host}")
    if age > arguments.within:
        return _unhealthy(f"the last heartbeat of a worker on {host} was {age:.0f} s ago")
    return 0


def heartbeat_age(url: str, host: str) -> float | None:
    """Seconds, by the database's clock, since a worker of the host said that it lives; None where all have stopped."""
    newest = select(func.extract("epoch", func.now() - func.max(Worker.heartbeat_at)))
    engine = make_engine(url)
    try:
        with Session(engine) as session:
            age = session.scalar(newest.where(Worker.host == host, Worker.stopped_at.is_(None)))
    finally:
        engine.dispose()
    return None if age is None else float(age)


def _unhealthy(reason: str) -> int:
    print(f"workers: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
