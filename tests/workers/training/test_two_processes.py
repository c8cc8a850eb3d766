"""A training of two processes: one writes, groups lie across both, and it goes on where it was."""

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
from workers.training.ranks import DoesNotDivide, accumulated


def train(folder: Path, stop_after: int = 0) -> list[dict[str, Any]]:
    """What each of the two processes was told."""
    folder.mkdir(exist_ok=True)
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = [*launch, "-m", "tests.workers.training.two_processes", str(folder), str(stop_after)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((folder / f"told-{rank}-{stop_after}.json").read_text()) for rank in (0, 1)]


def test_one_that_was_stopped_comes_to_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    alone, silent = train(tmp_path / "alone")
    assert silent == {"steps": [], "evaluated": [], "lines": []}
    assert alone["evaluated"] == [0, 4]
    for _, groups in alone["steps"]:
        assert len(groups) == 4
        for _, rewards, credits in groups:
            definition = exact.TRANSFORMS["sloo_minus_one"](exact.group_of(rewards), 2)
            assert credits == [float(credit * 4) for credit in definition]
    first, _ = train(tmp_path / "stopped", stop_after=2)
    second, _ = train(tmp_path / "stopped")
    assert first["steps"] + second["steps"] == alone["steps"]
    one, other = (tmp_path / each / "run" / "step-000000004" / "model.safetensors" for each in ("alone", "stopped"))
    assert one.read_bytes() == other.read_bytes()


def test_a_micro_batch_that_cannot_be_shared_is_told() -> None:
    assert accumulated(16, 4) == 4
    with pytest.raises(DoesNotDivide, match="The 16 completions of a step cannot be shared by 1 processes"):
        accumulated(16, 5)
