"""Generic files with one problem a line and its verdicts in a list: `problem, rewards: […]` or `problem, passed: […]`.

In CSV such a list is a cell with JSON in it.
"""

import json
from collections.abc import Iterator
from typing import Any

from pkpo.readers.long_form import NAMES, Table, completions
from pkpo.readers.problem_lines import Record, problem_records
from pkpo.readers.rows import Completions, shown
from pkpo.readers.source import Head, Source

NAME = "wide"
DESCRIPTION = "one problem a line, its verdicts in a list"
LISTS = {"passed": NAMES["passed"], "reward": ("rewards", "reward")}


def recognises(head: Head) -> bool:
    """Whether the first line has a list where the verdict is."""
    values = [head.first_record.get(name) for names in LISTS.values() for name in names]
    return any(isinstance(value, list) or (isinstance(value, str) and value.startswith("[")) for value in values)


def read(source: Source) -> Iterator[Completions]:
    """The completions, numbered as they stand in the lists."""
    return completions(source, lambda: _tables(source))


def _tables(source: Source) -> Iterator[Table]:
    for line, problem, record in problem_records(source):
        try:
            lists = _lists(record)
        except ValueError as cause:
            raise source.error(f"problem {shown(problem)}: {cause}", line) from cause
        n = len(next(iter(lists.values())))
        yield Table([line] * n, {"problem": [problem] * n, "sample_index": [None] * n, **lists})


def _lists(record: Record) -> dict[str, list[Any]]:
    """The lists of this line by column, all of one length."""
    lists = {column: _list(name, record[name]) for column, names in LISTS.items() for name in names if name in record}
    if not lists:
        raise ValueError(f"it needs a list in one of {', '.join(name for names in LISTS.values() for name in names)}")
    if len(lengths := {len(each) for each in lists.values()}) > 1:
        raise ValueError(f"lists of {' and '.join(map(str, sorted(lengths)))} verdicts for the same completions")
    if lengths == {0}:
        raise ValueError("it has no completions")
    return lists


def _list(name: str, value: object) -> list[Any]:
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list):
        raise ValueError(f"{name} must be a list, as [1, 0.5, null] is, got {shown(value)}")
    return found
