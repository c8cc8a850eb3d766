"""What POST /v1/transforms takes and gives. The rewards themselves are read in app.transforms.wire."""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, WithJsonSchema

from app.body import documented
from app.ingest.schemas import Name
from app.ingest.verdicts import ProblemName
from app.training.fields import Attempts, Completions, Segment, Step, weights_of
from app.transforms.wire import MOST_REWARDS
from pkpo.names import NAMES, parsed


def _named(name: str) -> str:
    """The name as it is; ValueError where it is none that is taken here."""
    # An L-statistic takes n k steps to prepare: no request may ask for that.
    if parsed(name).transform not in (*NAMES, "mixed"):
        raise ValueError(f"transform must be one of {', '.join(NAMES)}, or mixed(lam); {name} is for Python alone")
    return name


TransformName = Annotated[
    str,
    Field(max_length=100),
    AfterValidator(_named),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(NAMES)},
                {"type": "string", "pattern": r"^mixed\([-+]?[0-9]{1,15}(\.[0-9]{1,20})?(e[-+]?[0-9]{1,2})?\)$"},
            ],
            "description": "`mixed(0.25)` is `mixed` with λ = 0.25, any finite number",
            "examples": ["sloo_minus_one", "mixed(0.25)"],
        }
    ),
]


class TransformOptions(BaseModel):
    """Which transform, and at which k."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    k: Attempts = Field(
        description="Attempts that the objective allows; or a weight for each of several, for the gradient of their "
        "weighted sum"
    )
    transform: TransformName = "sloo_minus_one"
    scale: Literal["sum", "mean", "rms"] = Field(
        default="sum",
        description="`sum`: the paper's weights, for a loss that sums over a group; `mean`: times n, for a loss that "
        "averages; `rms`: one positive factor for the whole batch makes the credits' root mean square 1",
    )
    short: Literal["error", "zero"] = Field(
        default="error",
        description="What becomes of a group with fewer rewards than the transform needs at this k: the request is "
        "refused, or the group's credits are 0",
    )

    @property
    def weights(self) -> dict[int, float]:
        """The weight of each k; 1 for a k alone."""
        return weights_of(self.k)


MOST_GROUPS: Final = 10_000  # in a request that stores them


class Record(BaseModel):
    """Where groups are stored, and what they are of."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    run: Annotated[Name, Field(description="Made when there is none of this name")]
    step: Step
    segment: Segment = None
    problems: Annotated[
        list[ProblemName], Field(max_length=MOST_GROUPS, description="That of each group", fail_fast=True)
    ]
    completions: Annotated[
        list[Completions] | None,
        Field(max_length=MOST_GROUPS, description="The texts of each group, as many as it has rewards", fail_fast=True),
    ] = None


class Recorded(BaseModel):
    """What became of the groups that were to be stored."""

    segment: int
    accepted: int = Field(description="Groups stored by this request")
    replayed: int = Field(description="Groups stored before, and the same")


class TransformRequest(TransformOptions):
    """Groups of rewards, and what they are to become."""

    rewards: list[list[float | None]] = Field(
        description=f"One list for each group, of any length; null = missing. At most {MOST_REWARDS} rewards. "
        "true and false are 1 and 0."
    )
    record: Record | None = Field(
        default=None, description="Store the groups and their credits too; needs the scope `write`"
    )


class TransformResponse(BaseModel):
    """Credits in the order of the rewards."""

    credits: list[list[float | None]] = Field(description="null where the reward is")
    max_at_k: list[float | None] = Field(
        description="Unbiased max_g@k of each group, or the weighted sum of it; null where a group has fewer than k"
    )
    transform: TransformName
    k: int | dict[str, float]
    scale: Literal["sum", "mean", "rms"]
    recorded: Recorded | None = Field(default=None, description="With `record` only")


ARRAY: dict[str, Any] = {"type": "string", "contentMediaType": "application/x-npy"}
IN_QUERY = "With a body in npy: `k=8`, or the weight of each of several as `k=1:0.5&k=8:0.5`"
REQUEST_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": documented(TypeAdapter(TransformRequest))["requestBody"]["content"]["application/json"][
                    "schema"
                ],
                "examples": {
                    "one k": {
                        "value": {"rewards": [[1.0, 0.0, 0.5, 0.0], [0.25, None, 1.0]], "k": 2},
                    },
                    "several k": {
                        "value": {
                            "rewards": [[1, 0, 1, 0]],
                            "k": {"1": 0.5, "4": 0.5},
                            "transform": "sloo_minus_one",
                            "scale": "mean",
                        },
                    },
                    "stored": {
                        "value": {
                            "rewards": [[1, 0, 0, 1], [0, None, 1, 0]],
                            "k": 2,
                            "record": {"run": "qwen-gsm8k", "step": 120, "problems": ["gsm8k-17", "gsm8k-230"]},
                        },
                    },
                },
            },
            "application/x-npy": {"schema": ARRAY},
        },
    },
    # Each is a member of the JSON, and a parameter where the body is an array.
    "parameters": [
        {"name": "k", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}, "description": IN_QUERY},
        *(
            {"name": name, "in": "query", "schema": TransformOptions.model_json_schema()["properties"][name]}
            for name in ("transform", "scale", "short")
        ),
    ],
}
# The first request's answer.
ANSWER: dict[str, Any] = {
    "credits": [[0.41666666666666663, 0.0, 0.16666666666666666, 0.0], [0.0, None, 0.75]],
    "max_at_k": [0.6666666666666666, 1.0],
    "transform": "sloo_minus_one",
    "k": 2,
    "scale": "sum",
}
ANSWERS: dict[str, Any] = {"application/json": {"example": ANSWER}, "application/x-npy": {"schema": ARRAY}}
