"""A body of JSON, or of lines of it, read strictly: no key twice in an object, and a pointer to all else that is wrong.

FastAPI would read it on the event loop, and take the last of two values for one key.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple, TypeVar

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from app.errors import MOST_ERRORS, InvalidRequest, UnsupportedMediaType, in_words_of_json

T = TypeVar("T")

# A body of 25 MiB can break three million rules, of which as Python objects each takes a kilobyte and ten microseconds.
MOST_LOOKED_AT: Final = 10_000


class KeyTwice(InvalidRequest):
    """An object with a key that occurs twice: which of its values counts, JSON does not say."""

    def __init__(self, pointer: str = "") -> None:
        super().__init__("An object of the body has the same key twice.", [(pointer, "key-twice")])


JSON: Final = "application/json"
JSON_LINES: Final = "application/x-ndjson"
PARQUET: Final = "application/vnd.apache.parquet"


class Body(NamedTuple):
    """What a request brought."""

    media_type: str  # one that the route reads
    content: bytes


def body_in(*media_types: str) -> Callable[[Request], Awaitable[Body]]:
    """The dependency of a route that reads these media types: UnsupportedMediaType for all others.

    A route names its caller before it: what nobody known sends is refused unread.
    """

    async def read(request: Request) -> Body:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type not in media_types:
            raise UnsupportedMediaType(f"Send the body with Content-Type: {' or '.join(media_types)}.")
        return Body(media_type, await request.body())

    return read


async def _json_bytes(body: Annotated[Body, Depends(body_in(JSON))]) -> bytes:
    return body.content


JsonBytes = Annotated[bytes, Depends(_json_bytes)]


def parse(adapter: TypeAdapter[T], body: bytes) -> T:
    """What the body says; InvalidRequest or RequestValidationError, with pointers, where it breaks a rule."""
    return validated(adapter, json_value(_text(body)))


def parse_lines(adapter: TypeAdapter[T], body: bytes, member: str, most: int) -> T:
    """What the body would say as `{member: [line, line, …]}`; a pointer counts the lines that are not blank, from 0."""
    if body.count(b"\n") > 2 * most:
        raise InvalidRequest(f"The body has more than {2 * most} lines, of which {most} may hold a row.")
    rows: list[Any] = []
    for number, line in enumerate(_text(body).split("\n"), start=1):
        if line.strip(" \t\r"):
            rows.append(json_value(line, number, f"/{member}/{len(rows)}"))
    return validated(adapter, {member: rows})


def refuse_key_twice(body: bytes) -> None:
    """Raise KeyTwice where some object of a JSON body has a key twice: what another parser has read does not tell."""
    json_value(_text(body))


def validated(adapter: TypeAdapter[T], value: Any) -> T:
    """The value by the rules of its model; InvalidRequest or RequestValidationError where it breaks one."""
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise broken_rules(error, adapter=adapter, value=value) from None


def broken_rules(
    error: ValidationError, where: str = "body", adapter: TypeAdapter[Any] | None = None, value: Any = None
) -> InvalidRequest | RequestValidationError:
    """What to raise for a part of a request that breaks rules of its model: which, or how many where they are many.

    With the adapter and the value, an object that has a member too many is told which ones it may have: what it has is
    not repeated.
    """
    count = error.error_count()
    if count > MOST_LOOKED_AT:
        return InvalidRequest(f"The request breaks {count} rules of its schema; /docs shows what it takes.")
    found: list[Any] = error.errors(include_url=False, include_input=False)
    if adapter is not None:
        found = _of_unions([_placed(each, value) for each in found])
        unknown = [each for each in found if each["type"] == "extra_forbidden"][:MOST_ERRORS]
        schema = _whole_schema(adapter) if unknown else None
        for each in unknown:
            each["msg"] = f"the members of this object are {', '.join(_members(schema, each['loc'][:-1]))}"
    return RequestValidationError([_said(each, where) for each in found])


def _placed(found: Any, value: Any) -> dict[str, Any]:
    """The error at its place in the value: pydantic also writes there which of several types was tried.

    Where a rule of a whole object names a member, as `app.jobs.specs.fields.OfMember` does, it is at that member.
    """
    location: list[int | str] = []
    for step in found["loc"]:
        if _is_in(value, step):
            location.append(step)
            value = value[step]
    if found["type"] == "missing":
        location.append(found["loc"][-1])
    of_several = len(location) < len(found["loc"])
    member = getattr(found.get("ctx", {}).get("error"), "member", None)
    within = () if member is None else member.split("/")
    return {**found, "loc": (*location, *within), "of_several": tuple(location) if of_several else None}


def _is_in(value: Any, step: int | str) -> bool:
    if isinstance(value, dict):
        return step in value
    return isinstance(value, list) and isinstance(step, int) and step < len(value)


def _of_unions(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The errors without those of types that the value was not meant as, where it has another error as what it is."""
    tried = [each for each in found if each["of_several"] is not None]
    # As what it is meant, a value has an error within it, or one of another kind than its type.
    meant = {each["loc"] for each in tried if not _is_of_type(each)}
    within = {each["loc"][:depth] for each in tried for depth in range(len(each["loc"]))}
    left = [
        each
        for each in found
        if each["of_several"] is None or not _is_of_type(each) or each["loc"] not in meant | within
    ]
    return _as_one(left)


