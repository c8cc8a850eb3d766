"""While the database does not answer, steps wait, and no checkpoint is made that they would be missing before."""

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("trl", reason="NOT TESTED: requirements/install.sh trl was not run")

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url, select
from sqlalchemy.orm import Session, sessionmaker

from app.config import Settings
from app.db import make_engine
from app.jobs.service import Attempt, AttemptLost
from app.models import Job, Metric, Project, TrainingGroup
from tests.conftest import run
from tests.workers.training import small
from workers.child.training_log import JobFollower, Stop
from workers.child.work import Work
from workers.training.records import GroupRecord, StepRecord
from workers.training.rewards import Rewards
from workers.verifiers import verifier


def record(step: int) -> StepRecord:
    group = GroupRecord("1+1", (1.0, 0.0, None, 0.0), (1.5, 0.0, None, 0.0), {2: 1.0})
    return StepRecord(step, (group,), "sloo_minus_one", "mean", {"loss": float("nan"), "reward/mean": 1 / 3})


def away(postgres_url: URL, database_url: str, is_away: bool) -> None:
    """Have the server end every connection to the database and take no new one, or take them again."""
    name = make_url(database_url).database
    assert name is not None
    allow = sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}")
    run(postgres_url, allow.format(sql.Identifier(name), sql.SQL("false" if is_away else "true")))
    # An autovacuum is a superuser's, whom nobody else may end.
    of_clients = "WHERE datname = {} AND backend_type = 'client backend'"
    end = sql.SQL(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity {of_clients}")
    run(postgres_url, end.format(sql.Literal(name)))


@pytest.fixture
def stop() -> Iterator[Stop]:
    """As in a job's process; afterwards SIGTERM ends the tests again."""
    before = signal.getsignal(signal.SIGTERM)
    yield Stop()
    signal.signal(signal.SIGTERM, before)


def test_steps_wait_and_are_stored_before_the_next_checkpoint(
    postgres_url: URL, database_url: str, tmp_path: Path, stop: Stop
) -> None:
    engine = make_engine(database_url)
    sessions = sessionmaker(engine, expire_on_commit=False)
    work = at_work(sessions, tmp_path)
    with verifier("exact-match") as judge:
        follower = JobFollower(work, small.spec(), "sums", None, Rewards(judge, {}), stop, begun=0)
        follower.recorded(record(1))
        away(postgres_url, database_url, True)
        for step in (2, 3):
            follower.recorded(record(step))
        back = threading.Timer(1.0, away, (postgres_url, database_url, False))
        begun = time.monotonic()
        back.start()
        with follower.commit(3):
            assert time.monotonic() - begun > 0.9, "it waits"
            assert stored(sessions) == [1, 2, 3]
        back.join()
        with sessions.begin() as session:
            assert [each.value != each.value for each in session.scalars(select(Metric).filter_by(name="loss"))] == [
                True
            ] * 3
            session.get_one(Job, work.attempt.job_id).attempt = 2
        with pytest.raises(AttemptLost):
            follower.recorded(record(4))
        with pytest.raises(AttemptLost), follower.commit(4):
            raise AssertionError("a checkpoint of an attempt that is lost")
        assert stored(sessions) == [1, 2, 3]
    engine.dispose()


def test_a_copy_that_is_cut_off_is_tried_again_and_one_that_is_wrong_is_not(
    postgres_url: URL, database_url: str, tmp_path: Path, stop: Stop
) -> None:
    engine = make_engine(database_url)
    work = at_work(sessionmaker(engine, expire_on_commit=False), tmp_path)
    tried: list[int] = []

    def copied(content: bytes, *, cut_off: bool) -> int:
        tried.append(1)
        with work.fenced() as session:
            cursor = session.connection().connection.cursor()
            cursor.execute("CREATE TEMPORARY TABLE IF NOT EXISTS copied (content text)")
            if cut_off and len(tried) == 1:
                away(postgres_url, database_url, True)
                away(postgres_url, database_url, False)
            with cursor.copy("COPY copied FROM STDIN") as copy:
                copy.write(content)
        return len(tried)

    with verifier("exact-match") as judge:
        follower = JobFollower(work, small.spec(), "sums", None, Rewards(judge, {}), stop, begun=0)
        assert follower._patiently(lambda: copied(b"right\n", cut_off=True)) == 2
        with pytest.raises(psycopg.DataError):
            follower._patiently(lambda: copied(b"\0\n", cut_off=False))
    engine.dispose()


def at_work(sessions: sessionmaker[Session], folder: Path) -> Work:
    """What a job's process has at its first attempt."""
    with sessions.begin() as session:
        project = session.scalars(select(Project.id)).first()
        told = {"kind": "training", "spec": {}, "queue": "gpu", "capability": "train", "state": "running", "attempt": 1}
        job = Job(project_id=project, priority=0, forgiven=0, **told)
        session.add(job)
        session.flush()
        return Work(sessions, Settings(data_dir=folder), Attempt(job.id, 1), job.project_id, "training", {})


def stored(sessions: sessionmaker[Session]) -> list[int]:
    """The steps whose groups are stored."""
    with sessions.begin() as session:
        return list(session.scalars(select(TrainingGroup.step).order_by(TrainingGroup.step)))
