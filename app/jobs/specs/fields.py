"""What specs of every kind share."""

from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from app.ingest.verdicts import STRICT

SPEC: Final = ConfigDict(**STRICT)
# JSON has no UUIDs: a strict model would want one ready-made.
GivenId = Annotated[UUID, Field(strict=False)]
Version = Annotated[Literal[1], Field(description="Of this form of spec")]
