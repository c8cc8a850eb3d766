"""Every completion exactly once, whatever is killed while eight clients write."""

import os
import random
import signal
import string
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.orm import Session

from app.db import make_engine, migrate
from app.embedded_postgres import EmbeddedPostgres
from app.supervisor import API
from tests.app.ingesting import assert_statistics_are_what_verifications_say, evaluation, row_counts, statistics
from tests.app.processes import connect, eventually, free_port, kill

ROWS, PROBLEMS, BATCH, CLIENTS = 100_000, 500, 250, 8
BATCHES = ROWS // BATCH
SENT = BATCHES + BATCHES // 20  # one in twenty twice
PATIENCE = 120  # seconds
KILLS = ("api", "postgres", "api", "backend") * 5


class Service:
    """The API and Postgres, each a process that can be killed; `restart` brings back what was."""

    def __init__(self, postgres: EmbeddedPostgres, log: Path) -> None:
        self.postgres = postgres
        self.log = log
        self.port = free_port()
        self.api = self._start_api()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kill(self, victim: str) -> None:
        match victim:
            case "api":
                self.api.kill()
                self.api.wait()
            case "postgres":
                kill(self.postgres.pid)
            case "backend":
                # Postgres trusts none of its shared memory once one of its processes was killed: all of them end.
                eventually(self._killed_a_backend)

    def restart(self) -> None:
        if self.api.poll() is not None:
            self.api = self._start_api()
        if not self.postgres.is_running():
            self.postgres.restart()

    def _start_api(self) -> subprocess.Popen[bytes]:
        environment = os.environ | {"PKPO_DATABASE_URL": self.postgres.url}
        with self.log.open("ab") as log:
            return subprocess.Popen([*API, "--port", str(self.port)], env=environment, stdout=log, stderr=log)

    def _killed_a_backend(self) -> bool:
        of_the_api = "SELECT pid FROM pg_stat_activity WHERE application_name = 'pkpo' ORDER BY state, xact_start"
        with connect(self.postgres.url) as connection:
            backend = connection.execute(of_the_api).fetchone()
        if backend is not None:
            os.kill(backend[0], signal.SIGKILL)
        return backend is not None


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with EmbeddedPostgres(tmp_path / "data") as postgres:
        migrate(postgres.url)
        service = Service(postgres, tmp_path / "api.log")
        yield service
        service.api.kill()
        service.api.wait()


def passes(number: int) -> bool:
    return number % 7 < number % 5


def rows_of(batch: int) -> list[int]:
    """The numbers of the rows of a batch, in an order of its own: neighbouring batches share problems."""
    numbers = list(range(batch * BATCH, (batch + 1) * BATCH))
    random.Random(batch).shuffle(numbers)
    return numbers


def completions(batch: int) -> list[dict[str, Any]]:
    text = "".join(random.Random(batch).choices(string.ascii_letters + string.digits + " \n", k=990))
    return [
        {
            "problem": f"sample_{number % PROBLEMS}",
            "sample_index": number // PROBLEMS,
            "text": f"{number:010}{text}",
            "verifications": [{"verifier": "exact-match", "passed": passes(number)}],
        }
        for number in rows_of(batch)
    ]


@dataclass
class Writers:
    """Clients that send batches until they are acknowledged, and what they have seen."""

    client: httpx.Client
    path: str
    acknowledged: list[int] = field(default_factory=list)
    interruptions: list[str] = field(default_factory=list)

    def write(self, batch: int) -> dict[str, int]:
        """What the service says of the batch, which is sent again while there is no answer or one to come back."""
        body = {"completions": completions(batch)}
        deadline = time.monotonic() + PATIENCE
        while (answer := self._answer(body)) is None:
            assert time.monotonic() < deadline, f"no answer within {PATIENCE} s"
        assert answer.status_code == 200, answer.text
        self.acknowledged.append(batch)
        recorded: dict[str, int] = answer.json()
        return recorded

    def _answer(self, body: dict[str, Any]) -> httpx.Response | None:
        try:
            answer = self.client.post(f"{self.path}/completions", json=body)
        except httpx.TransportError as error:
            self.interruptions.append(type(error).__name__)
            time.sleep(0.05)
            return None
        if answer.status_code == 503:
            self.interruptions.append("503")
            time.sleep(float(answer.headers["retry-after"]))
            return None
        return answer


def is_ready(client: httpx.Client) -> bool:
    with suppress(httpx.TransportError):
        if client.get("/readyz").status_code == 200:
            return True
    time.sleep(0.1)  # those who start need the processor more
    return False


def stored_numbers(url: str) -> set[int]:
    with connect(url) as connection:
        rows = connection.execute(
            "SELECT substr(name, 8)::integer + %s * sample_index FROM completions"
            " JOIN problems ON problems.id = problem_id",
            [PROBLEMS],
        )
        return {number for (number,) in rows}


def kill_again_and_again(service: Service, writers: Writers) -> None:
    """Each kill as the writers come so much further; what was acknowledged before it is there after it."""
    for number, victim in enumerate(KILLS, start=1):
        goal = number * SENT // (len(KILLS) + 1)
        eventually(lambda: len(writers.acknowledged) >= goal, seconds=PATIENCE)  # noqa: B023 - called here and now
        service.kill(victim)
        promised = {row for batch in list(writers.acknowledged) for row in rows_of(batch)}
        service.restart()
        eventually(lambda: is_ready(writers.client), seconds=PATIENCE)
        assert promised <= stored_numbers(service.postgres.url), f"lost at kill {number}, of {victim}"


@pytest.mark.slow
def test_a_hundred_thousand_completions_are_stored_once_each_through_twenty_kills(service: Service) -> None:
    batches = [*range(BATCHES), *random.Random(0).sample(range(BATCHES), SENT - BATCHES)]
    random.Random(1).shuffle(batches)
    with httpx.Client(base_url=service.url, timeout=PATIENCE) as client:
        eventually(lambda: is_ready(client), seconds=PATIENCE)
        writers = Writers(client, evaluation(client))
        with ThreadPoolExecutor(CLIENTS) as threads:
            writing = [threads.submit(writers.write, batch) for batch in batches]
            try:
                kill_again_and_again(service, writers)
                recorded = [each.result() for each in writing]
            finally:
                threads.shutdown(wait=False, cancel_futures=True)
    assert all(answer["accepted"] + answer["replayed"] == BATCH for answer in recorded)
    assert len(writers.interruptions) >= len(KILLS), "the kills met nobody"
    assert stored_numbers(service.postgres.url) == set(range(ROWS))
    engine = make_engine(service.postgres.url)
    with Session(engine) as session:
        assert_every_row_is_there_once(session)
    engine.dispose()


def assert_every_row_is_there_once(session: Session) -> None:
    counts = row_counts(session)
    assert (counts["completions"], counts["verifications"], counts["verification_history"]) == (ROWS, ROWS, 0)
    assert_statistics_are_what_verifications_say(session)
    n = ROWS // PROBLEMS
    for problem, verifier, counted, c, *_ in statistics(session):
        assert (verifier, counted) == ("exact-match@1", n)
        first = int(problem.removeprefix("sample_"))
        assert c == sum(passes(number) for number in range(first, ROWS, PROBLEMS))
