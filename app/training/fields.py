"""What a group that is logged says of itself, whoever makes its credits."""

import re
import sys
from typing import Annotated, Final

from pydantic import Field, PlainValidator, WithJsonSchema

from app.ingest.canonical import Text
from app.ingest.schemas import Int4

MOST_ATTEMPTS: Final = 4_194_304  # each needs a reward, and so many are in a request at most
K_RULE = f"an integer from 1 to {MOST_ATTEMPTS}"
# Reading millions would take seconds, and no request can have work for so many: each k needs as many rewards.
MOST_WEIGHTS = 4096


def _attempts(value: object) -> int | dict[int, float]:
    """k, or the weight of each of several."""
    if isinstance(value, dict):
        return _weights(value)
    if type(value) is not int or not 1 <= value <= MOST_ATTEMPTS:
        raise ValueError(f'k is {K_RULE}, or weights such as {{"1": 0.5, "8": 0.5}}')
    return value


def _weights(value: dict[str, object]) -> dict[int, float]:
    if not value:
        raise ValueError("weights need at least one k")
    if len(value) > MOST_WEIGHTS:
        raise ValueError(f"weights take at most {MOST_WEIGHTS} k")
    weights: dict[int, float] = {}
    for k, weight in value.items():
        if not re.fullmatch("[1-9][0-9]{0,6}", k) or int(k) > MOST_ATTEMPTS:
            raise ValueError(f"each name among the weights is a k, {K_RULE}")
        if type(weight) not in (int, float) or not abs(weight) <= sys.float_info.max:  # type: ignore[arg-type]
            raise ValueError("each weight is a finite number")
        weights[int(k)] = float(weight)  # type: ignore[arg-type]  # the line above says it is a number
    return weights


def weights_of(attempts: int | dict[int, float]) -> dict[int, float]:
    """The weight of each k; 1 for a k alone."""
    return {attempts: 1.0} if isinstance(attempts, int) else attempts


Attempts = Annotated[
    int | dict[int, float],
    PlainValidator(_attempts),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MOST_ATTEMPTS},
                {
                    "type": "object",
                    "minProperties": 1,
                    "maxProperties": MOST_WEIGHTS,
                    "propertyNames": {"pattern": "^[1-9][0-9]{0,6}$"},
                    "additionalProperties": {"type": "number"},
                },
            ]
        }
    ),
]


Step = Annotated[int, Field(ge=0, le=2**63 - 1, description="The training step")]
Segment = Annotated[
    Int4 | None,
    Field(
        description="Which life of the run: a resumed run logs steps again in a new one. By default its latest, and "
        "the next one where that has another content in the same place"
    ),
]
Completions = Annotated[list[Text], Field(fail_fast=True)]
