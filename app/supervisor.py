"""`pkpo serve`: starts the API, and the embedded Postgres where that is used; starts what dies anew; stops them."""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, Self, TypeAlias

from app.embedded_postgres import EmbeddedPostgres, child_process
from app.embedded_postgres.data_folder import EmbeddedPostgresError, bound_log, explained, last_lines, open_log
from app.own_worker import OwnWorker

CHECKOUT: Final = Path(__file__).resolve().parent.parent
API: Final = (
    *(sys.executable, "-m", "uvicorn", "app.main:create_app", "--factory", "--app-dir", str(CHECKOUT)),
    *("--log-level", "warning", "--timeout-graceful-shutdown", "5", "--ws", "none"),
)
MakeWorker: TypeAlias = Callable[[Path, Mapping[str, str], Callable[[str], None]], OwnWorker]
POLL: Final = 0.1  # seconds
MOST_EARLY_DEATHS: Final = 5  # in a row, of an API that did not live to answer
SHORT_LIFE: Final = 10.0  # seconds; dying younger, time after time, makes the next start wait longer
LONGEST_WAIT: Final = 5.0  # seconds
ESCALATION: Final = ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0))


class CannotServe(EmbeddedPostgresError):
    """The API, not its Postgres, cannot start."""


def serve_embedded(
    data_dir: Path,
    host: str,
    port: int,
    prepare: Callable[[str], None],
    api_command: Sequence[str] = API,
    own_worker: MakeWorker | None = None,
) -> int:
    """0 after SIGINT, SIGTERM or SIGHUP, when everything has stopped and no process is left.

    Args:
      data_dir: the data folder, made where it is missing.
      host: the address on which the API listens.
      port: the port on which it listens.
      prepare: brings the database at a URL to where the API can serve it.
      api_command: what serves the API, once `--host` and `--port` are added.
      own_worker: makes the worker that is kept beside it, from its data folder, its settings and what says sentences.
    Raises:
      EmbeddedPostgresError: something cannot start; nothing is left running.
    """
    _refuse_taken_address(host, port)
    with StopSignals() as stop:
        postgres = EmbeddedPostgres(data_dir)
        folder = postgres.folder
        _say("Starting Postgres." if folder.is_filled() else f"Creating the database in {folder.path}.")
        with postgres:

            def tend() -> None:
                if not postgres.is_running():
                    _revive(postgres, stop)
                bound_log(folder.postgres_log)
                bound_log(folder.api_log)

            settings = {"PKPO_DATABASE_URL": postgres.url, "PKPO_DATA_DIR": str(folder.path)}
            api = Api(api_command, settings, folder.api_log, host, port)
            worker = own_worker and own_worker(folder.path, settings, _say)
            _serve(api, stop, lambda: prepare(postgres.url), str(folder.path), tend, worker)
        _say(f"Stopped. The data stays in {folder.path}.")
    return 0


def serve_external(
    url: str,
    name: str,
    data_dir: Path,
    host: str,
    port: int,
    prepare: Callable[[str], None],
    own_worker: MakeWorker | None = None,
) -> int:
    """0 after SIGINT, SIGTERM or SIGHUP, when the API on the database at the URL, called by the name, has stopped.

    Without a worker nothing is written to disk; what the API says goes to standard error. The rest is as in
    `serve_embedded`.
    """
    _refuse_taken_address(host, port)
    with StopSignals() as stop:
        settings = {"PKPO_DATABASE_URL": url}
        api = Api(API, settings, None, host, port)
        folder = data_dir.expanduser().resolve()  # the worker works in another one
        worker = own_worker and own_worker(folder, {**settings, "PKPO_DATA_DIR": str(folder)}, _say)
        _serve(api, stop, lambda: prepare(url), name, lambda: None, worker)
        _say(f"Stopped. The data stays in {name}.")
    return 0


class StopSignals:
    """Whether a signal to stop has arrived.

    A flag, not an exception: whatever is being started or stopped at that moment is finished, so that nothing leaks.
    """

    def __init__(self) -> None:
        self._noted = False
        self._terminal: Terminal | None = None
        self._before: dict[signal.Signals, Any] = {}

    @property
    def received(self) -> bool:
        """Whether it is time to stop."""
        return self._noted or (self._terminal is not None and self._terminal.was_closed())

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue  # nohup asked for that
            self._before[number] = signal.signal(number, self._note)
        if signal.SIGHUP in self._before and sys.stdin is not None and sys.stdin.isatty():
            self._terminal = Terminal(sys.stdin.fileno())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._noted = True


