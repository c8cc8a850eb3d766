"""What verl writes while it trains, by verl's own code, as pkpo.integrations.verl_log reads it."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("verl", reason="logs of verl are NOT tested here: make test-verl does")

from verl.trainer.ppo.v1 import PPOTrainer
from verl.utils.tracking import Tracking

from pkpo.integrations.verl_log import _completions, _grouped, _rows


def test_a_dump_is_read_as_groups_and_as_completions(tmp_path: Path) -> None:
    problems = [json.dumps({"problem": name, "prompt": f"{name}="}) for name in ("1+1", "1+1", "2+3", "2+3")]
    told = {
        "uid": ["a_b_0_0", "a_b_1_0", "c_0_0", "c_1_0"],
        "status": ["passed", "failed", "infrastructure_error", "scored"],
    }
    scores = [1.0, np.float32(0), math.nan, 0.25]
    PPOTrainer._write_generations(problems, ["2", "3\n\u2028x", "5", "6"], problems, scores, told, str(tmp_path), 7)
    rows = _rows(tmp_path / "7.jsonl")
    names, rewards, texts = _grouped(rows)
    assert names == ["1+1", "2+3"]
    assert (rewards[0], rewards[1][1], texts[0][1]) == ([1.0, 0.0], 0.25, "3\n\u2028x")
    assert math.isnan(rewards[1][0])
    passed, failed, missing, scored = (each["verifications"][0] for each in _completions(rows, "exact-match"))
    assert passed == {"verifier": "exact-match", "status": "passed", "reward": 1.0, "passed": True}
    assert failed["passed"] is False
    assert missing == {"verifier": "exact-match", "status": "infrastructure_error"}
    assert scored == {"verifier": "exact-match", "status": "scored", "reward": 0.25}
    assert [each["sample_index"] for each in _completions(rows, "exact-match")] == [0, 1, 0, 1]


def test_the_file_logger_writes_a_step_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.jsonl"
    monkeypatch.setenv("VERL_FILE_LOGGER_PATH", str(path))
    tracking = Tracking("pkpo", "sums", ["file"])
    tracking.log({"actor/entropy": np.float32(0.5), "critic/score/mean": math.nan}, step=3)
    line = path.read_bytes()
    assert line.endswith(b"\n")
    told = json.loads(line)
    assert (told["step"], told["data"]["actor/entropy"]) == (3, 0.5)
    assert told["data"]["critic/score/mean"] is None  # its JSON has no nan
    tracking.finish()
