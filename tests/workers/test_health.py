"""`python -m workers.health`, as a container's health check runs it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.jobs import service
from tests.app.processes import CHECKOUT
from workers.health import conninfo

HEAVY = ("sqlalchemy", "pydantic", "fastapi", "procrastinate", "app.models", "app.config")


def health(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    without = {name: value for name, value in os.environ.items() if not name.startswith("PKPO_")}
    command = [sys.executable, "-m", "workers.health", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, env=without | environment, capture_output=True, text=True, timeout=60)


def registered(session: Session, host: str) -> int:
    return service.register(session, host, 1, ["cpu"], ["import"])


def test_it_is_healthy_while_a_worker_of_this_machine_says_that_it_lives(session: Session, database_url: str) -> None:
    def said(*arguments: str) -> tuple[int, str]:
        done = health(*arguments, PKPO_DATABASE_URL=database_url)
        return done.returncode, done.stderr

    host = socket.gethostname()
    registered(session, f"not-{host}")
    assert said() == (1, f"workers: no worker runs on {host}\n")
    worker = registered(session, host)
    assert said() == (0, "")
    session.execute(text("UPDATE workers SET heartbeat_at = now() - interval '40 seconds'"))
    assert said()[0] == 1
    assert f"the last heartbeat of a worker on {host} was 4" in said()[1]
    assert said("--within", "100") == (0, "")
    service.unregister(session, worker)
    assert said("--within", "100") == (1, f"workers: no worker runs on {host}\n")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql://pkpo:canary@127.0.0.1:1/pkpo", "the database does not answer: connection failed"),
        ("mysql://pkpo:canary@127.0.0.1/pkpo", "PKPO_DATABASE_URL is not a URL"),
        ("postgresql://pkpo:canary@127.0.0.1/pkpo?canary=1", "PKPO_DATABASE_URL cannot be read"),
        ("canary", "PKPO_DATABASE_URL is not a URL"),
    ],
)
def test_what_is_wrong_with_the_database_is_told_in_a_line_without_its_password(url: str, sentence: str) -> None:
    done = health(PKPO_DATABASE_URL=url)
    assert done.returncode == 1
    assert done.stderr.startswith(f"workers: {sentence}")
    assert "canary" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_without_the_tables_is_no_worker_s(empty_database_url: str) -> None:
    done = health(PKPO_DATABASE_URL=empty_database_url)
    assert (done.returncode, done.stderr) == (1, 'workers: relation "workers" does not exist\n')


def test_without_an_address_it_looks_for_the_service_of_the_data_folder(tmp_path: Path) -> None:
    done = health(PKPO_DATABASE_URL="", PKPO_DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith(f"workers: no service runs on the data folder {tmp_path}: start one first")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_the_address_is_read_as_the_worker_reads_it(scheme: str) -> None:
    assert conninfo({"PKPO_DATABASE_URL": f"{scheme}://u:p@h/db?sslmode=require"}) == (
        "postgresql://u:p@h/db?sslmode=require"
    )


def test_it_imports_nothing_that_takes_long() -> None:
    program = "import sys, workers.health; print(*sys.modules)"
    imported = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert not {*HEAVY} & {*imported.stdout.split()}
