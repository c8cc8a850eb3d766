"""`python -m workers`: take jobs."""

import argparse
import logging
import sys
from collections.abc import Sequence

from pydantic import ValidationError
from sqlalchemy.exc import OperationalError

from app.config import Settings
from app.db import UnsuitableDatabase
from app.jobs.database import NoDatabase, database_url
from workers.capabilities import capabilities
from workers.main import Plan, work

DESCRIPTION = """\
Take jobs of a pkpo service and do them, each in a process of its own, until Ctrl-C or SIGTERM.

One job from each queue at a time. Start as many workers as you like, on one machine or several: a job goes to one that
can do it. A worker that is killed, frozen or cut off loses its jobs to others; nothing is lost or done twice. One that
is told to stop gives its jobs back within ten seconds, and they cost no attempt.

examples:
  python -m workers --queue cpu                 imports and verification
  python -m workers --queue gpu --queue cpu     everything that this machine can do
  PKPO_DATABASE_URL=postgresql://… python -m workers --queue gpu      on another machine

environment:
  PKPO_DATA_DIR      the data folder of a `pkpo serve` on this machine (.pkpo in the checkout): tells where its
                     embedded Postgres is; holds uploaded files, so workers on other machines need it shared
  PKPO_DATABASE_URL  postgresql://user:password@host:port/database, where the service has that too
  PKPO_MODEL_ROOTS   folders, separated by colons, under which jobs may load models by their path
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Work; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m workers", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--queue",
        dest="queues",
        action="append",
        required=True,
        choices=["cpu", "gpu"],
        help="take jobs from this queue; give it twice for both",
    )
    parser.add_argument(
        "--lease",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="without a sign of life for so long, its jobs go to others (30)",
    )
    arguments = parser.parse_args(argv)
    if not 0.5 <= arguments.lease <= 3600:
        parser.error(f"--lease must be between 0.5 and 3600 seconds, not {arguments.lease:g}")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("procrastinate").setLevel(logging.CRITICAL)
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    try:
        url = database_url(Settings())
        return work(Plan(url, tuple(dict.fromkeys(arguments.queues)), capabilities(), lease=arguments.lease))
    except (NoDatabase, UnsuitableDatabase, ValidationError) as error:
        print(f"workers: {error}", file=sys.stderr)
    except OperationalError as error:
        # The driver's own sentence names host and cause, and not the password.
        print(f"workers: the database does not answer: {error.orig}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
