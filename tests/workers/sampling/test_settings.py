"""Seeds, settings and the choice of an engine."""

import hashlib
from uuid import UUID

import pytest
from pydantic import ValidationError

from workers.sampling import (
    Request,
    SamplingRefused,
    SamplingSettings,
    by_problem,
    completion_seed,
    offered_engines,
    sampling_engine,
)

EVALUATION = UUID("0190A1B2-C3D4-7E5F-8A6B-7C8D9E0F1A2B")


@pytest.mark.parametrize(
    ("sampling_seed", "problem", "sample_index", "seed"),
    [
        # printf '["pkpo-seed-1","0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b",0,"HumanEval/0",0]' | sha256sum; its first
        # 16 digits, shifted right by 11 bits
        (0, "HumanEval/0", 0, 7144967699977779),
        (0, "HumanEval/0", 1, 5347212994447273),
        (1, "HumanEval/0", 0, 4606498818274990),
        (0, 'π "1"', 0, 849723760208843),
    ],
)
def test_seeds_are_the_documented_ones(sampling_seed: int, problem: str, sample_index: int, seed: int) -> None:
    assert completion_seed(EVALUATION, sampling_seed, problem, sample_index) == seed


def test_a_seed_is_the_documented_hash() -> None:
    text = b'["pkpo-seed-1","0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b",7,"a\\u00e9",12]'
    expected = int(hashlib.sha256(text).hexdigest()[:16], 16) // 2**11
    assert completion_seed(EVALUATION, 7, "aé", 12) == expected < 2**53


def test_every_completion_of_an_evaluation_is_asked_for_once_with_its_own_seed() -> None:
    requests = list(by_problem({"a": "1+1=", "b": "2+2="}, EVALUATION, SamplingSettings(n=3, seed=5)))
    assert [(each.problem, each.sample_index) for each in requests] == [(p, i) for p in "ab" for i in range(3)]
    assert requests[4] == Request("b", "2+2=", 1, completion_seed(EVALUATION, 5, "b", 1))
    assert len({each.seed for each in requests}) == 6


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1), ("temperature", 0.001), ("temperature", float("nan")), ("temperature", "1"),
        ("top_p", 0), ("top_p", 1.01), ("top_k", 0), ("max_tokens", 0), ("max_tokens", 1.5), ("stop", [""]),
        ("stop", "x"), ("seed", -1), ("seed", 2**63), ("n", 0), ("n", True), ("prompt", "xml"), ("top-k", 4),
    ],
)  # fmt: skip
def test_settings_that_mean_nothing_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        SamplingSettings.model_validate({field: value})


def test_settings_come_from_json() -> None:
    settings = SamplingSettings.model_validate({"temperature": 1, "stop": ["\n"], "top_k": None})
    assert settings.stop == ("\n",)
    assert SamplingSettings.model_validate_json(settings.model_dump_json()) == settings


def test_an_engine_that_is_not_there_is_named() -> None:
    with pytest.raises(SamplingRefused, match="ollama is not offered here: there are vllm, openai, transformers"):
        sampling_engine("ollama", "m", {}, [])  # type: ignore[arg-type]


@pytest.mark.skipif("vllm" in offered_engines(), reason="the refusal is NOT tested here: vllm is installed")
def test_vllm_without_vllm_is_refused() -> None:
    with pytest.raises(SamplingRefused, match="vllm is not offered here: for want of vllm"):
        sampling_engine("vllm", "m", {}, [])


def test_options_are_checked() -> None:
    with pytest.raises(SamplingRefused, match=r"openai: base_url: .*; workers: Extra inputs"):
        sampling_engine("openai", "m", {"base_url": "ftp://x", "workers": 2}, [])
    with pytest.raises(SamplingRefused, match=r"extra_body: .*seed: the sampling settings say this"):
        sampling_engine("openai", "m", {"base_url": "http://x/v1", "extra_body": {"seed": 1}}, [])


def test_without_a_server_it_says_where_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PKPO_OPENAI_BASE_URL", raising=False)
    with pytest.raises(SamplingRefused, match="base_url, or to the worker as PKPO_OPENAI_BASE_URL"):
        sampling_engine("openai", "m", {}, [])
