"""The trainer that verl starts by default, with the queue between its Ray workers, calls the estimator as it trains."""

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("verl", reason="verl's trainer is NOT tested here: make test-verl does")

import ray
import torch
import transfer_queue
import verl.trainer.main_ppo
from omegaconf import OmegaConf
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY
from verl.trainer.ppo.v1 import PPOTrainerSync, get_trainer_cls
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from tests.verl.test_verl import by_definition

PARTITION, N = "train", 4
STORE = {"storage_backend": "SimpleStorage", "SimpleStorage": {"total_storage_size": 1000, "num_data_storage_units": 1}}


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """verl's queue, on a Ray of this machine alone."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray keeps one in the home folder
    folder = tempfile.mkdtemp(prefix="ray-")  # a socket's path is short
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, _temp_dir=folder, object_store_memory=10**8)
    transfer_queue.init(OmegaConf.create({"metrics": {"enabled": False, "port": 0}, "backend": STORE}))
    yield
    transfer_queue.close()
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def test_verls_trainer_knows_the_estimator() -> None:
    assert callable(verl.trainer.main_ppo.main)
    assert get_trainer_cls("sync") is PPOTrainerSync
    assert "pkpo" in ADV_ESTIMATOR_REGISTRY


@pytest.mark.timeout(500)
@pytest.mark.usefixtures("queue")
def test_its_step_gives_every_token_the_credit_of_its_response() -> None:
    generator = np.random.default_rng(3)
    lengths, uids = generator.integers(1, 6, 3 * N), [f"uid-{i % 3}" for i in range(3 * N)]
    scores = generator.integers(0, 2, 3 * N).astype(float)
    batch = drawn(uids, lengths, scores)
    algorithm = {"adv_estimator": "pkpo", "gamma": 1.0, "lam": 1.0, "use_kl_in_reward": False, "pkpo": {"k": 2}}
    trainer: Any = object.__new__(PPOTrainerSync)  # made whole it wants GPUs
    trainer.config = OmegaConf.create({"algorithm": algorithm, "actor_rollout_ref": {"rollout": {"n": N}}})
    trainer._compute_advantage(batch, {})
    found = transfer_queue.kv_batch_get(keys=batch.keys, partition_id=PARTITION, select_fields=["advantages"])
    advantages = [each.tolist() for each in found["advantages"].unbind()]
    assert [len(each) for each in advantages] == lengths.tolist()
    for uid in set(uids):
        rows = [i for i, each in enumerate(uids) if each == uid]
        for row, credit in zip(rows, by_definition([scores[i] for i in rows], 2), strict=True):
            assert advantages[row] == pytest.approx([credit] * lengths[row], abs=1e-6)
    assert max(map(max, advantages)) > 0.5


def drawn(uids: list[str], lengths: Any, scores: Any) -> KVBatchMeta:
    """Responses in the queue as verl's agent loop and its rewards leave them there."""
    keys = [f"{uid}_{i}_0" for i, uid in enumerate(uids)]  # verl's: prompt, session, output
    responses = [
        {
            "uid": uid,
            "response_mask": torch.ones(int(length), dtype=torch.int64),
            "rm_scores": torch.tensor([0.0] * (int(length) - 1) + [score], dtype=torch.float32),
        }
        for uid, length, score in zip(uids, lengths, scores, strict=True)
    ]
    tags: list[dict[str, Any]] = [{} for _ in keys]
    transfer_queue.kv_batch_put(
        keys=keys, partition_id=PARTITION, fields=list_of_dict_to_tensordict(responses), tags=tags
    )
    return KVBatchMeta(keys=keys, tags=tags, partition_id=PARTITION)
