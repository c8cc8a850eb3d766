"""The form of a training job over HTTP: filled in, looked through, and sent without a script by whoever has none."""

import json
from collections.abc import Iterator
from typing import Any, get_args

import httpx
import pytest
from pydantic import BaseModel

from app.jobs.specs.training import Lora, Teaching, TinyModel, TrainingSpec
from app.pages.training_fields import spec_of, typed_of
from dashboards.training_fields import fields
from tests.app.browsing import HOSTILE
from tests.app.test_page_answers import page
from tests.workers.training_jobs import spec, sums

TYPED = {
    "kind": "training",
    "run": "sums-k4",
    "model-kind": "tiny",
    "problem_set": "sums@1",
    "held_out": "0.25",
    "verifier": "exact-match",
    "n": "8",
    "problems_per_step": "4",
    "k": "4",
    "steps": "100",
}


@pytest.fixture
def problem_set(client: httpx.Client) -> str:
    return sums(client, "sums")


@pytest.fixture(scope="module")
def reader(shared_client: httpx.Client) -> httpx.Client:
    """Of who only looks."""
    sums(shared_client, "sums")
    return shared_client


def address(**typed: str) -> str:
    return f"/jobs/new?{httpx.QueryParams(TYPED | typed)}"


def members(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """The places of a spec that hold no object of a form of its own."""
    for name, member in model.model_fields.items():
        inner = [each for each in (member.annotation, *get_args(member.annotation)) if isinstance(each, type)]
        inner = [each for each in inner if issubclass(each, BaseModel)]
        yield f"{path}{name}"
        for each in inner:
            yield from members(each, f"{path}{name}/")


def test_every_member_of_the_spec_has_a_field() -> None:
    shown = {each.path for each in fields()}
    wanted = set(members(TrainingSpec)) - {"version", "engine", "model/init", "until", "optimizer", "generation"}
    assert {each for each in shown if not each.startswith("k/")} == wanted


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"k": {"1": 0.5, "8": 0.25}, "seeds": [3, 4], "k_eval": [1, 8], "keep": 3},
        {"k": {"schedule": "step", "from": 8, "to": 1, "at": 50}, "until": {"saturated_for": 99}},
        {"k": {"schedule": "cosine", "from": 8, "to": 1.5, "over": 50, "begin": 5}, "micro_batch": 4},
        {"k": {"schedule": "plateau", "levels": [8, 4, 1], "patience": 5, "min_delta": 0.01, "watch": "pass_at_k"}},
        {"k": {"schedule": "plateau", "levels": [8, 1], "patience": 5, "watch": "cumulative_solve_rate"}},
        {"k": {"schedule": "adaptive", "smallest": 1, "largest": 8, "target": 0.5, "direction": "down"}},
        {"k": {"schedule": "signal", "smallest": 1, "largest": 8, "per_problem": True, "decay": 0.5}},
        {"baseline": "grpo", "k": None},
        {"transform": "mixed(0.25)", "credit_scale": "rms", "loss": "dapo", "kl": 0.001, "entropy": 1e-4},
        {"model": "google/gemma-2-2b@main", "pad_token": "<pad>", "lora": {"r": 8, "targets": ["q_proj", "v_proj"]}},
        {"model": {"init": "tiny", "heads": 2}, "verifier_options": {"extract": ["tag"], "ignore_case": True}},
        {"held_out": "other@2", "optimizer": {"lr": 3e-4, "schedule": "cosine", "warmup": 10, "max_grad_norm": 0}},
        {"generation": {"engine": "vllm-colocated", "temperature": 0.7, "gpu_memory_utilization": 0.4}},
        {"model": "owner/name", "generation": {"max_tokens": 16, "prompt": "chat"}},
    ],
    ids=lambda more: "-".join(more) or "plain",
)
def test_a_spec_that_is_typed_comes_back_as_it_was(more: dict[str, Any]) -> None:
    given = spec("sums", "sums@1", n=8, steps=100) | more
    told = TrainingSpec.model_validate({name: value for name, value in given.items() if value is not None})
    typed = typed_of(told.model_dump(mode="json", exclude_none=True))
    assert TrainingSpec.model_validate(spec_of(typed)) == told


