"""Workers killed, frozen past their lease, cut off, told to stop, and given poison: every row once, by one attempt.

A count of rows says nothing: zombies overwrite. Each row has the number of the attempt that wrote it last, and in the
end all have that of the attempt that succeeded.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.db import make_engine, migrate
from app.embedded_postgres import EmbeddedPostgres
from tests.app.processes import children, command_line, eventually, kill, lives
from tests.app.serving import serving
from tests.workers.chaos_child import BATCHES, ROWS
from tests.workers.working import LEASE, ended, job, job_process, send, submit_import, worker

NO_LOSS = 10.0  # seconds of a lease that no busy machine takes from a worker that lives
CHILD = (sys.executable, "-m", "tests.workers.chaos_child")
WRITTEN = text("SELECT attempt, count(*) AS rows FROM completions GROUP BY attempt ORDER BY attempt")


@pytest.fixture
def refused(tmp_path: Path) -> Path:
    """A file with a byte for each write that was refused."""
    path = tmp_path / "refused"
    path.touch()
    return path


def written(session: Session) -> dict[int, int]:
    """How many rows each attempt has written last."""
    session.rollback()
    return {row.attempt: row.rows for row in session.execute(WRITTEN)}


def lives_not(pid: int) -> bool:
    return not lives(pid)


def chaotic(
    database_url: str, refused: Path, fence: str = "on", lease: float = LEASE
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """A worker whose jobs are those of chaos_child."""
    return worker(database_url, refused.parent, child=CHILD, lease=lease, CHAOS_REFUSED=str(refused), CHAOS_FENCE=fence)


def halfway(client: httpx.Client, path: str, attempt: int = 1) -> None:
    """Return when this attempt at the job has written something."""

    def is_there() -> bool:
        now = job(client, path)
        return bool(now["state"] == "running" and now["attempt"] == attempt and now["progress"]["done"] > 0)

    eventually(is_there, seconds=40)


@contextmanager
def woken(
    client: httpx.Client, session: Session, database_url: str, refused: Path, fence: str
) -> Iterator[tuple[str, int]]:
    """The path of a job that a second worker has done while the first was frozen, and the pid of that one.

    The first one's process is awake again and has written what it still had to write; the worker itself is frozen.
    """
    path = submit_import(client, b"", run="steady")
    with chaotic(database_url, refused, fence) as first:
        halfway(client, path)
        zombie = job_process(first.pid)
        for pid in (first.pid, zombie):
            send(pid, signal.SIGSTOP)
        with chaotic(database_url, refused, fence, lease=NO_LOSS):
            done = ended(client, path)
        assert (done["state"], done["attempt"]) == ("succeeded", 2)
        assert written(session) == {2: BATCHES * ROWS}
        send(zombie, signal.SIGCONT)
        eventually(lambda: not lives(zombie), seconds=30)
        yield path, first.pid


def test_a_frozen_worker_that_wakes_overwrites_nothing_and_goes_on(
    client: httpx.Client, session: Session, database_url: str, refused: Path
) -> None:
    with woken(client, session, database_url, refused, "on") as (path, frozen):
        assert len(refused.read_bytes()) >= 20
        assert written(session) == {2: BATCHES * ROWS}
        send(frozen, signal.SIGCONT)
        assert ended(client, submit_import(client, b"", run="the-next"))["state"] == "succeeded"
    assert job(client, path)["state"] == "succeeded"


def test_without_the_fence_the_same_worker_overwrites_though_the_count_stays_right(
    client: httpx.Client, session: Session, database_url: str, refused: Path
) -> None:
    with woken(client, session, database_url, refused, "off"):
        rows = written(session)
    assert sum(rows.values()) == BATCHES * ROWS
    assert rows[1] >= 20 * ROWS, "the zombie has overwritten nothing: the test above tests nothing"


def test_workers_that_are_killed_lose_nothing(
    client: httpx.Client, session: Session, database_url: str, refused: Path
) -> None:
    path = submit_import(client, b"", run="steady")
    for attempt in (1, 2):
        with chaotic(database_url, refused) as doomed:
            halfway(client, path, attempt)
            orphan = job_process(doomed.pid)
            kill(doomed.pid)
            eventually(partial(lives_not, orphan))
    with chaotic(database_url, refused, lease=NO_LOSS):
        done = ended(client, path)
    assert (done["state"], done["attempt"]) == ("succeeded", 3)
    assert written(session) == {3: BATCHES * ROWS}


def test_a_worker_that_is_told_to_stop_gives_its_attempt_back(
    client: httpx.Client, session: Session, database_url: str, refused: Path
) -> None:
    path = submit_import(client, b"", run="steady")
    with chaotic(database_url, refused, lease=NO_LOSS) as stopped:
        halfway(client, path)
        process = job_process(stopped.pid)
        send(stopped.pid, signal.SIGTERM)
        assert stopped.wait(timeout=20) == 0
        assert not lives(process)
    given_back = job(client, path)
    assert (given_back["state"], given_back["attempt"], given_back["workers"]) == ("queued", 0, 0)
    assert [each["live"] for each in client.get("/v1/workers").json()["workers"]] == [False]
    with chaotic(database_url, refused, lease=NO_LOSS):
        done = ended(client, path)
    assert (done["state"], done["attempt"]) == ("succeeded", 1)
    assert written(session) == {2: BATCHES * ROWS}, "the fence has another number for each attempt, given back or not"


def test_poison_is_dead_after_exactly_five_attempts(client: httpx.Client, database_url: str, tmp_path: Path) -> None:
    path = submit_import(client, b"", run="poison")
    with worker(database_url, tmp_path, child=CHILD, lease=NO_LOSS):
        dead = ended(client, path)
    assert (dead["state"], dead["attempt"]) == ("dead", 5)
    assert "SIGSEGV" in dead["error"]["detail"]
    assert dead["error"]["log"].count("poison at work") == 5


def test_a_job_that_is_deaf_is_cancelled_with_all_that_it_started(
    client: httpx.Client, database_url: str, tmp_path: Path
) -> None:
    path = submit_import(client, b"", run="deaf")
    with worker(database_url, tmp_path, child=CHILD) as at_work:
        process = job_process(at_work.pid)
        # Its own child, which it starts once it is deaf: what it imports has children of a moment too.
        eventually(lambda: any("sleep" in command_line(pid) for pid in children(process)), seconds=30)
        pids = [process, *children(process)]
        asked = time.monotonic()
        client.post(f"{path}/cancel").raise_for_status()
        assert ended(client, path)["state"] == "cancelled"
        assert time.monotonic() - asked > 2.0  # the grace that SIGTERM gives it
        eventually(lambda: not any(map(lives, pids)))


def test_a_worker_that_is_killed_takes_with_it_all_that_its_job_has_started(
    client: httpx.Client, database_url: str, tmp_path: Path
) -> None:
    submit_import(client, b"", run="deaf")
    with worker(database_url, tmp_path, child=CHILD) as doomed:
        process = job_process(doomed.pid)
        eventually(lambda: any("sleep" in command_line(pid) for pid in children(process)), seconds=30)
        pids = [process, *children(process)]
        kill(doomed.pid)
        eventually(lambda: not any(map(lives, pids)))


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A server that may be killed."""
    with EmbeddedPostgres(tmp_path / "postgres") as postgres:
        migrate(postgres.url)
        yield postgres


