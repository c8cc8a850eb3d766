"""Generic files with counts only, one problem a line: `problem, n, c`, where c of n completions passed."""

from collections.abc import Iterator

from pkpo.readers.long_form import NAMES, VERDICTS
from pkpo.readers.problem_lines import problem_records
from pkpo.readers.rows import Completions, shown
from pkpo.readers.source import Head, Source
from pkpo.readers.verdicts import ProblemVerdicts, Verdicts

NAME = "counts"
DESCRIPTION = "counts, one problem a line"
LARGEST_N = 2**31


def recognises(head: Head) -> bool:
    """Whether the first line has a problem, n and c, and no verdict."""
    names = head.first_record.keys()
    return {"n", "c"} <= names and not names.isdisjoint(NAMES["problem"]) and names.isdisjoint(VERDICTS)


def read(source: Source) -> Iterator[Completions]:
    """A ReadError: nobody can tell the completions from their number."""
    raise source.error("it has the counts of completions and not the completions")


def verdicts(source: Source) -> Verdicts:
    """The counts of each problem; ReadError where 0 <= c <= n and 1 <= n do not hold."""
    problems = {}
    for line, problem, record in problem_records(source):
        try:
            n, c = _count("n", record.get("n")), _count("c", record.get("c"))
            if not 1 <= n <= LARGEST_N:
                raise ValueError(f"n must be in 1..{LARGEST_N}, got {n}")
            if c > n:
                raise ValueError(f"c must be in 0..n, got c={c} of n={n}")
        except ValueError as cause:
            raise source.error(f"problem {shown(problem)}: {cause}", line) from cause
        problems[problem] = ProblemVerdicts(n, n, c)
    return Verdicts(problems, given_rewards=0)


def _count(name: str, value: object) -> int:
    if type(value) is int and value >= 0:
        return value
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 20:
        return int(value)
    raise ValueError(f"{name} must be a whole number from 0 up, got {shown(value)}")
