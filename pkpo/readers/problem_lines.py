"""Files with one problem a line, JSON Lines or CSV with a header."""

from collections.abc import Iterator, Mapping

from pkpo.readers.csv_table import csv_records
from pkpo.readers.json_lines import json_records
from pkpo.readers.long_form import NAMES, problem_name
from pkpo.readers.rows import shown
from pkpo.readers.source import Source

Record = Mapping[str, object]


def problem_records(source: Source) -> Iterator[tuple[int, str, Record]]:
    """The line, the problem and the record of each line; in CSV every value is text, and None where it is empty.

    ReadError where a line names no problem, or one that an earlier line has: that is a table of several evaluations.
    """
    first_lines = dict[str, int]()
    for line, record in _records(source):
        try:
            problem = _problem(record)
        except ValueError as cause:
            raise source.error(str(cause), line) from cause
        if problem in first_lines:
            raise source.error(f"problem {shown(problem)} is on line {first_lines[problem]} already", line)
        first_lines[problem] = line
        yield line, problem, record


def _records(source: Source) -> Iterator[tuple[int, Record]]:
    if source.head.text.lstrip().startswith("{"):
        for lines, records in json_records(source):
            yield from zip(lines, records, strict=True)
    else:
        yield from csv_records(source)


def _problem(record: Record) -> str:
    names = [name for name in NAMES["problem"] if name in record]
    if len(names) != 1:
        found = ", ".join(shown(name) for name in record)
        raise ValueError(f"it needs one of the fields {', '.join(NAMES['problem'])}; found: {found or 'none'}")
    problem = problem_name(record[names[0]])
    if not problem:
        raise ValueError("the problem has an empty name")
    return problem
