"""What can be changed of a run."""

from typing import Annotated, Any, Final

from pydantic import Field, with_config
from typing_extensions import TypedDict

from app.ingest.canonical import Text
from app.ingest.verdicts import STRICT

CHANGES: Final[dict[str, Any]] = {"tags": ["baseline", "pass@4"], "notes": "Diverged at step 900.", "archived": True}

Tag = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]


@with_config(STRICT | {"json_schema_extra": {"examples": [CHANGES, {"archived": False}]}})
class RunChanges(TypedDict, total=False):
    """What is left out stays as it is."""

    tags: Annotated[
        list[Tag], Field(max_length=100, fail_fast=True, description="In place of those there are, each once")
    ]
    notes: Annotated[Text, Field(max_length=100_000)]
    archived: Annotated[bool, Field(description="Whether `archived_at` is a time; archived again keeps the first")]
