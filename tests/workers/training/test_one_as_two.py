"""Two processes come to the weights of one, where the completions that they draw are the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("trl", reason="NOT TESTED: requirements/install.sh trl was not run")

from safetensors.numpy import load_file

from tests.documents import ROOT
from tests.workers.training import same_draws, small
from workers.training.trainer import JobTrainer

ROUNDING = 1e-5  # of how far the weights were trained; 3e-7 was measured


@pytest.mark.slow
def test_one_process_trains_what_two_do_to_rounding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.workers.training.same_draws", str(tmp_path / "two"), "2"]
    two = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, start_new_session=True
    )
    assert two.returncode == 0, two.stderr
    monkeypatch.setattr(JobTrainer, "_generate_single_turn", same_draws.by_place)
    last, follower = small.trained(tmp_path / "one", same_draws.told())
    rewards = [[list(group.rewards) for group in each.groups] for each in follower.records]
    assert json.loads(two.stdout.splitlines()[-1]) == rewards
    assert sum(0 in group and 1 in group for step in rewards for group in step) >= 5, "too little was learned from"
    begun, one, other = (
        load_file(tmp_path / where / f"step-{step:09d}" / "model.safetensors")
        for where, step in (("one", 0), ("one", last.step), ("two", last.step))
    )
    for name in one:
        trained, apart = np.linalg.norm(one[name] - begun[name]), np.linalg.norm(one[name] - other[name])
        assert apart < ROUNDING * trained, (name, apart, trained)
