"""Completions of a training by a vLLM in its process: after every exchange of weights it draws from the new ones."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("trl", reason="NOT TESTED: requirements/install.sh trl was not run")

from tests.documents import ROOT
from tests.pkpo import exact
from workers.training.records import StepRecord
from workers.training.vllm_colocated import DIFFERENCE, OtherWeights, check_parity

PROGRAM = """
import json, sys
from pathlib import Path
from safetensors.torch import load_file
from tests.workers.training import small

if __name__ == "__main__":
    folder, out = map(Path, sys.argv[1:])
    told = small.spec(model={**small.TINY, "hidden": 32, "heads": 1}, steps=4, checkpoint_every=1, n=8, k=4,
                      optimizer={"lr": 0.05}, generation={"max_tokens": 4, "engine": "vllm-colocated"})
    stopped, _ = small.trained(folder, told, stop_after=1)
    first = load_file(stopped.folder / "model.safetensors")
    last, follower = small.trained(folder, told)
    moved = max(float((each - first[name]).abs().max()) for name, each in
                load_file(last.folder / "model.safetensors").items())
    steps = [{"step": each.step, "metrics": each.metrics, "groups": [[g.rewards, g.credits] for g in each.groups]}
             for each in follower.records]
    out.write_text(json.dumps({"moved": moved, "steps": steps}))
"""


@pytest.mark.slow
def test_the_completions_trained_on_are_of_the_weights_that_are_trained(tmp_path: Path) -> None:
    pytest.importorskip("vllm", reason="A TRAINING WITH VLLM IS NOT TESTED: vllm is not installed")
    program, out = tmp_path / "train.py", tmp_path / "told.json"
    program.write_text(PROGRAM)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
    command = [sys.executable, str(program), str(tmp_path / "run"), str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
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


@pytest.mark.parametrize("difference", [0.5, float("nan")])
def test_other_weights_end_the_training(difference: float) -> None:
    with pytest.raises(OtherWeights, match=r"Step 3: .* differ from the model's by .* nats a token"):
        check_parity(StepRecord(3, (), "sloo_minus_one", "mean", {DIFFERENCE: difference}))
    check_parity(StepRecord(3, (), "sloo_minus_one", "mean", {DIFFERENCE: 0.02}))
    check_parity(StepRecord(3, (), "sloo_minus_one", "mean", {}))
