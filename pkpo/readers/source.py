"""The bytes of a results file, gzipped or Parquet or neither, a path or standard input, and its beginning."""

import csv
import errno
import gzip
import io
import json
import os
import sys
import tempfile
import weakref
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain, repeat
from pathlib import Path
from typing import IO, Any

from pkpo.readers import parquet
from pkpo.readers.rows import ReadError

HEAD_BYTES = 1 << 16
BLOCK_BYTES = 1 << 15
LONGEST_FIRST_LINE = 1 << 24  # one completion of a reasoning model can be longer than the head
GZIP_MAGIC = b"\x1f\x8b"
UTF8_BOM = b"\xef\xbb\xbf"
OTHER_KINDS = {
    b"\x28\xb5\x2f\xfd": "zstd-compressed",
    b"\xfd7zXZ": "xz-compressed",
    b"BZh": "bzip2-compressed",
    b"PK\x03\x04": "a zip archive",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}


@dataclass(frozen=True)
class Head:
    """The beginning of a file."""

    text: str

    @property
    def first_line(self) -> str:
        """The first line that is not blank."""
        return next((line for line in self.text.splitlines() if line.strip()), "")

    @cached_property
    def records(self) -> list[dict[str, object]]:
        """The objects on its first lines: empty unless each of these is one JSON object."""
        found = []
        for line in self.text.split("\n"):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                break  # the line that the head cuts in two; a bad one is for the reader to complain about
            if not isinstance(record, dict):
                break
            found.append(record)
        return found

    @cached_property
    def first_record(self) -> Mapping[str, object]:
        """The first object of JSON Lines, or the first row under a CSV header; empty where it is neither."""
        if self.records or self.first_line.lstrip().startswith(("{", "[")):
            return self.records[0] if self.records else {}
        try:
            lines = csv.reader(line for line in self.text.splitlines() if line.strip())
            header = [name.strip() for name in next(lines)]
            return dict(zip(header, chain(next(lines, []), repeat(None)), strict=False))
        except csv.Error:
            return {}


class Source:
    """A results file that can be read from its start as often as needed."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open `path`, `-` being standard input; OSError when that fails."""
        standard_input = os.fspath(path) == "-"
        self.name = "standard input" if standard_input else os.fspath(path)
        self._path = Path(path)
        if standard_input:
            if sys.stdin is None:
                raise OSError(errno.EBADF, "standard input is closed")
            self._path = self._copy(sys.stdin.buffer)
        else:
            with self._path.open("rb") as stream:
                if not stream.seekable():  # a pipe gives its bytes once: <(zcat results.jsonl.gz)
                    self._path = self._copy(stream)
        with self._path.open("rb") as stream:
            magic = stream.read(4)
        self.gzipped = magic.startswith(GZIP_MAGIC)
        self.parquet = magic == parquet.MAGIC
        if self.parquet:
            self._path = self._written(parquet.json_lines(self._path, self.name))

    def error(self, message: str, line: int | None = None) -> ReadError:
        """A ReadError that names this file."""
        return ReadError(self.name, message, line)

    @contextmanager
    def open(self) -> "Iterator[io.BufferedReader[Any]]":
        """The decompressed bytes after a byte order mark, if there is one."""
        with self._path.open("rb") as file:
            stream: io.BufferedReader[Any] = file
            if self.gzipped:  # GzipFile looks for the ends of lines in Python, BufferedReader in C
                stream = io.BufferedReader(gzip.GzipFile(fileobj=file), BLOCK_BYTES)
            try:
                if stream.peek(3)[:3] == UTF8_BOM:
                    stream.read(3)
                yield stream
            except EOFError as cause:
                raise self.error("the gzip data ends early; the file is cut off") from cause
            except (gzip.BadGzipFile, zlib.error) as cause:
                raise self.error(f"the gzip data is damaged ({cause})") from cause

    def blocks(self) -> Iterator[tuple[int, list[bytes]]]:
        """Consecutive lines with their ends, a cache full at a time, and the number of the first of them."""
        number = 1
        with self.open() as stream:
            while lines := stream.readlines(BLOCK_BYTES):
                yield number, lines
                number += len(lines)

    def decoded(self, line: bytes, number: int) -> str:
        """The text of a line."""
        try:
            return line.decode()
        except UnicodeDecodeError as cause:
            raise self.error(f"not UTF-8: {cause.reason}", number) from cause

    def text(self) -> str:
        """All of it, for the formats that are one JSON document."""
        with self.open() as stream:
            try:
                return stream.read().decode()
            except UnicodeDecodeError as cause:
                raise self.error(f"not UTF-8 at byte {cause.start}: {cause.reason}") from cause

    @cached_property
    def head(self) -> Head:
        """The beginning, with the first line whole; ReadError when nothing is there or it is no text."""
        with self.open() as stream:
            start = stream.read(HEAD_BYTES)
            if b"\n" not in start:
                start += stream.readline(LONGEST_FIRST_LINE)
        if not start.strip():
            raise self.error("empty file")
        for magic, kind in OTHER_KINDS.items():
            if start.startswith(magic):
                raise self.error(f"{kind}; pkpo reads UTF-8 text, gzipped or not")
        return Head(start.decode(errors="replace"))

    def _copy(self, stream: IO[bytes]) -> Path:
        return self._written(iter(partial(stream.read, HEAD_BYTES), b""))

    def _written(self, pieces: Iterable[bytes]) -> Path:
        """A temporary file with all of these bytes, removed with this object."""
        with tempfile.NamedTemporaryFile(prefix="pkpo-", delete=False) as file:
            weakref.finalize(self, os.unlink, file.name)
            file.writelines(pieces)
        return Path(file.name)
