"""What is wrong with options that somebody sends, without what was sent."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

Fault = tuple[tuple[int | str, ...], str]  # where, and what


def faults(kind: type[BaseModel], options: Mapping[str, Any]) -> list[Fault]:
    """Every option that the kind does not have, and every value that it does not take."""
    from app.errors import in_words_of_json  # not at import: verifiers read options where there is no database driver

    try:
        kind.model_validate(dict(options))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        known = ", ".join(kind.model_fields)
        return [
            (each["loc"][:-1], f"no such option; there are {known}")  # its name would be an echo
            if each["type"] == "extra_forbidden"
            else (each["loc"], in_words_of_json(each["type"], each["msg"].removeprefix("Value error, ")))
            for each in found
        ]
    return []
