"""The server's commands of `pkpo`, as serve, keys, jobs. Found by pkpo.cli where they can be run.

Importing this costs nothing: each command imports what it needs when it runs.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pkpo.commands.errors import CommandError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from app.config import Settings
    from app.models import ApiKey

SERVE = """\
Serve the API and the pages, by default on http://127.0.0.1:8000.

Without PKPO_DATABASE_URL an embedded Postgres is started, kept in PKPO_DATA_DIR and stopped with the service;
with it, that database is migrated and used, and nothing else is started.
Jobs are done by workers, which find the same database: python -m workers --help. With --worker one is kept here.

environment:
  PKPO_HOST          address to listen on (127.0.0.1; any other than loopback needs an API key: pkpo keys create)
  PKPO_PORT          port to listen on (8000)
  PKPO_DATA_DIR      where the embedded Postgres keeps everything (.pkpo in the checkout)
  PKPO_DATABASE_URL  postgresql://user:password@host:port/database, Postgres 15 or newer
  PKPO_ALLOWED_HOSTS JSON list of DNS names under which the service is reached
  PKPO_UPLOAD_DAYS   days for which an uploaded file is kept that no job uses (7)
  PKPO_JOB_LOG_DAYS  days for which the log of an ended job is kept (30)
  PKPO_DEMO          1: begin the demo, where nobody has; /demo walks through it
  PKPO_WORKER        off: no worker is kept here, although --worker, which `make run` gives, asks for one