def test_a_constant_schedule_is_one_k() -> None:
    assert spec_of(typed_of({"k": {"schedule": "constant", "k": 8}}))["k"] == 8
    assert spec_of(typed_of({"k": {"schedule": "constant", "k": {"1": 1.0}}}))["k"] == {"1": 1}


def test_what_is_left_out_is_told_as_it_counts(client: httpx.Client, problem_set: str) -> None:
    shown = page(client, "/jobs/new?kind=training")
    usual = dict(zip(shown.values("id"), [None] * 999, strict=False))
    assert {"n", "optimizer-lr", "k-kind", "k-picture"} <= usual.keys()
    assert {"16", "1e-06", "256", "evaluated", "sloo_minus_one"} <= set(shown.values("placeholder"))
    assert {"36 problems"} <= set(shown.values("label")), "of the sets that exist"
    for model, name in ((Teaching, "steps"), (TinyModel, "hidden"), (Lora, "r")):
        assert str(model.model_fields[name].default) in shown.values("placeholder")


def test_train_one_like_this_is_filled_in_with_the_spec_under_a_free_name(
    client: httpx.Client, problem_set: str
) -> None:
    told = spec("sums-k2", problem_set, k={"schedule": "step", "from": 4, "to": 1, "at": 3}, transform="s")
    job = client.post("/v1/jobs", json={"kind": "training", "spec": told}).raise_for_status().json()
    assert "/jobs/new?kind=training&like=sums-k2" in page(client, f"/jobs/{job['id']}").values("href")
    shown = page(client, "/jobs/new?kind=training&like=sums-k2")
    assert "Filled in as for sums-k2 , with another name." in shown.text
    values = shown.values("value")
    assert {"sums-k2-2", "sums@1", "0.25", "exact-match", "0.01", "s"} <= set(values)
    assert "k goes from 4 to 1." in shown.text
    told["run"] = "sums-k2-2"
    answer = page(client, f"/jobs/new?{httpx.QueryParams({'kind': 'training', 'look': '1'} | typed_of(told))}")
    sent = json.loads(answer.text.partition("--data-binary @- <<'JOB' ")[2].partition(" JOB")[0])
    assert TrainingSpec.model_validate(sent["spec"]) == TrainingSpec.model_validate(told)


def test_a_free_name_counts_on(client: httpx.Client, problem_set: str) -> None:
    for run in ("a", "a-2", "a-3-seed-0"):
        client.post(f"/v1/runs/{run}/metrics", json={"metrics": [{"step": 1, "name": "loss", "value": 1}]})
    for run, free in (("a", "a-4"), ("a-2", "a-4"), ("8-to-1", "8-to-1-2")):
        client.post("/v1/jobs", json={"kind": "training", "spec": spec(run, problem_set)}).raise_for_status()
        assert free in page(client, f"/jobs/new?kind=training&like={run}").values("value")


