"""What specs of every kind share."""

from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from app.ingest.verdicts import STRICT

SPEC: Final = ConfigDict(**STRICT)
# JSON has no UUIDs: a strict model would want one ready-made.
GivenId = Annotated[UUID, Field(strict=False)]
Version = Annotated[Literal[1], Field(description="Of this form of spec")]


class OfMember(ValueError):
    """A rule that members break together, told at the one that a reader would change: `app.body` points to it."""

    def __init__(self, member: str, sentence: str) -> None:
        super().__init__(sentence)
        self.member = member  # as a JSON pointer without its first stroke: `optimizer/schedule`
