"""The API's document: what is promised to the outside, route by route."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy.orm import Session

from app.auth.service import SCOPES, Scope, create_key
from app.estimates.examples import COUNTS, ESTIMATES
from app.transforms.schemas import ANSWER

Document = dict[str, Any]

# Open to whoever asks whether the service is up.
WITHOUT_SCOPE = {"/healthz", "/readyz"}
# The calls of DESIGN, "REST, version 1", with the scope that each needs: names that outside programs hold us to.
CALLS = {
    "POST /v1/transforms": "read",
    "POST /v1/estimates": "read",
    "GET /v1/problem-sets": "read",
    "GET /v1/problem-sets/{problem_set}": "read",
    "PUT /v1/problem-sets/{problem_set}": "write",
    "POST /v1/problem-sets/{problem_set}/problems": "write",
    "GET /v1/problem-sets/{problem_set}/problems": "read",
    "POST /v1/evaluations": "write",
    "GET /v1/evaluations/{evaluation_id}": "read",
    "GET /v1/evaluations/{evaluation_id}/completions": "read",
    "POST /v1/evaluations/{evaluation_id}/completions": "write",
    "POST /v1/evaluations/{evaluation_id}/verifications": "write",
    "POST /v1/evaluations/{evaluation_id}/counts": "write",
    "GET /v1/evaluations/{evaluation_id}/curve": "read",
    "GET /v1/evaluations/{evaluation_id}/problems": "read",
    "GET /v1/evaluations/{evaluation_id}/missing": "read",
    "GET /v1/comparisons": "read",
    "GET /v1/runs": "read",
    "GET /v1/runs/{run}": "read",
    "PATCH /v1/runs/{run}": "write",
    "DELETE /v1/runs/{run}": "admin",
    "GET /v1/runs/{run}/curves": "read",
    "GET /v1/runs/{run}/checkpoints": "read",
    "GET /v1/runs/{run}/checkpoints/{step}/card": "read",
    "GET /v1/runs/{run}/groups": "read",
    "GET /v1/runs/{run}/metrics": "read",
    "POST /v1/runs/{run}/groups": "write",
    "POST /v1/runs/{run}/metrics": "write",
    "POST /v1/uploads": "jobs",
    "POST /v1/jobs": "jobs",
    "GET /v1/jobs": "read",
    "GET /v1/jobs/{job_id}": "read",
    "GET /v1/jobs/{job_id}/events": "read",
    "POST /v1/jobs/{job_id}/cancel": "jobs",
    "POST /v1/jobs/{job_id}/retry": "jobs",
    "GET /v1/workers": "read",
}
# What is no JSON: bytes up, server-sent events and Markdown down.
FILES = {"POST /v1/uploads"}
STREAMS = {
    "GET /v1/jobs/{job_id}/events": "text/event-stream",
    "GET /v1/runs/{run}/checkpoints/{step}/card": "text/markdown",
}


@pytest.fixture(scope="module")
def document(shared_client: httpx.Client) -> Document:
    """The document that the server answers with."""
    answer: Document = shared_client.get("/openapi.json").raise_for_status().json()
    return answer


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Method, path and description of every call."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def scopes(operation: Document) -> set[str]:
    return {scope for way in operation.get("security", []) for needed in way.values() for scope in needed}


def test_the_calls_and_their_scopes_are_those_promised(document: Document) -> None:
    found = {
        f"{method} {path}": next(iter(scopes(operation)))
        for method, path, operation in operations(document)
        if path not in WITHOUT_SCOPE
    }
    assert found == CALLS


def test_every_call_declares_one_scope(document: Document) -> None:
    for method, path, operation in operations(document):
        declared = scopes(operation)
        assert len(declared) == (path not in WITHOUT_SCOPE), f"{method} {path}"
        assert declared <= set(SCOPES)


def test_every_call_says_what_it_does_and_how_it_refuses(document: Document) -> None:
    for method, path, operation in operations(document):
        assert operation["summary"], f"{method} {path}"
        assert operation["description"].endswith("."), f"{method} {path}"
        refusal = operation["responses"]["default"]["content"]
        problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
        assert refusal == {"application/problem+json": problem}, f"{method} {path}"


def test_every_member_of_an_answer_is_of_a_described_type(document: Document) -> None:
    for method, path, operation in operations(document):
        status, success = next(each for each in operation["responses"].items() if each[0].startswith("2"))
        assert ("content" in success) == (status != "204"), f"{method} {path}"
        if f"{method} {path}" in STREAMS:
            assert [*success["content"]] == [STREAMS[f"{method} {path}"]]
        if status == "204" or f"{method} {path}" in STREAMS:
            continue
        schema = success["content"]["application/json"]["schema"]
        assert re.fullmatch("#/components/schemas/[A-Za-z]+", schema["$ref"]), f"{method} {path}"


def test_every_post_that_writes_takes_an_idempotency_key(document: Document) -> None:
    for method, path, operation in operations(document):
        if method == "POST":
            headers = {each["name"].lower() for each in operation.get("parameters", []) if each["in"] == "header"}
            writes = scopes(operation) != {"read"} or path == "/v1/transforms"  # which may record
            assert ("idempotency-key" in headers) == writes, path


def bodies(operation: Document) -> list[Any]:
    """The examples of a call's body."""
    content = operation["requestBody"]["content"]["application/json"]
    return [*(each["value"] for each in content.get("examples", {}).values()), *content["schema"].get("examples", [])]


