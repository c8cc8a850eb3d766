"""Requests that wait on disk: a folder for each process that logs, in it a file for each request, in their order.

A file is there whole or not at all. Who holds the folder's lock sends them: the process that made it while it lives,
`pkpo sync` after its death, which frees the lock however it comes.
"""

import fcntl
import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self
from uuid import uuid4

from pkpo.client.connection import JSON, Call, writing

RECORD = ".request"
LOCK = "lock"
REFUSED = "refused"  # the folder of what the service will never take
ROUTE = re.compile(r"/v1/runs/[A-Za-z0-9._:@-]{1,200}/(groups|metrics)")


class Unreadable(ValueError):
    """A file of the spool that holds no request."""


@dataclass(frozen=True)
class Request:
    """A POST of the log: what is needed to send it from another process, but for the API key."""

    url: str  # of the server
    path: str
    key: str  # the same each time, so that it is done once
    body: bytes  # in gzip

    def to_bytes(self) -> bytes:
        """A line of JSON, and the body."""
        head = {name: value for name, value in asdict(self).items() if name != "body"}
        return json.dumps(head).encode() + b"\n" + self.body

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """The request that a file holds; Unreadable where it holds none."""
        head, _, body = content.partition(b"\n")
        try:
            request = cls(**json.loads(head), body=body)
        except (ValueError, TypeError) as error:
            raise Unreadable("it does not begin with a line that says where it goes") from error
        if not ROUTE.fullmatch(str(request.path)):
            raise Unreadable("it goes to no route of the log")
        return request

    def call(self) -> Call:
        """What to send."""
        return writing(self.path, self.body, JSON, self.key, **{"Content-Encoding": "gzip"})


def default_spool() -> Path:
    """PKPO_SPOOL_DIR, else pkpo/spool where this user's programs keep their state."""
    if named := os.environ.get("PKPO_SPOOL_DIR"):
        return Path(named)
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "pkpo/spool"


class Folder:
    """The requests of one process, held by its lock."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock
        self._numbers = 0

    @classmethod
    def make(cls, spool: Path) -> Self:
        """A new folder, locked before anybody can see it. OSError where the spool cannot be written."""
        spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}-{uuid4().hex[:8]}"
        hidden = spool / f".{name}"
        hidden.mkdir(mode=0o700)
        lock = _locked(hidden)
        assert lock is not None  # nobody else knows the name
        hidden.rename(spool / name)
        return cls(spool / name, lock)

    @classmethod
    def claim(cls, path: Path) -> Self | None:
        """The folder of a process that is gone; None where a living process holds it, or it is gone itself."""
        try:
            lock = _locked(path)
        except FileNotFoundError:
            return None
        if lock is None:
            return None
        if not path.exists():  # who held the lock before has removed it meanwhile
            os.close(lock)
            return None
        return cls(path, lock)

    def add(self, request: Request) -> Path:
        """Write the request to a file, which outlives this process from now on, and the machine after `sync`."""
        self._numbers += 1
        path = self.path / f"{self._numbers:010d}{RECORD}"
        part = path.with_suffix(".part")
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(request.to_bytes())
            part.rename(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        return path

    def sync(self, files: Iterable[Path]) -> None:
        """Return when the disk has the files, of which some may be gone already."""
        for path in (*files, self.path, self.path.parent):
            try:
                descriptor = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                continue
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def requests(self) -> list[Path]:
        """The files of its requests, oldest first."""
        return sorted(self.path.glob(f"*{RECORD}"))

    def refuse(self, request: Path, reason: str) -> Path:
        """Lay a request aside, with the reason in a file beside it; returns where it now is."""
        aside = self.path.parent / REFUSED
        aside.mkdir(exist_ok=True, mode=0o700)
        target = aside / f"{self.path.name}-{request.name}"
        target.with_suffix(".txt").write_text(f"{reason}\n")
        request.rename(target)
        return target

    def release(self) -> None:
        """Give up the lock; a folder without requests goes."""
        if not self.requests():
            for path in [*self.path.glob("*.part"), self.path / LOCK]:
                path.unlink(missing_ok=True)
            self.path.rmdir()
        self.forget()

    def forget(self) -> None:
        """Close the lock's file. In a process forked off this leaves the lock to the parent."""
        os.close(self._lock)


def folders(spool: Path) -> Iterator[Path]:
    """Where processes have left requests, the oldest process first."""
    if spool.is_dir():
        yield from sorted(path.parent for path in spool.glob(f"[!.]*/{LOCK}"))


def _locked(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock, unless another process does."""
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    except OSError:
        os.close(lock)
        raise
    return lock
