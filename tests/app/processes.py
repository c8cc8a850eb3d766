"""The launcher and other programs in processes of their own, what /proc says of them, and rows to find again."""

import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psycopg

Found = TypeVar("Found")
CHECKOUT = Path(__file__).resolve().parents[2]
LAUNCHER = """
import sys
from pathlib import Path
from app.embedded_postgres import EmbeddedPostgres
with EmbeddedPostgres(Path(sys.argv[1])) as postgres:
    print(postgres.pid, postgres.url, flush=True)
    sys.stdin.read()
"""


@contextmanager
def program(*command: str, environment: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """The running program; whatever the test leaves of it is killed."""
    pipe = subprocess.PIPE
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)} | dict(environment or {})
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def launcher(
    folder: Path, prefix: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A process that runs EmbeddedPostgres on the folder until its standard input ends."""
    with program(*prefix, sys.executable, "-c", LAUNCHER, str(folder), environment=environment) as process:
        yield process


def started(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The pid and the URL of the Postgres that a launcher has started."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    pid, url = line.split()
    return int(pid), url


def connect(url: str) -> psycopg.Connection:
    """A connection that commits each statement."""
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


def command_line(pid: int) -> str:
    """The words of a process's command; none for a zombie, or when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def inhabitants(folder: Path) -> dict[int, str]:
    """The command lines, by pid, of the processes that were given the folder or work in it; zombies do neither."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = command_line(int(process.name))
            if str(folder) in command or (process / "cwd").readlink().is_relative_to(folder):
                found[int(process.name)] = command
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def lives(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid: int) -> list[int]:
    """The pids of the children of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def eventually(condition: Callable[[], Found], seconds: float = 60) -> Found:
    """What the condition gives once it holds; fails when that does not come in a time ample on a busy machine too."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)
    return found


def kill(pid: int) -> None:
    """Returns when a process that somebody reaps, killed with SIGKILL, has stopped running."""
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not lives(pid))


def free_port() -> int:
    """A port that nobody listens on, and that no connection and no other test is given until this process ends.

    The kernel gives out ports from 32768 on, the embedded Postgres takes its own from 20000 on.
    """
    while True:
        port = 10_000 + secrets.randbelow(10_000)
        mark = socket.socket(socket.AF_UNIX)
        try:
            mark.bind(f"\0pkpo-test-port-{port}")  # one of the machine's tests has this name
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            mark.close()
            continue
        mark.detach()  # stays open
        return port


def path_of(*programs: str, folder: Path) -> dict[str, str]:
    """An environment with these programs only."""
    folder.mkdir()
    for name in programs:
        source = shutil.which(name)
        assert source is not None
        (folder / name).symlink_to(source)
    return {"PATH": str(folder)}


def write(url: str, completions: int) -> None:
    """Commits that many completions, to a table of the tests' own."""
    with connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS completions (sample_index int PRIMARY KEY)")
        connection.execute("INSERT INTO completions SELECT generate_series(1, %s)", [completions])


def count(url: str) -> int:
    """How many completions are there."""
    with connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM completions").fetchone()
    assert row is not None
    return int(row[0])


def mode(path: Path) -> int:
    """The permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)