def job_of_what_is_there(client: httpx.Client, kind: str, evaluation: Any) -> dict[str, Any]:
    """What a job of this kind needs to be taken, in the place of what its example names."""
    if kind in ("sampling", "training"):
        problems = [{"problem": f"{i}", "prompt": f"{i}+{i}=", "answer": f"{i + i}"} for i in range(64)]
        client.put("/v1/problem-sets/doubles@1", json={})
        client.post("/v1/problem-sets/doubles@1/problems", json={"problems": problems}).raise_for_status()
        return {"problem_set": "doubles@1"}
    return {"upload": uploaded(client)} if kind == "import" else {"evaluation": evaluation}


def test_the_examples_of_the_document_work(client: httpx.Client, document: Document) -> None:
    evaluation = None
    for method, path, operation in operations(document):
        if "requestBody" not in operation or f"{method} {path}" in FILES:
            continue
        assert bodies(operation), f"{method} {path} has no example of its body"
        for body in bodies(operation):
            address = path.replace("{evaluation_id}", str(evaluation)).replace("{run}", "qwen-gsm8k")
            address = address.replace("{problem_set}", "cruxeval-output@2")
            if path.endswith("/counts"):  # which an evaluation that has completions does not take
                other = {"run": "counted", "step": 0, "problem_set": "cruxeval-output@1"}
                address = f"{client.post('/v1/evaluations', json=other).headers['location']}/counts"
            if path == "/v1/jobs":
                body["spec"] |= job_of_what_is_there(client, body["kind"], evaluation)
            answer = client.request(method, address, json=body)
            assert answer.status_code in (200, 201, 202), f"{method} {path}: {answer.text}"
            if path == "/v1/evaluations":
                evaluation = answer.json()["id"]
    assert evaluation is not None


def uploaded(client: httpx.Client) -> str:
    """The id of a file that was uploaded."""
    answer = client.post("/v1/uploads", content=b"{}", headers={"Content-Type": "application/octet-stream"})
    return str(answer.json()["id"])


def test_the_answers_of_the_document_are_those_that_are_given(shared_client: httpx.Client, document: Document) -> None:
    body = bodies(document["paths"]["/v1/transforms"]["post"])[0]
    assert shared_client.post("/v1/transforms", json=body).json() == ANSWER
    assert shared_client.post("/v1/estimates", json=COUNTS).json() == ESTIMATES


def test_every_answer_to_a_reader_has_an_example_of_its_own_type(document: Document) -> None:
    for method, path, operation in operations(document):
        if scopes(operation) != {"read"} or f"{method} {path}" in STREAMS:
            continue
        content = operation["responses"]["200"]["content"]["application/json"]
        members = document["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]["properties"]
        nullable = {name for name, member in members.items() if {"type": "null"} in member.get("anyOf", [])}
        # FastAPI leaves members that are null out of examples.
        assert set(members) - nullable <= set(content["example"]) <= set(members), f"{method} {path}"


def test_a_key_opens_the_calls_of_its_scopes_and_no_others(
    client: httpx.Client, session: Session, document: Document
) -> None:
    keys = {scope: create_key(session, scope, [scope], None) for scope in SCOPES}
    session.commit()
    for method, path, operation in operations(document):
        address = (
            path.replace("{evaluation_id}", str(uuid4())).replace("{run}", "nobody").replace("{problem_set}", "none")
        )
        needed = scopes(operation)
        for scope in (None, *SCOPES):
            status = status_with(client, method, address, keys, scope)
            if not needed:
                assert status == 200, f"{method} {path}"
            elif scope is None:
                assert status == 401, f"{method} {path}"
            elif scope in needed:
                assert status not in (401, 403), f"{method} {path} with {scope}"
                assert status < 500, f"{method} {path} with {scope}"
            else:
                assert status == 403, f"{method} {path} with {scope}"


def test_without_a_key_a_body_is_not_looked_at(client: httpx.Client, session: Session, document: Document) -> None:
    create_key(session, "laptop", ["read", "write"], None)
    session.commit()
    for method, path, operation in operations(document):
        if "requestBody" in operation:
            address = path.replace("{evaluation_id}", str(uuid4()))
            answer = client.request(method, address, content=b"{", headers={"Content-Type": "text/plain"})
            assert answer.status_code == 401, f"{method} {path}"


def status_with(client: httpx.Client, method: str, address: str, keys: dict[Scope, str], scope: Scope | None) -> int:
    headers = {"Authorization": f"Bearer {keys[scope]}"} if scope else {}
    return client.request(method, address, headers=headers, json={} if method == "POST" else None).status_code
