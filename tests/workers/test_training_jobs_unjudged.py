"""Training jobs whose verifier says nothing of any completion end with what it says, and keep what they drew."""

from pathlib import Path

import httpx
import pytest

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("trl", reason="NOT TESTED: requirements/install.sh trl was not run")

from tests.app.processes import CHECKOUT
from tests.workers.training_jobs import spec, sums, trainer
from tests.workers.working import ended, submit

VERIFIERS = """
def raises(completion, problem):
    raise RuntimeError("boom")
raises.pkpo_verifier = "1"

def not_a_number(completion, problem):
    return {"reward": float("nan")}
not_a_number.pkpo_verifier = "1"
"""


def test_a_verifier_without_a_verdict_fails_the_job_before_its_first_step(
    client: httpx.Client, database_url: str, data_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(VERIFIERS)
    problem_set = sums(client, "sums")
    model = {"init": "tiny", "hidden": 16, "layers": 1, "heads": 2}
    told = {"model": model, "verifier": "own:raises"}
    jobs = [
        submit(client, "training", spec("evaluated", problem_set, **told)),
        submit(client, "training", spec("raising", problem_set, **told | {"held_out": None})),
        submit(client, "training", spec("nan", problem_set, **told | {"verifier": "own:not_a_number"})),
    ]
    with trainer(database_url, data_dir, lease=30.0, PYTHONPATH=f"{CHECKOUT}:{tmp_path}"):
        done = [ended(client, path, 120) for path in jobs]
    assert [(each["state"], each["attempt"]) for each in done] == [("failed", 1)] * 3, done
    begins = "There is nothing to learn from: own:{}@1 has a verdict on none of the {}. Of {} it says: the function {}."
    raised, returned = "raised RuntimeError: boom", "returned neither a bool nor a finite number nor such a dict"
    held_out = "36 completions of held-out problems at step 0"
    assert [each["error"]["detail"] for each in done] == [
        begins.format("raises", held_out, 36, raised),
        begins.format("raises", "16 completions of step 1", 16, raised),
        begins.format("not_a_number", held_out, 36, returned),
    ]
    [checkpoint] = client.get("/v1/runs/evaluated/curves?k=1").raise_for_status().json()["checkpoints"]
    assert len(client.get(f"/v1/evaluations/{checkpoint['evaluation']}/completions").json()["completions"]) == 36
    assert [each["step"] for each in client.get("/v1/runs/raising/checkpoints").json()["checkpoints"]] == [0]
