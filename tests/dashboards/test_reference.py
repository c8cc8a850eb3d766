import json
from typing import Any

from dashboards.pages import ReferencePage, render_reference
from dashboards.reference import Field, operations, type_words
from tests.dashboards.examples import SERVER, Page

SCHEMAS: dict[str, Any] = {
    "Transform": {
        "properties": {
            "rewards": {
                "type": "array",
                "items": {"type": "array", "items": {"anyOf": [{"type": "number"}, {"type": "null"}]}},
                "description": "One list for each group; `null` is missing",
            },
            "k": {"type": "integer", "minimum": 1, "maximum": 4194304},
            "scale": {"enum": ["sum", "mean"], "default": "sum"},
        },
        "required": ["rewards", "k"],
    },
    "Credits": {"properties": {"credits": {"type": "array", "items": {"type": "number"}}}, "required": ["credits"]},
}
OPENAPI: dict[str, Any] = {
    "info": {"title": "pkpo", "version": "0.1.0", "description": "See [PKPO](https://arxiv.org/abs/2505.15201) & co."},
    "paths": {
        "/v1/transforms": {
            "post": {
                "summary": "Credits for groups of rewards",
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {"$ref": "#/components/schemas/Transform"},
                            "examples": {"it's binary": {"value": {"rewards": [[0, 1]], "k": 2, "note": "it's"}}},
                        }
                    }
                },
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {
                                "schema": {"$ref": "#/components/schemas/Credits"},
                                "example": {"credits": [0.0, 0.5]},
                            }
                        }
                    },
                    "default": {"description": "What went wrong"},
                },
                "security": [{"HTTPBearer": ["read"]}],
            }
        },
        "/v1/evaluations/{id}/curve": {
            "get": {
                "summary": "The curve",
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
                    {"name": "k", "in": "query", "schema": {"type": "array", "items": {"type": "integer"}}},
                ],
                "responses": {"200": {}},
            }
        },
    },
    "components": {"schemas": SCHEMAS},
}


def test_a_call_tells_what_it_takes_and_what_it_answers() -> None:
    transforms, curve = operations(OPENAPI, SERVER)
    assert [field.name for field in transforms.body] == ["rewards", "k", "scale"]
    assert [field.required for field in transforms.body] == [True, True, False]
    assert transforms.body[2].type == '"sum" | "mean", default "sum"'
    assert transforms.answer == (Field("credits", "list of number", True, ""),)
    assert transforms.answer_example == '{"credits": [0.0, 0.5]}'
    assert transforms.scopes == ("read",)
    assert [(field.name, field.required) for field in curve.parameters] == [("id", True), ("k", False)]


def test_types_are_said_in_words() -> None:
    words = [type_words(member, SCHEMAS) for member in SCHEMAS["Transform"]["properties"].values()]
    assert words == ["list of list of number or null", "integer from 1 to 4,194,304", '"sum" | "mean"']
    assert type_words({"type": "array", "items": {"$ref": "#/components/schemas/Credits"}}, SCHEMAS) == (
        "list of object"
    )
    step = {"type": "integer", "minimum": 0.0, "maximum": 2.0**63}
    assert type_words(step, SCHEMAS) == "integer from 0", "nobody reaches the other bound"
    assert type_words({"type": "string", "format": "uuid"}, SCHEMAS) == "string (uuid)"
    assert type_words({}, SCHEMAS) == "anything"


def test_members_of_members_are_listed_with_the_way_to_them() -> None:
    point = {"properties": {"k": {"type": "integer"}, "low": {"type": "number"}}, "required": ["k"]}
    answer = {
        "properties": {
            "points": {"type": "array", "items": {"$ref": "#/components/schemas/Point"}},
            "interval": {"anyOf": [{"properties": {"level": {"type": "number"}}}, {"type": "null"}]},
        }
    }
    content = {"content": {"application/json": {"schema": answer}}}
    openapi = {
        "paths": {"/curve": {"get": {"responses": {"200": content}}}},
        "components": {"schemas": {"Point": point}},
    }
    (curve,) = operations(openapi, SERVER)
    names = [field.name for field in curve.answer]
    assert names == ["points", "points[].k", "points[].low", "interval", "interval.level"]
    assert [field.required for field in curve.answer] == [False, True, False, False, False]
    assert [field.type for field in curve.answer][:2] == ["list of object", "integer"]


def test_a_long_example_has_a_line_for_each_member_and_is_still_the_same_json() -> None:
    body = {
        "completions": [{"problem": f"sample_{i}", "sample_index": i, "text": "[(4, 1), (2, 3)]"} for i in range(3)]
    }
    content = {"content": {"application/json": {"example": body}}}
    openapi = {"paths": {"/completions": {"post": {"requestBody": content, "responses": {}}}}}
    (call,) = operations(openapi, SERVER)
    typed = call.curl.partition("-d '")[2].removesuffix("'")
    assert json.loads(typed) == body
    assert len(typed.splitlines()) == 7


def test_the_example_can_be_typed_whatever_it_holds() -> None:
    transforms, curve = operations(OPENAPI, SERVER)
    assert transforms.curl == (
        "curl 'http://127.0.0.1:8000/v1/transforms' \\\n  -H 'Content-Type: application/json' \\\n"
        """  -d '{"rewards": [[0, 1]], "k": 2, "note": "it\\u0027s"}'"""
    )
    assert curve.curl == "curl 'http://127.0.0.1:8000/v1/evaluations/{id}/curve'"


def test_the_page_shows_every_call_and_leads_to_it() -> None:
    page = Page(render_reference(ReferencePage(SERVER, OPENAPI)))
    anchors = [address for address in page.values("href") if address.startswith("#") and address != "#content"]
    assert anchors == ["#post-v1-transforms", "#get-v1-evaluations-id-curve"]
    assert {address[1:] for address in anchors} <= set(page.values("id"))
    assert "rewards list of list of number or null One list for each group; null is missing" in page.text
    assert "See PKPO & co." in page.text
    assert "https://arxiv.org/abs/2505.15201" in page.values("href")
