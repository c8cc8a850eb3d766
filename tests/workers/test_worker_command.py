"""`python -m workers`: where it finds its database, what it says of itself, and how it refuses."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.db import make_engine, migrate
from app.jobs.database import bounded
from tests.app.processes import CHECKOUT, connect, eventually, launcher, started
from workers.capabilities import remedy

COMMAND = (sys.executable, "-m", "workers")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    without = {name: value for name, value in os.environ.items() if not name.startswith("PKPO_")}
    return subprocess.run(
        [*COMMAND, *arguments], cwd=CHECKOUT, env=without | environment, capture_output=True, text=True, timeout=60
    )


def test_help_teaches() -> None:
    shown = run("--help").stdout
    for word in ("--queue gpu --queue cpu", "PKPO_DATA_DIR", "PKPO_DATABASE_URL", "--lease"):
        assert word in shown


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "--queue"),
        (("--queue", "tpu"), "invalid choice"),
        (("--queue", "cpu", "--lease", "0"), "between 0.5 and 3600"),
        (("--queue", "cpu"), "no service runs on the data folder"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    done = run(*arguments, PKPO_DATA_DIR=str(tmp_path))
    assert done.returncode in (1, 2)
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_where_a_missing_package_is_to_be_had_depends_on_whether_this_is_a_checkout_or_an_image(tmp_path: Path) -> None:
    assert remedy() == "`make worker` installs"
    assert not any("Makefile" in (CHECKOUT / name).read_text() for name in ("Dockerfile", "Dockerfile.gpu"))
    assert "docker compose --profile gpu up" in remedy(tmp_path)
    assert "vllm.lock -r requirements/trl.lock" in (CHECKOUT / "Dockerfile.gpu").read_text()


def test_a_database_that_is_not_there_is_told_without_its_password() -> None:
    done = run("--queue", "cpu", PKPO_DATABASE_URL="postgresql://pkpo:canary@127.0.0.1:1/pkpo")
    assert done.returncode == 1
    assert "does not answer" in done.stderr
    assert "canary" not in done.stderr


def test_a_worker_finds_the_embedded_database_by_the_data_folder_and_says_what_it_can(tmp_path: Path) -> None:
    with launcher(tmp_path) as serving:
        _, url = started(serving)
        migrate(url)
        environment = os.environ | {"PKPO_DATA_DIR": str(tmp_path)}
        process = subprocess.Popen([*COMMAND, "--queue", "gpu", "--queue", "cpu"], cwd=CHECKOUT, env=environment)
        try:
            with connect(url) as database:
                worker = "SELECT queues, capabilities, stopped_at IS NULL FROM workers"
                eventually(lambda: database.execute(worker).fetchone(), seconds=120)
                queues, capabilities, runs = database.execute(worker).fetchall()[0]
                assert queues == ["gpu", "cpu"]
                assert {"import", "verify"} <= set(capabilities)
                assert runs
                process.send_signal(signal.SIGINT)
                assert process.wait(timeout=30) == 0
                assert database.execute(worker).fetchall()[0][2] is False
        finally:
            process.kill()
            process.wait()


def test_what_a_frozen_worker_has_locked_is_let_go(database_url: str) -> None:
    engine = make_engine(bounded(database_url, 0.3))
    with engine.connect() as frozen, connect(database_url) as other:
        frozen.execute(text("LOCK TABLE jobs"))
        other.execute("SET lock_timeout = '60s'")
        other.execute("SELECT count(*) FROM jobs")
        with pytest.raises(DBAPIError, match="idle-in-transaction"):
            frozen.execute(text("SELECT 1"))
    engine.dispose()
