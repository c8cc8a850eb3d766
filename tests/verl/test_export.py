"""Folders of `pkpo train export-verl`, read by verl itself: parser, data set, estimator, reward function."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("verl", reason="exports for verl are NOT tested here: make test-verl does")

import torch
from omegaconf import DictConfig, OmegaConf
from verl.trainer.ppo.ray_trainer import compute_advantage
from verl.trainer.ppo.reward import get_custom_reward_fn
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils.config import omega_conf_to_dataclass, validate_config
from verl.utils.dataset.rl_dataset import RLHFDataset

from pkpo.integrations.credits_per_step import CreditPlan
from pkpo.schedules import from_spec
from tests.verl.exporting import exported
from tests.verl.test_verl import batch

TRANSFORMS = ("s", "sloo", "sloo_minus_one", "centered", "plugin", "alpha_loo")
NAMED = (*TRANSFORMS, "mixed(0.25)", "top_mean(2)", "cvar(0.5)", "median")


def composed(folder: Path) -> DictConfig:
    """The configuration as verl's entry point has it after launch.sh."""
    command = [str(folder / "launch.sh"), "--cfg", "job", "--resolve"]
    done = subprocess.run(
        command, env=os.environ | {"PYTHON": sys.executable}, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    config = OmegaConf.create(done.stdout)
    assert isinstance(config, DictConfig)
    return config


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    more = {
        "k": {"schedule": "step", "from": 8, "to": 1, "at": 2},
        "transform": "mixed(0.25)",
        "credit_scale": "rms",
        "kl": 0.01,
        "lora": {"r": 8, "alpha": 16, "targets": ["q_proj"]},
        "optimizer": {"lr": 2e-6, "schedule": "cosine", "warmup": 3, "beta2": 0.99, "max_grad_norm": 0},
        "generation": {"temperature": 0.7, "max_tokens": 24},
        "seeds": [5],
    }
    return exported(tmp_path_factory.mktemp("export"), **more)


@pytest.fixture(scope="module")
def config(folder: Path) -> DictConfig:
    return composed(folder)


def test_verls_own_entry_point_takes_the_folder(config: DictConfig) -> None:
    checked = config.copy()
    checked.actor_rollout_ref.model.lora_rank = 0  # what ranks there are verl asks of vLLM, which is not installed here
    validate_config(checked, need_reference_policy(config), need_critic(config))
    assert not need_critic(config)
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    assert (actor.ppo_micro_batch_size_per_gpu, actor.ppo_mini_batch_size) == (4, 8)
    assert (actor.loss_agg_mode, actor.loss_scale_factor) == ("seq-mean-token-sum-norm", 24)
    assert (actor.use_kl_loss, actor.kl_loss_coef) == (True, 0.01)
    assert (actor.optim.lr, actor.optim.lr_scheduler_type, actor.optim.lr_warmup_steps) == (2e-6, "cosine", 3)
    assert (tuple(actor.optim.betas), actor.optim.clip_grad) == ((0.9, 0.99), 1e9)
    rollout = omega_conf_to_dataclass(config.actor_rollout_ref.rollout)
    assert (rollout.n, rollout.temperature, rollout.seed, rollout.load_format) == (16, 0.7, 5, "safetensors")
    assert (config.actor_rollout_ref.model.lora_rank, list(config.actor_rollout_ref.model.target_modules)) == (
        8,
        ["q_proj"],
    )
    assert (config.data.train_batch_size, config.data.max_response_length, config.data.seed) == (8, 24, 5)
    assert (config.trainer.total_training_steps, config.trainer.test_freq, config.trainer.n_gpus_per_node) == (6, 50, 2)


def test_its_credits_follow_the_schedule_of_the_spec(folder: Path, config: DictConfig) -> None:
    plan = CreditPlan(16, from_spec({"schedule": "step", "from": 8, "to": 1, "at": 2}), "mixed(0.25)", "rms")
    Path(folder / "schedule.json").unlink(missing_ok=True)
    for step in range(4):
        data = drawn(step)
        found = compute_advantage(data, adv_estimator="pkpo", num_repeat=16, config=config.algorithm)
        assert found.batch["advantages"][:, 0].numpy() == pytest.approx(credits(plan, data, step), abs=1e-6)
    assert json.loads((folder / "schedule.json").read_text())["steps"] == 4


@pytest.mark.parametrize(
    ("name", "k"),
    [
        (name, k)
        for name in NAMED
        for k in (1, 4, {"2": 0.25, "8": 0.75})
        if (name, k) != ("top_mean(2)", 1)  # it is of k from 2 up
    ],
)
def test_every_transform_by_name_makes_the_credits_of_the_library(name: str, k: Any) -> None:
    settings = OmegaConf.create({"pkpo": {"k": k, "transform": name, "scale": "mean"}})
    data = drawn(1)
    found = compute_advantage(data, adv_estimator="pkpo", num_repeat=16, config=settings)
    expected = credits(CreditPlan(16, from_spec(k), name, "mean"), data, 0)
    assert found.batch["advantages"][:, 0].numpy() == pytest.approx(expected, abs=1e-6)
    assert np.abs(expected).max() > 0


def drawn(seed: int) -> Any:
    """A batch of three problems, 16 responses each."""
    made = batch(48)
    torch.manual_seed(seed)
    last = made.batch["response_mask"].sum(dim=1) - 1
    made.batch["token_level_rewards"][torch.arange(48), last] = (torch.rand(48) > 0.6).float()
    return made


def credits(plan: CreditPlan, data: Any, step: int) -> np.ndarray[Any, Any]:
    """What the library makes of the batch, response by response."""
    scores, uid = data.batch["token_level_rewards"].sum(dim=1).double().numpy(), data.non_tensor_batch["uid"]
    names = sorted(set(uid))
    places = np.array([np.flatnonzero(uid == name) for name in names])
    made = np.empty(len(uid))
    made[places] = plan.train(scores[places], names, step).credits
    return made


def test_verls_data_set_has_the_problems(config: DictConfig) -> None:
    held_out = RLHFDataset(str(config.data.val_files), None, config.data)
    training = RLHFDataset(str(config.data.train_files), None, config.data)
    assert (len(training), len(held_out)) == (48, 16)
    row = training[0]
    problem = json.loads(row["reward_model"]["ground_truth"])
    assert row["raw_prompt"] == [{"role": "user", "content": problem["prompt"]}]
    assert row["extra_info"]["problem"] == problem["problem"]
    names = {each["extra_info"]["problem"] for each in (*training, *held_out)}
    assert len(names) == 64


def test_verl_calls_the_verifier_of_the_spec(config: DictConfig) -> None:
    score = get_custom_reward_fn(config)
    assert score is not None
    problem = json.dumps({"problem": "2+3", "prompt": "2+3=", "answer": "5"})
    given = {"data_source": "sums@1", "ground_truth": problem, "extra_info": {}}
    assert score(solution_str="5", **given) == {"score": 1.0, "status": "passed"}
    assert score(solution_str="6", **given) == {"score": 0.0, "status": "failed"}
    unsuitable = given | {"ground_truth": json.dumps({"problem": "x", "prompt": "?"})}
    said = score(solution_str="6", **unsuitable)
    assert math.isnan(said["score"])
    assert said["status"] == "infrastructure_error"


def test_a_resumed_training_has_k_where_its_checkpoint_has_it(folder: Path, config: DictConfig) -> None:
    from verl.trainer.ppo.checkpoint_callback import build_checkpoint_callback

    checkpoint = folder / "checkpoints" / "global_step_50"
    checkpoint.mkdir(parents=True)
    (folder / "schedule.json").write_text('{"steps": 50}')
    build_checkpoint_callback(config).on_save(None, global_step=50, checkpoint_dir=str(checkpoint))
    (folder / "checkpoints" / "latest_checkpointed_iteration.txt").write_text("50")
    (folder / "schedule.json").write_text('{"steps": 77}')  # the training was killed after step 77
    composed(folder)
    assert (folder / "schedule.json").read_text() == '{"steps": 50}'
