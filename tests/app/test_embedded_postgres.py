import os
import signal
import sys
import threading
from pathlib import Path

import psycopg
import pytest

from app.embedded_postgres import EmbeddedPostgres, data_folder, running_url, server
from app.embedded_postgres.data_folder import EmbeddedPostgresError, bound_log
from tests.app.processes import (
    connect,
    count,
    eventually,
    inhabitants,
    launcher,
    lives,
    mode,
    path_of,
    program,
    started,
    write,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_data_are_found_again_at_the_next_start(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "data") as postgres:
        write(postgres.url, 8)
    with EmbeddedPostgres(tmp_path / "data") as postgres:
        assert count(postgres.url) == 8


def test_a_commit_is_durable_and_the_service_is_no_superuser(postgres: EmbeddedPostgres) -> None:
    with connect(postgres.url) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
            assert connection.execute("SELECT current_setting(%s)", [setting]).fetchone() == ("on",)
        role = "SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        assert connection.execute(role).fetchone() == (False, False, True)


def test_text_sorts_by_code_point(postgres: EmbeddedPostgres) -> None:
    with connect(postgres.url) as connection:
        assert connection.execute("SELECT 'Z' < 'a', lower('É')").fetchone() == (True, "é")


def test_a_wrong_password_is_refused(postgres: EmbeddedPostgres) -> None:
    wrong = postgres.url.replace("@", "0@")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(wrong)


def test_nobody_else_reads_the_folder_and_the_password_is_in_no_log_or_command(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with EmbeddedPostgres(folder) as postgres:
        password = postgres.url.split(":")[2].split("@")[0]
        write(postgres.url, 1)
        with connect(postgres.url) as connection, pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO completions VALUES (1)")
        assert len(password) == 64
        assert password not in "".join(inhabitants(folder).values())
        assert mode(folder) == 0o700
        assert {mode(file) for file in folder.iterdir() if file.is_file()} == {0o600}
        assert mode(folder / "postgres" / "password") == 0o600
    log = (folder / "postgres.log").read_text()
    assert "duplicate key" in log
    assert password not in log
    assert "(sample_index)=(1)" not in log, "what users sent stays out of logs"


def test_other_commands_find_the_url_while_it_runs_only(tmp_path: Path) -> None:
    assert running_url(tmp_path / "data") is None
    with EmbeddedPostgres(tmp_path / "data") as postgres:
        assert running_url(tmp_path / "data") == postgres.url
        assert mode(tmp_path / "data" / "database-url") == 0o600
    assert running_url(tmp_path / "data") is None


def test_two_folders_are_served_at_the_same_time(tmp_path: Path, postgres: EmbeddedPostgres) -> None:
    with EmbeddedPostgres(tmp_path / "data") as other:
        assert other.port != postgres.port
        assert lives(other.pid)
        assert lives(postgres.pid)


def test_a_folder_in_use_is_refused_with_the_pid_of_its_holder(tmp_path: Path) -> None:
    with launcher(tmp_path / "data") as process:
        _, url = started(process)
        with pytest.raises(EmbeddedPostgresError, match=f"in use by process {process.pid}"):
            EmbeddedPostgres(tmp_path / "data").start()
        write(url, 8)
        assert count(url) == 8


def test_a_refused_start_leaves_the_holder_its_url(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "data") as postgres:
        other = EmbeddedPostgres(tmp_path / "data")
        with pytest.raises(EmbeddedPostgresError):
            other.start()
        other.stop()
        assert running_url(tmp_path / "data") == postgres.url


def test_nothing_acknowledged_is_lost_over_kills_of_postgres(tmp_path: Path) -> None:
    acknowledged: list[int] = []
    with EmbeddedPostgres(tmp_path / "data") as postgres:
        url = postgres.url
        write(url, 0)
        stop = threading.Event()
        writer = threading.Thread(target=insert_until, args=(url, acknowledged, stop))
        writer.start()
        for kills in range(1, 6):
            wait_for_growth(acknowledged)
            kill_postmaster(postgres)
            postgres.restart()
            assert postgres.url == url, f"another address after kill {kills}"
        stop.set()
        writer.join()
        with connect(url) as connection:
            stored = {row[0] for row in connection.execute("SELECT sample_index FROM completions")}
    assert set(acknowledged) <= stored
    assert len(stored) <= len(acknowledged) + 5, "a kill can leave one row stored and not acknowledged"


def wait_for_growth(acknowledged: list[int]) -> None:
    before = len(acknowledged)
    eventually(lambda: len(acknowledged) > before + 20)


def insert_until(url: str, acknowledged: list[int], stop: threading.Event) -> None:
    sample_index = 0
    while not stop.is_set():
        try:
            with connect(url) as connection:
                while not stop.is_set():
                    sample_index += 1
                    connection.execute("INSERT INTO completions VALUES (%s)", [sample_index])
                    acknowledged.append(sample_index)
        except psycopg.OperationalError:
            stop.wait(0.01)


def kill_postmaster(postgres: EmbeddedPostgres) -> None:
    os.kill(postgres.pid, signal.SIGKILL)
    eventually(lambda: not postgres.is_running())


def test_kill_of_the_launcher_stops_postgres_and_the_next_start_has_the_data(tmp_path: Path) -> None:
    with launcher(tmp_path / "data") as process:
        _, url = started(process)
        write(url, 8)
        process.kill()
        process.wait()
        assert running_url(tmp_path / "data") is None
        eventually(lambda: not inhabitants(tmp_path))
    with EmbeddedPostgres(tmp_path / "data") as postgres:
        assert count(postgres.url) == 8


def test_a_start_right_after_the_kill_waits_for_the_old_postgres(tmp_path: Path) -> None:
    with launcher(tmp_path / "data") as process:
        pid, url = started(process)
        write(url, 8)
        process.kill()
        process.wait()
        with EmbeddedPostgres(tmp_path / "data") as postgres:
            assert not lives(pid)
            assert count(postgres.url) == 8


def test_an_orphan_that_does_not_stop_by_itself_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "ORPHAN_PATIENCE", 0.2)
    without_setpriv = path_of("unshare", "sh", folder=tmp_path / "bin")
    with launcher(tmp_path / "data", environment=without_setpriv) as process:
        pid, url = started(process)
        write(url, 8)
        process.kill()
        process.wait()
        assert lives(pid)
        with EmbeddedPostgres(tmp_path / "data") as postgres:
            assert not lives(pid)
            assert count(postgres.url) == 8


@pytest.mark.parametrize("sign", ["password", "data/global", "data/base/5"])
def test_a_kill_while_the_cluster_is_made_leaves_nothing_in_the_way(tmp_path: Path, sign: str) -> None:
    folder = tmp_path / "data"
    with launcher(folder) as process:
        eventually(lambda: list(folder.glob(f"postgres.new-*/{sign}")) or (folder / "postgres").exists())
        process.kill()
        process.wait()
    with EmbeddedPostgres(folder) as postgres:
        write(postgres.url, 8)
        assert not list(folder.glob("postgres.new-*"))
    eventually(lambda: not inhabitants(tmp_path))


def test_a_postmaster_pid_that_now_names_another_program_is_no_obstacle(tmp_path: Path) -> None:
    folder = stale_cluster(tmp_path)
    pid_file = folder / "postgres" / "data" / "postmaster.pid"
    with program("sleep", "600") as stranger:
        pid_file.write_text("\n".join([str(stranger.pid), *pid_file.read_text().splitlines()[1:]]) + "\n")
        with EmbeddedPostgres(folder) as postgres:
            assert count(postgres.url) == 8
        assert stranger.poll() is None


def test_an_empty_postmaster_pid_is_no_obstacle(tmp_path: Path) -> None:
    folder = stale_cluster(tmp_path)
    (folder / "postgres" / "data" / "postmaster.pid").write_text("")
    with EmbeddedPostgres(folder) as postgres:
        assert count(postgres.url) == 8


def stale_cluster(tmp_path: Path) -> Path:
    """A data folder with 8 completions, whose Postgres was killed and left its postmaster.pid."""
    with EmbeddedPostgres(tmp_path / "data") as postgres:
        write(postgres.url, 8)
        kill_postmaster(postgres)
    assert (tmp_path / "data" / "postgres" / "data" / "postmaster.pid").exists()
    eventually(lambda: not inhabitants(tmp_path))
    return tmp_path / "data"


def test_a_postgres_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    impatient = ((signal.SIGINT, 0.2), (signal.SIGQUIT, 0.2), (signal.SIGKILL, 10.0))
    monkeypatch.setattr(server, "ESCALATION", impatient)
    with EmbeddedPostgres(tmp_path / "data") as postgres:
        os.kill(postgres.pid, signal.SIGSTOP)
    eventually(lambda: not inhabitants(tmp_path))


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("notes")
    with pytest.raises(EmbeddedPostgresError, match=f"{tmp_path}/data is a file"):
        EmbeddedPostgres(tmp_path / "data").start()
    with pytest.raises(EmbeddedPostgresError, match="Not a directory"):
        EmbeddedPostgres(tmp_path / "data" / "deeper").start()


def test_a_start_from_another_thread_is_refused(tmp_path: Path) -> None:
    refusals: list[str] = []

    def start() -> None:
        try:
            EmbeddedPostgres(tmp_path / "data").start()
        except EmbeddedPostgresError as error:
            refusals.append(str(error))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in refusals[0]


def test_what_postgres_says_of_a_failed_start_is_in_the_error(tmp_path: Path) -> None:
    EmbeddedPostgres(tmp_path / "data").__enter__().stop()
    (tmp_path / "data" / "postgres" / "data" / "global" / "pg_control").unlink()
    with pytest.raises(EmbeddedPostgresError, match=r"(?s)did not start; it says:.*pg_control"):
        EmbeddedPostgres(tmp_path / "data").start()
    assert not inhabitants(tmp_path)


def test_a_log_is_kept_below_its_limit_with_its_newest_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_folder, "LOG_LIMIT", 1000)
    log = tmp_path / "postgres.log"
    with log.open("ab", buffering=0) as writer:
        for line in range(500):
            writer.write(f"line {line}\n".encode())
            bound_log(log)
            assert log.stat().st_size <= 1000
    assert log.read_text().endswith("line 498\nline 499\n")
