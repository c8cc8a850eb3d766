"""Real vLLM on the processor, through queued jobs: in the worker's process, and as a server that speaks OpenAI's API.

The same problems and model both times; what is stored is held to Hugging Face's log-probabilities and to the scorer of
reasoning-gym.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from signal import SIGKILL
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import httpx
import pytest
from sqlalchemy import URL

pytest.importorskip("vllm", reason="SAMPLING JOBS WITH vLLM ARE NOT TESTED: requirements/install.sh vllm was not run")
pytest.importorskip("reasoning_gym", reason="NOT TESTED: requirements/install.sh workers was not run")

from pkpo.problems import Problem, from_reasoning_gym
from tests.app.processes import CHECKOUT, eventually, free_port
from tests.app.serving import serving
from tests.conftest import fresh_database
from tests.workers.sampling.taught import CHARACTERS, CONTEXT, logprobs_of, save_taught_model
from tests.workers.sampling.tiny import EOS, ids
from tests.workers.sampling_jobs import evaluation_of, log_of
from tests.workers.working import ended, submit
from workers.sampling.swappable import EXTENSION

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ON_A_PROCESSOR = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
FOR_A_TRAINING = {"VLLM_SERVER_DEV_MODE": "1", "PYTHONPATH": str(CHECKOUT)}
LOADING = 600  # seconds in which a busy machine starts vLLM
N, PROBLEMS, MAX_TOKENS = 16, 64, 6


class Sampled(NamedTuple):
    """A service with a worker that offers vLLM, the model and the problems, which the service has as `sums`."""

    client: httpx.Client
    model: Path
    problems: Mapping[str, Problem]
    server: str
    """Where vLLM's own server answers with the same model."""

    def spec(self, run: str, **more: Any) -> dict[str, Any]:
        told = {"run": run, "problem_set": "sums", "n": N, "verifiers": ["reasoning-gym"]}
        return told | {"sampling": {"max_tokens": MAX_TOKENS, "seed": 3}} | more


@contextmanager
def vllm_server(model: Path, log: Path) -> Iterator[str]:
    """The address of vLLM's OpenAI server, which has been started and need not answer yet."""
    port = free_port()
    options = "--load-format safetensors --enforce-eager --dtype float32 --generation-config vllm"
    options += " --no-enable-chunked-prefill"  # with seeds it ends vLLM on a processor; docs/sampling.md
    options += f" --logprobs-mode processed_logprobs --worker-extension-cls {EXTENSION}"  # for a training
    told = ["--host", "127.0.0.1", "--port", str(port), "--max-model-len", str(CONTEXT), *options.split()]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), *told]
    with log.open("wb") as out, TemporaryDirectory() as sockets:
        settings = {"VLLM_RPC_BASE_PATH": sockets, **ON_A_PROCESSOR, **FOR_A_TRAINING}
        process = subprocess.Popen(command, env=os.environ | settings, stdout=out, stderr=out, start_new_session=True)
        try:
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            end(process)


@contextmanager
def worker(database_url: str, folder: Path) -> Iterator[None]:
    """A worker as `make run` starts it."""
    settings = {"PKPO_DATABASE_URL": database_url, "PKPO_DATA_DIR": str(folder), **ON_A_PROCESSOR}
    command = [sys.executable, "-m", "workers", "--queue", "gpu", "--queue", "cpu"]
    with (folder / "worker.log").open("wb") as out:
        process = subprocess.Popen(
            command, env=os.environ | settings, stdout=out, stderr=out, cwd=CHECKOUT, start_new_session=True
        )
    try:
        yield
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Returns when it is gone, with all of its group: vLLM's server leaves its engine behind where it is killed."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=60)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, SIGKILL)
    process.wait(timeout=30)


@pytest.fixture(scope="module")
def sampled(postgres_url: URL, migrated_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sampled]:
    folder = tmp_path_factory.mktemp("vllm").resolve()
    config = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}
    problems = {each.name: each for each in from_reasoning_gym("chain_sum", PROBLEMS, 7, config).problems}
    answers = {str(each.prompt): str(each.answer) for each in problems.values()}
    model = save_taught_model(folder / "models/taught", answers)
    with (
        pytest.MonkeyPatch.context() as patch,
        vllm_server(model, folder / "server.log") as server,
        fresh_database(postgres_url, template=migrated_template) as database_url,
    ):
        patch.setenv("PKPO_MODEL_ROOTS", str(model.parent))
        with (
            serving(database_url, data_dir=folder) as url,
            worker(database_url, folder),
            httpx.Client(base_url=url, timeout=60) as client,
        ):
            client.put("/v1/problem-sets/sums@1", json={}).raise_for_status()
            rows = [{"problem": row.pop("name"), **row} for row in map(asdict, problems.values())]
            client.post("/v1/problem-sets/sums@1/problems", json={"problems": rows}).raise_for_status()
            yield Sampled(client, model, problems, server)


def test_vllm_samples_a_queued_job_and_its_curve_is_read_over_rest(sampled: Sampled) -> None:
    options = {"enforce_eager": True, "dtype": "float32", "max_model_len": CONTEXT}
    told = sampled.spec("in-process", model=str(sampled.model), engine="vllm", engine_options=options)
    assert_sampled_graded_and_shown(sampled, told)


def test_vllm_s_server_samples_the_same_way(sampled: Sampled) -> None:
    health = sampled.server.replace("/v1", "/health")
    eventually(lambda: answers(health), LOADING)
    options = {"base_url": sampled.server}
    assert_sampled_graded_and_shown(
        sampled, sampled.spec("by-server", model=str(sampled.model), engine="openai", engine_options=options)
    )


