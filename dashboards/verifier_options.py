"""What a verifier was told beside its defaults, in words under its name: the name has only eight digits of it."""

import json
from collections.abc import Mapping
from typing import Final

MOST_CHARACTERS: Final = 240


def in_words(options: Mapping[str, object]) -> str:
    """The options in a line, as `extract boxed, hashes; ignore_case true`; of a sum its terms."""
    words = _words(options)
    return words if len(words) <= MOST_CHARACTERS else f"{words[: MOST_CHARACTERS - 1]}…"


def _words(options: Mapping[str, object]) -> str:
    return "; ".join(f"{name} {_value(value)}" for name, value in options.items())


def _value(value: object) -> str:
    match value:
        case str():
            return value
        case [{"verifier": _, "weight": _}, *_]:
            return " + ".join(map(_term, value))
        case [*parts] if parts and all(isinstance(part, str) for part in parts):
            return ", ".join(map(str, parts))
        case _:
            return json.dumps(value, ensure_ascii=False)


def _term(term: object) -> str:
    match term:
        case {"verifier": str(name), "weight": int() | float() as weight, "options": Mapping() as options}:
            told = f" ({_words(options)})" if options else ""
            return f"{name}{told}" if weight == 1 else f"{weight:g} × {name}{told}"
        case _:
            return json.dumps(term, ensure_ascii=False)
