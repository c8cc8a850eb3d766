"""The records of files: JSON Lines, one JSON document, Parquet, gzipped or not, or a folder of documents."""

import os
from collections.abc import Iterator
from pathlib import Path

from pkpo.problems.problem import ProblemsError, Record
from pkpo.readers.json_document import json_document
from pkpo.readers.json_lines import json_records
from pkpo.readers.rows import ReadError, shown
from pkpo.readers.source import Source


def records(path: str | os.PathLike[str]) -> Iterator[Record]:
    """The records of a file, or of all .json files in a folder and in those under it.

    Raises:
      OSError: it cannot be opened.
      ProblemsError: it holds something else.
    """
    folder = Path(path)
    try:
        if not folder.is_dir():
            yield from _of_file(Source(path), folder.name.split(".", 1)[0])
            return
        files = sorted(folder.rglob("*.json"))
        if not files:
            raise ProblemsError(f"{folder}: a folder without any .json file; give files of other kinds by their names")
        for file in files:
            yield from _of_file(Source(file), file.relative_to(folder).with_suffix("").as_posix())
    except ReadError as error:
        raise ProblemsError(str(error)) from error


def _of_file(source: Source, name: str) -> Iterator[Record]:
    if source.head.records:
        yield from _of_lines(source, name)
        return
    match json_document(source):
        case dict() as fields:
            yield Record(source.name, fields, name)
        case list() as each:
            for i, fields in enumerate(each):
                if not isinstance(fields, dict):
                    raise source.error(f"item {i} must be an object, and is {shown(fields)}")
                yield Record(f"{source.name}[{i}]", fields)
        case value:
            raise source.error(f"must be an object or a list of objects, and is {shown(value)}")


def _of_lines(source: Source, name: str) -> Iterator[Record]:
    for numbers, block in json_records(source):
        for number, fields in zip(numbers, block, strict=True):
            # A document may well be one line; the only line of a .jsonl is not what the file is called after.
            whole = ".json" in Path(source.name).suffixes
            yield Record(f"{source.name}:{number}", fields, name if whole else None)
