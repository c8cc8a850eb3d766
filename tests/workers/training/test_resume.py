"""A training that was killed, stopped or found its checkpoint damaged comes to the same weights, bit for bit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("trl", reason="NOT TESTED: requirements/install.sh trl was not run")

from tests.documents import ROOT
from tests.workers.training import killed, small
from workers.training.checkpoints import OtherTraining

KILLS = 12


@pytest.mark.slow
def test_after_twelve_kills_the_weights_are_those_of_a_training_that_was_left_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.workers.training.killed", str(tmp_path / "killed"), str(KILLS)]
    (tmp_path / "killed").mkdir()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
    assert done.stdout.endswith(f"killed {KILLS} times, then exited with 0\n"), done.stdout + done.stderr
    told = small.spec(steps=killed.STEPS, evaluate_every=20, checkpoint_every=killed.CHECKPOINT_EVERY)
    alone, _ = small.trained(tmp_path / "alone", told)
    last = tmp_path / "killed" / alone.folder.name
    assert (last / "model.safetensors").read_bytes() == small.weights(alone)
    assert not list((tmp_path / "killed").glob(".*")), "what was half written is gone"


def test_one_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    told = small.spec(k={"schedule": "step", "from": 4, "to": 1, "at": 5})
    stopped, first = small.trained(tmp_path / "stopped", told, stop_after=3)
    assert stopped.step == 3
    last, second = small.trained(tmp_path / "stopped", told)
    alone, whole = small.trained(tmp_path / "alone", told)
    assert small.weights(last) == small.weights(alone)
    assert small.state(last) == small.state(alone)
    assert [each.step for each in first.records + second.records] == [each.step for each in whole.records]
    for one, other in zip(first.records + second.records, whole.records, strict=True):
        assert one.groups == other.groups
        assert {name: value for name, value in one.metrics.items() if not name.startswith("seconds/")} == {
            name: value for name, value in other.metrics.items() if not name.startswith("seconds/")
        }
    assert [next(iter(each.groups)).k for each in whole.records] == [{4: 1.0}] * 5 + [{1: 1.0}] * 3
    assert (first.evaluated, second.evaluated, whole.evaluated) == ([0], [4, 8], [0, 4, 8])


@pytest.mark.parametrize("step", [0, 4, 8])
def test_one_that_was_stopped_in_an_evaluation_completes_it_before_another_step(tmp_path: Path, step: int) -> None:
    stopped, first = small.trained(tmp_path / "stopped", small.spec(), stop_in=step)
    assert (stopped.step, len(first.records), first.evaluated[-1]) == (step, step, step)
    last, second = small.trained(tmp_path / "stopped", small.spec())
    assert second.evaluated == [each for each in (0, 4, 8) if each >= step]
    alone, _ = small.trained(tmp_path / "alone", small.spec())
    assert small.weights(last) == small.weights(alone)


def test_the_best_weights_stay_wherever_the_data_folder_is_moved(tmp_path: Path) -> None:
    told = small.spec(steps=6, evaluate_every=1, checkpoint_every=1, keep=1)
    small.trained(tmp_path / "before", told, stop_after=4, values={1: 0.5})
    (tmp_path / "before").rename(tmp_path / "after")
    small.trained(tmp_path / "after", told)
    assert [each.name for each in sorted((tmp_path / "after").glob("step-*"))] == [
        f"step-{step:09d}" for step in (1, 5, 6)
    ]


def test_a_training_that_is_over_is_not_made_again(tmp_path: Path) -> None:
    once, _ = small.trained(tmp_path, small.spec(steps=2))
    again, follower = small.trained(tmp_path, small.spec(steps=2))
    assert (again.folder, follower.records, follower.evaluated) == (once.folder, [], [2])


@pytest.mark.parametrize("damaged", ["model.safetensors", "training/optimizer.safetensors", "training/state.json"])
def test_a_damaged_checkpoint_is_moved_aside_and_the_one_before_it_taken(tmp_path: Path, damaged: str) -> None:
    told = small.spec(steps=4, checkpoint_every=1, evaluate_every=100)
    small.trained(tmp_path / "a", told, stop_after=3)
    file = tmp_path / "a" / "step-000000003" / damaged
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    last, follower = small.trained(tmp_path / "a", told)
    assert [each.step for each in follower.records] == [3, 4]
    assert (tmp_path / "a" / "corrupt-step-000000003-0" / damaged).read_bytes() == content
    alone, _ = small.trained(tmp_path / "b", told)
    assert small.weights(last) == small.weights(alone)


def test_checkpoints_of_another_spec_are_neither_gone_on_from_nor_touched(tmp_path: Path) -> None:
    small.trained(tmp_path, small.spec(steps=2))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OtherTraining, match=r"another spec, or on other problems\. Give this one another name"):
        small.trained(tmp_path, small.spec(steps=2, k=4))
    assert sorted(tmp_path.rglob("*")) == before


def test_nothing_of_a_checkpoint_is_a_pickle(tmp_path: Path) -> None:
    last, _ = small.trained(tmp_path, small.spec(steps=1))
    kinds = {path.suffix for path in last.folder.rglob("*") if path.is_file()}
    assert kinds == {".json", ".safetensors"}
