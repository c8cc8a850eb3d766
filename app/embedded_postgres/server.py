"""The Postgres of a data folder, run by us: made at the first start, stopped with us, found again at the next start.

It leaves out what one machine and one user do not need: sockets in the file system, TLS, replication.
"""

import os
import secrets
import signal
import socket
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from app.embedded_postgres import child_process, cluster
from app.embedded_postgres.child_process import Account
from app.embedded_postgres.data_folder import DataFolder, EmbeddedPostgresError, explained, last_lines, open_log

SETTINGS: Final = {
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
    # Statements, and the details of errors, contain what users sent.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
# Below 32768, from where on Linux lends ports to outgoing connections: one of those could keep us from coming back.
PORTS: Final = range(20_000, 32_768)
# What passes: the backends of a killed postmaster take a moment to notice, and so may whoever has our port.
PASSING: Final = ("pre-existing shared memory block", "could not create any TCP/IP sockets")
PATIENCE: Final = 30.0  # seconds to wait for that
ESCALATION: Final = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))  # fast, immediate, kill
ORPHAN_PATIENCE: Final = 5.0  # seconds in which a Postgres whose launcher was killed should stop by itself
POLL: Final = 0.01  # seconds


class EmbeddedPostgres:
    """The server of one data folder: `with EmbeddedPostgres(data_dir) as postgres: postgres.url`."""

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
        """The URL of the database, password included; the same over every restart, until `stop`."""
        assert self._url, "Postgres has not been started"
        return self._url

    @property
    def pid(self) -> int:
        """The process id of the postmaster."""
        assert self._process is not None, "Postgres has not been started"
        return self._process.pid

    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Returns when Postgres accepts connections, its cluster made first where there is none."""
        if threading.current_thread() is not threading.main_thread():
            raise EmbeddedPostgresError(
                "start Postgres in the main thread: it stops when the thread that started it ends"
            )
        self.folder.hold()
        try:
            with explained(self.folder.path):
                self._account = cluster.ready(self.folder)
                self._launch()
                password = self.folder.password_file.read_text()
                self._url = f"postgresql+psycopg://pkpo:{password}@127.0.0.1:{self.port}/pkpo"
                self.folder.publish(self._url)
        except BaseException:
            self.stop()
            raise

    def restart(self) -> None:
        """Returns when Postgres, which has died, accepts connections again at the same address."""
        assert self._url, "only what has been started can be restarted"
        assert not self.is_running(), "Postgres is running"
        with explained(self.folder.path):
            self._launch()

    def stop(self) -> None:
        """Returns when the process is gone and the folder is free: a fast shutdown, or a harder one when that hangs."""
        if self._process is not None:
            child_process.end(self._process, ESCALATION)
        self._process, self._url, self.port = None, "", 0
        self.folder.release()

    def _launch(self) -> None:
        """Starts Postgres, over and over while what is in its way is about to leave."""
        deadline = time.monotonic() + PATIENCE
        while (failure := self._attempt()) is not None:
            if time.monotonic() > deadline or not any(reason in failure for reason in PASSING):
                raise EmbeddedPostgresError(f"Postgres did not start; it says:\n{failure}")
            if not self._url:  # nobody has our address yet: another port will do
                self.port = 0
            time.sleep(10 * POLL)

    def _attempt(self) -> str | None:
        """None once Postgres accepts connections, else what it said before it died."""
        assert self._account is not None
        self.port = self.port or _free_port()
        _clear_the_way(self.folder.cluster)
        settings = [f"--{name}={value}" for name, value in {**SETTINGS, "port": self.port}.items()]
        command = [str(cluster.binary("postgres")), "-D", str(self.folder.cluster), *settings]
        with open_log(self.folder.postgres_log) as log:
            before = log.tell()
            # SIGINT is Postgres's fast shutdown: no recovery at the next start.
            tied = cluster.run_as(self._account, command, signal.SIGINT)
            self._process = child_process.spawn(tied, cluster.environment(), log, folder="/")
        while self._process.poll() is None:
            if _accepts_connections(self.folder.cluster, self._process.pid):
                return None
            time.sleep(POLL)
        return last_lines(self.folder.postgres_log, since=before)


def running_url(data_dir: Path) -> str | None:
    """The URL of the Postgres that another process runs on this data folder; None when none does."""
    return DataFolder(data_dir).published_url()


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


def _pid_file(data: Path) -> list[str]:
    # Lines: pid, data folder, time of start, port, socket folder, address, shared memory, status.
    try:
        return [line.strip() for line in (data / "postmaster.pid").read_text().splitlines()]
    except FileNotFoundError:
        return []


def _accepts_connections(data: Path, pid: int) -> bool:
    lines = _pid_file(data)
    return len(lines) > 7 and lines[0] == str(pid) and lines[7] == "ready"


def _clear_the_way(data: Path) -> None:
    """Removes a postmaster.pid that names no Postgres of this folder, and ends the Postgres that it does name.

    We hold the folder, so that Postgres is an orphan: its launcher was killed. The file of a dead process stays:
    Postgres replaces it itself, after looking whether a backend of that process lives on.
    """
    first_line = (_pid_file(data) or [""])[0]
    pid = int(first_line) if first_line.isdigit() else None
    if pid is not None and _is_postgres_of(data, pid):
        _end_orphan(data, pid)
    if pid is None or (_exists(pid) and not _is_postgres_of(data, pid)):
        (data / "postmaster.pid").unlink(missing_ok=True)


def _end_orphan(data: Path, pid: int) -> None:
    _wait_for_end(data, pid, ORPHAN_PATIENCE)
    for stop_signal, seconds in ESCALATION:
        if _is_postgres_of(data, pid):
            with suppress(ProcessLookupError):
                os.kill(pid, stop_signal)
            _wait_for_end(data, pid, seconds)


def _wait_for_end(data: Path, pid: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while _is_postgres_of(data, pid) and time.monotonic() < deadline:
        time.sleep(POLL)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_postgres_of(data: Path, pid: int) -> bool:
    return f"/postgres -D {data} " in _command_line(pid)


def _command_line(pid: int) -> str:
    """The words of the process's command; empty when it is gone or a zombie."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    listing = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listing.stdout
