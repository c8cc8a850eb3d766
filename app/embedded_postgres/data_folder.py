"""The data folder: who holds it, what lies where in it, and what can be wrong with it.

lock             held (flock) by the process that serves the folder, whose pid it contains
postgres/        password, and data/, the cluster: both appear at once, whole
postgres.new-*   a cluster in the making; what is left of one is removed by the next start
database-url     while Postgres runs, for other commands of the same user
postgres.log, api.log
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, NoReturn

LOCK_PATIENCE: Final = 1.0  # seconds; a launcher just killed, or running_url looking, holds the lock no longer
LOG_LIMIT: Final = 8 * 2**20  # bytes


class EmbeddedPostgresError(Exception):
    """A sentence for the person at the terminal, who needs no traceback."""


class DataFolder:
    """A data folder, held by this process between `hold` and `release`."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        self.postgres = self.path / "postgres"
        self.cluster = self.postgres / "data"
        self.password_file = self.postgres / "password"
        self.postgres_log = self.path / "postgres.log"
        self.api_log = self.path / "api.log"
        self._url_file = self.path / "database-url"
        self._lock: IO[str] | None = None

    def is_filled(self) -> bool:
        """Whether a cluster is there to be seen."""
        return os.path.exists(self.cluster)  # Path.exists raises where it may not look

    def hold(self) -> None:
        """Makes the folder where it is missing, and keeps every other launcher out until `release` or our death."""
        if self.path.exists() and not self.path.is_dir():
            raise EmbeddedPostgresError(f"the data folder {self.path} is a file; name a folder with PKPO_DATA_DIR")
        with explained(self.path):
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = open(self.path / "lock", "a+", opener=_private)  # noqa: SIM115 - open for as long as we hold it
            self._wait_for(lock)
            lock.truncate(0)
            print(os.getpid(), file=lock, flush=True)
        self._lock = lock

    def _wait_for(self, lock: IO[str]) -> None:
        deadline = time.monotonic() + LOCK_PATIENCE
        while not _locked(lock, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                self._refuse(lock)
            time.sleep(0.05)

    def _refuse(self, lock: IO[str]) -> NoReturn:
        with lock:
            lock.seek(0)
            holder = lock.read().strip()
        raise EmbeddedPostgresError(
            f"the data folder {self.path} is in use by process {holder}: stop that first, "
            "or name another folder with PKPO_DATA_DIR"
        )

    def release(self) -> None:
        """Lets the next launcher in; nothing happens unless we hold the folder."""
        if self._lock is not None:
            self._url_file.unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def publish(self, url: str) -> None:
        """Tells the other commands of this user where Postgres is, until `release`."""
        write_private(self._url_file, url)

    def published_url(self) -> str | None:
        """The URL that a living launcher published; None when nobody holds the folder."""
        try:
            with open(self.path / "lock") as lock:
                # The file of a launcher that was killed says nothing: only the lock dies with its holder.
                return None if _locked(lock, fcntl.LOCK_SH) else self._url_file.read_text()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _explanation(self.path, error) from error


def bound_log(log: Path) -> None:
    """Drops the older half of a log past LOG_LIMIT, under the process that goes on appending to it."""
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        newer_half = log.read_bytes()[-LOG_LIMIT // 2 :]
        with log.open("ab") as file:
            file.truncate(0)
            file.write(newer_half)


def open_log(log: Path) -> IO[bytes]:
    """The log, private to its owner, open for appending."""
    bound_log(log)
    return open(log, "ab", opener=_private)


def last_lines(log: Path, since: int = 0, count: int = 12) -> str:
    """The last lines that were written after the byte offset."""
    with log.open("rb") as file:
        file.seek(since)
        return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, whole or not at all."""
    draft = path.with_suffix(".draft")
    with open(draft, "w", opener=_private) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def sync_folder(path: Path) -> None:
    """Makes the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns what the operating system refuses into a sentence about the data folder."""
    try:
        yield
    except OSError as error:
        raise _explanation(path, error) from error


def _explanation(path: Path, error: OSError) -> EmbeddedPostgresError:
    where = f" ({error.filename})" if error.filename else ""
    return EmbeddedPostgresError(f"the data folder {path} cannot be used: {error.strerror}{where}")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)


def _locked(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
