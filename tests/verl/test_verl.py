"""pkpo.integrations.verl in verl itself, which needs an environment of its own: `make test-verl`."""

import importlib.metadata
import itertools
from typing import Any

import numpy as np
import pytest

pytest.importorskip("verl", reason="pkpo.integrations.verl is NOT tested here: make test-verl does")

import torch
from omegaconf import OmegaConf
from verl import DataProto
from verl.trainer.ppo.core_algos import get_adv_estimator_fn
from verl.trainer.ppo.ray_trainer import compute_advantage

import pkpo

RESPONSES, TOKENS, N = 12, 5, 4


def batch(responses: int = RESPONSES) -> DataProto:
    torch.manual_seed(2)
    mask = (torch.arange(TOKENS) < torch.randint(1, TOKENS + 1, (responses, 1))).long()
    rewards = torch.zeros(responses, TOKENS)
    rewards[torch.arange(responses), mask.sum(dim=1) - 1] = torch.rand(responses)
    groups = np.array([f"uid-{response % 3}" for response in range(responses)], dtype=object)
    tensors = {"token_level_rewards": rewards, "response_mask": mask}
    return DataProto.from_dict(tensors=tensors, non_tensors={"uid": groups})


def by_definition(rewards: list[float], k: int) -> list[float]:
    """sloo_minus_one over all subsets, times n: what each k-subset gains by its member."""
    subsets = list(itertools.combinations(range(len(rewards)), k))
    gains = [0.0] * len(rewards)
    for members in subsets:
        for i in members:
            gains[i] += max(rewards[j] for j in members) - max(rewards[j] for j in members if j != i)
    return [len(rewards) * gain / len(subsets) for gain in gains]


@pytest.mark.parametrize("k", [2, 3, 4])
def test_verls_own_computation_of_advantages_is_the_definition(k: int) -> None:
    config = OmegaConf.create({"adv_estimator": "pkpo", "gamma": 1.0, "lam": 1.0, "pkpo": {"k": k}})
    data = compute_advantage(batch(), adv_estimator="pkpo", num_repeat=N, config=config)
    rewards, uid = data.batch["token_level_rewards"].sum(dim=1), data.non_tensor_batch["uid"]
    assert data.batch["advantages"].abs().max() > 0.1
    for group in set(uid):
        rows = np.flatnonzero(uid == group)
        credits = torch.tensor(by_definition(rewards[rows].tolist(), k))
        expected = credits[:, None] * data.batch["response_mask"][rows]
        torch.testing.assert_close(data.batch["advantages"][rows], expected, atol=1e-6, rtol=0)
        torch.testing.assert_close(data.batch["returns"][rows], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("k", [{1: 0.5, 4: 0.5}, {"schedule": "constant", "k": {1: 0.5, 4: 0.5}}])
def test_weights_and_schedules_are_read_from_verls_configuration(k: Any) -> None:
    config = OmegaConf.create({"pkpo": {"k": k, "transform": "plugin", "scale": "sum"}})
    data = compute_advantage(batch(), adv_estimator="pkpo", num_repeat=N, config=config)
    rewards, uid = data.batch["token_level_rewards"].double().sum(dim=1).numpy(), data.non_tensor_batch["uid"]
    for group in set(uid):
        rows = np.flatnonzero(uid == group)
        credits = pkpo.multi_k(rewards[rows], {1: 0.5, 4: 0.5}, name="plugin")
        assert data.batch["advantages"][rows, 0].numpy() == pytest.approx(credits, abs=1e-6)


def test_verl_finds_the_estimator_by_itself() -> None:
    assert "pkpo" in {point.name for point in importlib.metadata.entry_points(group="verl.plugins")}
    assert get_adv_estimator_fn("pkpo").__class__.__name__ == "AdvantageEstimator"


def test_a_configuration_without_k_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="pkpo needs its k"):
        compute_advantage(batch(), adv_estimator="pkpo", num_repeat=N, config=OmegaConf.create({}))
