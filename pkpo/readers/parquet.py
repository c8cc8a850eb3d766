"""Parquet as JSON Lines: a table's rows are records like any other, so every format of these is one of Parquet too."""

import json
from collections.abc import Iterator
from pathlib import Path

from pkpo.readers.rows import ReadError

MAGIC = b"PAR1"
ROWS_AT_ONCE = 1 << 10
BUFFER = 1 << 20  # bytes read ahead of each column: not whole row groups, which may be as large as the file


def json_lines(path: Path, name: str) -> Iterator[bytes]:
    """A line for each row, structs as objects in objects; memory for some rows at a time.

    ReadError, with the file's name, where it is damaged, has two columns of one name, or pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as cause:
        absent = "a Parquet file, which takes pyarrow to read: install pkpo with its extra `parquet`"
        raise ReadError(name, absent) from cause
    try:
        with pq.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False) as file:
            if len(set(file.schema_arrow.names)) < len(file.schema_arrow):
                raise ReadError(name, "two columns of the Parquet file have the same name")
            for batch in file.iter_batches(ROWS_AT_ONCE, use_threads=False):
                batch.validate(full=True)  # that its text is UTF-8, among other things
                for row in batch.to_pylist():
                    yield json.dumps(row, default=_as_text).encode() + b"\n"
    except (pa.ArrowException, OSError) as cause:
        reason = str(cause).partition("\n")[0][:200]
        raise ReadError(name, f"a Parquet file that cannot be read: {reason!a}") from cause


def _as_text(value: object) -> str:
    """What JSON has no form for: times, decimals, and text that its writer did not declare as such."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
