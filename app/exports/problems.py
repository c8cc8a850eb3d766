"""The problems of a server's set, over the library's connection."""

from typing import Any

from pkpo.client.connection import Connection
from pkpo.client.service import Service
from pkpo.problems import Problem

TIMEOUT = 60.0
PATIENCE = 30.0  # seconds to wait for a server that is away


class _Sets(Service):
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def problems(self, name: str) -> list[dict[str, Any]]:
        return list(self._pages(f"/v1/problem-sets/{name}/problems", "problems", {}))


def problems_of(url: str | None, name: str) -> list[Problem]:
    """All problems of the set `name` or `name@version`, by name.

    Raises:
      ClientError: the server has no such set, or does not answer.
      ValueError: `url` is no address.
    """
    connection = Connection(url, None, TIMEOUT, PATIENCE)
    try:
        found = _Sets(connection).problems(name)
    finally:
        connection.close()
    return [
        Problem(each["problem"], each["prompt"] or "", each["answer"], each["tests"], each["metadata"])
        for each in found
    ]
