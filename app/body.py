"""A JSON body read strictly: no key twice in one object, and a pointer to everything else that is wrong.

FastAPI would read it on the event loop, and take the last of two values for one key.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from app.errors import InvalidRequest, UnsupportedMediaType

T = TypeVar("T")

# A body of 25 MiB can break three million rules, of which as Python objects each takes a kilobyte and ten microseconds.
MOST_LOOKED_AT: Final = 10_000


class KeyTwice(InvalidRequest):
    """An object with a key that occurs twice: which of its values counts, JSON does not say."""

    def __init__(self) -> None:
        super().__init__("An object of the body has the same key twice.", [("", "key-twice")])


async def _json_bytes(request: Request) -> bytes:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType("This route reads JSON: send it with Content-Type: application/json.")
    return await request.body()


# A route names its caller before this: what nobody known sends is refused unread.
JsonBytes = Annotated[bytes, Depends(_json_bytes)]


def parse(adapter: TypeAdapter[T], body: bytes) -> T:
    """What the body says; InvalidRequest or RequestValidationError, with pointers, where it breaks a rule."""
    parsed = _loads(body)
    try:
        return adapter.validate_python(parsed)
    except ValidationError as error:
        raise broken_rules(error) from None


def broken_rules(error: ValidationError) -> InvalidRequest | RequestValidationError:
    """What to raise for a body that breaks rules of its model: which, or only how many where they are very many."""
    count = error.error_count()
    if count > MOST_LOOKED_AT:
        return InvalidRequest(f"The request breaks {count} rules of its schema; /docs shows what it takes.")
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in found])


def _loads(body: bytes) -> Any:
    """The body as Python has it. NaN and 1e999 come through as floats, and are refused where they stand."""
    try:
        return json.loads(body.decode(), object_pairs_hook=_with_every_key_once)
    except json.JSONDecodeError as error:
        reason = f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
    except UnicodeDecodeError as error:
        reason = f"The body is not UTF-8 from byte {error.start} on."
    except ValueError:  # json's own bound, against the time that longer ones take
        reason = "The body holds an integer of more than 4300 digits."
    except RecursionError:
        reason = "The body nests lists or objects too deeply."
    raise InvalidRequest(reason, [("", "not-json")])


def _with_every_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise KeyTwice
    return found


class _AsDeclared(GenerateJsonSchema):
    """Leaves the members of an example in their order; pydantic would take that of the alphabet."""

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:
        """The schema as it is."""
        return value


def documented(adapter: TypeAdapter[T]) -> dict[str, Any]:
    """The `requestBody` of a route that parses its body with this adapter, for `openapi_extra`."""
    schema = adapter.json_schema(schema_generator=_AsDeclared)
    schema = _inline(schema, schema.pop("$defs", {}))
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _inline(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """The schema without references: a route cannot add shared schemas to the document."""
    match schema:
        case {"$ref": str(reference), **beside}:
            return {**_inline(definitions[reference.removeprefix("#/$defs/")], definitions), **beside}
        case dict():
            return {key: _inline(each, definitions) for key, each in schema.items()}
        case list():
            return [_inline(each, definitions) for each in schema]
        case _:
            return schema
