"""A request of the spool, sent: what became of it."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import httpx

from pkpo.client.answers import Sent
from pkpo.client.connection import sent_of
from pkpo.client.errors import ClientError
from pkpo.client.spool import Folder, Request, Unreadable


class Delivery(NamedTuple):
    """What became of one request, which is no longer in its folder."""

    sent: Sent
    refused: str | None = None  # why, and where it lies now


def deliver(folder: Folder, file: Path, answer_to: Callable[[Request], httpx.Response]) -> Delivery:
    """Send a request and remove it, or lay it aside where it can never succeed.

    Raises ClientError where it may succeed later, or with another key or address, and OSError: it is still there then.
    """
    try:
        request = Request.from_bytes(file.read_bytes())
        sent = sent_of(answer_to(request))
    except (Unreadable, ClientError) as error:
        if isinstance(error, ClientError) and not error.about_the_request:
            raise
        return _refused(folder, file, str(error))
    file.unlink()
    return Delivery(sent)


def _refused(folder: Folder, file: Path, reason: str) -> Delivery:
    return Delivery(Sent(), f"{reason}\nIt is kept in {folder.refuse(file, reason)}")
