"""The reward of a completion, by the verifier that spec.json beside this file names.

verl calls `compute_score` in each of its reward workers, from several threads. `pkpo train export-verl` copies this
file into its folder; it needs a checkout of pkpo, installed in verl's environment: `pip install -e <checkout>`.
"""

import json
import math
from pathlib import Path
from threading import Lock
from typing import Any

from workers.verifiers import Problem, Verifier, verifier

_LOCK = Lock()
_made: list[Verifier] = []


def compute_score(data_source: str, solution_str: str, ground_truth: str, **_: Any) -> dict[str, Any]:
    """The verifier's reward as `score`, nan where it says nothing of the completion, and its status.

    Args:
      ground_truth: the problem, as JSON.
    """
    told = json.loads(ground_truth)
    problem = Problem(told["prompt"], told.get("answer"), told.get("tests"), told.get("metadata") or {})
    said = _verifier().verify(solution_str, problem)
    return {"score": math.nan if said.reward is None else said.reward, "status": said.status}


def _verifier() -> Verifier:
    with _LOCK:
        if not _made:
            spec = json.loads(Path(__file__).with_name("spec.json").read_text())
            _made.append(verifier(spec["verifier"], spec["verifier_options"]))
        return _made[0]