"""
MIGRATE = "Bring the schema of the database to this version's. `pkpo serve` does it by itself."
LONGEST_KEY_NAME = 200
KEYS = "Make, list and revoke API keys. Once there is one, every request needs one, until all are revoked."


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the server's commands to those of the library."""
    serve = commands.add_parser(
        "serve",
        help="serve the API and the pages",
        description=SERVE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serve.add_argument(
        "--worker",
        action="store_true",
        help="keep a worker too, and first install into .venv what it needs, while the service already answers",
    )
    serve.set_defaults(run=run_serve)
    migrate = commands.add_parser("migrate", help="bring the database to this version's schema", description=MIGRATE)
    migrate.set_defaults(run=run_migrate)
    _add_keys(commands.add_parser("keys", help="make, list and revoke API keys", description=KEYS))

    from app.imports.command import add_import  # argparse and constants only
    from app.problem_sets.command import add_problems  # likewise

    add_import(commands)

    from app.jobs.command import add_jobs

    add_jobs(commands)
    add_problems(commands)

    from app.exports.train_command import add_train

    add_train(commands)

    from app.exports.export_command import add_export

    add_export(commands, _settings, _session)


def _add_keys(keys: argparse.ArgumentParser) -> None:
    actions = keys.add_subparsers(required=True, metavar="create | list | revoke")
    create = actions.add_parser("create", help="make a key and show it once")
    create.add_argument("name", help="what the key is for, e.g. the machine or person that holds it")
    create.add_argument(
        "--scope",
        action="append",
        choices=["read", "write", "jobs", "admin"],
        help="what the key may do; give it several times (default: read and write)",
    )
    create.add_argument("--days", type=int, help="days until the key expires (default: never)")
    create.set_defaults(run=run_keys_create)
    actions.add_parser("list", help="show all keys, without their secret").set_defaults(run=run_keys_list)
    revoke = actions.add_parser("revoke", help="make a key invalid, within a second")
    revoke.add_argument("name")
    revoke.set_defaults(run=run_keys_revoke)


def run_serve(arguments: argparse.Namespace) -> int:
    """Serve until told to stop."""
    from app.embedded_postgres import EmbeddedPostgresError
    from app.own_worker import OwnWorker
    from app.supervisor import serve_embedded, serve_external

    settings = _settings()
    own_worker = OwnWorker if arguments.worker and settings.worker else None
    folder, host, port = settings.data_dir, settings.host, settings.port
    try:
        if settings.database_url is None:
            return serve_embedded(folder, host, port, _prepare, own_worker=own_worker)
        url = settings.database_url.get_secret_value()
        return serve_external(url, _database_name(url), folder, host, port, _prepare, own_worker)
    except EmbeddedPostgresError as error:
        raise CommandError(str(error)) from error


def run_migrate(arguments: argparse.Namespace) -> int:
    """Migrate the database and say so."""
    with _database_url() as url:
        _migrate(url)
    print("The database has this version's schema.")
    return 0


def run_keys_create(arguments: argparse.Namespace) -> int:
    """Make a key; print it alone on standard output."""
    from app.auth.service import KeyNameTaken, KeyNameUnreadable, create_key

    if arguments.days is not None and not 1 <= arguments.days <= 36_500:
        raise CommandError(f"--days must be between 1 and 36500, not {arguments.days}")
    if not (arguments.name.strip() and arguments.name.isprintable() and len(arguments.name) <= LONGEST_KEY_NAME):
        raise CommandError(
            f"a key's name has 1 to {LONGEST_KEY_NAME} printable characters, not {arguments.name[:60]!a}"
        )
    expires_at = arguments.days and datetime.now(UTC) + timedelta(days=arguments.days)
    try:
        with _session() as session:
            token = create_key(session, arguments.name, arguments.scope or ["read", "write"], expires_at)
    except (KeyNameTaken, KeyNameUnreadable) as error:
        raise CommandError(str(error)) from error
    print(token)
    return 0


def run_keys_list(arguments: argparse.Namespace) -> int:
    """Print a line per key."""
    from app.auth.service import list_keys

    with _session() as session:
        for key in list_keys(session):
            print(f"{key.name}\t{','.join(key.scopes)}\tcreated {key.created_at:%Y-%m-%d}\t{_state(key)}")
    return 0


def _state(key: "ApiKey") -> str:
    if key.revoked_at:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    if key.expires_at is None:
        return "never expires"
    return f"{'expired' if key.expires_at <= datetime.now(UTC) else 'expires'} {key.expires_at:%Y-%m-%d}"


def run_keys_revoke(arguments: argparse.Namespace) -> int:
    """Revoke the key named."""
    from app.auth.service import any_unrevoked_key, revoke_key

    with _session() as session:
        if not revoke_key(session, arguments.name):
            raise CommandError(
                f"There is no active key named {arguments.name!r}; `pkpo keys list` shows those there are."
            )
        last = not any_unrevoked_key(session)
    print(f"revoked {arguments.name}")
    if last:
        print("There is no key left: on loopback the service now answers everybody.", file=sys.stderr)
    return 0


def _settings() -> "Settings":
    from pydantic import ValidationError

    from app.config import Settings

    try:
        return Settings()
    except ValidationError as error:
        wrong = (f"PKPO_{str(each['loc'][0]).upper()}: {each['msg']}" for each in error.errors())
        raise CommandError("; ".join(wrong)) from error


def _database_name(url: str) -> str:
    """What a person calls the database at a URL: no user, no password."""
    from app.db import UnsuitableDatabase, make_engine

    try:
        target = make_engine(url).url
    except UnsuitableDatabase as error:
        raise CommandError(str(error)) from error
    return f"the database {target.database} at {target.host}"


def _prepare(url: str) -> None:
    """Migrate, and refuse to serve other machines without a key."""
    from sqlalchemy.orm import Session

    from app.auth.service import KeyNeeded, refuse_open_service
    from app.db import make_engine

    _migrate(url)
    engine = make_engine(url)
    try:
        with Session(engine) as session:
            refuse_open_service(session, _settings())
    except KeyNeeded as error:
        raise CommandError(str(error)) from error
    finally:
        engine.dispose()


def _migrate(url: str) -> None:
    from sqlalchemy.exc import OperationalError

    from app.db import UnsuitableDatabase, migrate

    try:
        migrate(url)
    except UnsuitableDatabase as error:
        raise CommandError(str(error)) from error
    except OperationalError as error:
        # The driver's own sentence names host and cause, and not the password.
        raise CommandError(f"The database of PKPO_DATABASE_URL does not answer: {error.orig}") from error


@contextmanager
def _database_url() -> Iterator[str]:
    """The database of the settings: the one named, the embedded one that runs, or the embedded one started for this."""
    settings = _settings()
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    from app.embedded_postgres import EmbeddedPostgres, running_url
    from app.embedded_postgres.data_folder import EmbeddedPostgresError

    try:
        running = running_url(settings.data_dir)
        if running is not None:
            yield running
        else:
            with EmbeddedPostgres(Path(settings.data_dir)) as postgres:
                yield postgres.url
    except EmbeddedPostgresError as error:
        raise CommandError(str(error)) from error


@contextmanager
def _session() -> Iterator["Session"]:
    from sqlalchemy.orm import Session

    from app.db import make_engine

    with _database_url() as url:
        _migrate(url)
        engine = make_engine(url)
        try:
            with Session(engine) as session, session.begin():
                yield session
        finally:
            engine.dispose()
