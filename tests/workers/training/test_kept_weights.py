"""Which weights a training leaves on disk."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("trl", reason="NOT TESTED: requirements/install.sh trl was not run")

from app.training.checkpoint import written
from tests.workers.training import small
from workers.training.loop import train
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


@pytest.mark.parametrize(
    ("keep", "sentence", "most"),
    [
        ("evaluated", "every checkpoint that is evaluated", 3),
        (1, "the last 1 checkpoints that are evaluated, and of the best", 2),
    ],
)
def test_the_log_says_what_that_costs(tmp_path: Path, keep: Any, sentence: str, most: int) -> None:
    last, follower = small.trained(tmp_path, small.spec(steps=2, evaluate_every=1, checkpoint_every=1, keep=keep))
    weights = sum(each.stat().st_size for each in last.folder.iterdir() if each.is_file())
    told = f"{weights / 1e6:.1f} MB each, {most * weights / 1e6:.1f} MB in all at most, which keep decides"
    assert [line for line in follower.lines if line.startswith("on disk")] == [
        f"on disk stay the weights of {sentence}: {told}, and the last two checkpoints whole"
    ]
    assert weights > 20_000


def test_one_with_a_smaller_keep_makes_room_before_its_first_step(tmp_path: Path) -> None:
    told = {"steps": 5, "evaluate_every": 1, "checkpoint_every": 1}
    small.trained(tmp_path, small.spec(**told), stop_after=4)
    assert sorted(kept(tmp_path)) == [0, 1, 2, 3, 4]
    with small.training(tmp_path, small.spec(**told, keep=1)) as ready, pytest.raises(Full):
        train(ready, FullAfterwards())
    assert sorted(kept(tmp_path)) == [3, 4]


class Full(Exception):
    """Where the next checkpoint would be written."""


class FullAfterwards(small.Listening):
    """Lets no checkpoint come into being."""

    def commit(self, step: int) -> AbstractContextManager[Any]:
        raise Full