def test_postgres_may_be_killed_and_stay_away_for_longer_than_the_lease(
    own_postgres: EmbeddedPostgres, refused: Path
) -> None:
    with (
        serving(own_postgres.url, data_dir=refused.parent) as url,
        httpx.Client(base_url=url, timeout=60) as client,
        chaotic(own_postgres.url, refused) as at_work,
    ):
        path = submit_import(client, b"", run="steady")
        halfway(client, path)
        process = job_process(at_work.pid)
        kill(own_postgres.pid)
        send(process, signal.SIGSTOP)  # or it would come to its end, with every write refused
        eventually(lambda: not lives(process), seconds=10 * LEASE)  # a worker that cannot renew kills its own job
        own_postgres.restart()
        done = ended(client, path)
        assert done["state"] == "succeeded"
        assert done["attempt"] > 1
        engine = make_engine(own_postgres.url)
        with Session(engine) as session:
            assert written(session) == {done["attempt"]: BATCHES * ROWS}
        engine.dispose()


def test_a_job_that_fell_out_of_the_queue_is_queued_again(
    client: httpx.Client, session: Session, database_url: str, refused: Path
) -> None:
    """Whoever took it from the queue died before it said so."""
    path = submit_import(client, b"", run="steady")
    session.execute(text("DELETE FROM procrastinate_jobs"))
    with chaotic(database_url, refused):
        assert ended(client, path)["state"] == "succeeded"
