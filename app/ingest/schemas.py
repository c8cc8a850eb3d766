"""What the routes of evaluations take and answer."""

from datetime import datetime
from typing import (
    Annotated,
    Any,
    Final,
    NotRequired,  # pydantic needs this TypedDict before Python 3.12
    Self,
)
from uuid import UUID

from pydantic import BaseModel, ConfigDict, FailFast, Field, WithJsonSchema, model_validator, with_config
from typing_extensions import TypedDict

from app.ingest import examples
from app.ingest.canonical import JsonObject, Text
from app.ingest.verdicts import (
    STRICT,
    NewVerification,
    ProblemName,
    SampleIndex,
    Status,
    Verdict,
    VersionedName,
    of_form,
)
from app.paging import PageQuery

MOST_ROWS = 10_000
MOST_VERDICTS = 100  # on one completion in one request
MOST_VERDICTS_OF_A_REQUEST = 50_000  # what they take in time and memory is that of as many rows

Int4 = Annotated[int, Field(ge=0, le=2**31 - 1)]
Int8 = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
NAME: Final = r"[A-Za-z0-9._:@-]{1,200}"
Name = Annotated[str, of_form(NAME, ". _ : @ -"), WithJsonSchema({"type": "string", "pattern": f"^{NAME}$"})]


class NewEvaluation(BaseModel):
    """One checkpoint on one problem set with one sampling configuration."""

    model_config = ConfigDict(**STRICT, json_schema_extra={"examples": [examples.NEW_EVALUATION]})

    run: Annotated[Name, Field(description="The model trained or evaluated; made when there is none of this name")]
    step: Annotated[int, Field(ge=0, le=2**63 - 1, description="The training step; 0 for a model that is not trained")]
    problem_set: Annotated[
        VersionedName,
        Field(description="`name@version`; a bare name is its only version. Made, open, when there is none"),
    ]
    sampling: Annotated[
        JsonObject, Field(description="How completions are drawn; part of the identity. 1 and 1.0 are the same")
    ] = {}
    model: Annotated[
        Text | None, Field(min_length=1, max_length=500, description="What the weights are called elsewhere")
    ] = None
    n: Annotated[
        Int4 | None, Field(ge=1, description="Completions per problem, fixed beforehand; null declares none")
    ] = None
    iid: Annotated[
        bool, Field(description="Whether the completions are drawn independently of each other (tree search: not)")
    ] = True


class EvaluationResponse(BaseModel):
    """An evaluation as it is stored."""

    id: UUID
    run: str
    step: int
    problem_set: str = Field(description="With its version", examples=["cruxeval-output@1"])
    sampling: dict[str, Any]
    model: str | None
    n: int | None = Field(description="Completions per problem, declared beforehand")
    iid: bool
    counts_only: bool = Field(description="Only counts were imported: there are no completions")
    created_at: datetime


class VerifierTotals(BaseModel):
    """What one verifier has said of all completions of an evaluation."""

    verifier: str = Field(description="With its version", examples=["exact-match@1"])
    options: dict[str, Any] = Field(description="What jobs told it beside its defaults", examples=[{}])
    n: int = Field(description="Completions that passed or did not", examples=[8000])
    c: int = Field(description="Of them passed", examples=[2737])
    rewards: int = Field(description="Completions with a reward", examples=[8000])
    infrastructure_errors: int = Field(description="Completions of which nothing is known", examples=[0])


class EvaluationSummary(EvaluationResponse):
    """An evaluation with what has been recorded for it."""

    problems: int = Field(description="Problems with a completion", examples=[800])
    completions: int = Field(examples=[8000])
    verifiers: list[VerifierTotals]


@with_config(STRICT)
class NewCompletion(TypedDict):
    """One sampled answer, and what verifiers say of it."""

    problem: ProblemName
    sample_index: SampleIndex
    text: NotRequired[Text | None]
    finish_reason: NotRequired[Annotated[Text | None, Field(max_length=200, examples=["stop", "length"])]]
    prompt_tokens: NotRequired[Int4 | None]
    completion_tokens: NotRequired[Int4 | None]
    logprob: NotRequired[Annotated[float | None, Field(description="The sum over the completion's tokens, in nats")]]
    seed: NotRequired[Int8 | None]
    # One error is enough to name: millions could stand in a body of 25 MiB.
    verifications: NotRequired[Annotated[list[Verdict], Field(max_length=MOST_VERDICTS), FailFast()]]


@with_config(STRICT | {"json_schema_extra": {"examples": [examples.NEW_COMPLETIONS]}})
class NewCompletions(TypedDict):
    """At most 10,000 completions: all are stored, or none."""

    completions: Annotated[list[NewCompletion], Field(max_length=MOST_ROWS)]


class CompletionsRecorded(BaseModel):
    """What became of the completions of one request."""

    accepted: int = Field(description="Stored by this request", examples=[2])
    replayed: int = Field(description="Stored before, and the same", examples=[0])


@with_config(STRICT | {"json_schema_extra": {"examples": [examples.NEW_VERIFICATIONS]}})
class NewVerifications(TypedDict):
    """At most 10,000 verdicts: all are stored, or none."""

    verifications: Annotated[list[NewVerification], Field(max_length=MOST_ROWS)]


class VerificationsRecorded(BaseModel):
    """What became of the verdicts of one request."""

    added: int = Field(description="The first of this verifier on this completion", examples=[2])
    replaced: int = Field(description="In place of another, which is kept as history", examples=[0])
    unchanged: int = Field(description="Stored before, and the same", examples=[0])


class NewCount(BaseModel):
    """How many completions of a problem were judged, and how many of them passed."""

    model_config = STRICT

    problem: ProblemName
    n: Annotated[Int4, Field(ge=1, description="Completions judged")]
    c: Annotated[Int4, Field(description="Of them passed, at most n")]
    verifier: Annotated[VersionedName, Field(description="`name@version`; a bare name is version 1")] = "counts"

    @model_validator(mode="after")
    def _c_within_n(self) -> Self:
        if self.c > self.n:
            raise ValueError("c must be in 0..n")
        return self


@with_config(STRICT | {"json_schema_extra": {"examples": [examples.NEW_COUNTS]}})
class NewCounts(TypedDict):
    """The counts of at most 10,000 problems: all are stored, or none."""

    counts: Annotated[list[NewCount], Field(max_length=MOST_ROWS)]


class CountsRecorded(BaseModel):
    """What became of the counts of one request."""

    accepted: int = Field(description="Stored by this request", examples=[2])
    replayed: int = Field(description="Stored before, and the same", examples=[0])


class CompletionsQuery(PageQuery):
    """Which completions of an evaluation."""

    problem: ProblemName | None = None


class VerificationResponse(BaseModel):
    """A verdict as it is stored."""

    verifier: str = Field(description="With its version", examples=["exact-match@1"])
    reward: float | None
    passed: bool | None
    status: Status
    answer: str | None
    detail: dict[str, Any] | None


class CompletionResponse(BaseModel):
    """A completion as it is stored, with the verdicts on it."""

    problem: str
    sample_index: int
    text: str | None
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    logprob: float | None = Field(description="The sum over the completion's tokens, in nats")
    seed: int | None
    created_at: datetime
    verifications: list[VerificationResponse]


class CompletionsResponse(BaseModel):
    """A page of completions."""

    completions: list[CompletionResponse]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null at the end")
