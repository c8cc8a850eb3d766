"""The options of a transform in a query, where the body is an array and holds nothing else."""

from functools import lru_cache
from typing import Any

import orjson
from pydantic import ValidationError
from starlette.datastructures import QueryParams

from app.body import broken_rules
from app.errors import InvalidRequest
from app.transforms.schemas import TransformOptions
from app.transforms.wire import MOST_FIELDS


@lru_cache(maxsize=64)  # a training loop sends the same query at every step
def options_in(query_string: bytes) -> TransformOptions:
    """The options; InvalidRequest or RequestValidationError where they break a rule of the model."""
    params = QueryParams(query_string)
    names = params.keys()
    if len(names) > MOST_FIELDS:
        raise InvalidRequest(f"The query has {len(names)} parameters, most of which this route does not take.")
    if twice := [name for name in TransformOptions.model_fields if name != "k" and len(params.getlist(name)) > 1]:
        raise InvalidRequest("An option stands in the query twice.", [(f"query/{name}", "twice") for name in twice])
    fields: dict[str, Any] = {name: params[name] for name in names}
    if "k" in fields:
        fields["k"] = _attempts(params.getlist("k"))
    try:
        return TransformOptions.model_validate(fields)
    except ValidationError as error:
        raise broken_rules(error, "query") from None


def refuse_options(params: QueryParams) -> None:
    """Raise InvalidRequest where an option stands in the query though the body has place for it."""
    if misplaced := [name for name in TransformOptions.model_fields if name in params]:
        errors = [(f"query/{name}", "belongs in the body") for name in misplaced]
        raise InvalidRequest("With a body of JSON the options stand in it, not in the query.", errors)


def _attempts(values: list[str]) -> Any:
    """One k as `k=8`; the weights of several as `k=1:0.5&k=8:0.5`."""
    if len(values) == 1 and ":" not in values[0]:
        return _number(values[0])
    weights: dict[str, Any] = {}
    for value in values:
        k, colon, weight = value.partition(":")
        if not colon or k in weights:
            reason = "each of several k stands once, with its weight: k=1:0.5&k=8:0.5"
            raise InvalidRequest("The query does not say what each k weighs.", [("query/k", reason)])
        weights[k] = _number(weight)
    return weights


def _number(text: str) -> Any:
    """The number that a text is in JSON, or the text, which the model then refuses."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
