"""Generic JSON Lines: one completion a line, `problem, sample_index?, passed | reward, text?, status?, answer?`."""

from collections.abc import Iterator

from pkpo.readers.json_lines import json_records, json_tables
from pkpo.readers.long_form import completions, fields_among
from pkpo.readers.rows import Completions
from pkpo.readers.source import Head, Source

NAME = "jsonl"
DESCRIPTION = "JSON Lines, one completion a line"


def recognises(head: Head) -> bool:
    """Whether the first line begins an object and does not stop there, as indented JSON does."""
    line = head.first_line.strip()
    return line.startswith("{") and line != "{"


def read(source: Source) -> Iterator[Completions]:
    """The completions. The first lines together show the fields: one alone may lack its verdict."""
    records = source.head.records or next(json_records(source))[1]
    fields = fields_among(dict.fromkeys(name for record in records for name in record), source, "JSON Lines")
    return completions(source, lambda: json_tables(source, fields))
