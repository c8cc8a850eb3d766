"""What every reader yields, and what it raises."""

import json
from typing import NamedTuple


class CompletionRow(NamedTuple):
    """One completion as a file has it; None is what the file does not say."""

    problem: str
    sample_index: int
    text: str | None = None
    passed: bool | None = None
    reward: float | None = None
    status: str | None = None
    answer: str | None = None


class Completions(NamedTuple):
    """Some consecutive completions of a file, by column: row i is `CompletionRow(*(column[i] for column in self))`.

    Readers yield these and not rows: checks and counts that run over a column cost a third of those that run by row.
    """

    problem: list[str]
    sample_index: list[int]
    text: list[str | None]
    passed: list[bool | None]
    reward: list[float | None]
    status: list[str | None]
    answer: list[str | None]


class ReadError(ValueError):
    """A file that cannot be read as results: where, and why."""

    def __init__(self, name: str, message: str, line: int | None = None) -> None:
        super().__init__(f"{name}: {message}" if line is None else f"{name}:{line}: {message}")
        self.name = name
        self.line = line


def shown(value: object) -> str:
    """`value` as JSON in ASCII, shortened: what a file holds may be long, and must not reach a terminal raw."""
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
