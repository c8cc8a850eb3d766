"""LiveCodeBench's `eval_all`: a JSON array with one object a problem, its completions and verdicts in parallel lists.

`[{"question_id": …, "output_list": [str], "code_list": [str], "graded_list": [bool], "metadata": [JSON text], …}]`

Of its scenarios this is code generation. In the others question_id names no single problem, and they are refused.
"""

import re
from collections.abc import Iterator
from typing import Any

from pkpo.readers.json_document import json_document
from pkpo.readers.long_form import problem_name
from pkpo.readers.rows import Completions, shown
from pkpo.readers.source import Head, Source

NAME = "livecodebench"
DESCRIPTION = "LiveCodeBench eval_all"
_ARRAY_OF_OBJECTS = re.compile(r"\s*\[\s*\{")
_FIELDS = re.compile(r'"(question_id|output_list|code_list|graded_list)"\s*:')
# Quotes inside a string of the note are escaped, so this is a field of it, whatever a program printed.
_OUT_OF_TIME = re.compile(r'(?<!\\)"error_code"\s*:\s*-3\b')


def recognises(head: Head) -> bool:
    """Whether an array of objects begins, with two of LiveCodeBench's fields: long outputs may hide the others."""
    return bool(_ARRAY_OF_OBJECTS.match(head.text)) and len(set(_FIELDS.findall(head.text))) > 1


def read(source: Source) -> Iterator[Completions]:
    """The completions of each problem: what the model said is the text, the code in it the answer."""
    document = json_document(source)
    if not isinstance(document, list):
        raise source.error("expected a JSON array")
    seen = set[str]()
    for position, record in enumerate(document):
        try:
            batch = _completions(record)
        except ValueError as cause:
            raise source.error(f"element {position}: {cause}") from cause
        if batch.problem[0] in seen:
            raise source.error(f"element {position}: question_id {shown(batch.problem[0])} is there already")
        seen.add(batch.problem[0])
        yield batch


def _completions(record: object) -> Completions:
    if not isinstance(record, dict):
        raise ValueError(f"expected an object, got {shown(record)}")
    problem = problem_name(record.get("question_id"))
    if not problem:
        raise ValueError("the problem has an empty name")
    passed = _column(record, "graded_list", (bool, type(None)))
    n = len(passed)
    if not n:
        raise ValueError(f"problem {shown(problem)} has an empty graded_list")
    codes = _column(record, "code_list", (str, type(None)), n)
    texts = _column(record, "output_list", (str, type(None)), n) if "output_list" in record else codes
    notes = _column(record, "metadata", (str, type(None)), n) if "metadata" in record else [None] * n
    statuses = [_status(*judged) for judged in zip(passed, notes, strict=True)]
    return Completions([problem] * n, list(range(n)), texts, passed, [None] * n, statuses, codes)


def _column(record: dict[str, Any], name: str, types: tuple[type, ...], n: int | None = None) -> list[Any]:
    values = record.get(name)
    if not isinstance(values, list) or not all(type(value) in types for value in values):
        kind = "true, false or null" if bool in types else "a string or null"
        raise ValueError(f"{name} must be a list with {kind} for each completion, got {shown(values)}")
    if n is not None and len(values) != n:
        raise ValueError(f"{name} has {len(values)} entries, and graded_list {n}")
    return values


def _status(passed: bool | None, note: str | None) -> str | None:
    if passed is None:
        return None
    if passed:
        return "passed"
    return "timeout" if note and _OUT_OF_TIME.search(note) else "failed"
