"""Files with one completion a record: which fields hold what, and the checks that every such file gets."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from math import isfinite
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from pkpo.readers.rows import Completions, shown
from pkpo.readers.sample_indexes import SampleIndexes, SeenBefore, Unsound
from pkpo.readers.source import Source

NAMES = {
    "problem": ("problem", "problem_id", "question_id", "task_id"),
    "sample_index": ("sample_index",),
    "text": ("text", "completion"),
    "passed": ("passed", "correct", "is_correct"),
    "reward": ("reward",),
    "status": ("status",),
    "answer": ("answer",),
}
VERDICTS = NAMES["passed"] + NAMES["reward"]
OF_THE_VERDICT = frozenset({"passed", "reward", "status"})
UNJUDGED = "infrastructure_error"  # nobody looked at the completion: its verdict is missing, not false
FAILURES = frozenset({"failed", "timeout", "oom", "output_limit", "crash"})
STATUSES = FAILURES | {"passed", "scored", UNJUDGED}

T = TypeVar("T")


class Table(NamedTuple):
    """Some records of a file as they stand there: the line of each, and the columns of `Completions` that it has."""

    lines: Sequence[int]
    columns: Mapping[str, list[Any]]


Tables = Callable[[], Iterator[Table]]


def fields_among(
    found: Collection[str], source: Source, kind: str, named: Mapping[str, str] = MappingProxyType({})
) -> dict[str, str]:
    """The file's name for each column it has; ReadError that lists the names when one is lacking or could be two.

    What `named` says holds. Where it names a verdict, nothing else in the file is taken for a part of that.
    """
    fields = dict(named)
    settled = named.keys() | (OF_THE_VERDICT if named.keys() & {"passed", "reward"} else set())
    for column, names in NAMES.items():
        if column in settled:
            continue
        present = [name for name in names if name in found]
        if len(present) > 1:
            raise source.error(f"{' and '.join(present)} could each be the {column}; keep one of them")
        fields.update((column, name) for name in present)
    if "problem" not in fields or not fields.keys() & {"passed", "reward"}:
        raise source.error(
            f"as {kind} it needs one of the fields {', '.join(NAMES['problem'])} and one of {', '.join(VERDICTS)}; "
            f"found: {', '.join(shown(name) for name in found) or 'none'}; --problem, --passed and --reward name others"
        )
    return fields


def refuse_absent(named: Mapping[str, str], found: Collection[str], source: Source) -> None:
    """Raise ReadError where a field that was asked for is not among those found."""
    for name in named.values():
        if name not in found:
            raise source.error(f"no field {shown(name)} in it; found: {', '.join(shown(each) for each in found)}")


def completions(source: Source, tables: Tables) -> Iterator[Completions]:
    """The completions of `tables`, checked; ReadError with the line of a record that is not sound.

    `tables` starts anew at each call: the first line of a duplicate is looked up only when there is one, so that
    reading takes memory for the problems and not for the completions.
    """
    indexes = SampleIndexes()
    for table in tables():
        try:
            yield _checked(table.columns, len(table.lines), indexes)
        except SeenBefore as again:
            first = _first_line(tables(), again.problem, again.sample_index)
            raise source.error(f"{again}; it is on line {first} already", table.lines[again.position]) from None
        except Unsound as cause:
            raise source.error(str(cause), table.lines[cause.position]) from cause


def _checked(columns: Mapping[str, list[Any]], count: int, indexes: SampleIndexes) -> Completions:
    nothing = [None] * count
    problems = _read(columns["problem"], {str}, problem_name)
    if "" in problems:
        raise Unsound(problems.index(""), "the problem has an empty name")
    passed = _read(columns.get("passed", nothing), {bool, type(None)}, _passed)
    rewards = _read(columns.get("reward", nothing), {type(None)}, _reward)
    statuses = columns.get("status", nothing)
    if statuses is not nothing:
        statuses, passed, rewards = _reconciled(statuses, passed, rewards)
    return Completions(
        problems,
        indexes.of(problems, columns.get("sample_index", nothing)),
        _read(columns.get("text", nothing), {str, type(None)}, _text),
        passed,
        rewards,
        statuses,
        _read(columns.get("answer", nothing), {str, type(None)}, _answer),
    )


def _read(values: list[Any], sound: set[type], reading: Callable[[object], T]) -> list[T]:
    """The values, by `reading` where the column holds any other types than `sound`, whose values stand as they are."""
    if sound.issuperset(map(type, values)):
        return values
    found = []
    for position, value in enumerate(values):
        try:
            found.append(reading(value))
        except ValueError as cause:
            raise Unsound(position, str(cause)) from cause
    return found


def problem_name(value: object) -> str:
    """The problem's name; tools mix "17" and 17 in one file and mean the same problem."""
    if type(value) is str:
        return value
    if type(value) is int:
        return str(value)
    raise ValueError(f"the problem must be a string or a whole number, got {shown(value)}")


def _text(value: object) -> str | None:
    if value is None or type(value) is str:
        return value
    raise ValueError(f"the text of a completion must be a string or null, got {shown(value)}")


def _passed(value: object) -> bool | None:
    if value is None or type(value) is bool:
        return value
    raise ValueError(f"passed must be true, false or null, got {shown(value)}; a number is a reward")


def _reward(value: object) -> float | None:
    if type(value) is float and isfinite(value):
        return value
    if value is None:
        return None
    if type(value) is int:
        try:
            return float(value)
        except OverflowError:
            pass
    raise ValueError(f"reward must be a finite number or null, got {shown(value)}")


def _answer(value: object) -> str | None:
    return value if value is None or type(value) is str else json.dumps(value, sort_keys=True)


def _reconciled(
    statuses: list[object], passed: list[bool | None], rewards: list[float | None]
) -> tuple[list[str | None], list[bool | None], list[float | None]]:
    """The three columns, where another tool's statuses are None and ours say what passed, as they do over REST."""
    known: list[str | None] = [s if type(s) is str and s in STATUSES else None for s in statuses]
    passed, rewards = passed.copy(), rewards.copy()
    for position, status in enumerate(known):
        if status == UNJUDGED:
            passed[position] = rewards[position] = None
        elif passed[position] is None:
            passed[position] = _said_by(status, rewards[position])
        elif (passed[position] and status in FAILURES) or (passed[position] is False and status == "passed"):
            raise Unsound(position, f"passed is {shown(passed[position])}, but status is {shown(status)}")
    return known, passed, rewards


def _said_by(status: str | None, reward: float | None) -> bool | None:
    """Whether a completion of this status passed; a reward that comes with a stop is on the verifier's own scale."""
    if status in ("passed", "failed"):
        return status == "passed"
    return False if status in FAILURES and reward is None else None


def _first_line(tables: Iterator[Table], problem: str, sample_index: int) -> int:
    for lines, columns in tables:
        for line, name, index in zip(lines, columns["problem"], columns["sample_index"], strict=True):
            if index == sample_index and problem_name(name) == problem:
                return line
    raise AssertionError(f"({problem!r}, {sample_index}) was there twice, and now it is not there at all")
