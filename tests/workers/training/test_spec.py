"""What a training spec may not say, each with a sentence that has the value and the bound."""

from typing import Any

import pytest
from pydantic import ValidationError

from app.jobs.specs.training import TrainingSpec, to_train

TOLD: dict[str, Any] = {
    "run": "sums",
    "model": {"init": "tiny"},
    "problem_set": "sums",
    "verifier": "exact-match",
    "n": 8,
    "problems_per_step": 4,
    "k": 8,
    "steps": 3,
}


def spec(**more: Any) -> TrainingSpec:
    return TrainingSpec.model_validate(TOLD | more)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"k": 9}, "sloo_minus_one at k=9 needs groups of at least 9 completions; got 8"),
        ({"k": 8, "transform": "centered"}, "centered at k=8 needs groups of at least 9 completions; got 8"),
        ({"k": {"schedule": "step", "from": 16, "to": 1, "at": 3}}, "at least 16 completions; got 8"),
        ({"k": {"1": 0.5, "16": 0.5}}, "at least 16 completions; got 8"),
        ({"k": {"schedule": "steps"}}, "schedule must be one of constant, step, linear"),
        ({"k": {"schedule": "linear", "from": 8, "to": 1}}, "schedule linear needs 'over'"),
        ({"k": {}}, "k must name at least one number of attempts"),
        ({"k": None}, "k is missing"),
        ({"k": {"1": -0.5, "2": 1.5}}, "the weight of k=1 must be at least 0; got -0.5"),
        ({"k": {"1": 0, "2": 0}}, "a weight of k must be above 0; all are 0, and with them every credit"),
        ({"k": {"schedule": "constant", "k": {"4": -1}}}, "the weight of k=4 must be at least 0; got -1"),
        ({"k": {"schedule": "step", "from": 8, "to": 1, "at": 3}}, "after 3 steps at the earliest, and the training"),
        ({"k": {"schedule": "linear", "from": 8, "to": 1, "over": 9, "begin": 2}}, "never change: this schedule"),
        ({"k": {"schedule": "plateau", "levels": [8, 1], "patience": 2}}, "after 3 steps at the earliest"),
        ({"optimizer": {"warmup": 3}}, "optimizer.warmup must be below steps=3, or the rate lr is never reached"),
        ({"transform": "grpo", "k": 1}, "transform must be one of s, sloo"),
        ({"baseline": "ppo"}, "baseline must be one of reinforce, rloo"),
        ({"baseline": "grpo", "transform": "s"}, "by a transform or by a baseline, not by both"),
        ({"baseline": "grpo"}, "grpo takes no k: its objective is pass@1"),
        ({"baseline": "chen", "k": 2.5}, "chen needs k, one whole number for all steps"),
        ({"baseline": "chen", "k": 9}, "chen at k=9 needs n of at least as many; got n=8"),
        ({"k_eval": [1, 16]}, "k_eval must be at most n=8; got 16"),
        ({"micro_batch": 5}, "must divide the completions of a step, n * problems_per_step = 32; got 5"),
        ({"steps": None}, "steps or until must say when to stop"),
        ({"steps": None, "until": {"saturated_for": 5}, "optimizer": {"schedule": "linear"}}, "linear needs steps"),
        ({"seeds": [1, 2, 1]}, "of 3 2 are different"),
        ({"run": "r" * 195, "seeds": [1, 2]}, "at most 200 characters; with its seed this one has 202"),
        ({"verifier": "exact"}, "no such verifier; there are exact-match"),
        ({"model": {"init": "tiny", "hidden": 24, "heads": 5}}, "a multiple of twice the 5 heads; got 24"),
        ({"lora": {"r": 4}}, "lora adapts a model that exists"),
        ({"held_out": 1.5}, "less than 1"),
        ({"engine": "slime"}, "Input should be 'trl'"),
    ],
)
def test_what_could_only_fail_is_refused(more: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        spec(**more)
    assert sentence in str(refusal.value)


@pytest.mark.parametrize(
    "more",
    [
        {"k": {"1": 0, "8": 2.5}},
        {"k": {"schedule": "step", "from": 8, "to": 1, "at": 2}, "optimizer": {"warmup": 2}},
        {"k": {"schedule": "cosine", "from": 8, "to": 1, "over": 9, "begin": 1}},
        {"k": {"schedule": "plateau", "levels": [8, 1], "patience": 1}},
        {"k": {"schedule": "plateau", "levels": [8], "patience": 9}},
        {"k": {"schedule": "step", "from": 8, "to": 1, "at": 9}, "optimizer": {"warmup": 9}, "steps": 0},
        {
            "k": {"schedule": "step", "from": 8, "to": 1, "at": 9000},
            "optimizer": {"warmup": 9000},
            "steps": None,
            "until": {"saturated_for": 5},
        },
    ],
)
def test_what_comes_into_force_or_may_is_taken(more: dict[str, Any]) -> None:
    spec(**more)


@pytest.mark.parametrize(
    ("more", "member"),
    [
        ({"k": {"1": 0}}, "k"),
        ({"k": {"schedule": "step", "from": 8, "to": 1, "at": 1500}}, "k"),
        ({"optimizer": {"warmup": 50}}, "optimizer/warmup"),
    ],
)
def test_the_member_to_change_is_pointed_to(more: dict[str, Any], member: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        spec(**more)
    (error,) = refusal.value.errors()
    assert error["ctx"]["error"].member == member


@pytest.mark.parametrize("word", ["hunter2", "a\nb"])
def test_a_word_of_the_client_is_not_repeated(word: str) -> None:
    for more in ({"transform": word}, {"baseline": word}, {"k": {"schedule": word}}, {"verifier": word}):
        with pytest.raises(ValidationError) as refusal:
            spec(**more)
        assert not [each for each in refusal.value.errors() if each["type"] == "value_error" and word in each["msg"]]


@pytest.mark.parametrize(
    ("more", "capability"),
    [
        ({}, "train"),
        ({"verifier": "python-tests@1"}, "train:python"),
        ({"verifier": "reasoning-gym"}, "train:reasoning-gym"),
        ({"verifier": "weighted", "verifier_options": {"terms": [{"verifier": "math-verify"}]}}, "train:math"),
    ],
)
def test_a_job_asks_for_a_worker_that_can_verify_in_the_training(more: dict[str, Any], capability: str) -> None:
    assert to_train(spec(**more)) == capability


def test_what_is_left_out() -> None:
    assert spec().ks == (1, 2, 4, 8)
    assert (spec().method, spec(baseline="chen").method) == ("sloo_minus_one", "chen")
    assert spec(held_out=0.1, problem_set="gsm@2").held_out_name == "gsm.held-out-0.1@2"
    assert [spec(seeds=[3, 4]).run_of(seed) for seed in (3, 4)] == ["sums-seed-3", "sums-seed-4"]
