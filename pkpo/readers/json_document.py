"""Results that are one JSON document, read at once."""

import json
from collections.abc import Sequence

from pkpo.readers.rows import shown
from pkpo.readers.source import Source


def json_document(source: Source) -> object:
    """The document; ReadError when it is none, or has a name twice in one object."""
    try:
        # An end that comes too early is on the last line that has something.
        return json.loads(source.text().rstrip(" \t\r\n"), object_pairs_hook=_unique)
    except json.JSONDecodeError as cause:
        raise source.error(f"not JSON: {cause.msg} (column {cause.colno})", cause.lineno) from cause
    except RecursionError:
        raise source.error("nested too deeply") from None
    except ValueError as cause:
        raise source.error(str(cause)) from cause


def _unique(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """The object of these pairs; without this, json keeps the last of two problems of one name and says nothing."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{shown(next(name for name in names if names.count(name) > 1))} stands twice in one object")
    return found
