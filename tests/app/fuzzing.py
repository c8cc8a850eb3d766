"""A server in a process of its own, and what it must hold to whatever it is sent."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from app.supervisor import API
from tests.app.processes import eventually, free_port


@contextmanager
def live_server(database_url: str, log: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address and the process of a server started as `pkpo serve` starts it."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    environment = os.environ | {"PKPO_DATABASE_URL": database_url}
    with log.open("wb") as out:
        process = subprocess.Popen([*API, "--port", str(port)], env=environment, stdout=out, stderr=out)
        try:
            eventually(lambda: _answers(url), seconds=60)
            yield url, process
        finally:
            process.terminate()
            process.wait(timeout=30)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
