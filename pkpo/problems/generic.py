"""Records of no particular source, in which a person may say which field holds what."""

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from pkpo.problems.naming import digest_name
from pkpo.problems.problem import Problem, Record
from pkpo.readers.rows import shown

NAME = "fields"
DESCRIPTION = "records with the fields of a problem"
FIELDS: Final = ("problem", "prompt", "answer", "tests", "metadata")


def recognises(record: Record) -> bool:
    """Whether the record has the fields of a problem under their own names."""
    return isinstance(record.fields.get("prompt"), str)


def problems(record: Record, named: Mapping[str, str] = MappingProxyType({})) -> Iterator[Problem]:
    """The problem, each of FIELDS from where `named` says it is, else under its own name.

    Only the prompt must be there, and what is named. Without a name it is called by a digest of its prompt.
    """
    path = {field: named.get(field, field) for field in FIELDS}
    for field in named:
        if record.value(path[field]) is None:
            there = ", ".join(map(shown, record.fields)) or "none"
            raise record.error(f"no field {shown(path[field])} for --{field}; there are {there}")
    prompt = record.text(path["prompt"])
    name = _text(record, path["problem"])
    if name is not None and not name.strip():
        raise record.error(f"the field {shown(path['problem'])} is blank, and a problem needs a name")
    metadata = record.value(path["metadata"])
    if metadata is not None and not isinstance(metadata, Mapping):
        raise record.error(f"the field {shown(path['metadata'])} must be an object, and is {shown(metadata)}")
    yield Problem(
        digest_name("problem", prompt) if name is None else name,
        prompt,
        answer=_text(record, path["answer"]),
        tests=record.value(path["tests"]),
        metadata=metadata or {},
    )


def _text(record: Record, path: str) -> str | None:
    """The text under a name, a number as JSON writes it."""
    value: Any = record.value(path)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return json.dumps(value)
    raise record.error(f"the field {shown(path)} must be text or a number, and is {shown(value)}")
