"""What the read side can be asked."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from app.estimates import examples
from app.ingest.verdicts import VersionedName
from app.paging import STRICT, PageQuery, WholeNumber, written

Metric = Literal["pass_at_k", "fail_at_k", "pass_hat_k", "max_at_k", "min_at_k"]
Missing = Literal["error", "drop", "fail"]
Archived = Literal["false", "true", "all"]
Sort = Literal[
    "problem", "-problem", "n", "-n", "missing", "-missing", "solve_rate", "-solve_rate", "mean_reward", "-mean_reward"
]
REWARD_METRICS: Final = ("max_at_k", "min_at_k")
LARGEST_K: Final = 2**31 - 1
MOST_KS: Final = 100
MOST_N: Final = 1_000_000


Decimal = written(r"-?[0-9]{1,17}(\.[0-9]{1,17})?([eE][-+]?[0-9]{1,3})?", float, "a number such as 0.95")
K = Annotated[int, WholeNumber, Field(ge=1, le=LARGEST_K)]
Level = Annotated[float, Decimal, Field(gt=0, lt=1)]


class CurveOptions(BaseModel):
    """Which curve."""

    model_config = STRICT

    metric: Metric = "pass_at_k"
    k: Annotated[
        list[K] | None,
        Field(
            max_length=MOST_KS, description="Attempts; by default the powers of two up to the smallest n, and that n"
        ),
    ] = None
    level: Annotated[Level, Field(description="Of the interval")] = 0.95


class CurveQuery(CurveOptions):
    """Which curve of an evaluation."""

    verifier: Annotated[
        VersionedName | None,
        Field(description="`name@version`, a bare name being version 1; by default the only one there is"),
    ] = None
    missing: Annotated[
        Missing,
        Field(
            description="What to do where completions, or their verdicts, are missing. `error`: 409. `drop`: problems "
            "with fewer than max(k) graded completions leave the whole curve. `fail`: what is missing counts as not "
            "passed"
        ),
    ] = "error"
    fail_reward: Annotated[
        Annotated[float, Decimal] | None,
        Field(
            description="With `missing=fail` and max_at_k or min_at_k: the reward that a missing completion counts as"
        ),
    ] = None


class ComparisonQuery(CurveQuery):
    """Which two evaluations, and how they are compared."""

    a: Annotated[UUID, Field(strict=False, description="The id of the evaluation that is compared to")]
    b: Annotated[UUID, Field(strict=False, description="The id of the evaluation that is compared: b − a")]


class RunsQuery(PageQuery):
    """Which runs."""

    archived: Annotated[
        Archived, Field(description="`false`: those that are not archived; `true`: those that are; `all`: both")
    ] = "false"


class MissingQuery(PageQuery):
    """Which completions."""

    n: Annotated[
        Annotated[int, WholeNumber] | None,
        Field(
            ge=1,
            le=MOST_N,
            description="Completions that each problem should have; by default those declared, else those of the "
            "problem that has most",
        ),
    ] = None
    verifier: Annotated[
        VersionedName | None, Field(description="Also the completions that this one has not graded, or could not")
    ] = None


class ProblemsQuery(PageQuery):
    """Which problems of an evaluation, in which order."""

    verifier: Annotated[
        VersionedName | None, Field(description="Whose verdicts count; by default the only one there is")
    ] = None
    sort: Annotated[Sort, Field(description="Descending after a `-`; what is not known comes last")] = "problem"
    filter: Annotated[
        str,
        Field(
            max_length=500,
            pattern=r"^[^\x00-\x1f\x7f-\x9f]*$",
            description="Part of the problem's name, in upper or lower case",
        ),
    ] = ""


class RunCurvesQuery(CurveQuery, PageQuery):
    """Which curves of a run."""

    problem_set: Annotated[
        VersionedName | None, Field(description="Only evaluations on this one; a bare name means its only version")
    ] = None


# The first that is wrong is enough: a list of millions would have as many errors.
Counts = Annotated[list[Annotated[int, Field(ge=0, le=MOST_N)]], Field(fail_fast=True)]


class EstimateFields(BaseModel):
    """What is to be estimated, but for the rewards, which are read in app.transforms.wire."""

    model_config = STRICT

    n: Annotated[Counts | None, Field(description="Completions of each problem")] = None
    c: Annotated[Counts | None, Field(description="Of them passed")] = None
    k: Annotated[
        list[Annotated[int, Field(ge=1, le=LARGEST_K)]] | None,
        Field(min_length=1, max_length=MOST_KS, description="Attempts; by default powers of two up to the smallest n"),
    ] = None
    metric: Annotated[Metric | None, Field(description="By default pass_at_k of counts, max_at_k of rewards")] = None
    level: Annotated[float, Field(gt=0, lt=1, description="Of the interval")] = 0.95


class EstimateRequest(EstimateFields):
    """Counts or rewards of problems, and what to estimate of them."""

    rewards: Annotated[
        list[list[float]] | None, Field(description="In place of n and c: those of each problem's completions")
    ] = None


ESTIMATE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": EstimateRequest.model_json_schema(),
                "examples": {"counts": {"value": examples.COUNTS}, "rewards": {"value": examples.REWARDS}},
            }
        },
    }
}
