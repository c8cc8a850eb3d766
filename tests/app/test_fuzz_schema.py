"""Every call of the API's document, asked what the document allows and what it does not, by schemathesis."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from schemathesis.specs.openapi.schemas import OpenApiSchema
from sqlalchemy import URL
from sqlalchemy.orm import Session

from app.auth.service import SCOPES, create_key
from app.db import make_engine
from tests.app.fuzzing import live_server
from tests.app.ingesting import completion, evaluation, exact, post_completions
from tests.app.test_openapi import CALLS, WITHOUT_SCOPE
from tests.conftest import fresh_database

EXAMPLES = 50  # of each call, by the schema and against it
# Every request has the key, or there would be nothing to see but 401.
CONFIG = SchemathesisConfig.from_dict({"generation": {"with-security-parameters": False}})
RUN, PROBLEM_SET = "codellama-7b", "cruxeval-output@1"


@pytest.fixture(scope="module")
def server(
    postgres_url: URL, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of a live server whose log, in the end, tells of nothing that failed."""
    log: Path = tmp_path_factory.mktemp("api") / "log"
    with (
        fresh_database(postgres_url, template=migrated_template) as database_url,
        live_server(database_url, log) as (url, _),
        keyed(url, database_url) as client,
    ):
        yield client
    assert log.read_text() == ""


@contextmanager
def keyed(url: str, database_url: str) -> Iterator[httpx.Client]:
    """A client with a key of every scope: without one, the server would let everybody pass."""
    engine = make_engine(database_url)
    with Session(engine) as session:
        key = create_key(session, "fuzz", list(SCOPES), None)
        session.commit()
    engine.dispose()
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def known(server: httpx.Client) -> dict[str, str]:
    """Path parameters of what the server has."""
    path = evaluation(server, run=RUN, problem_set=PROBLEM_SET)
    rows = [completion(f"sample_{i}", j, verifications=[exact(passed=i > j)]) for i in range(4) for j in range(4)]
    post_completions(server, path, *rows).raise_for_status()
    evaluation_id = path.rpartition("/")[2]
    spec = {"evaluation": evaluation_id, "verifier": "format", "options": {"marks": ["="]}}
    job = server.post("/v1/jobs", json={"kind": "verification", "spec": spec}).headers["location"]
    server.post(f"{job}/cancel").raise_for_status()  # who follows it is let go
    return {
        "evaluation_id": evaluation_id,
        "run": RUN,
        "step": "0",
        "problem_set": PROBLEM_SET,
        "job_id": job.rpartition("/")[2],
    }


@pytest.fixture(scope="module")
def schema(server: httpx.Client) -> OpenApiSchema:
    found: OpenApiSchema = schemathesis.openapi.from_url(f"{server.base_url}/openapi.json", config=CONFIG)
    return found


@pytest.mark.parametrize("call", [*CALLS, *(f"GET {path}" for path in sorted(WITHOUT_SCOPE))])
def test_a_call_answers_as_it_is_documented(
    server: httpx.Client, schema: OpenApiSchema, known: dict[str, str], call: str
) -> None:
    method, path = call.split()
    operation = schema[path][method]
    by_the_schema, against_it = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)
    key = {"Authorization": server.headers["authorization"]}

    @settings(
        max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=by_the_schema | against_it, of_known=st.booleans())
    def answers_as_documented(case: Any, of_known: bool) -> None:
        if case.meta.generation.mode is GenerationMode.POSITIVE:
            if of_known and method != "DELETE":
                case.path_parameters = {name: known[name] for name in case.path_parameters}
            if method == "POST":
                case.query = {}  # options of a transform stand there only where the body is an array
        # No schema says that k is at most n: what it allows may be refused.
        case.call_and_validate(headers=key, excluded_checks=[positive_data_acceptance])

    answers_as_documented()
