"""Who follows a job while the service stops: the stream ends, and the next service tells the rest."""

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from app.jobs.calls import JobCalls
from app.supervisor import API
from tests.app.processes import eventually, free_port, program


@contextmanager
def served(database_url: str, folder: Path, port: int) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """The API's own process, as the service starts it, and a client of it."""
    command = (*API, "--host", "127.0.0.1", "--port", str(port))
    environment = {"PKPO_DATABASE_URL": database_url, "PKPO_DATA_DIR": str(folder)}
    with (
        program(*command, environment=environment) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        eventually(lambda: _answers(client), seconds=60)
        yield process, client


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").is_success
    except httpx.ConnectError:
        return False


def submitted(client: httpx.Client) -> str:
    octets = {"Content-Type": "application/octet-stream"}
    upload = client.post("/v1/uploads", content=b"{}", headers=octets, params={"filename": "r.jsonl"}).json()["id"]
    spec = {"upload": upload, "run": "r", "problem_set": "s"}
    return str(client.post("/v1/jobs", json={"kind": "import", "spec": spec}).raise_for_status().json()["id"])


@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
def test_a_service_that_stops_ends_its_streams_and_logs_nothing(
    database_url: str, tmp_path: Path, stop_signal: signal.Signals
) -> None:
    with served(database_url, tmp_path, free_port()) as (process, client):
        with client.stream("GET", f"/v1/jobs/{submitted(client)}/events") as stream:
            lines = stream.iter_lines()
            eventually(lambda: '"queued"' in next(lines))
            process.send_signal(stop_signal)
            began = time.monotonic()
            assert not any(lines)  # to its end, which is no broken one
            assert time.monotonic() - began < 4, "the 5 seconds after which uvicorn cuts connections"
        _, errors = process.communicate(timeout=30)
        assert errors == ""


def test_pkpo_jobs_follow_goes_on_at_the_next_service(database_url: str, tmp_path: Path) -> None:
    port = free_port()
    states: list[str] = []
    with served(database_url, tmp_path, port) as (process, client):
        job = submitted(client)

        def follow() -> None:
            with JobCalls(str(client.base_url)) as calls:
                for kind, payload in calls.follow(job):
                    if kind == "state":
                        states.append(payload["state"])

        following = threading.Thread(target=follow, daemon=True)
        following.start()
        eventually(lambda: states)
        process.terminate()
        process.communicate(timeout=30)
    with served(database_url, tmp_path, port) as (_, client):
        client.post(f"/v1/jobs/{job}/cancel").raise_for_status()
        following.join(timeout=40)
    assert not following.is_alive()
    assert states == ["queued", "cancelled"]
