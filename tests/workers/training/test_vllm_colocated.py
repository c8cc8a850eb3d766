"""Completions of a training by a vLLM in its process: after every exchange of weights it draws from the new ones."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("trl", reason="NOT TESTED: requirements/install.sh trl was not run")

import torch
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM
from trl.generation import vllm_generation

from app.jobs.specs.training import Lora
from tests.documents import ROOT
from tests.pkpo import exact
from tests.workers.sampling.tiny import CHARACTERS, ids, save_tiny_model
from tests.workers.training import small
from workers.sampling import SamplingFailed
from workers.training import vllm_colocated
from workers.training.loop import train
from workers.training.models import Policy, loaded, with_adapter
from workers.training.records import StepRecord
from workers.training.vllm_colocated import DIFFERENCE, OtherWeights, check_heads, check_parity

SERVER = {"engine": "vllm-server", "base_url": "http://127.0.0.1:9/v1"}


@pytest.mark.slow
def test_the_completions_trained_on_are_of_the_weights_that_are_trained(tmp_path: Path) -> None:
    pytest.importorskip("vllm", reason="A TRAINING WITH VLLM IS NOT TESTED: vllm is not installed")
    out = tmp_path / "told.json"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
    command = [sys.executable, "-m", "tests.workers.training.by_vllm", str(tmp_path / "run"), str(out)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(out.read_text())
    assert told["moved"] > 0.05, "by then the first weights would give other log-probabilities"
    assert [each["step"] for each in told["steps"]] == [2, 3, 4]
    for each in told["steps"]:
        assert 0 < each["metrics"][DIFFERENCE] < 1e-4
        for rewards, credits in each["groups"]:
            definition = exact.TRANSFORMS["sloo_minus_one"](exact.group_of(rewards), 4)
            assert credits == [float(credit * 8) for credit in definition]
    assert any(any(credits) for each in told["steps"] for _, credits in each["groups"])
    assert_held_out_completions_are_of_the_checkpoints(told["held_out"])


def assert_held_out_completions_are_of_the_checkpoints(held_out: list[dict[str, Any]]) -> None:
    assert [each["step"] for each in held_out] == [0, 4]
    for each in held_out:
        assert each["untouched"], "the training would not be the one that it is without evaluations"
        assert each["drawn"] == each["asked"]
        assert each["same"] > 0.9 * len(each["asked"]) > each["texts"] > 10, "a seed draws its completion again"
        assert len(each["scores"]) > 0.5 * len(each["asked"])
        for told, by_files in each["scores"]:
            assert told == pytest.approx(by_files, abs=1e-4)


@pytest.mark.parametrize("difference", [0.5, float("nan")])
def test_other_weights_end_the_training(difference: float) -> None:
    with pytest.raises(OtherWeights, match=r"Step 3: .* differ from the model's by .* nats a token"):
        check_parity(StepRecord(3, (), "sloo_minus_one", "mean", {DIFFERENCE: difference}))
    check_parity(StepRecord(3, (), "sloo_minus_one", "mean", {DIFFERENCE: 0.02}))
    check_parity(StepRecord(3, (), "sloo_minus_one", "mean", {}))


@pytest.mark.parametrize("engine", [{"engine": "vllm-colocated"}, SERVER], ids=["colocated", "server"])
def test_without_vllm_a_training_says_how_to_install_it(
    engine: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_colocated, "find_spec", lambda name: None)
    with pytest.raises(SamplingFailed, match=r"requirements/install.sh vllm"):
        small.trained(tmp_path, small.spec(generation={"max_tokens": 4, **engine}))


def test_heads_that_vllm_does_not_serve_on_a_processor_end_the_training_before_it_is_taught(tmp_path: Path) -> None:
    pytest.importorskip("vllm", reason="A TRAINING WITH VLLM IS NOT TESTED: vllm is not installed")
    told = small.spec(generation={"max_tokens": 4, "engine": "vllm-colocated"})
    follower = small.Listening()
    sentence = r"serves heads of 32, 64, .* and those of this model have 8 \(hidden 16, heads 2\): take"
    with small.training(tmp_path, told) as ready, pytest.raises(SamplingFailed, match=sentence):
        train(ready, follower)
    assert follower.lines == []
    for served in (Qwen2Config(hidden_size=96, num_attention_heads=3), Qwen2Config(hidden_size=16, head_dim=64)):
        check_heads(served)


def test_what_keeps_vllm_from_its_start_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("vllm", reason="A TRAINING WITH VLLM IS NOT TESTED: vllm is not installed")
    monkeypatch.setattr(vllm_generation, "LLM", None)  # which it sets
    folder = save_tiny_model(tmp_path / "model", characters=f"{CHARACTERS}_")
    vllm_colocated.serve_from(loaded(str(folder), "_", [tmp_path]), tmp_path / "served")
    of_trl = {"model": str(tmp_path / "served"), "max_num_batched_tokens": 4096}
    with pytest.raises(SamplingFailed, match=r"^vLLM does not start here: User-specified max_model_len \(100000\)"):
        vllm_generation.LLM(**of_trl, max_model_len=100_000)
    (tmp_path / "served/config.json").unlink()
    with pytest.raises(SamplingFailed, match=r"^vLLM does not start here: [^\n]+$"):
        vllm_generation.LLM(**of_trl, max_model_len=16)


def test_vllm_loads_an_adapter_within_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM finds a whole model in the folder that it loads; an adapter alone it would refuse."""
    pytest.importorskip("vllm", reason="A TRAINING WITH VLLM IS NOT TESTED: vllm is not installed")
    monkeypatch.setattr(vllm_generation, "LLM", None)  # which it sets
    folder = save_tiny_model(tmp_path / "model", characters=f"{CHARACTERS}_")
    bare = loaded(str(folder), "_", [tmp_path])
    policy = Policy(with_adapter(bare.model, Lora(r=2), seed=3), bare.tokenizer)
    for name, each in policy.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(each, std=0.5)
    vllm_colocated.serve_from(policy, tmp_path / "served")
    assert policy.model.name_or_path == str(tmp_path / "served")
    asked = torch.tensor([ids("12+3=")])
    with torch.inference_mode():
        served = AutoModelForCausalLM.from_pretrained(tmp_path / "served")(input_ids=asked).logits
        torch.testing.assert_close(served, policy.model(input_ids=asked).logits, atol=1e-4, rtol=1e-4)
        assert (served - Qwen2ForCausalLM.from_pretrained(folder)(input_ids=asked).logits).abs().max() > 0.1


@pytest.mark.slow
def test_every_process_loads_the_whole_model_that_the_first_wrote(tmp_path: Path) -> None:
    """transformers writes in the first process alone."""
    pytest.importorskip("vllm", reason="A TRAINING WITH VLLM IS NOT TESTED: vllm is not installed")
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = [*launch, "-m", "tests.workers.training.served_to_two", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = ((tmp_path / f"told-{rank}").read_text() for rank in (0, 1))
    assert first == second == str(tmp_path / "of-0")
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {each.name for each in Path(second).iterdir()}