def test_a_run_that_no_job_trained_is_told(client: httpx.Client) -> None:
    assert (
        "No training job of this service made the run nobody"
        in page(client, "/jobs/new?kind=training&like=nobody").text
    )


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"run": ""}, "run"),
        ({"run": "a/b"}, "run"),
        ({"model-kind": "named"}, "model"),
        ({"model-kind": "named", "model": "/etc"}, "model"),
        ({"model-hidden": "130"}, "model-hidden"),
        ({"model-teach-steps": "many"}, "model-teach-steps"),
        ({"problem_set": "nothing"}, "problem_set"),
        ({"held_out": "1.5"}, "held_out"),
        ({"held_out": "sums@1"}, "held_out"),
        ({"verifier": "exact"}, "verifier"),
        ({"verifier_options": '{"loud": true}'}, "verifier_options"),
        ({"n": "1"}, "n"),
        ({"n": "2.5"}, "n"),
        ({"problems_per_step": "40"}, "problems_per_step"),
        ({"micro_batch": "7"}, "micro_batch"),
        ({"k": "9"}, "k"),
        ({"k": ""}, "k"),
        ({"k": "x"}, "k"),
        ({"k-kind": "several", "k-weights": "1: 0.5, 16: 0.5"}, "k-weights"),
        ({"k-kind": "step", "k-from": "8", "k-to": "1"}, "k-kind"),
        ({"k-kind": "plateau", "k-levels": "8, 4", "k-patience": "0"}, "k-kind"),
        ({"transform": "mixed(x)"}, "transform"),
        ({"baseline": "chen", "transform": "s"}, "baseline"),
        ({"steps": ""}, "steps"),
        ({"k_eval": "1, 16"}, "k_eval"),
        ({"keep": "all"}, "keep"),
        ({"seeds": "1, 1"}, "seeds"),
        ({"optimizer-lr": "fast"}, "optimizer-lr"),
        ({"optimizer-schedule": "linear", "steps": "", "until-saturated_for": "5"}, "optimizer-schedule"),
        ({"lora": "yes"}, "lora"),
        ({"generation-temperature": "0"}, "generation-temperature"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_is_wrong_stands_at_its_field_in_the_words_of_the_api_and_what_was_typed_stays(
    reader: httpx.Client, typed: dict[str, str], field: str
) -> None:
    shown = page(reader, address(look="1", **typed), 422)
    assert [names["id"] for _, names in shown.elements if "aria-invalid" in names] == [field]
    request = {"kind": "training", "spec": spec_of(TYPED | typed)}
    refusal = reader.post("/v1/jobs", json=request)
    assert refusal.status_code == 422
    problem = refusal.json()
    assert problem["detail"] in shown.text
    codes = [each["code"].partition(": ")[2] or each["code"] for each in problem["errors"]]
    assert "This is needed." in shown.text or any(" ".join(code.split()) in shown.text for code in codes)
    kept = set(shown.values("value")) | {shown.text}
    assert all(any(value in each for each in kept) for value in typed.values())


def test_what_is_not_json_cannot_be_sent(reader: httpx.Client) -> None:
    shown = page(reader, address(look="1", verifier_options="{"), 422)
    assert shown.text.count("This is not JSON.") == 2, "above, and at the field"
    assert "{" in shown.text


def test_what_is_right_is_shown_as_the_request_that_the_api_takes(client: httpx.Client, problem_set: str) -> None:
    shown = page(client, address(look="1", priority="7"))
    text = shown.text.partition("--data-binary @- <<'JOB' ")[2].partition(" JOB")[0]
    job = client.post("/v1/jobs", json=json.loads(text)).raise_for_status().json()
    assert (job["priority"], job["spec"]["k"], job["spec"]["model"]["teach"]["steps"]) == (7, 4, 1500)
    assert shown.values("aria-invalid") == []
    assert len(client.get("/v1/jobs").json()["jobs"]) == 1, "nothing is submitted by looking"


def test_fields_that_a_choice_leaves_without_use_are_not_sent() -> None:
    typed = TYPED | {"model": "owner/name", "k-from": "8", "lora-r": "4", "model-teach": "no", "model-teach-steps": "5"}
    told = spec_of(typed)
    assert (told["model"], told["k"], "lora" in told) == ({"init": "tiny"}, 4, False)


def test_why_k_has_no_picture_is_said(reader: httpx.Client) -> None:
    assert "schedule step needs 'from'." in page(reader, address(**{"k-kind": "step"})).text
    assert "k must be at least 1." in page(reader, address(k="0.5")).text
    assert not page(reader, "/jobs/new?kind=training").values("viewBox")


def test_hostile_text_is_shown_and_makes_no_element(reader: httpx.Client) -> None:
    typed = [each.id for each in fields() if each.kind not in ("choice", "truth")]
    plain = page(reader, address(look="1", **dict.fromkeys(typed, "plain")), 422)
    for text in HOSTILE[::6]:
        shown = page(reader, address(look="1", **dict.fromkeys(typed, text)), 422)
        assert [tag for tag, _ in shown.shape] == [tag for tag, _ in plain.shape]
