"""docs/training.md: its trainings run, on the model that it makes, against a service, and print what it shows."""

from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from statistics import mean
from typing import Any

import httpx
import pytest

from tests.documents import examples

pytest.importorskip("torch", reason="docs/training.md is NOT tested here: torch is not installed")
pytest.importorskip("trl", reason="docs/training.md is NOT tested here: TRL is not installed")


@pytest.mark.slow
def test_every_example_of_the_trainers_prints_what_it_shows(
    tmp_path: Path, base_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PKPO_URL", base_url)
    monkeypatch.setenv("PKPO_SPOOL_DIR", str(tmp_path / "spool"))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "training"}
    blocks = [each for each in examples("docs/training.md") if each.language == "python"]
    assert sum(bool(block.shown) for block in blocks) >= 4
    for block in blocks:
        with redirect_stdout(StringIO()) as printed:
            exec(block.code, names)  # each block goes on from the ones above it
        lines = printed.getvalue().splitlines()
        block.assert_shown("\n".join(line for line in lines if not line.startswith("{")))  # TRL prints what it logs
    groups = _logged(base_url, "groups")["groups"]
    estimates = _logged(base_url, "metrics?name=pkpo/pass@1")["metrics"]
    assert [each["step"] for each in estimates] == [1, 2, 3]
    for estimate in estimates:  # what the callback logs is of the groups that the reward function logs
        of_step = [group["rewards"] for group in groups if group["step"] == estimate["step"]]
        assert len(of_step) == 2
        assert estimate["value"] == pytest.approx(mean(map(mean, of_step)))


def _logged(base_url: str, what: str) -> Any:
    return httpx.get(f"{base_url}/v1/runs/digits/{what}").raise_for_status().json()
