"""Folders that `pkpo train export-verl` writes, which the service's environment does, and verl's then reads."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICE = ROOT / ".venv" / "bin" / "python"

SPEC: dict[str, Any] = {
    "run": "sums",
    "model": "/models/sums",
    "problem_set": "sums@1",
    "held_out": 0.25,
    "verifier": "exact-match",
    "n": 16,
    "problems_per_step": 8,
    "micro_batch": 4,
    "k": 8,
    "steps": 6,
    "engine": "verl",
}


def exported(folder: Path, **more: Any) -> Path:
    """The folder of a spec, for one node with two GPUs."""
    if not SERVICE.exists():
        pytest.skip("EXPORTED FOLDERS ARE NOT TESTED: requirements/install.sh service was not run")
    folder.mkdir(exist_ok=True)
    spec, problems, out = folder / "given.json", folder / "sums.jsonl", folder / "out"
    spec.write_text(json.dumps(SPEC | more))
    sums = [{"problem": f"{a}+{b}", "prompt": f"{a}+{b}=", "answer": str(a + b)} for a in range(8) for b in range(8)]
    problems.write_text("".join(json.dumps(each) + "\n" for each in sums))
    command = [SERVICE, "-m", "pkpo", "train", "export-verl", spec, "--problems", problems, "--gpus", "2", "--out", out]
    subprocess.run(list(map(str, command)), cwd=ROOT, check=True, timeout=120)
    return out
