"""What every answer has, whoever asks and however: HEAD like GET, and safe headers also where we failed."""

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr

from app.config import Settings
from app.main import create_app
from tests.app.evaluations import create_evaluation, record

SAFE = {"x-content-type-options": "nosniff", "referrer-policy": "same-origin"}


@pytest.fixture(scope="module")
def evaluation(shared_client: httpx.Client) -> str:
    found = create_evaluation(shared_client, run="head-run", problem_set="head-set")
    record(shared_client, found, {"sample_0": [True, False], "sample_1": [False, False]})
    return found


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/docs", "/transform", "/transform/credits.csv", "/runs/head-run", "/runs/head-run/curves.csv"),
        *("/evaluations/{}", "/evaluations/{}/problem?problem=sample_0", "/evaluations/{}/problems.csv"),
        *("/v1/evaluations/{}", "/v1/evaluations/{}/curve", "/v1/runs", "/v1/problem-sets/head-set/problems"),
        *("/healthz", "/readyz", "/openapi.json", "/nowhere", "/v1/evaluations/{}/curve?k=9", "/v1/transforms"),
    ],
)
def test_head_is_answered_as_get_is_without_the_body(shared_client: httpx.Client, evaluation: str, path: str) -> None:
    get, head = (shared_client.request(method, path.format(evaluation)) for method in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (get.status_code, b"")
    of_get, of_head = ({**answer.headers, "date": ""} for answer in (get, head))
    assert of_head == of_get


def broken_app() -> FastAPI:
    app = create_app(Settings(database_url=SecretStr("postgresql+psycopg://nobody@127.0.0.1:1/none")))

    @app.get("/v1/defect")
    def defect() -> None:
        raise AssertionError("a defect")

    return app


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_an_answer_that_tells_of_a_defect_has_the_safe_headers_too(accept: str) -> None:
    client = TestClient(broken_app(), base_url="http://localhost", raise_server_exceptions=False)
    answer = client.get("/v1/defect", headers={"Accept": accept})
    assert answer.status_code == 500
    assert answer.json()["type"] == "internal-error"
    assert SAFE.items() <= dict(answer.headers).items()
    assert "a defect" not in answer.text


@pytest.mark.parametrize("name", [".", ".."])
@pytest.mark.parametrize("field", ["run", "problem_set"])
def test_a_name_that_no_address_can_hold_is_refused(shared_client: httpx.Client, field: str, name: str) -> None:
    body = {"run": "qwen", "step": 0, "problem_set": "sums"} | {field: name}
    answer = shared_client.post("/v1/evaluations", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"pointer": f"/{field}", "code": "a name other than . and .., which no address can hold"}
    ]
    assert shared_client.post("/v1/evaluations", json=body | {field: "..."}).is_success
