"""Grids of colours, as ARC asks for."""

import json
import re

from app.jobs.options.verifiers import GridOptions
from workers.verifiers.verification import (
    Problem,
    Verification,
    Verifier,
    infrastructure_error,
    judged,
    unanswered,
)

Grid = list[list[int]]
LARGEST = 30
COLOURS = range(10)
ROW = re.compile(r"\s*\d(?:[ ,]*\d)*\s*")


class ArcGrid(Verifier):
    """Passes where the last grid of the completion is the problem's answer, cell by cell.

    `problem.answer` is the grid as JSON, or as lines of digits. With `reward="cells"` the reward is the share of
    cells that agree,
    0 where the shapes differ.
    """

    name = "arc-grid"
    Options = GridOptions
    options: GridOptions

    def verify(self, completion: str, problem: Problem) -> Verification:
        """Compares the grids."""
        expected = last_grid(problem.answer or "")
        if expected is None:
            return infrastructure_error("the problem's answer is not a grid")
        grid = last_grid(completion)
        if grid is None:
            return unanswered("no grid found: neither JSON such as [[0,1],[2,3]] nor lines of digits")
        passed = grid == expected
        share = cell_accuracy(grid, expected)
        reward = share if self.options.reward == "cells" else float(passed)
        return judged(passed, json.dumps(grid, separators=(",", ":")), reward, cells=share)


def cell_accuracy(grid: Grid, expected: Grid) -> float:
    """The share of cells that agree, in [0, 1]; 0 where the shapes differ."""
    if [len(row) for row in grid] != [len(row) for row in expected]:
        return 0.0
    cells = [(a, b) for row, other in zip(grid, expected, strict=True) for a, b in zip(row, other, strict=True)]
    return sum(a == b for a, b in cells) / len(cells)


def last_grid(text: str) -> Grid | None:
    """The last grid in a text, as JSON if there is one, else as lines of digits; None where there is none.

    Rows are of one length, 1 to 30 rows and columns, colours 0 to 9.
    """
    compact = "".join(text.split())
    end = compact.rfind("]]") + 2
    start = compact.rfind("[[", 0, end)
    if start >= 0 and end > start:
        try:
            found = json.loads(compact[start:end])
        except ValueError:
            return None
        return found if _is_grid(found) else None
    return _last_lines(text)


def _last_lines(text: str) -> Grid | None:
    rows: Grid = []
    for line in reversed(text.splitlines()):
        if ROW.fullmatch(line):
            rows.insert(0, [int(digit) for digit in re.findall(r"\d", line)])
        elif rows:
            break
    return rows if _is_grid(rows) else None


def _is_grid(found: object) -> bool:
    if not isinstance(found, list) or not 1 <= len(found) <= LARGEST:
        return False
    if (
        not all(isinstance(row, list) and len(row) == len(found[0]) for row in found)
        or not 1 <= len(found[0]) <= LARGEST
    ):
        return False
    return all(type(cell) is int and cell in COLOURS for row in found for cell in row)
