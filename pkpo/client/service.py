"""What all calls are made of: JSON to and from the service, pages after pages, rows in batches."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pkpo.client.batches import batches
from pkpo.client.connection import Call, Connection, Parameter, json_of, writing
from pkpo.client.errors import ServiceError

GZIP = {"Content-Encoding": "gzip"}
PAGE = 1_000
TOO_LARGE = 413

Query = Mapping[str, Parameter | Sequence[Parameter]]


class Service:
    """One server, over one connection."""

    _connection: Connection

    def _get(self, path: str, query: Query) -> dict[str, Any]:
        answer: dict[str, Any] = json_of(self._connection.send(Call("GET", path, params=query)))
        return answer

    def _post(self, path: str, body: bytes) -> dict[str, Any]:
        answer: dict[str, Any] = json_of(self._connection.send(writing(path, body)))
        return answer

    def _pages(self, path: str, member: str, query: Query) -> Iterator[dict[str, Any]]:
        """The entries of a list, page after page as they are asked for."""
        cursor = None
        while True:
            page = self._get(path, {**query, "limit": PAGE, "cursor": cursor})
            yield from page[member]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _send_rows(
        self, lines: Iterable[bytes], call: Callable[[Sequence[bytes]], Call]
    ) -> Iterator[tuple[dict[str, Any], int]]:
        """The answer to each batch, and its rows."""
        for batch in batches(lines):
            yield from self._send_batch(batch, call)

    def _send_batch(
        self, batch: Sequence[bytes], call: Callable[[Sequence[bytes]], Call]
    ) -> Iterator[tuple[dict[str, Any], int]]:
        try:
            answer: dict[str, Any] = json_of(self._connection.send(call(batch)))
        except ServiceError as error:
            if error.status != TOO_LARGE or len(batch) == 1:
                raise
            # A proxy in front of the service may take less than it does.
            half = len(batch) // 2
            for part in (batch[:half], batch[half:]):
                yield from self._send_batch(part, call)
        else:
            yield answer, len(batch)
