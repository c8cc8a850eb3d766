"""CRUXEval's scored generations: one JSON document, each problem's texts and verdicts in two lists side by side.

`{"raw_generations": {problem: [str]}, "raw_scored_generations": {problem: [bool]}, "pass_at_1": …, "pass_at_5": …}`
"""

import re
from collections.abc import Iterator
from typing import Any

from pkpo.readers.json_document import json_document
from pkpo.readers.rows import Completions, shown
from pkpo.readers.source import Head, Source

NAME = "cruxeval"
DESCRIPTION = "CRUXEval scored generations"
_FIRST_KEY = re.compile(r'\s*\{\s*"(raw_generations|raw_scored_generations|pass_at_\d+)"\s*:')


def recognises(head: Head) -> bool:
    """Whether the document begins with one of CRUXEval's keys."""
    return bool(_FIRST_KEY.match(head.text))


def read(source: Source) -> Iterator[Completions]:
    """The completions of each problem, in the order of the verdicts; the texts may come in another."""
    texts, verdicts = _parts(source)
    if texts.keys() != verdicts.keys():
        alone = min(texts.keys() ^ verdicts.keys())
        raise source.error(f"problem {shown(alone)} is in only one of raw_generations and raw_scored_generations")
    for problem, passed in verdicts.items():
        yield _completions(source, problem, texts[problem], passed)


def _completions(source: Source, problem: str, texts: list[Any], passed: list[Any]) -> Completions:
    n = len(passed)
    if len(texts) != n:
        raise source.error(f"problem {shown(problem)} has {len(texts)} texts and {n} verdicts")
    for index, (text, verdict) in enumerate(zip(texts, passed, strict=True)):
        if type(text) is not str or not (verdict is None or type(verdict) is bool):
            raise source.error(
                f"problem {shown(problem)}, completion {index}: needs a string and true, false or null; "
                f"got {shown(text)} and {shown(verdict)}"
            )
    return Completions([problem] * n, list(range(n)), texts, passed, [None] * n, [None] * n, [None] * n)


def _parts(source: Source) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """The texts and the verdicts of the document, each by problem."""
    document = json_document(source)
    if not isinstance(document, dict):
        raise source.error("expected one JSON object")
    texts, verdicts = (_by_problem(source, document, key) for key in ("raw_generations", "raw_scored_generations"))
    return texts, verdicts


def _by_problem(source: Source, document: dict[str, object], key: str) -> dict[str, list[Any]]:
    part = document.get(key)
    if not isinstance(part, dict) or not all(isinstance(completions, list) for completions in part.values()):
        raise source.error(f"{key} must be an object with a list for each problem")
    return part
