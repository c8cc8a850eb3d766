"""ARC-AGI-1: grids that one rule turns into others; a file a task, or a folder of them.

Chollet (2019), arXiv:1911.01547; https://github.com/fchollet/ARC-AGI.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pkpo.problems.naming import digest_name
from pkpo.problems.problem import Problem, Record
from pkpo.readers.rows import shown

NAME = "arc"
DESCRIPTION = "ARC-AGI-1: grids and the rule between them"
LARGEST = 30
COLOURS = range(10)
PROMPT = """\
One rule turns each input grid into its output grid. A grid is written with a line for each row, and in it a digit for
the colour of each cell. Find the rule, and answer with the output grid of the last input, written in the same way.

"""

Grid = list[list[int]]


def recognises(record: Record) -> bool:
    """Whether the record is a task of ARC's."""
    return all(isinstance(record.fields.get(part), list) for part in ("train", "test"))


def problems(record: Record) -> Iterator[Problem]:
    """A problem for each test input, called as the task is, with /1, /2, … behind it where there are several."""
    train, test = _pairs(record, "train"), _pairs(record, "test")
    name = next((record.text(field) for field in ("id", "task_id") if field in record.fields), record.name)
    for i, pair in enumerate(test):
        prompt = PROMPT + "\n".join(map(_shown_pair, train)) + f"\nInput:\n{written(pair['input'])}\n\nOutput:\n"
        own_name = digest_name(NAME, prompt) if name is None else name if len(test) == 1 else f"{name}/{i + 1}"
        metadata: dict[str, Any] = {"form": "arc@1", "test_index": i}
        yield Problem(
            own_name,
            prompt,
            answer=written(pair["output"]),
            tests={"train": train, "input": pair["input"], "output": pair["output"]},
            metadata=metadata if name is None else metadata | {"task": name},
        )


def written(grid: Sequence[Sequence[int]]) -> str:
    """The grid with a line for each row, the digits of its cells with a space between."""
    return "\n".join(" ".join(map(str, row)) for row in grid)


def _shown_pair(pair: Mapping[str, Grid]) -> str:
    return f"Input:\n{written(pair['input'])}\n\nOutput:\n{written(pair['output'])}\n"


def _pairs(record: Record, part: str) -> list[dict[str, Grid]]:
    pairs = record.value(part)
    if not isinstance(pairs, list) or not pairs:
        raise record.error(f"the field {shown(part)} must be a list of pairs, and is {shown(pairs)}")
    return [{side: _grid(record, part, i, side) for side in ("input", "output")} for i, _ in enumerate(pairs)]


def _grid(record: Record, part: str, i: int, side: str) -> Grid:
    pair = record.value(part)[i]
    grid: Any = pair.get(side) if isinstance(pair, Mapping) else None
    if not _is_grid(grid):
        raise record.error(
            f"{part}[{i}].{side} must be a grid, 1 to {LARGEST} rows of one length up to {LARGEST} of the colours 0 to "
            f"9, and is {shown(grid)}"
        )
    checked: Grid = grid
    return checked


def _is_grid(found: Any) -> bool:
    if not isinstance(found, list) or not 1 <= len(found) <= LARGEST:
        return False
    return all(_is_row(row) and len(row) == len(found[0]) for row in found)


def _is_row(found: Any) -> bool:
    if not isinstance(found, list) or not 1 <= len(found) <= LARGEST:
        return False
    return all(type(cell) is int and cell in COLOURS for cell in found)
