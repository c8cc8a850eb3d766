"""Generic JSON Lines: one completion a line, `problem, sample_index?, passed | reward, text?, status?, answer?`."""

from collections.abc import Iterator, Mapping
from itertools import chain
from types import MappingProxyType

from pkpo.readers.json_lines import json_records, paths_in, table_of, value_at
from pkpo.readers.long_form import NAMES, Table, completions, fields_among, refuse_absent
from pkpo.readers.rows import Completions
from pkpo.readers.source import Head, Source

NAME = "jsonl"
DESCRIPTION = "JSON Lines, one completion a line"
KNOWN = frozenset(chain.from_iterable(NAMES.values()))


def recognises(head: Head) -> bool:
    """Whether the first line begins an object and does not stop there, as indented JSON does."""
    line = head.first_line.strip()
    return line.startswith("{") and line != "{"


def read(source: Source, named: Mapping[str, str] = MappingProxyType({})) -> Iterator[Completions]:
    """The completions. The first lines together show the fields: one alone may lack its verdict.

    A name in `named` may lead into objects by dots, as `verdict.passed` does.
    """
    records = source.head.records or next(json_records(source))[1]
    for column, path in named.items():
        if all(value_at(record, path) is None for record in records):
            refuse_absent({column: path}, paths_in(records), source)
    found = dict.fromkeys(chain.from_iterable(records))
    fields_among(found, source, "JSON Lines", named)  # what lacks a field altogether is refused before it is read
    return completions(source, lambda: _tables(source, KNOWN & found.keys(), named))


def _tables(source: Source, seen: frozenset[str], named: Mapping[str, str]) -> Iterator[Table]:
    """The columns of the fields seen so far: a tool may write a status only where something went wrong."""
    fields = fields_among(seen, source, "JSON Lines", named)
    for lines, records in json_records(source):
        late = KNOWN.intersection(chain.from_iterable(records)) - seen
        if late:
            seen |= late
            fields = fields_among(seen, source, "JSON Lines", named)
        yield table_of(lines, records, fields)
