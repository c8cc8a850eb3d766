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

from tests.documents import ROOT
from tests.pkpo import exact
from tests.workers.training import small
from workers.sampling import SamplingFailed
from workers.training import vllm_colocated
from workers.training.records import StepRecord
from workers.training.vllm_colocated import DIFFERENCE, OtherWeights, check_parity

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
