"""What the read side answers."""

from dataclasses import asdict
from datetime import datetime
from math import isnan
from typing import Any, Self
from uuid import UUID

import orjson
from pydantic import BaseModel, Field

from app.errors import AppError
from app.estimates.comparisons import EvaluationComparison
from app.estimates.curves import EvaluationCurve
from app.estimates.missing import MissingCompletions
from app.estimates.posted import Estimates
from app.estimates.problems import ProblemRow, ProblemTable
from app.estimates.run_queries import RunSummary
from app.estimates.runs import EvaluationOutcome
from app.estimates.schemas import Metric, Missing
from pkpo.comparisons import Difference
from pkpo.curves import CurvePoint, PassAtKCurve

NEXT_CURSOR: Any = Field(description="Send it as `cursor` for the next page; null at the end")


class Point(BaseModel):
    """The metric at one k."""

    k: int
    value: float = Field(description="The mean over problems of each one's unbiased estimate")
    standard_error: float | None = Field(description="Problems taken as a sample; null where there is only one")
    low: float | None = Field(description="null as the error is, and beyond the range of float64")
    high: float | None

    @classmethod
    def of(cls, point: CurvePoint) -> Self:
        """The answer for a point, where nan has become null."""
        error, low, high = (None if isnan(each) else each for each in (point.standard_error, point.low, point.high))
        return cls(k=point.k, value=point.value, standard_error=error, low=low, high=high)


class Interval(BaseModel):
    """How low and high were found."""

    method: str = Field(description="`t`: Student's, with as many degrees of freedom as problems less one")
    level: float

    @classmethod
    def of(cls, curve: PassAtKCurve) -> Self | None:
        """The answer for a curve; None where one problem says nothing of the spread."""
        return cls(method=curve.method, level=curve.level) if curve.problems > 1 else None


class CurveResponse(BaseModel):
    """The curve of an evaluation. Every number carries its n, its interval and its problems."""

    metric: Metric
    estimator: str = Field(description="The formula per problem")
    points: list[Point] = Field(description="In ascending k, all over the same problems")
    interval: Interval | None = Field(description="null where one problem says nothing of the spread")
    problems_used: int
    problems_total: int = Field(description="Problems of the set")
    n_min: int = Field(description="Completions of the problem that has fewest, among those used")
    n_max: int
    missing: Missing = Field(description="How missing completions were treated")
    unbiased: bool = Field(
        description="True for independent completions with n fixed beforehand: every problem of the set has just the n "
        "that was declared, or, where none was, as many as any other"
    )
    verifier: str

    @classmethod
    def of(cls, drawn: EvaluationCurve) -> Self:
        """The answer for a curve."""
        curve = drawn.curve
        return cls(
            metric=drawn.query.metric,
            estimator=curve.estimator,
            points=[Point.of(each) for each in curve.points],
            interval=Interval.of(curve),
            problems_used=curve.problems,
            problems_total=drawn.problems_total,
            n_min=curve.n_min,
            n_max=curve.n_max,
            missing=drawn.query.missing,
            unbiased=drawn.unbiased,
            verifier=drawn.verifier,
        )


class DifferencePoint(BaseModel):
    """The difference of two evaluations at one k."""

    k: int
    difference: float = Field(description="The mean over problems of b − a")
    low: float | None = Field(description="null with one problem, and beyond the range of float64")
    high: float | None
    p_value: float = Field(description="Two-sided, of the sign-flip test: the share of signs that reach as far from 0")

    @classmethod
    def of(cls, point: Difference) -> Self:
        """The answer for a point, where nan has become null."""
        low, high = (None if isnan(each) else each for each in (point.low, point.high))
        return cls(k=point.k, difference=point.difference, low=low, high=high, p_value=point.p_value)


class SignTest(BaseModel):
    """How the p-values were found."""

    method: str = Field(description="`sign flips, all` of them, or how many were drawn")
    seed: int | None = Field(description="Of the signs that were drawn; null where all were tried")


class ComparisonResponse(BaseModel):
    """What changed from evaluation a to evaluation b, over the same problems."""

    metric: Metric
    points: list[DifferencePoint] = Field(description="In ascending k")
    interval: Interval | None = Field(description="Of the mean difference; null where one problem says nothing")
    test: SignTest
    newly_solved: list[str] | None = Field(
        description="Problems never passed in a and at least once in b; null where the metric is of rewards"
    )
    forgotten: list[str] | None = Field(description="Problems passed at least once in a and never in b")
    problems_used: int
    problems_total: int = Field(description="Problems of the set")
    missing: Missing = Field(description="How missing completions were treated")
    unbiased: bool = Field(description="True where the curves of both are")
    verifier: str

    @classmethod
    def of(cls, compared: EvaluationComparison) -> Self:
        """The answer for a comparison."""
        found = compared.found
        return cls(
            metric=compared.query.metric,
            points=[DifferencePoint.of(each) for each in found.points],
            interval=Interval(method=found.method, level=found.level) if found.problems_used > 1 else None,
            test=SignTest(method=found.test, seed=found.seed),
            newly_solved=None if compared.newly_solved is None else list(compared.newly_solved),
            forgotten=None if compared.forgotten is None else list(compared.forgotten),
            problems_used=found.problems_used,
            problems_total=compared.problems_total,
            missing=compared.query.missing,
            unbiased=compared.unbiased,
            verifier=compared.verifier,
        )


