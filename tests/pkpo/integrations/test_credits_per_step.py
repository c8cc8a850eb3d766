"""Credits and figures of a step, against the estimators and transforms group by group."""

import math

import numpy as np
import pytest

import pkpo
from pkpo.integrations.credits_per_step import step_credits

REWARDS = np.random.default_rng(3).random((5, 8))
MISSING = np.where(np.random.default_rng(4).random((5, 8)) < 0.3, math.nan, REWARDS)


def at(k: int, groups: int = 5) -> list[dict[int, float]]:
    return [{k: 1.0}] * groups


def test_missing_rewards_are_left_out_of_their_groups() -> None:
    step = step_credits(MISSING, at(2))
    for group, credits in zip(MISSING, step.credits, strict=True):
        valid = ~np.isnan(group)
        assert credits[valid] == pytest.approx(pkpo.sloo_minus_one(group[valid], 2, scale="mean"))
        assert (credits[~valid] == 0).all()
    assert step.metrics["missing_rewards"] == np.isnan(MISSING).sum() > 0


def test_a_short_group_gets_no_credit_and_is_counted_or_refused() -> None:
    rewards = MISSING.copy()
    rewards[1, 2:] = math.nan
    step = step_credits(rewards, at(3))
    assert (step.credits[1] == 0).all()
    assert (step.credits[0] != 0).any()
    assert step.metrics["short_groups"] == 1
    with pytest.raises(ValueError, match=r"needs at least 3 rewards per group; group 1 has n=2"):
        step_credits(rewards, at(3), short="error")


def test_all_groups_short_is_a_step_without_signal() -> None:
    step = step_credits(np.full((2, 4), math.nan), at(2, 2))
    assert not step.credits.any()
    assert step.metrics["zero_signal_groups"] == 1
    assert step.metrics["mean_abs_credit"] == 0
    assert not any("@" in name for name in step.metrics)


@pytest.mark.parametrize("scale", pkpo.SCALES)
def test_whole_groups_have_the_credits_of_the_transform(scale: pkpo.Scale) -> None:
    step = step_credits(REWARDS, at(4), name="centered", scale=scale)
    assert step.credits == pytest.approx(pkpo.centered(REWARDS, 4, scale=scale))


def test_rms_is_one_over_all_rewards_that_are_there() -> None:
    rewards = MISSING.copy()
    rewards[1, 2:] = math.nan  # its two zeros count, as they do in the loss
    step = step_credits(rewards, at(3), scale="rms")
    assert np.square(step.credits[~np.isnan(rewards)]).mean() == pytest.approx(1)


def test_estimates_are_of_one_set_of_groups_for_every_k() -> None:
    rewards = (REWARDS > 0.7).astype(float)
    rewards[0, :3] = math.nan
    step = step_credits(rewards, at(2), k_eval=[1, 8])
    whole = rewards[1:]
    assert step.metrics["groups"] == 5
    assert step.metrics["groups_estimated"] == 4
    for k in (1, 8):
        expected = pkpo.pass_at_k(8, whole.sum(axis=1).astype(int), k).mean()
        assert step.metrics[f"pass@{k}"] == step.metrics[f"max@{k}"] == pytest.approx(expected)


def test_pass_at_k_is_logged_of_zeros_and_ones_alone() -> None:
    assert "pass@1" not in step_credits(REWARDS, at(2)).metrics
    assert step_credits(REWARDS, at(2)).metrics["max@1"] == pytest.approx(REWARDS.mean())


def test_an_infinite_reward_is_refused() -> None:
    with pytest.raises(ValueError, match="rewards must be finite; got inf"):
        step_credits(np.where(REWARDS > 0.9, math.inf, REWARDS), at(2))
