"""Training jobs that could only fail are refused when they are submitted, or queued again."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx
import pytest

from tests.workers.training_jobs import spec, sums
from tests.workers.working import job, submit


@pytest.fixture
def problem_set(client: httpx.Client) -> str:
    return sums(client, "sums")


def refused(client: httpx.Client, told: dict[str, Any]) -> tuple[str, list[str]]:
    """What the refusal says, and where."""
    answer = client.post("/v1/jobs", json={"kind": "training", "spec": told})
    assert answer.status_code == 422, answer.text
    found = answer.json()
    said = [found["detail"], *(each["code"] for each in found.get("errors", []))]
    return " ".join(said), [each["pointer"] for each in found.get("errors", [])]


@pytest.mark.parametrize("k", ["8", True, []])
def test_a_k_of_none_of_its_types_is_told_once(client: httpx.Client, k: Any) -> None:
    answer = client.post("/v1/jobs", json={"kind": "training", "spec": spec("refused", "sums@1", k=k)})
    told = "wrong_type: Input should be a valid integer or a valid number or an object"
    assert answer.json()["errors"] == [{"pointer": "/spec/k", "code": told}]
    assert "breaks 1 rule of" in answer.json()["detail"]


def test_a_sentence_of_ours_has_no_word_of_another_library_before_it(client: httpx.Client) -> None:
    answer = client.post("/v1/jobs", json={"kind": "training", "spec": spec("refused", "sums@1", k={"1": 0})})
    assert [each["code"].partition(";")[0] for each in answer.json()["errors"]] == ["a weight of k must be above 0"]


WRONG: list[tuple[dict[str, Any], str, str]] = [  # what of a spec, what is said of it, and where
    ({"k": 5}, "needs groups of at least 5 completions; got 4", "/spec/k"),
    ({"micro_batch": 3}, "micro_batch must divide", "/spec/micro_batch"),
    (
        {"steps": None, "until": {"saturated_for": 2}, "optimizer": {"schedule": "linear"}},
        "steps",
        "/spec/optimizer/schedule",
    ),
    ({"transform": "mixed(x)"}, "lam of mixed must be a number", "/spec/transform"),
    ({"keep": 0}, "greater than or equal to 1", "/spec/keep"),
    ({"model": {"init": "tiny", "hidden": 130}}, "a multiple of 8", "/spec/model/hidden"),
    (
        {"model": {"init": "tiny", "hidden": 24, "heads": 5}},
        "a multiple of twice the 5 heads",
        "/spec/model/hidden",
    ),
    ({"model": {"init": "tiny", "size": 8}}, "are init, hidden, layers, heads, seed, teach", "/spec/model"),
    ({"model": {"init": "tiny", "teach": {"steps": "x"}}}, "a valid integer", "/spec/model/teach/steps"),
    ({"model": 3}, "a valid string", "/spec/model"),
    ({"problem_set": "nothing"}, "no problem set of this name", "/spec/problem_set"),
    ({"held_out": "nothing"}, "no problem set of this name", "/spec/held_out"),
    ({"problem_set": "empty"}, "has no problems", "/spec/problem_set"),
    ({"problem_set": "silent"}, "1 of the 1 problems have no prompt", "/spec/problem_set"),
    ({"verifier": "python-tests"}, "needs the tests of a problem, and none of these has any", "/spec/problem_set"),
    (
        {"verifier": "weighted", "verifier_options": {"terms": [{"verifier": "python-tests"}]}},
        "The verifier python-tests needs the tests of a problem, and none of these has any",
        "/spec/problem_set",
    ),
    ({"problem_set": "unanswered"}, "needs the answer of a problem, and none of these", "/spec/problem_set"),
    ({"held_out": "unanswered"}, "needs the answer of a problem, and none of these", "/spec/held_out"),
    ({"held_out": "sums@1"}, "36 are trained on by their name and 36 by their prompt", "/spec/held_out"),
    ({"held_out": "overlapping"}, "1 are trained on by their name and 1 by their prompt", "/spec/held_out"),
    ({"held_out": "renamed"}, "0 are trained on by their name and 1 by their prompt", "/spec/held_out"),
    ({"held_out": 0.01}, "held_out = 0.01 of 36 problems is less than one", "/spec/held_out"),
    ({"problems_per_step": 28}, "there are 27 to train on", "/spec/problems_per_step"),
    ({"verifier_options": {"loud": True}}, "does not take these options", "/spec/verifier_options"),
    ({"model": "/etc"}, "not in a folder that models may be in", "/spec/model"),
    ({"model": "no/../name"}, "neither a hub name", "/spec/model"),
    ({"model": {"init": "huge"}}, "tiny", "/spec/model/init"),
    ({"pad_token": "+"}, "a pad token of its own", "/spec/pad_token"),
    ({"lora": {}}, "a tiny one is trained whole", "/spec/lora"),
    ({"generation": {"prompt": "chat"}}, "no chat template", "/spec/generation/prompt"),
    ({"generation": {"max_tokens": 1024}}, "holds 1024 tokens", "/spec/generation/max_tokens"),
    (
        {"generation": {"engine": "vllm-server", "base_url": "http://gpu:abc/v1"}},
        "must have the host",
        "/spec/generation/base_url",
    ),
    (
        {"generation": {"engine": "vllm-server", "base_url": "http://a..b/v1"}},
        "must have the host",
        "/spec/generation/base_url",
    ),
    (
        {"generation": {"engine": "vllm-server", "base_url": "http://user:canary@gpu-01:8001/v1"}},
        "should match pattern",
        "/spec/generation/base_url",
    ),
    ({"model": "https://user:canary@hub.example/model"}, "neither a hub name", "/spec/model"),
    ({"k": {"1": 0, "2": 0}}, "a weight of k must be above 0", "/spec/k"),
    ({"optimizer": {"warmup": 50}, "steps": 2}, "optimizer.warmup must be below steps=2", "/spec/optimizer/warmup"),
    ({"k": {"schedule": "step", "from": 4, "to": 1, "at": 1500}}, "k would never change", "/spec/k"),
    ({"k": {"schedule": "step", "from": 4, "to": 4, "at": 1}}, "never change: from and to are both 4", "/spec/k"),
    ({"k": {"schedule": "step", "from": 4, "to": 1, "at": 0}}, "never change: at = 0 leaves no step to", "/spec/k"),
    ({"k": {"schedule": "linear", "from": 2, "to": 2, "over": 1}}, "from and to are both 2", "/spec/k"),
    ({"steps": 4, "until": {"saturated_for": 4}}, "must be below steps=4, where the", "/spec/until/saturated_for"),
    ({"k": {"schedule": "plateau", "levels": [2, 2], "patience": 1}}, "its levels are all 2", "/spec/k"),
]


def fill_unsuitable_sets(client: httpx.Client) -> None:
    """Those that WRONG names."""
    sums(client, "overlapping", 5, 8)
    client.put("/v1/problem-sets/silent@1", json={}).raise_for_status()
    client.post("/v1/problem-sets/silent@1/problems", json={"problems": [{"problem": "p", "answer": "1"}]})
    client.put("/v1/problem-sets/renamed@1", json={}).raise_for_status()
    renamed = [{"problem": "one and one", "prompt": "1+1=", "answer": "2"}]
    client.post("/v1/problem-sets/renamed@1/problems", json={"problems": renamed}).raise_for_status()
    client.put("/v1/problem-sets/unanswered@1", json={}).raise_for_status()
    unanswered = [{"problem": f"p{i}", "prompt": f"{i}?", "answer": None, "tests": None} for i in range(4)]
    client.post("/v1/problem-sets/unanswered@1/problems", json={"problems": unanswered}).raise_for_status()
    client.put("/v1/problem-sets/empty@1", json={}).raise_for_status()


def test_what_is_wrong_with_the_spec_the_sets_and_the_verifier(client: httpx.Client, problem_set: str) -> None:
    fill_unsuitable_sets(client)
    for more, sentence, pointer in WRONG:
        said, pointers = refused(client, spec("refused", problem_set) | more)
        assert sentence in said, (more, said)
        assert set(pointers) == {pointer}, (more, pointers)
        assert "canary" not in said
    assert client.get("/v1/jobs").json()["jobs"] == []


def test_one_that_is_taken_waits_for_a_worker_that_can_train_and_verify(client: httpx.Client, problem_set: str) -> None:
    told = spec("taken", problem_set, verifier="reasoning-gym")
    job = client.post("/v1/jobs", json={"kind": "training", "spec": told}).raise_for_status().json()
    assert (job["state"], job["queue"], job["capability"], job["workers"]) == (
        "queued",
        "gpu",
        "train:reasoning-gym",
        0,
    )


def test_a_run_that_a_job_is_to_train_is_not_given_to_another(client: httpx.Client, problem_set: str) -> None:
    told = spec("twice", problem_set, seeds=[0, 1])
    job = client.post("/v1/jobs", json={"kind": "training", "spec": told}).raise_for_status().json()
    said, pointers = refused(client, spec("twice-seed-1", problem_set))
    assert f"Job {job['id']} trains twice-seed-1 already" in said
    assert pointers == ["/spec/run"]
    client.post("/v1/jobs", json={"kind": "training", "spec": spec("twice", problem_set)}).raise_for_status()
    client.post(f"/v1/jobs/{job['id']}/cancel").raise_for_status()
    again = client.post("/v1/jobs", json={"kind": "training", "spec": spec("twice-seed-1", problem_set)})
    assert again.status_code == 202, again.text


def test_a_job_is_not_queued_again_while_another_trains_a_run_of_it(client: httpx.Client, problem_set: str) -> None:
    first = submit(client, "training", spec("again", problem_set, seeds=[0, 1]))
    client.post(f"{first}/cancel").raise_for_status()
    before = job(client, first)
    second = submit(client, "training", spec("again-seed-1", problem_set))
    elsewhere = submit(client, "training", spec("again", problem_set))
    answer = client.post(f"{first}/retry")
    assert (answer.status_code, answer.json()["type"]) == (409, "run-in-training")
    told = ": wait for its end, or cancel it."
    assert answer.json()["detail"] == f"Job {second.rpartition('/')[2]} trains again-seed-1{told}"
    assert job(client, first) == before, "it stays as it was"
    client.post(f"{second}/cancel").raise_for_status()
    for _ in range(2):  # it is not the other one itself
        answer = client.post(f"{first}/retry")
        assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    assert job(client, elsewhere)["state"] == "queued", "without a seed in its name it is another run"


def test_a_job_is_not_queued_again_onto_a_run_that_was_made_since(client: httpx.Client, problem_set: str) -> None:
    """Its checkpoints would be taken for those of the job, and its model card told by the job's spec."""
    path = submit(client, "training", spec("renewed", problem_set))
    client.post(f"{path}/cancel").raise_for_status()
    evaluation = {"run": "renewed", "step": 0, "problem_set": problem_set}
    client.post("/v1/evaluations", json=evaluation).raise_for_status()
    answer = client.post(f"{path}/retry")
    assert (answer.status_code, answer.json()["type"]) == (409, "job-over")
    assert "The run renewed was made after this job had ended" in answer.json()["detail"]
    client.delete("/v1/runs/renewed").raise_for_status()
    assert client.post(f"{path}/retry").status_code == 202