class Terminal:
    """A terminal in whose foreground we may run.

    The system sends SIGHUP only to the process that leads its session. Mostly a shell, which passes it on; but after
    `ssh -t host make run` it is make, which waits for us instead.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, 0)
        self._in_foreground = False

    def was_closed(self) -> bool:
        """Whether it has gone, and we were in its foreground when last it was there."""
        if any(events & select.POLLHUP for _, events in self._poll.poll(0)):
            return self._in_foreground
        try:
            self._in_foreground = os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:
            self._in_foreground = False  # it is not the one that controls us
        return False


class Api:
    """The process that serves the API; `tend`, called often, keeps it alive."""

    def __init__(
        self, command: Sequence[str], settings: Mapping[str, str], log: Path | None, host: str, port: int
    ) -> None:
        command = [*command, "--host", host, "--port", str(port)]
        self._command = child_process.tied_to_us(command, signal.SIGKILL)
        self._environment = {**os.environ, **settings, "PKPO_HOST": host, "PKPO_PORT": str(port)}
        self._log = log  # None: standard error
        self._host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not listened on
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._started = self._next_start = time.monotonic()
        self._answered = False
        self._early_deaths = self._short_lives = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            child_process.end(self._process, ESCALATION)

    @property
    def address(self) -> str:
        """Where a browser on this machine finds it."""
        return f"http://[{self._host}]:{self._port}" if ":" in self._host else f"http://{self._host}:{self._port}"

    def tend(self) -> bool:
        """Whether it has answered for the first time since its start; starts it when it is not running."""
        if self._process is None:
            if time.monotonic() >= self._next_start:
                self._start()
            return False
        if self._process.poll() is not None:
            self._mourn(self._process.returncode)
            self._process = None
            return False
        if self._answered or not self._answers():
            return False
        self._answered, self._early_deaths = True, 0
        return True

    def _start(self) -> None:
        if self._log is None:
            self._process = child_process.spawn(self._command, self._environment, sys.stderr)
        else:
            with explained(self._log.parent), open_log(self._log) as log:
                self._process = child_process.spawn(self._command, self._environment, log)
        self._started, self._answered = time.monotonic(), False

    def _mourn(self, status: int) -> None:
        """Says that it died, and sets when it starts again: at once, and later each time when it keeps dying young."""
        cause = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"exited with status {status}"
        if not self._answered:
            self._early_deaths += 1
        if self._early_deaths == MOST_EARLY_DEATHS:
            said = f"the end of {self._log}:\n{last_lines(self._log)}" if self._log else "it says why above"
            raise CannotServe(
                f"the API died {MOST_EARLY_DEATHS} times before it answered; the last time it {cause}; {said}"
            )
        now = time.monotonic()
        self._short_lives = self._short_lives + 1 if now - self._started < SHORT_LIFE else 0
        wait = min(POLL * 2**self._short_lives, LONGEST_WAIT) if self._short_lives > 1 else 0.0
        self._next_start = now + wait
        _say(f"The API {cause}; starting it again.")

    def _answers(self) -> bool:
        connection = HTTPConnection(self._host, self._port, timeout=1)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


def _serve(
    api: Api,
    stop: StopSignals,
    prepare: Callable[[], None],
    data: str,
    tend_database: Callable[[], None],
    worker: OwnWorker | None,
) -> None:
    """Serves until told to stop."""
    _say("Preparing the database.")
    prepare()
    with api, worker or nullcontext():
        if not stop.received:
            _say("Starting the API.")
        has_answered = False
        while not stop.received:
            tend_database()
            if api.tend():
                has_answered = True
                _say(f"pkpo is at {api.address}  (data in {data}; Ctrl-C stops it)")
            if worker is not None and has_answered:
                worker.tend()
            time.sleep(POLL)


def _revive(postgres: EmbeddedPostgres, stop: StopSignals) -> None:
    """Starts Postgres again, for as long as it takes: a disk that is full now may have room later."""
    _say("Postgres died; starting it again.")
    wait = POLL
    while not stop.received:
        try:
            postgres.restart()
        except EmbeddedPostgresError as error:
            if wait == POLL:
                _say(f"{error}\nStill trying.")
            wait = min(2 * wait, LONGEST_WAIT)
            time.sleep(wait)
        else:
            _say("Postgres is back.")
            return


def _refuse_taken_address(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as uvicorn does
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotServe(
                f"cannot listen on {host} port {port}: {error.strerror}; choose others with PKPO_HOST and PKPO_PORT"
            ) from error


def _say(sentence: str) -> None:
    try:
        print(sentence, flush=True)
    except OSError:
        # A terminal that was closed is no reason to stop in disorder, nor, when the interpreter flushes at its end what
        # was not taken, to report a failure.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
