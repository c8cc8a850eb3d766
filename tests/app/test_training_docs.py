"""docs/training.md: its trainings run, on the model that it makes, against a service, and print what it shows."""

from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from statistics import mean
from typing import Any

import httpx
import pytest

from tests.documents import examples

pytest.importorskip("torch", reason="docs/training.md is NOT tested here: torch is not installed")
trl = pytest.importorskip("trl", reason="docs/training.md is NOT tested here: TRL is not installed")


PAGE = "docs/training.md"
OF_THE_HUB = "Qwen/Qwen3-0.6B"  # what the lines that open the page train

WITHOUT_GPU = {"use_cpu": True, "bf16": False, "report_to": "none", "logging_steps": 1, "max_completion_length": 6}


def _opens(code: str) -> bool:
    return f'PKPOTrainer("{OF_THE_HUB}"' in code


@pytest.mark.slow
@pytest.mark.parametrize("document", ["README.md", PAGE])
def test_the_lines_that_open_the_page_train(document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trl, "GRPOConfig", partial(trl.GRPOConfig, **WITHOUT_GPU))
    names: dict[str, Any] = {"__name__": "training"}
    exec(next(each.code for each in examples(PAGE) if "def passed(" in each.code), names)
    for each in (names["model"], names["tokenizer"]):
        each.save_pretrained(tmp_path / OF_THE_HUB)  # a folder of that name goes before the hub
    names |= {"reward": names["passed"], "problems": names["problems"].select([0])}
    (opening,) = [each.code for each in examples(document) if each.language == "python" and _opens(each.code)]
    exec(opening, names)
    trainer = names["trainer"]
    assert trainer.state.global_step > 0
    assert all(entry["pkpo/k"] == 8 for entry in trainer.state.log_history if "pkpo/k" in entry)
    assert any("pkpo/pass@16" in entry for entry in trainer.state.log_history)


@pytest.mark.slow
def test_every_example_of_the_trainers_prints_what_it_shows(
    tmp_path: Path, base_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PKPO_URL", base_url)
    monkeypatch.setenv("PKPO_SPOOL_DIR", str(tmp_path / "spool"))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "training"}
    blocks = [each for each in examples(PAGE) if each.language == "python" and not _opens(each.code)]
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
    return httpx.get(f"{base_url}/v1/runs/digits/{what}", timeout=60).raise_for_status().json()
