"""The calls of jobs, over the library's connection: kept, and sent again while the server is away."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Self
from uuid import UUID

import orjson

from pkpo.client.batches import encoded
from pkpo.client.connection import Call, Connection, json_of, writing
from pkpo.client.errors import NoAnswer
from pkpo.client.service import Service

TIMEOUT: Final = 60.0
PATIENCE: Final = 30.0  # seconds to wait for a server that is away
SILENCE: Final = 45.0  # of an event stream, whose server says every 15 seconds that it is there
PAUSE: Final = 1.0


class JobCalls(Service):
    """The jobs of a server."""

    def __init__(self, url: str | None) -> None:
        """Those of the server given, else of PKPO_URL. ValueError where that is no address."""
        self._connection = Connection(url, None, TIMEOUT, PATIENCE)

    def __enter__(self) -> Self:
        """Itself, to be closed at the end."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the connection."""
        self._connection.close()

    def upload(self, path: Path) -> str:
        """The id of the file, once the server has it."""
        call = writing("/v1/uploads", path.read_bytes(), "application/octet-stream")
        named = Call(call.method, call.path, call.content, call.headers, {"filename": path.name})
        return str(json_of(self._connection.send(named))["id"])

    def submit(self, job: dict[str, Any]) -> dict[str, Any]:
        """The job, once it is queued."""
        return self._post("/v1/jobs", encoded(job, "the job"))

    def list(self, state: str | None, kind: str | None, limit: int) -> list[dict[str, Any]]:
        """The newest jobs."""
        found: list[dict[str, Any]] = self._get("/v1/jobs", {"state": state, "kind": kind, "limit": limit})["jobs"]
        return found

    def show(self, job_id: str) -> dict[str, Any]:
        """A job."""
        return self._get(_path(job_id), {})

    def page_of(self, job_id: str) -> str:
        """The address of the job's page."""
        return f"{self._connection.url}/jobs/{job_id}"

    def act(self, job_id: str, action: str) -> dict[str, Any]:
        """The job, after `cancel` or `retry`."""
        return self._post(f"{_path(job_id)}/{action}", b"{}")

    def follow(self, job_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every event of the job, by kind, until it has ended; a connection that is lost or closed is made anew."""
        seen, state = 0, "queued"
        while True:
            call = Call("GET", f"{_path(job_id)}/events", headers={"Last-Event-ID": str(seen)})
            try:
                with self._connection.lines(call, SILENCE) as lines:
                    kind = ""
                    for line in lines:
                        name, _, value = line.partition(": ")
                        match name:
                            case "id":
                                seen = int(value)
                            case "event":
                                kind = value
                            case "data":
                                payload = orjson.loads(value)
                                state = payload["state"] if kind == "state" else state
                                yield kind, payload
            except NoAnswer:
                pass
            else:
                if state not in ("queued", "running"):  # else the server stops
                    return
            time.sleep(PAUSE)
            self._connection.send(Call("GET", "/healthz"))  # with the patience for a server that restarts


def _path(job_id: str) -> str:
    """ValueError where it is no id: in an address it could lead elsewhere."""
    try:
        return f"/v1/jobs/{UUID(job_id)}"
    except ValueError:
        raise ValueError(f"no job has the id {job_id!a}; pkpo jobs list shows those there are") from None
