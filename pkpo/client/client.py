"""The client: one method for each thing that a trainer, an evaluation or a notebook asks of the service."""

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from pkpo.client.connection import Connection
from pkpo.client.credits import CreditCalls
from pkpo.client.evaluations import EvaluationCalls
from pkpo.client.spool import default_spool
from pkpo.client.training import TrainingCalls


class Client(CreditCalls, EvaluationCalls, TrainingCalls):
    """A connection to a pkpo service, for any number of threads; close it, or use it in a `with`.

    A process forked off, such as a data loader's, may go on using it: it opens a connection and a spool folder of its
    own there. Every call but log_groups and log_metrics asks again while the server is away or busy (no connection, no
    answer, 429, 502, 503, 504), with pauses that double, at random, and never below Retry-After; what is written is
    written once. They raise ServiceError when the server refuses, NoAnswer when it does not answer to the end, both of
    them ClientError, and ValueError for arguments that cannot be right.

    Args:
      url: of the server; by default PKPO_URL, else http://127.0.0.1:8000.
      api_key: by default PKPO_API_KEY, else none, as on loopback. It is never shown, logged or written to disk.
      timeout: seconds to wait for one answer.
      deadline: seconds in which a call asks again; with 0 it asks once.
      spool: the folder for what a training loop logs until the server has it; by default PKPO_SPOOL_DIR, else
        ~/.local/state/pkpo/spool.
      spool_limit: bytes that this process may have there; what comes on top is dropped, and counted.
    Raises:
      ValueError: an address or a key that cannot be one, a timeout that is not above 0, a deadline below 0.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 30.0,
        deadline: float = 120.0,
        spool: str | os.PathLike[str] | None = None,
        spool_limit: int = 2**30,
    ) -> None:
        self._connection = Connection(url, api_key, timeout, deadline)
        super().__init__(Path(spool) if spool is not None else default_spool(), spool_limit)

    def __repr__(self) -> str:
        """The server's address, and no key."""
        return f"Client({self.url!r})"

    def __enter__(self) -> Self:
        """The client itself, to be closed at the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    @property
    def url(self) -> str:
        """The server's address."""
        return self._connection.url

    def close(self, timeout: float = 10.0) -> None:
        """Send what was logged, for `timeout` seconds at most, and close the connection.

        What is not sent then stays in the spool, for `pkpo sync`; a warning says so.
        """
        self._close_log(timeout)
        self._connection.close()