def test_vllm_s_server_draws_for_a_training_from_the_weights_that_are_trained(sampled: Sampled) -> None:
    """The last of this module: the server has other weights after it."""
    client, server = sampled.client, sampled.server
    eventually(lambda: answers(server.replace("/v1", "/health")), LOADING)
    generation = {"engine": "vllm-server", "base_url": server, "max_tokens": MAX_TOKENS, "temperature": 0.7}
    told = {
        "run": "trained-by-server",
        "model": str(sampled.model),
        "pad_token": "~",
        "problem_set": "sums",
        "held_out": 0.25,
        "verifier": "reasoning-gym",
        "n": 8,
        "problems_per_step": 8,
        "k": 4,
        "steps": 3,
        "evaluate_every": 3,
        "optimizer": {"lr": 0.02},
        "generation": generation,
    }
    path = submit(client, "training", told)
    done = ended(client, path, LOADING)
    assert done["state"] == "succeeded", "\n".join([str(done["error"]), *log_of(client, path)])
    named = "/v1/runs/trained-by-server/metrics?name=sampling/logprob_difference"
    differences = [each["value"] for each in client.get(named).raise_for_status().json()["metrics"]]
    assert len(differences) == 3
    assert all(0 < each < 1e-4 for each in differences)

    checkpoints = client.get("/v1/runs/trained-by-server/curves?k=1").raise_for_status().json()["checkpoints"]
    assert [each["step"] for each in checkpoints] == [0, 3]
    stored = [
        completions(client, f"/v1/evaluations/{each['evaluation']}/completions?limit=1000") for each in checkpoints
    ]
    assert len(stored[0]) == len(stored[1]) > 80  # a few problems have the prompt of another, and are left out
    before, after = (readable(step) for step in stored)
    assert_scored(sampled, before, sampled.model)
    assert_scored(sampled, after, trained_folder(client, checkpoints[1]["evaluation"]))
    with pytest.raises(AssertionError):  # three steps have changed what the server draws from
        assert_scored(sampled, after, sampled.model)


def readable(drawn: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those whose texts have all of their tokens: the pad token, which has no text, may have been drawn too."""
    found = [
        each for each in drawn if len(each["text"]) + (each["finish_reason"] == "stop") == each["completion_tokens"]
    ]
    assert len(found) > 0.8 * len(drawn)
    return found


def trained_folder(client: httpx.Client, evaluation: str) -> Path:
    return Path(client.get(f"/v1/evaluations/{evaluation}").raise_for_status().json()["model"])


def assert_scored(sampled: Sampled, drawn: list[dict[str, Any]], model: Path) -> None:
    """The log-probabilities stored are those of the model, without temperature."""
    expected = logprobs_of(model, [tokens_of(sampled.problems[each["problem"]], each) for each in drawn])
    assert max(abs(a["logprob"] - b) for a, b in zip(drawn, expected, strict=True)) < 1e-3


def answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def assert_sampled_graded_and_shown(sampled: Sampled, told: dict[str, Any]) -> None:
    client = sampled.client
    path = submit(client, "sampling", told)
    done = ended(client, path, LOADING)
    assert done["state"] == "succeeded", "\n".join([str(done["error"]), *log_of(client, path)])
    assert (done["progress"]["done"], done["progress"]["total"]) == (N * PROBLEMS, N * PROBLEMS)

    evaluation = evaluation_of(client, told["run"])
    curve = f"{evaluation}/curve?k=1&k={N}&verifier=reasoning-gym"
    eventually(lambda: client.get(curve).status_code == 200, 120)
    found = client.get(curve).json()
    stored = completions(client, f"{evaluation}/completions?limit=1000")
    assert len(stored) == N * PROBLEMS

    # The curve is what reasoning-gym's own scorer says of the texts, and there is something to see on it.
    solved = dict.fromkeys(sampled.problems, 0)
    for each in stored:
        solved[each["problem"]] += passes(sampled.problems[each["problem"]], each)
    assert 0 < sum(solved.values()) < N * PROBLEMS
    assert found["points"][0]["value"] == pytest.approx(sum(solved.values()) / N / PROBLEMS)
    assert found["points"][1]["value"] == pytest.approx(sum(map(bool, solved.values())) / PROBLEMS)
    assert (found["problems_used"], found["n_min"], found["unbiased"]) == (PROBLEMS, N, True)

    assert_scored(sampled, stored, sampled.model)


def completions(client: httpx.Client, address: str) -> list[dict[str, Any]]:
    page = client.get(address).raise_for_status().json()
    found: list[dict[str, Any]] = page["completions"]
    if page["next_cursor"] is None:
        return found
    return found + completions(client, f"{address.partition('&')[0]}&cursor={page['next_cursor']}")


def passes(problem: Problem, completion: dict[str, Any]) -> bool:
    import reasoning_gym

    score = reasoning_gym.get_score_answer_fn(problem.metadata["source_dataset"])
    entry = {"question": problem.prompt, "answer": problem.answer, "metadata": problem.metadata}
    return bool(score(completion["text"].strip(), entry) >= 1)


def tokens_of(problem: Problem, completion: dict[str, Any]) -> tuple[list[int], list[int]]:
    """The token ids of the prompt, and of the completion with the end that it was stopped by."""
    prompt, text = ids(str(problem.prompt), CHARACTERS), ids(completion["text"], CHARACTERS)
    tokens = text + [EOS] * (completion["finish_reason"] == "stop")
    assert (completion["prompt_tokens"], completion["completion_tokens"]) == (len(prompt), len(tokens))
    return prompt, tokens
