"""What the demo's routes take and answer."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from app.demo.plan import PartName, Size, Study
from app.ingest.verdicts import STRICT
from app.jobs.schemas import JobResponse
from app.paging import WholeNumber

Seed = Annotated[int, Field(ge=0, lt=2**32)]


class NewDemo(BaseModel):
    """Which demo to begin."""

    model_config = ConfigDict(**STRICT)

    study: Study = "compare"
    size: Size = "full"
    seed: Seed = 0


class DemoQuery(BaseModel):
    """Which demo to tell of."""

    model_config = ConfigDict(extra="forbid")

    size: Size = "full"
    seed: Annotated[Seed, WholeNumber] = 0


class PartResponse(BaseModel):
    """A part of the demo: a run, and the job that trains it."""

    part: PartName
    run: str
    job: JobResponse | None = Field(description="null while it waits for another part")


class DemoResponse(BaseModel):
    """How far a demo is."""

    size: Size
    seed: int
    problem_set: str
    held_out: str
    problems_ready: bool
    parts: list[PartResponse]
    trouble: str | None = Field(description="Why it goes no further, a sentence")


NEW_DEMO: Final = TypeAdapter(NewDemo)