class RunResponse(BaseModel):
    """A run: a model being trained or evaluated, a series of checkpoints."""

    run: str
    created_at: datetime
    archived_at: datetime | None
    tags: list[str]
    notes: str
    latest_step: int | None = Field(description="Of its last checkpoint; null where there is none")
    checkpoints: int
    evaluations: int

    @classmethod
    def of(cls, run: RunSummary) -> Self:
        """The answer for a run."""
        return cls(
            run=run.run,
            created_at=run.created_at,
            archived_at=run.archived_at,
            tags=list(run.tags),
            notes=run.notes,
            latest_step=run.latest_step,
            checkpoints=run.checkpoints,
            evaluations=run.evaluations,
        )


class RunsResponse(BaseModel):
    """Runs, newest first."""

    runs: list[RunResponse]
    next_cursor: str | None = NEXT_CURSOR


class Refusal(BaseModel):
    """Why there is no curve: what the curve's own route answers."""

    type: str
    detail: str


class CheckpointCurve(BaseModel):
    """The curve of one evaluation of a run's checkpoint, or why it has none."""

    step: int
    evaluation: UUID
    problem_set: str
    points: list[Point] = Field(description="Empty where the curve is refused")
    problems_used: int | None
    problems_total: int | None
    n_min: int | None
    n_max: int | None
    unbiased: bool | None
    verifier: str | None
    refused: Refusal | None

    @classmethod
    def of(cls, drawn: EvaluationOutcome) -> Self:
        """The answer for an evaluation."""
        outcome, found = drawn.outcome, drawn.found
        curve = None if isinstance(outcome, AppError) else CurveResponse.of(outcome)
        return cls(
            step=found.step,
            evaluation=found.evaluation.uuid,
            problem_set=found.problem_set,
            points=curve.points if curve else [],
            problems_used=curve and curve.problems_used,
            problems_total=curve and curve.problems_total,
            n_min=curve and curve.n_min,
            n_max=curve and curve.n_max,
            unbiased=curve and curve.unbiased,
            verifier=curve and curve.verifier,
            refused=Refusal(type=outcome.type, detail=str(outcome)) if isinstance(outcome, AppError) else None,
        )


class RunCurvesResponse(BaseModel):
    """The evaluations of a run by step, each with its curve."""

    metric: Metric
    checkpoints: list[CheckpointCurve]
    next_cursor: str | None = NEXT_CURSOR


class MissingOfProblemResponse(BaseModel):
    """What one problem lacks."""

    problem: str
    sample_indexes: list[int] = Field(description="Ascending, from 0")


class MissingResponse(BaseModel):
    """What an evaluation lacks of n completions for each problem of its set."""

    n: int
    total: int = Field(description="Completions that are missing, on all pages")
    missing: list[MissingOfProblemResponse] = Field(description="Problems that lack any, in the order of the set")
    next_cursor: str | None = NEXT_CURSOR

    @classmethod
    def of(cls, found: MissingCompletions) -> Self:
        """The answer."""
        return cls(
            n=found.n,
            total=found.total,
            missing=[
                MissingOfProblemResponse(problem=each.problem, sample_indexes=list(each.sample_indexes))
                for each in found.page.items
            ],
            next_cursor=found.page.next_cursor,
        )


class ProblemResponse(BaseModel):
    """One problem of an evaluation under one verifier."""

    problem: str
    completions: int
    n: int = Field(description="Completions with a result")
    c: int | None = Field(description="Of them passed; null where some have a reward only")
    mean_reward: float | None = Field(description="null without a reward")
    missing: int = Field(description="Completions that do not exist or have no result")

    @classmethod
    def of(cls, row: ProblemRow) -> Self:
        """The answer for a row."""
        return cls(
            problem=row.problem,
            completions=row.completions,
            n=row.n,
            c=row.c,
            mean_reward=None if isnan(row.mean_reward) else row.mean_reward,
            missing=row.missing,
        )


class ProblemsResponse(BaseModel):
    """The problems of an evaluation."""

    verifier: str | None = Field(description="null where none has graded anything")
    matching: int = Field(description="Problems whose name contains the filter, on all pages")
    problems: list[ProblemResponse]
    next_cursor: str | None = NEXT_CURSOR

    @classmethod
    def of(cls, table: ProblemTable, verifier: str | None) -> Self:
        """The answer for a table."""
        return cls(
            verifier=verifier,
            matching=table.matching,
            problems=[ProblemResponse.of(each) for each in table.page.items],
            next_cursor=table.page.next_cursor,
        )


class EstimatedPoint(Point):
    """The metric at one k, and each problem's estimate."""

    per_problem: list[float] = Field(description="In the order of the request")


class EstimatesResponse(BaseModel):
    """Estimates from the numbers of the request."""

    metric: Metric
    estimator: str = Field(description="The formula per problem")
    points: list[EstimatedPoint] = Field(description="In ascending k, all over the same problems")
    interval: Interval | None = Field(description="null where one problem says nothing of the spread")
    problems_used: int
    n_min: int = Field(description="Completions of the problem that has fewest")
    n_max: int

    @staticmethod
    def json_of(found: Estimates) -> bytes:
        """The answer, written without a Python object for each of what may be millions of numbers."""
        curve = found.curve
        answer = {
            "metric": curve.metric,
            "estimator": curve.estimator,
            "points": [
                {**asdict(point), "per_problem": each}
                for point, each in zip(curve.points, found.per_problem, strict=True)
            ],
            "interval": {"method": curve.method, "level": curve.level} if curve.problems > 1 else None,
            "problems_used": curve.problems,
            "n_min": curve.n_min,
            "n_max": curve.n_max,
        }
        return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)  # nan is written null
