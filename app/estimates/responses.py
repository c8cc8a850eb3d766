"""What the read side answers."""

from math import isnan
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from app.estimates.curves import EvaluationCurve
from app.estimates.schemas import Metric, Missing
from pkpo.curves import CurvePoint, PassAtKCurve


class Point(BaseModel):
    """The metric at one k."""

    k: int
    value: float = Field(description="The mean over problems of each one's unbiased estimate")
    standard_error: float | None = Field(description="Problems taken as a sample; null where there is only one")
    low: float | None
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

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "metric": "pass_at_k",
                "estimator": "1 - C(n-c, k) / C(n, k)",
                "points": [
                    {"k": 1, "value": 0.342125, "standard_error": 0.0152, "low": 0.3123, "high": 0.372},
                    {"k": 10, "value": 0.41875, "standard_error": 0.0175, "low": 0.3845, "high": 0.453},
                ],
                "interval": {"method": "t", "level": 0.95},
                "problems_used": 800,
                "problems_total": 800,
                "n_min": 10,
                "n_max": 10,
                "missing": "error",
                "unbiased": True,
                "verifier": "exact-match@1",
            }
        }
    )

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
        description="True for independent completions with n fixed beforehand: every problem of the set has just n"
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
