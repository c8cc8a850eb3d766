"""Rows as lines of JSON, in batches that the service takes."""

import gzip
import json
from collections.abc import Iterable, Iterator, Sequence

MOST_ROWS = 10_000  # the service's bounds of one request
MOST_BYTES = 25 * 2**20
BATCH_ROWS = 2_000  # quick to store, and little to send again
BATCH_BYTES = 8 * 2**20


def encoded(row: object, name: str) -> bytes:
    """A row as JSON; ValueError, beginning with the row's name, where JSON cannot write it or no request holds it."""
    try:
        line = json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (ValueError, TypeError) as error:
        reason = "has text that is not Unicode" if isinstance(error, UnicodeError) else f"is not JSON: {error}"
        raise ValueError(f"{name} {reason}") from error
    if len(line) > MOST_BYTES - 100:  # what stands around it
        raise ValueError(f"{name} has {len(line):,} bytes; a request takes at most {MOST_BYTES:,}")
    return line


def batches(lines: Iterable[bytes], rows: int = BATCH_ROWS, size: int = BATCH_BYTES) -> Iterator[Sequence[bytes]]:
    """The lines in their order, at most `rows` and, unless one alone is longer, `size` bytes at once."""
    batch: list[bytes] = []
    total = 0
    for line in lines:
        if batch and (len(batch) == rows or total + len(line) + 1 > size):
            yield batch
            batch, total = [], 0
        batch.append(line)
        total += len(line) + 1
    if batch:
        yield batch


def member(name: str, rows: Sequence[bytes]) -> bytes:
    """The JSON object whose one member is the list of rows."""
    return b'{"%s":[' % name.encode() + b",".join(rows) + b"]}"


def compressed(body: bytes) -> bytes:
    """The body in gzip: level 1, for it is sent once."""
    return gzip.compress(body, compresslevel=1, mtime=0)
