"""Sampling jobs by a real worker: a tiny model is sampled, its completions judged, and the curve fills in."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import httpx
import pytest
from sqlalchemy import URL

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("transformers", reason="NOT TESTED: requirements/install.sh trl was not run")

from tests.app.processes import children, eventually
from tests.app.serving import serving
from tests.conftest import fresh_database
from tests.workers.sampling.tiny import save_tiny_model
from tests.workers.sampling_jobs import PROBLEMS, completions, evaluation_of, log_of, sampler, spec
from tests.workers.working import ended, job, submit
from workers.sampling import SamplingSettings, by_problem, sampling_engine

STAYS = "is still loaded"
LOADED = "was loaded in"
LONG = 100_000  # completions of a problem that no test waits for
LOADING = 120  # seconds in which a busy machine imports torch


class Sampling(NamedTuple):
    """A service with one worker, whose process keeps its model between jobs."""

    client: httpx.Client
    worker: subprocess.Popen[bytes]

    def done(self, told: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """The job once it has ended, and its log."""
        path = submit(self.client, "sampling", told)
        return ended(self.client, path, LOADING), "\n".join(log_of(self.client, path))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_model(tmp_path_factory.mktemp("models").resolve() / "tiny"))


@pytest.fixture(scope="module")
def sampling(
    postgres_url: URL, migrated_template: str, model: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sampling]:
    folder = tmp_path_factory.mktemp("data")
    with (
        pytest.MonkeyPatch.context() as patch,
        fresh_database(postgres_url, template=migrated_template) as database_url,
    ):
        patch.setenv("PKPO_MODEL_ROOTS", str(Path(model).parent))
        with (
            serving(database_url, data_dir=folder) as url,
            sampler(database_url, folder) as worker,
            httpx.Client(base_url=url, timeout=60) as client,
        ):
            yield Sampling(client, worker)


def test_completions_are_drawn_judged_and_topped_up_with_the_model_loaded_once(sampling: Sampling, model: str) -> None:
    client, told = sampling.client, spec(sampling.client, "drawn", model, verifiers=["exact-match"])
    done, log = sampling.done(told)
    assert (done["state"], done["progress"]["done"], done["progress"]["total"]) == ("succeeded", 16, 16), done
    assert LOADED in log
    assert "Loading weights" not in log
    path = evaluation_of(client, "drawn")
    stored = completions(client, path)
    assert_drawn_with_their_seeds(model, path, stored, n=2)

    done, log = sampling.done(told | {"n": 5})
    assert (done["state"], done["progress"]["done"], done["progress"]["total"]) == ("succeeded", 40, 40)
    assert "24 of 40 completions are to be drawn" in log
    assert STAYS in log
    assert LOADED not in log
    more = completions(client, path)
    assert_drawn_with_their_seeds(model, path, more, n=5)
    assert [each for each in more if each["sample_index"] < 2] == [
        {**each, "verifications": other["verifications"]}
        for each, other in zip(stored, (one for one in more if one["sample_index"] < 2), strict=True)
    ]
    eventually(lambda: client.get(f"{path}/curve?k=1").status_code == 200, 30)
    curve = client.get(f"{path}/curve?k=5").json()
    assert (curve["n_min"], curve["n_max"], curve["unbiased"], curve["verifier"]) == (5, 5, True, "exact-match@1")
    right = sum(each["text"].strip() == PROBLEMS[each["problem"]] for each in more)
    assert curve["points"][0]["k"] == 5
    assert client.get(f"{path}/curve?k=1").json()["points"][0]["value"] == pytest.approx(right / 40)

    done, log = sampling.done(told | {"n": 3})
    assert (done["state"], done["progress"]["total"]) == ("succeeded", 24)
    assert "nothing was to be drawn" in log
    assert client.get(path).json()["n"] == 5


def assert_drawn_with_their_seeds(model: str, path: str, stored: list[dict[str, Any]], n: int) -> None:
    """The rows are what the engine draws here with the documented seeds."""
    settings = SamplingSettings(max_tokens=6, seed=3, n=n)
    prompts = {name: f"{name}=" for name in PROBLEMS}
    with sampling_engine("transformers", model, {}, [Path(model).parent]) as engine:
        drawn = list(engine.sample(by_problem(prompts, UUID(path.rpartition("/")[2]), settings), settings))
    assert len(stored) == len(drawn) == n * len(PROBLEMS)
    by_key = {(each["problem"], each["sample_index"]): each for each in stored}
    for sample in drawn:
        row = by_key[sample.problem, sample.sample_index]
        assert (row["text"], row["finish_reason"], row["seed"]) == (sample.text, sample.finish_reason, sample.seed)
        assert (row["prompt_tokens"], row["completion_tokens"]) == (sample.prompt_tokens, sample.completion_tokens)
        assert row["logprob"] == pytest.approx(sample.logprob, abs=1e-4)


def test_a_job_that_fails_names_the_problem_and_leaves_nothing_loaded(sampling: Sampling, model: str) -> None:
    client = sampling.client
    long = {"problem": "long", "prompt": "1" * 60 + "="}
    client.put("/v1/problem-sets/long@1", json={}).raise_for_status()
    client.post("/v1/problem-sets/long@1/problems", json={"problems": [long]}).raise_for_status()
    failed, _ = sampling.done(spec(client, "long", model, problem_set="long"))
    assert (failed["state"], failed["attempt"]) == ("failed", 1)
    assert (failed["progress"]["done"], failed["progress"]["total"]) == (0, 2)
    assert "Problem 'long': its prompt of 61 tokens and max_tokens 6" in failed["error"]["detail"]
    eventually(lambda: not children(sampling.worker.pid), 30)


def test_a_job_that_is_cancelled_takes_its_model_along(sampling: Sampling, model: str) -> None:
    client = sampling.client
    path = submit(client, "sampling", spec(client, "cancelled", model, n=LONG))
    eventually(lambda: job(client, path)["progress"]["done"] > 0, LOADING)
    at_work = children(sampling.worker.pid)
    client.post(f"{path}/cancel", json={}).raise_for_status()
    assert ended(client, path)["state"] == "cancelled"
    eventually(lambda: not set(at_work) & set(children(sampling.worker.pid)))
    drawn = completions(client, evaluation_of_started(client, path))
    assert len(drawn) == min(job(client, path)["progress"]["done"], 1000)  # what was drawn stays


def evaluation_of_started(client: httpx.Client, path: str) -> str:
    """The path of the evaluation that a job's log names."""
    [line] = [each for each in log_of(client, path) if each.startswith("evaluation ")]
    return f"/v1/evaluations/{line.split()[1].rstrip(':')}"


def test_an_evaluation_is_of_one_model_and_of_one_content_of_its_folder(sampling: Sampling, model: str) -> None:
    client, other = sampling.client, save_tiny_model(Path(model).parent / "other", chat=False)
    told = spec(client, "of-one-model", str(other), n=1)
    assert sampling.done(told)[0]["state"] == "succeeded"
    (other / "generation_config.json").write_text('{"eos_token_id": 1}')
    refused, log = sampling.done(told | {"n": 2})
    assert f"{other} holds other weights than those this evaluation was sampled from" in refused["error"]["detail"]
    assert LOADED in log  # what was loaded before the files changed is not used
    refused, _ = sampling.done(told | {"model": model, "n": 2})
    assert refused["error"]["detail"].startswith("This evaluation exists with another model;")
