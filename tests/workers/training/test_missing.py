"""Completions of which the verifier says nothing: a few are told in the log, and a training that has no others ends."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from math import nan
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("trl", reason="NOT TESTED: requirements/install.sh trl was not run")

import torch

from tests.workers.training import small
from workers.training.missing import AGAIN, PATIENCE, MissingRewards
from workers.training.plans import UnsuitableRewards
from workers.training.problems import Problems
from workers.training.rewards import Rewards
from workers.verifiers import verifier

UNTAUGHT = {"init": "tiny", "hidden": 16, "layers": 1, "heads": 2}
WITHOUT_ANSWERS = [replace(each, answer=None) for each in small.SUMS]


def test_a_training_without_any_reward_ends_at_its_first_step(tmp_path: Path) -> None:
    told = (
        r"There is nothing to learn from: exact-match@1 has a verdict on none of the 16 completions of step 1\. "
        r"Of 16 it says: the problem has no answer"
    )
    with pytest.raises(UnsuitableRewards, match=told):
        small.trained(tmp_path, small.spec(model=UNTAUGHT), problems=Problems(WITHOUT_ANSWERS))


def test_a_few_missing_rewards_are_told_once_and_not_by_trl(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("trl").addHandler(caplog.handler)
    problems = Problems([*WITHOUT_ANSWERS[:9], *small.SUMS[9:]])
    last, follower = small.trained(tmp_path, small.spec(model=UNTAUGHT), problems=problems)
    logging.getLogger("trl").removeHandler(caplog.handler)
    assert last.step == 8
    assert sum(each.metrics["missing_rewards"] > 0 for each in follower.records) > 1
    [line] = [each for each in follower.lines if "missing" in each]
    assert "rewards are missing; exact-match@1 says of" in line
    assert "returned None" not in caplog.text


class Steps:
    """Steps of four completions, as the rewards of each have it, with reasons for those that are missing."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._rewards = Rewards(verifier("exact-match", {}), {})
        self._missing = MissingRewards(self._rewards, self.lines.append)

    def make(self, step: int, rewards: Sequence[float], reason: str = "boom") -> None:
        self._rewards.unsaid = [reason] * sum(each != each for each in rewards)
        self._missing.check(step, torch.tensor(rewards)[:, None])


def test_it_is_told_again_after_many_steps_and_for_another_reason() -> None:
    steps = Steps()
    for step in range(1, AGAIN + 2):
        steps.make(step, [1, 0, nan, nan])
    steps.make(AGAIN + 2, [1, 0, nan, 0], "away")
    told = "rewards are missing; exact-match@1 says of"
    assert steps.lines == [
        f"step 1: 2 of 4 {told} 2: boom",
        f"step {AGAIN + 1}: 2 of 4 {told} 2: boom",
        f"step {AGAIN + 2}: 1 of 4 {told} 1: away",
    ]
    for step in range(1000):
        steps.make(AGAIN + 3 + step, [1, 0, nan, 0], f"away from completion {step}")
    assert len(steps.lines) < 30


def test_where_there_were_rewards_a_few_steps_may_have_none() -> None:
    steps = Steps()
    steps.make(1, [1, 0, nan, 0])
    for step in range(2, PATIENCE + 1):
        steps.make(step, [nan] * 4)
    steps.make(PATIENCE + 1, [0, nan, nan, nan])
    for step in range(PATIENCE + 2, 2 * PATIENCE + 1):
        steps.make(step, [nan] * 4)
    with pytest.raises(UnsuitableRewards, match=r"none of the 4 completions of step 21\. Of 4 it says: boom"):
        steps.make(2 * PATIENCE + 1, [nan] * 4)


def test_a_training_that_goes_on_from_a_later_step_has_had_rewards_and_may_be_without_for_a_while() -> None:
    steps = Steps()
    for step in range(500, 500 + PATIENCE - 1):
        steps.make(step, [nan] * 4)
    with pytest.raises(UnsuitableRewards, match=r"none of the 4 completions of step 509\. Of 4 it says: boom"):
        steps.make(500 + PATIENCE - 1, [nan] * 4)
    with pytest.raises(UnsuitableRewards, match=r"none of the 4 completions of step 1\."):
        Steps().make(1, [nan] * 4)
