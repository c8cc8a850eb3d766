import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from app.embedded_postgres import child_process, running_url
from tests.app.processes import (
    children,
    command_line,
    connect,
    eventually,
    free_port,
    inhabitants,
    kill,
    lives,
    program,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
# With the API command [], the service as it is; with another one, that in place of the API, on an empty database.
SERVE = """
import json, signal, sys
from pathlib import Path
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where the tests themselves run under nohup
from app.embedded_postgres.data_folder import EmbeddedPostgresError
from app.supervisor import API, serve_embedded
folder, host, port, command = sys.argv[1:]
def prepare(url):
    if command == "[]":
        from app.db import migrate
        migrate(url)
try:
    sys.exit(serve_embedded(Path(folder), host, int(port), prepare, json.loads(command) or API))
except EmbeddedPostgresError as error:
    sys.exit(str(error))
"""
# Like make, it is told of a closed terminal and tells nobody.
WAITING_LEADER = """
import signal, subprocess, sys
signal.signal(signal.SIGHUP, lambda number, frame: None)
sys.exit(subprocess.call(sys.argv[1:]))
"""
# Starts in a tenth of the time of the API, and like it answers and heeds signals.
SMALL_API = (
    sys.executable,
    "-c",
    """
import http.server, sys
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer((sys.argv[2], int(sys.argv[4])), Health).serve_forever()
""",
)


@dataclass
class Service:
    """A service that runs in a process of its own."""

    process: subprocess.Popen[str]
    folder: Path
    port: int

    @property
    def url(self) -> str:
        url = running_url(self.folder)
        assert url is not None
        return url

    @property
    def postmaster(self) -> int:
        return next(pid for pid in children(self.process.pid) if "/postgres -D" in command_line(pid))

    @property
    def api(self) -> int:
        return next(pid for pid in children(self.process.pid) if " --port " in command_line(pid))

    def says(self, words: str) -> str:
        """Its next line with these words; fails when it ends without."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if words in line:
                return line
        raise AssertionError(f"ended without {words!r}: {self.process.communicate()[1]}")

    def is_ready(self) -> bool:
        """Whether the API answers and reaches its database."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=30) as answer:
                return bool(answer.status == 200)
        except (URLError, ConnectionError, TimeoutError):
            return False


@contextmanager
def service(folder: Path, api: Sequence[str] = SMALL_API, port: int | None = None) -> Iterator[Service]:
    """A service that has been started and need not answer yet."""
    port = port or free_port()
    with program(sys.executable, "-c", SERVE, str(folder), "127.0.0.1", str(port), json.dumps(api)) as process:
        yield Service(process, folder, port)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service as it is, shared by tests that leave it running."""
    with service(tmp_path_factory.mktemp("data"), api=()) as running:
        running.says("pkpo is at")
        yield running


def remember(running: Service, problems: int) -> None:
    with connect(running.url) as connection:
        connection.execute("CREATE TABLE remembered AS SELECT generate_series(1, %s) AS problem", [problems])


def remembered(running: Service) -> int:
    with connect(running.url) as connection:
        row = connection.execute("SELECT count(*) FROM remembered").fetchone()
    assert row is not None
    return int(row[0])


def test_the_api_is_started_anew_when_it_is_killed(running: Service) -> None:
    first = running.api
    kill(first)
    assert running.says("The API was") == "The API was killed by SIGKILL; starting it again.\n"
    eventually(running.is_ready)
    assert running.api != first


def test_postgres_is_started_anew_when_it_is_killed_and_keeps_address_and_data(running: Service) -> None:
    eventually(running.is_ready)
    remember(running, problems=8)
    first, url, api = running.postmaster, running.url, running.api
    kill(first)
    running.says("Postgres is back.")
    eventually(running.is_ready)
    assert running.url == url
    assert remembered(running) == 8
    assert running.api == api, "the API outlives its database"


def test_postgres_is_tried_again_for_as_long_as_it_cannot_start(running: Service) -> None:
    eventually(running.is_ready)
    configuration = running.folder / "postgres" / "data" / "pg_hba.conf"
    aside = configuration.rename(configuration.with_suffix(".aside"))
    kill(running.postmaster)
    running.says("could not load")
    running.says("Still trying.")
    assert not running.is_ready()
    aside.rename(configuration)
    running.says("Postgres is back.")
    eventually(running.is_ready)


def test_nothing_outlives_a_killed_supervisor_and_the_next_start_recovers(tmp_path: Path) -> None:
    with service(tmp_path) as running:
        running.says("pkpo is at")
        remember(running, problems=8)
        api, postmaster = running.api, running.postmaster
        running.process.kill()
        running.process.wait()
        eventually(lambda: not lives(api) and not lives(postmaster) and not inhabitants(tmp_path))
    with service(tmp_path) as running:
        running.says("pkpo is at")
        assert remembered(running) == 8


@pytest.mark.parametrize("stop_signal", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_stop_leaves_no_process(tmp_path: Path, stop_signal: signal.Signals) -> None:
    with service(tmp_path) as running:
        announcement = running.says("pkpo is at")
        assert announcement == f"pkpo is at http://127.0.0.1:{running.port}  (data in {tmp_path}; Ctrl-C stops it)\n"
        api = running.api
        running.process.send_signal(stop_signal)
        output, errors = running.process.communicate()
        assert running.process.returncode == 0, errors
        assert output == f"Stopped. The data stays in {tmp_path}.\n"
        assert not lives(api)
        assert not inhabitants(tmp_path)
        assert running_url(tmp_path) is None
    assert "database system is shut down" in (tmp_path / "postgres.log").read_text()


def test_a_stop_while_it_starts_leaves_no_process(tmp_path: Path) -> None:
    with service(tmp_path) as running:
        eventually(lambda: list(tmp_path.glob("postgres.new-*")) or (tmp_path / "postgres").exists())
        in_time = list(tmp_path.glob("postgres.new-*"))  # on a busy machine it may be made by now
        running.process.send_signal(signal.SIGINT)
        output, errors = running.process.communicate()
        assert running.process.returncode == 0, errors
        assert not in_time or "pkpo is at" not in output
        assert not inhabitants(tmp_path)


def test_ctrl_c_at_a_terminal_leaves_no_process(tmp_path: Path) -> None:
    port = free_port()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", SERVE, str(tmp_path), "127.0.0.1", str(port), "[]"])
    try:
        read_until(terminal, b"Ctrl-C stops it")
        os.write(terminal, b"\x03")
        read_until(terminal, b"Stopped.")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        os.close(terminal)
    assert not inhabitants(tmp_path)
    assert "database system is shut down" in (tmp_path / "postgres.log").read_text()


def test_a_terminal_that_closes_leaves_no_process_even_where_a_waiting_program_leads_its_session(
    tmp_path: Path,
) -> None:
    port = free_port()
    serve = [sys.executable, "-c", SERVE, str(tmp_path), "127.0.0.1", str(port), json.dumps(SMALL_API)]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", WAITING_LEADER, *serve])
    try:
        read_until(terminal, b"Ctrl-C stops it")
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert not inhabitants(tmp_path)


def read_until(terminal: int, words: bytes) -> None:
    said = b""
    while words not in said:
        said += os.read(terminal, 4096)


def test_a_taken_port_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with service(tmp_path / "data", port=port) as running:
            errors = running.process.communicate()[1]
    assert errors == (
        f"cannot listen on 127.0.0.1 port {port}: Address already in use; choose others with PKPO_HOST and PKPO_PORT\n"
    )
    assert running.process.returncode == 1
    assert not (tmp_path / "data").exists()


def test_an_api_that_never_answers_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    dying = (sys.executable, "-c", "import sys; sys.exit('no module named plotly')")
    with service(tmp_path, api=dying) as running:
        errors = running.process.communicate()[1]
    assert running.process.returncode == 1
    assert errors.startswith("the API died 5 times before it answered; the last time it exited with status 1;")
    assert errors.count("no module named plotly") == 5
    assert not inhabitants(tmp_path)


def test_a_program_that_ignores_one_signal_gets_the_next() -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    )
    with program(sys.executable, "-c", stubborn) as process:
        assert process.stdout is not None
        process.stdout.readline()
        started = time.monotonic()
        child_process.end(process, ((signal.SIGTERM, 0.3), (signal.SIGKILL, 10.0)))
        assert 0.3 < time.monotonic() - started < 5
        assert process.returncode == -signal.SIGKILL


def test_two_services_run_at_the_same_time(tmp_path: Path) -> None:
    with service(tmp_path / "one") as one, service(tmp_path / "two") as two:
        for running, problems in ((one, 8), (two, 3)):
            running.says("pkpo is at")
            remember(running, problems)
        assert (remembered(one), remembered(two)) == (8, 3)


def test_a_database_of_somebody_elses_is_served_the_same_way_and_nothing_is_kept(
    database_url: str, tmp_path: Path
) -> None:
    port = free_port()
    environment = {"PKPO_DATABASE_URL": database_url, "PKPO_PORT": str(port), "PKPO_DATA_DIR": str(tmp_path / "data")}
    with program(sys.executable, "-m", "pkpo", "serve", environment=environment) as process:
        running = Service(process, tmp_path, port)
        name = database_url.rpartition("/")[2]
        assert f"http://127.0.0.1:{port}  (data in the database {name} at 127.0.0.1; " in running.says("pkpo is at")
        kill(running.api)
        running.says("The API was killed by SIGKILL; starting it again.")
        running.says("pkpo is at")
        assert running.is_ready()
        api = running.api
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
        assert (process.returncode, output) == (0, f"Stopped. The data stays in the database {name} at 127.0.0.1.\n")
        assert not lives(api), errors
    assert not (tmp_path / "data").exists()


def test_every_step_of_the_first_start_is_said(tmp_path: Path) -> None:
    with service(tmp_path / "data") as running:
        assert running.process.stdout is not None
        said = [running.process.stdout.readline() for _ in range(4)]
    steps = [f"Creating the database in {tmp_path / 'data'}.", "Preparing the database.", "Starting the API."]
    assert [line.strip() for line in said[:3]] == steps
    assert said[3].startswith("pkpo is at")