@pytest.mark.parametrize("kind", ["training", "sampling"])
def test_a_run_is_not_deleted_while_a_job_needs_a_checkpoint_of_it(
    client: httpx.Client, problem_set: str, data_dir: Path, kind: str
) -> None:
    client.post("/v1/evaluations", json={"run": f"of-{kind}", "step": 2, "problem_set": problem_set}).raise_for_status()
    for run in (f"of-{kind}", f"of-{kind}-2"):
        folder = data_dir / "checkpoints" / "1" / run / "step-000000002"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").touch()
    model = str(data_dir / "checkpoints" / "1" / f"of-{kind}" / "step-000000002")
    told: dict[str, Any] = (
        spec("child", problem_set, model=model)
        if kind == "training"
        else {"run": "drawn", "step": 0, "problem_set": problem_set, "model": model, "engine": "transformers", "n": 2}
    )
    path = submit(client, kind, told)
    client.post("/v1/evaluations", json={"run": f"of-{kind}-2", "step": 2, "problem_set": problem_set})
    client.delete(f"/v1/runs/of-{kind}-2").raise_for_status()
    answer = client.delete(f"/v1/runs/of-{kind}")
    assert (answer.status_code, answer.json()["type"]) == (409, "run-in-use")
    assert f"The {kind} job {path.rpartition('/')[2]} has a checkpoint of this run" in answer.json()["detail"]
    client.post(f"{path}/cancel").raise_for_status()
    client.delete(f"/v1/runs/of-{kind}").raise_for_status()


def test_of_jobs_of_one_run_that_come_at_once_one_is_queued(client: httpx.Client, problem_set: str) -> None:
    told = spec("at-once", problem_set)
    body = {"kind": "training", "spec": told}
    queued = [each for each in at_once(lambda _: client.post("/v1/jobs", json=body)) if each.status_code == 202]
    assert len(queued) == 1
    paths = [queued[0].headers["location"]]
    for _ in range(7):
        client.post(f"{paths[-1]}/cancel").raise_for_status()
        paths.append(submit(client, "training", told))
    client.post(f"{paths[-1]}/cancel").raise_for_status()
    answers = at_once(lambda number: client.post(f"{paths[number]}/retry"))
    assert sorted(each.status_code for each in answers) == [202, *[409] * 7]


def at_once(send: Callable[[int], httpx.Response]) -> list[httpx.Response]:
    """The answers to eight requests that are sent together."""
    ready = Barrier(8)

    def wait_and_send(number: int) -> httpx.Response:
        ready.wait()
        return send(number)

    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(wait_and_send, range(8)))
