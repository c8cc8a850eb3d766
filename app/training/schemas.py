"""What a training loop logs, and what it is answered."""

import math
import sys
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema, model_validator

from app.ingest.schemas import Int4
from app.ingest.verdicts import ProblemName
from app.models import Metric, TrainingGroup
from app.paging import PageQuery, WholeNumber, written
from app.training import examples
from app.training.fields import Attempts, Completions, Segment, Step, weights_of

STRICT = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
MOST_ROWS: Final = 10_000
LongNumber = written(r"[0-9]{1,19}", int, "a whole number, written in digits")
NOT_FINITE: Final = ("NaN", "Infinity", "-Infinity")

MetricName = Annotated[
    str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$", examples=["train/loss"])
]
Numbers = Annotated[list[float | None], Field(fail_fast=True)]


class NewGroup(BaseModel):
    """The rewards of one problem at one step, and the credits that a loop made of them."""

    model_config = STRICT

    step: Step
    segment: Segment = None
    group_index: Annotated[
        Int4 | None,
        Field(
            description="Its place in the step, for loops that log a step in several requests; by default its place "
            "among the groups of that step in this request"
        ),
    ] = None
    problem: ProblemName
    rewards: Annotated[Numbers, Field(description="null = missing")]
    credits: Annotated[Numbers, Field(description="As many as there are rewards")]
    completions: Annotated[Completions | None, Field(description="Their texts, as many as there are rewards")] = None
    k: Attempts
    transform: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9._:@()+-]{1,200}$",
            description="What made the credits: a transform, as `mixed(0.25)`, or a baseline of the loop's own",
        ),
    ]
    scale: Literal["sum", "mean", "rms"] = "sum"

    @model_validator(mode="after")
    def _as_many_of_each(self) -> Self:
        for name, given in (("credits", self.credits), ("completions", self.completions)):
            if given is not None and len(given) != len(self.rewards):
                raise ValueError(f"{len(self.rewards)} rewards need as many {name}; got {len(given)}")
        return self

    @property
    def weights(self) -> dict[int, float]:
        """The weight of each k; 1 for a k alone."""
        return weights_of(self.k)


class NewGroups(BaseModel):
    """At most 10,000 groups: all are stored, or none."""

    model_config = STRICT | {"json_schema_extra": {"examples": [examples.NEW_GROUPS]}}

    groups: Annotated[list[NewGroup], Field(max_length=MOST_ROWS)]


def _metric_value(value: object) -> float:
    if value is None:
        return math.nan
    if isinstance(value, str) and value in NOT_FINITE:
        return float(value)
    if type(value) in (int, float) and abs(value) <= sys.float_info.max:  # type: ignore[arg-type]  # a number, says the line
        return float(value)  # type: ignore[arg-type]
    raise ValueError('a value is a finite number, or one of "NaN", "Infinity", "-Infinity"; null is NaN')


class NewMetric(BaseModel):
    """A number that a loop logs at a step."""

    model_config = STRICT

    step: Step
    segment: Segment = None
    name: MetricName
    value: Annotated[
        float,
        PlainValidator(_metric_value),
        WithJsonSchema({"anyOf": [{"type": "number"}, {"enum": [*NOT_FINITE]}, {"type": "null"}]}),
        Field(description="JSON has no NaN: write it as the string, or as null"),
    ]


class NewMetrics(BaseModel):
    """At most 10,000 metrics: all are stored, or none."""

    model_config = STRICT | {"json_schema_extra": {"examples": [examples.NEW_METRICS]}}

    metrics: Annotated[list[NewMetric], Field(max_length=MOST_ROWS)]


class Logged(BaseModel):
    """What became of the rows of one request."""

    accepted: int = Field(description="Stored by this request", examples=[2])
    replayed: int = Field(description="Stored before, and the same", examples=[0])
    segment: int | None = Field(
        description="That of the rows that name none: the run's latest, or the one opened for them; null where there "
        "are no such rows",
        examples=[0],
    )


class LogQuery(PageQuery):
    """Which part of what a run has logged."""

    segment: Annotated[int | None, WholeNumber, Field(ge=0, le=2**31 - 1, description="Only of this segment")] = None
    step: Annotated[int | None, LongNumber, Field(ge=0, le=2**63 - 1, description="Only of this step")] = None


class GroupsQuery(LogQuery):
    """Which groups."""


class MetricsQuery(LogQuery):
    """Which metrics."""

    name: Annotated[MetricName | None, Field(description="Only of this name")] = None


class StoredGroup(BaseModel):
    """A group as it is stored."""

    segment: int
    step: int
    group_index: int
    problem: str
    rewards: list[float | None] = Field(description="null = missing")
    credits: list[float | None]
    completions: list[str] | None = Field(description="Their texts; null where they were not sent")
    k: int | dict[str, float] = Field(description="Attempts, or the weight of each of several")
    transform: str
    scale: str
    created_at: datetime

    @classmethod
    def of(cls, row: TrainingGroup) -> Self:
        """The answer for a row."""
        weights = {int(k): float(weight) for k, weight in row.k.items()}
        alone = next(iter(weights)) if list(weights.values()) == [1.0] else None
        return cls(
            segment=row.segment,
            step=row.step,
            group_index=row.group_index,
            problem=row.problem,
            rewards=row.rewards,
            credits=row.credits,
            completions=row.completions,
            k=alone or {str(k): weights[k] for k in sorted(weights)},
            transform=row.transform,
            scale=row.scale,
            created_at=row.created_at,
        )


class GroupsResponse(BaseModel):
    """A page of the groups of a run."""

    groups: list[StoredGroup] = Field(description="By segment, step and `group_index`")
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null at the end")


class StoredMetric(BaseModel):
    """A metric as it is stored."""

    segment: int
    step: int
    name: str
    value: float | Literal["NaN", "Infinity", "-Infinity"] = Field(description="As a word where JSON has no number")
    created_at: datetime

    @classmethod
    def of(cls, row: Metric) -> Self:
        """The answer for a row."""
        words = {math.inf: "Infinity", -math.inf: "-Infinity"}
        value: Any = "NaN" if math.isnan(row.value) else words.get(row.value, row.value)
        return cls(segment=row.segment, step=row.step, name=row.name, value=value, created_at=row.created_at)


class MetricsResponse(BaseModel):
    """A page of the metrics of a run."""

    metrics: list[StoredMetric] = Field(description="By segment, name and step")
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null at the end")
