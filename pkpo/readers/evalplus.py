"""EvalPlus's `eval_results.json`: two verifiers, `base` of the original tests and `plus` of those and the extra ones.

`{"date": …, "hash": …, "eval": {problem: [{"solution": str, "base_status": "pass", "plus_status": "fail", …}]}}`, and
before 2024 `{"eval": {problem: {"nfiles": n, "base": [["success", details]], "plus": […]}}}`, without texts.
"""

import re
from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any, NamedTuple

from pkpo.readers.json_document import json_document
from pkpo.readers.rows import Completions, shown
from pkpo.readers.source import Head, Source

NAME = "evalplus"
DESCRIPTION = "EvalPlus results"
_EVAL = re.compile(r'\s*\{(\s*"\w+"\s*:\s*"[^"]*"\s*,)*\s*"eval"\s*:\s*\{')
_FIELDS = re.compile(r'"(solution|base_status|nfiles)"\s*:')
STATUSES = {
    "pass": "passed", "fail": "failed", "timeout": "timeout",
    "success": "passed", "failed": "failed", "timed out": "timeout",
    None: None,  # the checker came to nothing
}  # fmt: skip


class Judged(NamedTuple):
    """A completion, and its status under the tests of each kind as the file spells it."""

    text: str | None
    base: str | None
    plus: str | None


def recognises(head: Head) -> bool:
    """Whether an object begins with `eval` after some strings, and a completion of either form is in sight."""
    return bool(_EVAL.match(head.text) and _FIELDS.search(head.text))


def verifiers(source: Source) -> tuple[str, ...]:
    """The verifiers that have judged something in this file: under --base-only that is one."""
    judged = list(_judged(source).values())
    return tuple(
        name for name in Judged._fields[1:] if any(getattr(each, name) is not None for some in judged for each in some)
    )


def read(source: Source, verifier: str = "base") -> Iterator[Completions]:
    """The completions of each problem with the verdicts of `verifier`, "base" or "plus"."""
    status_of = _base_status if verifier == "base" else _plus_status
    for problem, judged in _judged(source).items():
        n = len(judged)
        statuses = [status_of(each) for each in judged]
        passed = [None if status is None else status == "passed" for status in statuses]
        texts = [each.text for each in judged]
        yield Completions([problem] * n, list(range(n)), texts, passed, [None] * n, statuses, [None] * n)


def _base_status(judged: Judged) -> str | None:
    return STATUSES[judged.base]


def _plus_status(judged: Judged) -> str | None:
    """As EvalPlus counts it, who passes the extra tests but not the original ones has not passed."""
    base, plus = STATUSES[judged.base], STATUSES[judged.plus]
    return base if plus == "passed" else plus


def _judged(source: Source) -> dict[str, list[Judged]]:
    """The completions of each problem."""
    document = json_document(source)
    by_problem = document.get("eval") if isinstance(document, dict) else None
    if not isinstance(by_problem, dict):
        raise source.error("eval must be an object with the completions of each problem")
    found = {}
    for problem, given in by_problem.items():
        try:
            found[problem] = _of_problem(given)
        except ValueError as cause:
            raise source.error(f"problem {shown(problem)}{cause}") from cause
    return found


def _of_problem(given: object) -> list[Judged]:
    """The completions of one problem in either form; ValueError with what follows its name in a sentence."""
    judged = []
    for index, completion in enumerate(_legacy(given) if isinstance(given, dict) else _current(given)):
        if type(completion.text) not in (str, NoneType):
            raise ValueError(f", completion {index}: solution must be a string, got {shown(completion.text)}")
        for status in completion[1:]:
            if type(status) not in (str, NoneType) or status not in STATUSES:
                raise ValueError(f", completion {index}: a status must be pass, fail or timeout, got {shown(status)}")
        judged.append(completion)
    if not judged:
        raise ValueError(" has no completions")
    return judged


def _current(given: object) -> Iterator[Judged]:
    if not isinstance(given, list) or not all(isinstance(each, dict) and "base_status" in each for each in given):
        raise ValueError(f" must have a list of objects with base_status, got {shown(given)}")
    for each in given:
        yield Judged(each.get("solution"), each["base_status"], each.get("plus_status"))


def _legacy(given: Mapping[str, Any]) -> Iterator[Judged]:
    base, plus = _statuses(given.get("base")), _statuses(given.get("plus", []))
    if not plus:
        plus = [None] * len(base)
    if len(plus) != len(base):
        raise ValueError(f" has {len(base)} results in base and {len(plus)} in plus")
    for each in zip(base, plus, strict=True):
        yield Judged(None, *each)


def _statuses(results: object) -> list[str | None]:
    if not isinstance(results, list) or not all(isinstance(each, list) and each for each in results):
        raise ValueError(f" must have lists of [status, details], got {shown(results)}")
    return [each[0] for each in results]
