"""What the API's reference page says, read from its OpenAPI document; FastAPI's own page loads scripts of others."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, TypeAlias

Schema: TypeAlias = Mapping[str, Any]

LINE = 96  # characters
EXACT = 2**53  # larger bounds are those of a machine's integers, of no interest to readers


@dataclass(frozen=True)
class Field:
    """A parameter of a call, or a member of its body or of its answer."""

    name: str
    type: str
    required: bool
    description: str


@dataclass(frozen=True)
class Operation:
    """A call: what it is for, what it takes, and what it answers."""

    method: str
    path: str
    summary: str
    description: str
    scopes: tuple[str, ...]
    parameters: tuple[Field, ...]
    body: tuple[Field, ...]
    curl: str
    """A call that can be typed as it stands, but for the names in braces."""
    answer: tuple[Field, ...]
    answer_example: str | None

    @property
    def anchor(self) -> str:
        """Its address on the page."""
        return f"{self.method.lower()}{self.path}".replace("/", "-").replace("{", "").replace("}", "")


def operations(openapi: Schema, server: str) -> Iterator[Operation]:
    """Every call of the document, in its order; `server` is the address that the examples go to."""
    schemas = openapi.get("components", {}).get("schemas", {})
    for path, methods in openapi["paths"].items():
        for method, call in methods.items():
            body = _json_content(call.get("requestBody", {}))
            answer = next((_json_content(r) for code, r in call["responses"].items() if code.startswith("2")), {})
            yield Operation(
                method=method.upper(),
                path=path,
                summary=call.get("summary", ""),
                description=call.get("description", ""),
                scopes=tuple(
                    scope for rule in call.get("security", ()) for scopes in rule.values() for scope in scopes
                ),
                parameters=tuple(_parameter(each, schemas) for each in call.get("parameters", ())),
                body=tuple(_members(body.get("schema", {}), schemas)),
                curl=_curl(method.upper(), server + path, _example(body)),
                answer=tuple(_members(answer.get("schema", {}), schemas)),
                answer_example=_laid_out(example) if (example := _example(answer)) is not None else None,
            )


def type_words(schema: Schema, schemas: Mapping[str, Schema]) -> str:
    """A schema in words: `list of number or null`, `integer from 1 to 1,000`, `"sum" | "mean"`."""
    schema = _resolved(schema, schemas)
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"])
    if choices := schema.get("anyOf", schema.get("oneOf")):
        return " or ".join(dict.fromkeys(type_words(choice, schemas) for choice in choices))
    if schema.get("type") == "array":
        return f"list of {type_words(schema.get('items', {}), schemas)}"
    bounds = [
        f" {word} {schema[key]:,.16g}"
        for key, word in (("minimum", "from"), ("maximum", "to"))
        if abs(schema.get(key, inf)) <= EXACT
    ]
    form = f" ({schema['format']})" if "format" in schema else ""
    kind = schema.get("type", "object" if "properties" in schema else "anything")
    return "".join([kind, *bounds, form])


def _json_content(part: Schema) -> Schema:
    content: Schema = part.get("content", {}).get("application/json", {})
    return content


def _resolved(schema: Schema, schemas: Mapping[str, Schema]) -> Schema:
    return schemas[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema


def _parameter(parameter: Schema, schemas: Mapping[str, Schema]) -> Field:
    described = {"description": parameter.get("description", ""), **parameter["schema"]}
    return _field(parameter["name"], described, parameter.get("required", False), schemas)


def _members(schema: Schema, schemas: Mapping[str, Schema], within: str = "") -> Iterator[Field]:
    """The members of an object, each followed by those of the objects in it: `points`, `points[].k`."""
    schema = _resolved(schema, schemas)
    for name, member in schema.get("properties", {}).items():
        yield _field(within + name, member, name in schema.get("required", ()), schemas)
        inner, path = _inside(member, schemas)
        yield from _members(inner, schemas, f"{within}{name}{path}.")


def _inside(schema: Schema, schemas: Mapping[str, Schema], path: str = "") -> tuple[Schema, str]:
    """What has members in a schema, through lists and alternatives, and the way there."""
    schema = _resolved(schema, schemas)
    if schema.get("type") == "array":
        return _inside(schema.get("items", {}), schemas, f"{path}[]")
    choices = (_inside(choice, schemas, path) for choice in schema.get("anyOf", ()))
    return next((choice for choice in choices if "properties" in choice[0]), (schema, path))


def _field(name: str, schema: Schema, required: bool, schemas: Mapping[str, Schema]) -> Field:
    words = type_words(schema, schemas)
    if schema.get("default") is not None:
        words += f", default {json.dumps(schema['default'])}"
    return Field(name, words, required, schema.get("description", ""))


def _example(content: Schema) -> object:
    """The first example there is, or None."""
    named = [each["value"] for each in content.get("examples", {}).values()]
    return content.get("example", next(iter([*named, *content.get("schema", {}).get("examples", ())]), None))


def _curl(method: str, url: str, body: object) -> str:
    if body is None:
        return f"curl '{url}'" if method == "GET" else f"curl -X {method} '{url}'"
    verb = "" if method == "POST" else f"-X {method} "
    # A single quote would end the shell's string; JSON has another way to write it.
    text = _laid_out(body, "  ").replace("'", "\\u0027")
    return f"curl {verb}'{url}' \\\n  -H 'Content-Type: application/json' \\\n  -d '{text}'"


def _laid_out(value: object, margin: str = "") -> str:
    """JSON on one line where it fits, else with a line for each member."""
    text = json.dumps(value, ensure_ascii=False)
    if len(margin) + len(text) <= LINE or not isinstance(value, dict | list):
        return text
    inner = f"{margin}  "
    members = (
        [f"{json.dumps(key)}: {_laid_out(member, inner)}" for key, member in value.items()]
        if isinstance(value, dict)
        else [_laid_out(member, inner) for member in value]
    )
    listed = f",\n{inner}".join(members)
    return f"{text[0]}\n{inner}{listed}\n{margin}{text[-1]}"
