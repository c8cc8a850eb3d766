"""What the routes of problem sets take and answer."""

from datetime import datetime
from typing import (
    Annotated,
    Any,
    NotRequired,  # pydantic needs this TypedDict before Python 3.12
)

from pydantic import BaseModel, Field, with_config
from typing_extensions import TypedDict

from app.ingest.canonical import JsonObject, JsonValue, Text
from app.ingest.schemas import MOST_ROWS
from app.ingest.verdicts import STRICT, ProblemName
from app.problem_sets import examples


@with_config(STRICT | {"json_schema_extra": {"examples": [{"closed": False}]}})
class ProblemSetChanges(TypedDict, total=False):
    """What is left out stays as it is; a new set is open."""

    closed: Annotated[bool, Field(description="A closed set takes no further problems")]


class ProblemSetResponse(BaseModel):
    """A problem set as it is stored."""

    problem_set: str = Field(description="With its version", examples=["cruxeval-output@1"])
    closed: bool
    problems: int = Field(description="How many it has")
    created_at: datetime


class ProblemSetsResponse(BaseModel):
    """A page of the project's problem sets."""

    problem_sets: list[ProblemSetResponse] = Field(description="By name and version")
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null at the end")


@with_config(STRICT)
class NewProblem(TypedDict):
    """One prompt with its reference answer or tests."""

    problem: ProblemName
    prompt: NotRequired[Text | None]
    answer: NotRequired[Text | None]
    tests: NotRequired[Annotated[JsonValue, Field(description="Any JSON, for the verifier")]]
    metadata: NotRequired[JsonObject | None]


@with_config(STRICT | {"json_schema_extra": {"examples": [examples.NEW_PROBLEMS]}})
class NewProblems(TypedDict):
    """At most 10,000 problems: all are stored, or none."""

    problems: Annotated[list[NewProblem], Field(max_length=MOST_ROWS)]


class ProblemsRecorded(BaseModel):
    """What became of the problems of one request."""

    accepted: int = Field(description="Stored by this request, or more is known of them now", examples=[2])
    replayed: int = Field(description="Nothing new", examples=[0])


class SetProblem(BaseModel):
    """A problem as it is stored."""

    problem: str
    prompt: str | None = Field(description="null where only the name is known")
    answer: str | None
    tests: Any
    metadata: dict[str, Any]


class SetProblemsResponse(BaseModel):
    """A page of the problems of a set."""

    problems: list[SetProblem] = Field(description="By name")
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null at the end")
