"""Generic CSV: a header, then one completion a row, with the fields of generic JSON Lines.

An empty cell is null, but for a text: that is the text of a model that said nothing.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType

from pkpo.readers.long_form import Table, completions, fields_among, refuse_absent
from pkpo.readers.rows import Completions, shown
from pkpo.readers.source import Head, Source

NAME = "csv"
DESCRIPTION = "CSV, one completion a row"
LONGEST_CELL = 1 << 28
ROWS_AT_ONCE = 1 << 9
VERDICTS = {"true": True, "1": True, "false": False, "0": False}


def recognises(head: Head) -> bool:
    """Whether the first line could be a header of two columns or more."""
    return "," in head.first_line and not head.first_line.lstrip().startswith(("{", "["))


def read(source: Source, named: Mapping[str, str] = MappingProxyType({})) -> Iterator[Completions]:
    """The completions."""
    header = _sound_header(source)
    refuse_absent(named, header, source)
    fields = fields_among(header, source, "CSV", named)
    return completions(source, lambda: _tables(source, fields))


def csv_records(source: Source) -> Iterator[tuple[int, dict[str, str | None]]]:
    """The cells of each row by name, with the line on which it begins; an empty one is None."""
    header = _sound_header(source)
    for line, cells in islice(_rows(source), 1, None):
        _refuse_ragged(source, header, line, cells)
        yield line, {name: cell or None for name, cell in zip(header, cells, strict=True)}


def _sound_header(source: Source) -> list[str]:
    header = _header(_rows(source))
    for name, count in Counter(header).items():
        if name and count > 1:  # columns without a name are a spreadsheet's empty ones
            raise source.error(f"{count} columns of the header have the name {shown(name)}", 1)
    return header


def _refuse_ragged(source: Source, header: list[str], line: int, cells: list[str]) -> None:
    if len(cells) != len(header):
        raise source.error(f"{len(cells)} cells under a header of {len(header)}", line)


def _tables(source: Source, fields: Mapping[str, str]) -> Iterator[Table]:
    """The columns that `fields` names, their cells as what they stand for."""
    rows = _rows(source)
    header = _header(rows)
    while some := list(islice(rows, ROWS_AT_ONCE)):
        lines = [line for line, _ in some]
        for line, cells in some:
            _refuse_ragged(source, header, line, cells)
        cells_of = dict(zip(header, zip(*(cells for _, cells in some), strict=True), strict=True))
        yield Table(lines, {column: _values(source, column, lines, cells_of[name]) for column, name in fields.items()})


def _header(rows: Iterator[tuple[int, list[str]]]) -> list[str]:
    return [name.strip() for name in next(rows)[1]]


def _values(source: Source, column: str, lines: list[int], cells: Sequence[str]) -> list[object]:
    reading = READINGS.get(column, str)
    values: list[object] = []
    for line, cell in zip(lines, cells, strict=True):
        try:
            values.append(reading(cell) if cell or column == "text" else None)
        except ValueError as cause:
            raise source.error(str(cause), line) from None
    return values


def _rows(source: Source) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row with the line on which it begins, blank lines skipped."""
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_CELL))  # of the whole process, and only ever raised
    rows = csv.reader(_lines(source), strict=True)
    begins = 1
    try:
        for cells in rows:
            if cells:
                yield begins, cells
            begins = rows.line_num + 1
    except csv.Error as cause:
        raise source.error(f"not CSV: {cause}", begins) from cause


def _lines(source: Source) -> Iterator[str]:
    for first, lines in source.blocks():
        for number, line in enumerate(lines, first):
            yield source.decoded(line, number)


def _whole_number(cell: str) -> int:
    if not (cell.strip().isascii() and cell.strip().isdigit()):
        raise ValueError(f"sample_index must be a whole number, got {shown(cell)}")
    return int(cell)


def _verdict(cell: str) -> bool:
    try:
        return VERDICTS[cell.strip().lower()]
    except KeyError:
        raise ValueError(f"passed must be true, false, 1, 0 or empty, got {shown(cell)}") from None


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise ValueError(f"reward must be a finite number or empty, got {shown(cell)}") from None


READINGS: Mapping[str, Callable[[str], object]] = {"sample_index": _whole_number, "passed": _verdict, "reward": _number}
