"""What processes that are gone left in the spool, sent."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from pkpo.client.answers import Sent
from pkpo.client.connection import Connection
from pkpo.client.delivery import deliver
from pkpo.client.errors import ClientError
from pkpo.client.spool import Folder, Request, folders


@dataclass
class Synced:
    """What became of the requests of a spool."""

    requests: int = 0  # that the server has now
    rows: Sent = field(default_factory=Sent)  # of them
    refused: list[str] = field(default_factory=list)  # why, and where each lies now
    left: int = 0  # that may be sent later
    away: dict[str, str] = field(default_factory=dict)  # why, by server
    in_use: int = 0  # folders of processes that still send themselves


def sync(
    spool: Path,
    url: str | None = None,
    deadline: float = 30.0,
    progress: Callable[[Synced], None] | None = None,
) -> Synced:
    """Send every request of the spool that no living process holds, each to its own server, or to `url`.

    A server that does not take a request within `deadline` seconds is asked for nothing more. `progress` is called
    after each request. The key is that of PKPO_API_KEY.
    """
    connections: dict[str, Connection] = {}
    found = Synced()

    def answer_to(request: Request) -> httpx.Response:
        server = url or request.url
        if server in found.away:
            raise ClientError(found.away[server])
        if server not in connections:
            connections[server] = Connection(server, None, timeout=max(deadline, 1.0), deadline=deadline)
        try:
            return connections[server].send(request.call())
        except ClientError as error:
            if not error.about_the_request:
                found.away[server] = str(error)
            raise

    try:
        for path in folders(spool):
            folder = Folder.claim(path)
            if folder is None:
                found.in_use += path.exists()
                continue
            try:
                _send(folder, answer_to, found, progress)
            finally:
                folder.release()
    finally:
        for connection in connections.values():
            connection.close()
    return found


def _send(
    folder: Folder,
    answer_to: Callable[[Request], httpx.Response],
    found: Synced,
    progress: Callable[[Synced], None] | None,
) -> None:
    files = folder.requests()
    for number, file in enumerate(files):
        try:
            delivery = deliver(folder, file, answer_to)
        except ClientError:
            found.left += len(files) - number  # those behind it wait for it
            return
        if delivery.refused:
            found.refused.append(delivery.refused)
        else:
            found.requests += 1
            found.rows += delivery.sent
        if progress is not None:
            progress(found)
