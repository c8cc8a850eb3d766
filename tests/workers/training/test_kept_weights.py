"""Which weights a training leaves on disk."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("trl", reason="NOT TESTED: requirements/install.sh trl was not run")

from app.training.checkpoint import written
from tests.workers.training import small
from workers.training.problems import Problems, split


def kept(folder: Path) -> dict[int, bool]:
    """By step whether the optimizer is there too."""
    return {
        int(each.name.removeprefix("step-")): (each / "training" / "optimizer.safetensors").exists()
        for each in sorted(folder.glob("step-*"))
    }


@pytest.mark.parametrize(
    ("more", "evaluated"),
    [({}, [0, 2]), ({"keep": 2}, [2]), ({"keep": 1}, []), ({"keep": 1, "evaluate_every": 3}, [3])],
    ids=["evaluated", "two", "one", "one-between-checkpoints"],
)
def test_weights_stay_of_the_checkpoints_that_the_spec_names(
    tmp_path: Path, more: dict[str, Any], evaluated: list[int]
) -> None:
    told = small.spec(**{"steps": 5, "evaluate_every": 2, "checkpoint_every": 1} | more)
    small.trained(tmp_path, told)
    found = kept(tmp_path)
    assert {step for step, whole in found.items() if not whole} == set(evaluated)
    assert [step for step, whole in found.items() if whole] == [4, 5], "to go on from"
    for step in found:
        assert "model.safetensors" in written(tmp_path / f"step-{step:09d}").files


def test_without_held_out_problems_nothing_is_evaluated_and_nothing_kept(tmp_path: Path) -> None:
    problems = Problems(split(small.SUMS, 0.25).training)
    small.trained(tmp_path, small.spec(steps=4, evaluate_every=1, checkpoint_every=1), problems=problems)
    assert kept(tmp_path) == {3: True, 4: True}


def test_what_is_kept_is_no_part_of_what_is_computed(tmp_path: Path) -> None:
    told = {"steps": 4, "evaluate_every": 1, "checkpoint_every": 1}
    small.trained(tmp_path, small.spec(**told), stop_after=3)
    last, follower = small.trained(tmp_path, small.spec(**told, keep=1))
    assert [each.step for each in follower.records] == [4], "gone on from, though the setting is another"
    assert list(kept(tmp_path)) == [3, last.step]
