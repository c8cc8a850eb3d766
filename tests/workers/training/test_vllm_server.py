"""What a training says of a vLLM server that does not suit.

The server here answers as vLLM's own does, with the faults that its configuration or its users may have. A training by
a real one is in tests/workers/test_vllm_jobs.py.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy.orm import Session

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("trl", reason="NOT TESTED: requirements/install.sh trl was not run")
pytest.importorskip("vllm", reason="TRAINING BY A vLLM SERVER IS NOT TESTED: vllm is not installed")

import torch
from safetensors.torch import load_file

from app.config import Settings
from app.errors import InvalidRequest
from app.jobs.checks import check
from app.jobs.specs.training import Generation
from tests.app.processes import free_port
from tests.workers.training import small
from workers.training import vllm_server
from workers.training.vllm_server import FolderClient, ServerFailed

SUITABLE = {"logprobs_mode": "processed_logprobs", "max_model_len": 64}
GOOD: dict[str, tuple[int, Any]] = {
    "/health": (200, None),
    "/v1/models": (200, {"data": [{"id": "served"}]}),
    "/server_info?config_format=json": (200, {"vllm_config": {"model_config": SUITABLE}}),
    "/collective_rpc": (200, {"results": [None]}),
    "/reset_prefix_cache": (200, {"success": True}),
}


class Asked(list[tuple[str, Any]]):
    """The requests of a server by path, with their bodies, and what was in the folder of weights by then."""


@contextmanager
def serving(answers: dict[str, tuple[int, Any]]) -> Iterator[tuple[str, Asked]]:
    asked = Asked()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or "null"))

        def _answer(self, body: Any) -> None:
            weights = (
                Path(body["kwargs"]["weights_path"]) / "model.safetensors" if self.path == "/collective_rpc" else None
            )
            asked.append((self.path, load_file(weights) if weights else body))
            status, said = answers.get(self.path, (404, {"detail": "Not Found"}))
            content = b"" if said is None else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def exchanged(client: FolderClient) -> None:
    client.init_communicator("cpu")
    client.update_named_params([("w", "float32", [2])], iter([("w", torch.tensor([1.0, 2.0], requires_grad=True))]))
    client.reset_prefix_cache()


def test_weights_pass_through_a_folder_that_is_gone_afterwards(tmp_path: Path) -> None:
    with serving(GOOD) as (url, asked):
        exchanged(FolderClient(url, tmp_path / "weights", 64))
    [weights] = [what for path, what in asked if path == "/collective_rpc"]
    assert weights["w"].tolist() == [1.0, 2.0]
    assert [path for path, _ in asked][-2:] == ["/collective_rpc", "/reset_prefix_cache"]
    assert list((tmp_path / "weights").iterdir()) == []


@pytest.mark.parametrize(
    ("path", "answer", "sentence"),
    [
        ("/v1/models", (401, {"error": "Unauthorized"}), "answered 401: .*Unauthorized"),
        ("/v1/models", (200, {"models": []}), "answers otherwise than vLLM's: without data/0/id"),
        ("/server_info?config_format=json", (200, {}), "answers otherwise than vLLM's: without vllm_config"),
        (
            "/server_info?config_format=json",
            (404, None),
            "cannot exchange weights: start it with VLLM_SERVER_DEV_MODE=1",
        ),
        (
            "/server_info?config_format=json",
            (200, {"vllm_config": {"model_config": SUITABLE | {"logprobs_mode": "raw_logprobs"}}}),
            "tells raw_logprobs, .*--logprobs-mode processed_logprobs",
        ),
        (
            "/server_info?config_format=json",
            (200, {"vllm_config": {"model_config": SUITABLE | {"max_model_len": 32}}}),
            "takes 32 tokens; .* are 64",
        ),
        ("/collective_rpc", (500, {"error": "No such file"}), "No such file.* must see the folder .*weights"),
        ("/reset_prefix_cache", (200, {"success": False}), "a training needs one of its own"),
    ],
    ids=["key", "another", "older", "not-for-development", "raw", "short", "elsewhere", "shared"],
)
def test_a_server_that_does_not_suit_is_told_in_a_sentence(
    tmp_path: Path, path: str, answer: tuple[int, Any], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_server, "RESETS", 2)
    with serving(GOOD | {path: answer}) as (url, _), pytest.raises(ServerFailed, match=f"{url}/v1 .*{sentence}"):
        exchanged(FolderClient(url, tmp_path / "weights", 64))


def test_a_training_ends_before_its_first_step_where_no_server_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_server, "WAITED_FOR", 0.5)
    url = f"http://127.0.0.1:{free_port()}"
    told = small.spec(generation={"max_tokens": 4, "engine": "vllm-server", "base_url": f"{url}/v1"})
    with pytest.raises(ServerFailed, match=f"^The vLLM server {url}/v1 does not answer: Connection refused$"):
        small.trained(tmp_path, told)
    assert list(tmp_path.iterdir()) == []


def test_the_same_training_goes_on_with_a_server_elsewhere(tmp_path: Path) -> None:
    hashes = []
    for url in ("http://one:8000/v1", "http://other:8000/v1"):
        with small.training(tmp_path, small.spec(generation={"engine": "vllm-server", "base_url": url})) as ready:
            hashes.append(ready.config)
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"engine": "vllm-server"}, "vllm-server needs base_url"),
        ({"base_url": "http://gpu-01:8000/v1"}, "base_url is of vllm-server alone, and engine is transformers"),
        ({"engine": "vllm-server", "base_url": "http://gpu-01:8000"}, "should match pattern"),
        ({"engine": "vllm-server", "base_url": "http://a@gpu-01:8000/v1"}, "should match pattern"),
    ],
    ids=["none", "other-engine", "no-v1", "user"],
)
def test_an_address_is_of_a_server_and_of_its_engine(told: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        Generation.model_validate(told)


def test_a_service_that_others_can_reach_lets_trainings_name_listed_servers_only() -> None:
    listed = Settings(host="0.0.0.0", openai_servers=["http://gpu-01:8000/v1"])
    told = small.spec(generation={"engine": "vllm-server", "base_url": "http://169.254.169.254/v1"})
    with pytest.raises(InvalidRequest, match="PKPO_OPENAI_SERVERS") as raised:
        check(Session(), 1, listed, told)
    assert list(raised.value.errors) == [("/spec/generation/base_url", "not allowed")]