def _as_one(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The errors, those of a value that is of none of several types being one that names them all."""
    told: list[dict[str, Any]] = []
    of_place: dict[tuple[int | str, ...], dict[str, Any]] = {}
    for each in found:
        first = of_place.get(each["loc"])
        if each["of_several"] != each["loc"] or not _is_of_type(each):
            told.append(each)
        elif first is None:
            of_place[each["loc"]] = {**each, "msg": in_words_of_json(each["type"], each["msg"])}
            told.append(of_place[each["loc"]])
        else:
            other = in_words_of_json(each["type"], each["msg"]).removeprefix("Input should be ")
            first |= {"type": "wrong_type", "msg": f"{first['msg']} or {other}"}
    return told


def _is_of_type(found: Mapping[str, Any]) -> bool:
    return str(found["type"]).endswith("_type") or found["type"] == "literal_error"


def _said(found: Mapping[str, Any], where: str) -> dict[str, Any]:
    return {"type": found["type"], "loc": (where, *found["loc"]), "msg": found["msg"]}


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The body is not UTF-8 from byte {error.start} on.", [("", "not-json")]) from None


def _with_every_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise KeyTwice
    return found


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_with_every_key_once)


def json_value(text: str, line: int = 1, pointer: str = "") -> Any:
    """The value of a text that starts at this line; InvalidRequest, with the pointer, where that is not JSON.

    NaN and 1e999 come through as floats, and are refused later.
    """
    try:
        return _DECODER.decode(text)
    except KeyTwice:
        raise KeyTwice(pointer) from None
    except json.JSONDecodeError as error:
        reason = f"The body is not JSON: {error.msg} at line {line + error.lineno - 1}, column {error.colno}."
    except ValueError:  # json's own bound, against the time that longer ones take
        reason = "The body holds an integer of more than 4300 digits."
    except RecursionError:
        reason = "The body nests lists or objects too deeply."
    raise InvalidRequest(reason, [(pointer, "not-json")])


class _AsDeclared(GenerateJsonSchema):
    """Leaves the members of an example in their order; pydantic would take that of the alphabet."""

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:
        """The schema as it is."""
        return value


def documented(adapter: TypeAdapter[T], **others: Any) -> dict[str, Any]:
    """The `requestBody` of a route that parses its body with this adapter, for `openapi_extra`.

    The others are what it reads besides JSON, by media type.
    """
    return {"requestBody": {"required": True, "content": {JSON: {"schema": _whole_schema(adapter)}, **others}}}


def _whole_schema(adapter: TypeAdapter[T]) -> Any:
    schema = adapter.json_schema(schema_generator=_AsDeclared)
    return _inline(schema, schema.pop("$defs", {}))


def _members(schema: Any, location: Sequence[int | str]) -> list[str]:
    """The names of the members that the object at this place of a body may have."""
    for step in location:
        within = "items" if isinstance(step, int) else "properties"
        (schema,) = (each[within] for each in schema.get("anyOf", [schema]) if within in each)
        schema = schema if isinstance(step, int) else schema[step]
    (members,) = (each["properties"] for each in schema.get("anyOf", [schema]) if "properties" in each)
    return list(members)


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
