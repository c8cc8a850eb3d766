"""What a sampling job may not be told is refused at submission, by a service without torch or any worker."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import URL

from app.config import Settings
from app.errors import InvalidRequest
from app.jobs.checks import check_server
from tests.app.serving import serving
from tests.conftest import fresh_database
from tests.workers.sampling_jobs import sums


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models: one that may be loaded, one that is a pickle, one that says how little it can hold."""
    root = tmp_path_factory.mktemp("models").resolve()
    for name, weights in (("good", "model.safetensors"), ("pickled", "pytorch_model.bin")):
        (root / name).mkdir()
        (root / name / "config.json").write_text("{}")
        (root / name / weights).write_bytes(b"")
    (root / "small").mkdir()
    (root / "small/model.safetensors").write_bytes(b"")
    (root / "small/config.json").write_text(json.dumps({"max_position_embeddings": 64}))
    (root / "small/tokenizer_config.json").write_text("{}")
    return root


@pytest.fixture(scope="module")
def client(
    postgres_url: URL, migrated_template: str, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    with (
        pytest.MonkeyPatch.context() as patch,
        fresh_database(postgres_url, template=migrated_template) as database_url,
    ):
        patch.setenv("PKPO_MODEL_ROOTS", f"{root}:/srv/models-of-another-machine")
        with (
            serving(database_url, data_dir=tmp_path_factory.mktemp("data")) as url,
            httpx.Client(base_url=url, timeout=60) as client,
        ):
            client.put("/v1/problem-sets/empty@1", json={}).raise_for_status()
            client.put("/v1/problem-sets/silent@1", json={}).raise_for_status()
            client.post("/v1/problem-sets/silent@1/problems", json={"problems": [{"problem": "p"}]}).raise_for_status()
            sums(client, "sums")
            yield client


def submitted(client: httpx.Client, **told: Any) -> httpx.Response:
    spec = {"run": "r", "step": 0, "problem_set": "sums@1", "model": "Qwen/Qwen3-0.6B", "n": 4, **told}
    return client.post("/v1/jobs", json={"kind": "sampling", "spec": spec})


@pytest.mark.parametrize(
    ("told", "type_", "pointer", "says"),
    [
        ({"n": 0}, "invalid-request", "/spec/n", "greater than or equal to 1"),
        ({"limit": 0}, "invalid-request", "/spec/limit", "greater than or equal to 1"),
        ({"problem_set": "unheard-of"}, "invalid-request", "/spec/problem_set", "no such problem set"),
        ({"problem_set": "empty"}, "invalid-request", "/spec/problem_set", "no problems"),
        ({"problem_set": "silent"}, "invalid-request", "/spec/problem_set", "without prompts"),
        ({"engine": "ollama"}, "invalid-request", "/spec/engine", "'vllm', 'openai' or 'transformers'"),
        ({"engine_options": {"worker_cls": "os.system"}}, "invalid-request", "/spec/engine_options", "no such option"),
        ({"engine_options": {"block_size": "8"}}, "invalid-request", "/spec/engine_options/block_size", "integer"),
        (
            {"engine": "openai", "engine_options": {"extra_body": {"n": 5}}},
            "invalid-request", "/spec/engine_options/extra_body", "n: the sampling settings say this",
        ),
        ({"sampling": {"temperature": 0.001}}, "invalid-request", "/spec/sampling/temperature", "give 0, or 0.01"),
        ({"sampling": {"top-k": 4}}, "invalid-request", "/spec/sampling", "the members of this object are temperature"),
        ({"sampling": {"stop": "a"}}, "invalid-request", "/spec/sampling/stop", "should be a list"),
        ({"sampling": 3}, "invalid-request", "/spec/sampling", "should be an object"),
        ({"sampling": {"stop": ["a"] * 65}}, "invalid-request", "/spec/sampling/stop", "List should have at most 64"),
        ({"sampling": {"stop": ["a\0"]}}, "invalid-request", "/spec/sampling/stop/0", "NUL"),
        ({"prompt": "xml"}, "invalid-request", "/spec/prompt", "'raw' or 'chat'"),
        ({"verifiers": ["luck"]}, "verifier-not-offered", "/spec/verifiers/0", "not offered"),
        ({"verifiers": ["length@7"]}, "verifier-not-offered", "/spec/verifiers/0", "have length@1 and no other"),
        ({"verifiers": ["exact-match", "exact-match@1"]}, "invalid-request", "/spec/verifiers/1", "the same as 0"),
        ({"verifiers": ["exact-match", "length"]}, "invalid-request", "/spec/verifiers/1/free", "required"),
        ({"verifiers": ["exact-match", "python-tests"]}, "invalid-request", "/spec/verifiers/1", "needs the tests of"),
        ({"model": "ROOT/small", "prompt": "chat"}, "invalid-request", "/spec/prompt", "has no chat template"),
        (
            {"model": "ROOT/small", "engine": "transformers", "sampling": {"max_tokens": 64}},
            "invalid-request", "/spec/sampling/max_tokens", "can hold 64 tokens, the prompt's among them; max_tokens",
        ),
        ({"model": "../../etc"}, "model-not-allowed", "/spec/model", "neither a hub name"),
        ({"model": "/etc"}, "model-not-allowed", "/spec/model", "is not in a folder that models may be in"),
        ({"model": "ROOT/../etc"}, "model-not-allowed", "/spec/model", "is not in a folder that models may be in"),
        ({"model": "ROOT/none"}, "model-not-allowed", "/spec/model", "is not a folder on this machine"),
        ({"model": "ROOT/pickled"}, "model-not-allowed", "/spec/model", "pytorch_model.bin only. Loading a pickle"),
    ],
)  # fmt: skip
def test_what_can_only_fail_is_refused(
    client: httpx.Client, root: Path, told: dict[str, Any], type_: str, pointer: str, says: str
) -> None:
    asked = {**told, "model": told["model"].replace("ROOT", str(root))} if "model" in told else told
    answer = submitted(client, **asked)
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (422, type_), problem
    assert problem["errors"][0]["pointer"] == pointer
    assert says in f"{problem['detail']} {problem['errors'][0]['code']}"
    sent = json.dumps(asked.get("model"))
    assert "model" not in asked or sent.strip('"') not in answer.text  # what was sent is not repeated


@pytest.mark.parametrize(
    ("told", "capability"),
    [
        ({}, "sampling:vllm"),
        ({"model": "ROOT/good", "engine": "transformers"}, "sampling:transformers"),
        ({"model": "ROOT/good", "prompt": "chat"}, "sampling:vllm"),  # its files do not say whether it has a template
        ({"model": "ROOT/small", "engine": "transformers", "sampling": {"max_tokens": 63}}, "sampling:transformers"),
        ({"model": "ROOT/small", "sampling": {"max_tokens": 64}}, "sampling:vllm"),
        ({"model": "/srv/models-of-another-machine/m"}, "sampling:vllm"),  # what lies there only its worker sees
        ({"model": "any name: a server's", "engine": "openai", "limit": 3}, "sampling:openai"),
    ],
)
def test_a_job_that_some_worker_may_do_is_queued(
    client: httpx.Client, root: Path, told: dict[str, Any], capability: str
) -> None:
    model = told.get("model", "Qwen/Qwen3-0.6B@main").replace("ROOT", str(root))
    answer = submitted(client, **{**told, "model": model})
    assert answer.status_code == 202, answer.text
    queued = answer.json()
    assert (queued["queue"], queued["capability"]) == ("gpu", capability)
    assert queued["spec"]["prompt"] == told.get("prompt", "raw")


@pytest.mark.parametrize(
    ("generation", "pointer"),
    [({"prompt": "chat"}, "/spec/generation/prompt"), ({"max_tokens": 64}, "/spec/generation/max_tokens")],
)
def test_a_training_is_held_to_what_the_files_of_its_model_say(
    client: httpx.Client, root: Path, generation: dict[str, Any], pointer: str
) -> None:
    spec = {"run": "r", "problem_set": "sums@1", "model": f"{root}/small", "verifier": "exact-match", "k": 2, "n": 4}
    spec |= {"steps": 1, "problems_per_step": 2, "generation": {"max_tokens": 8, **generation}}
    answer = client.post("/v1/jobs", json={"kind": "training", "spec": spec})
    assert (answer.status_code, [each["pointer"] for each in answer.json()["errors"]]) == (422, [pointer])


def test_a_service_that_others_can_reach_lets_jobs_name_listed_servers_only() -> None:
    listed = "http://gpu-01:8000/v1"
    reachable = Settings(host="0.0.0.0", openai_servers=[listed])
    check_server(reachable, listed)
    check_server(Settings(), "http://anywhere/v1")
    with pytest.raises(InvalidRequest, match="PKPO_OPENAI_SERVERS"):
        check_server(reachable, "http://169.254.169.254/v1")
