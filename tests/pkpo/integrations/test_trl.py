"""PKPOTrainer under TRL, held to a second training whose credits are worked out over all subsets."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="pkpo.integrations.trl is NOT tested here: torch is not installed")
pytest.importorskip("trl", reason="pkpo.integrations.trl is NOT tested here: TRL is not installed")

import torch

import pkpo
from pkpo.integrations.trl import PKPOTrainer
from pkpo.schedules import from_spec
from tests.pkpo.integrations import tiny_trl
from tests.pkpo.integrations.replay import credited, learn, log_probabilities

ACCUMULATED = 2  # micro-batches in a step


def weights(model: Any) -> Any:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def replayed(kept: list[Any], before: Any, name: str, k: int, iterations: int = 1, processes: int = 1) -> Any:
    """The model that learns what a trainer learned from, a generation of completions after the other."""
    of_step = ACCUMULATED * processes
    steps = [kept[first : first + of_step] for first in range(0, len(kept), of_step)]
    decode = tiny_trl.tokenizer().decode
    for first in range(0, len(steps), iterations):
        credited(steps[first], tiny_trl.graded, decode, name, k)
        for batch in steps[first]:
            batch["old"] = log_probabilities(before, batch).detach()
        for step in steps[first : first + iterations]:
            for batch, source in zip(step, steps[first], strict=True):
                assert torch.equal(batch["completion_ids"], source["completion_ids"])
                batch |= {"credits": source["credits"], "old": source["old"]}
            learn(before, step)
    return before


def assert_equal(trained: Any, replayed: Any, start: Any) -> None:
    moved = (weights(trained) - weights(start)).abs().max()
    assert moved > 1e-3
    assert (weights(trained) - weights(replayed)).abs().max() < 1e-5 * moved


@pytest.mark.parametrize(("name", "k"), [("sloo_minus_one", 4), ("sloo_minus_one", 1), ("centered", 3), ("s", 5)])
def test_a_training_is_that_of_the_definition(name: str, k: int, tmp_path: Path) -> None:
    trainer = tiny_trl.trainer(tmp_path, settings={}, k=k, transform=name)
    trainer.train()
    assert_equal(trainer.model, replayed(trainer.kept, tiny_trl.model(), name, k), tiny_trl.model())


def test_a_loss_on_advantages_that_are_centred_is_another(tmp_path: Path) -> None:
    trainer = tiny_trl.trainer(tmp_path, settings={}, k=4)
    trainer.train()
    with pytest.raises(AssertionError):
        assert_equal(trainer.model, replayed(trainer.kept, tiny_trl.model(), "centered", 4), tiny_trl.model())


def test_completions_that_are_learned_from_twice(tmp_path: Path) -> None:
    trainer = tiny_trl.trainer(tmp_path, settings={"num_iterations": 2, "max_steps": 4}, k=4)
    trainer.train()
    oracle = replayed(trainer.kept, tiny_trl.model(), "sloo_minus_one", 4, iterations=2)
    assert_equal(trainer.model, oracle, tiny_trl.model())


def test_an_adapter(tmp_path: Path) -> None:
    trainer = tiny_trl.trainer(tmp_path, policy=tiny_trl.adapted(), settings={}, k=4)
    trainer.train()
    oracle = replayed(trainer.kept, tiny_trl.adapted(), "sloo_minus_one", 4)
    assert_equal(trainer.model, oracle, tiny_trl.adapted())


@pytest.mark.parametrize("transform", ["sloo_minus_one", "history(0.5)"])
def test_a_training_that_is_resumed_ends_where_it_would_have(tmp_path: Path, transform: str) -> None:
    settings = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2}
    falling = {"schedule": "linear", "from": 8, "to": 2, "over": 3}
    whole = tiny_trl.trainer(tmp_path, settings=settings, k=falling, transform=transform)
    whole.train()
    assert [step["pkpo/k"] for step in whole.state.log_history[:4]] == [8, 6, 4, 2]
    again = tiny_trl.trainer(tmp_path, settings=settings, k=falling, transform=transform)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert len(again.kept) == len(whole.kept) // 2
    assert torch.equal(weights(again.model), weights(whole.model))
    (tmp_path / "checkpoint-2" / "pkpo.json").unlink()
    with pytest.raises(ValueError, match=r"holds no pkpo\.json"):
        again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))


@pytest.mark.slow
def test_groups_that_two_processes_share(tmp_path: Path) -> None:
    # Three groups, the second on both: credits of one process depend on rewards of the other.
    run = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2",
         "-m", "tests.pkpo.integrations.two_processes", str(tmp_path)],
        env=os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        timeout=300, check=False, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    kept = [torch.load(tmp_path / f"kept-{rank}.pt") for rank in (0, 1)]
    pairs = [batch for both in zip(*kept, strict=True) for batch in both]
    prompts = [{tuple(row) for batch in each[:ACCUMULATED] for row in batch["prompt_ids"].tolist()} for each in kept]
    assert prompts[0] & prompts[1]
    oracle = replayed(pairs, tiny_trl.model(), "sloo_minus_one", 4, processes=2)
    trained = tiny_trl.model()
    trained.load_state_dict(torch.load(tmp_path / "model.pt"))
    assert_equal(trained, oracle, tiny_trl.model())


def test_what_is_logged(tmp_path: Path) -> None:
    trainer = tiny_trl.trainer(tmp_path, reward=tiny_trl.passed, settings={"max_steps": 1}, k=4, k_eval=[1, 4])
    trainer.train()
    logged = trainer.state.log_history[0]
    rewards = np.array(list(trainer._logs["rewards"]["of_each"])).reshape(-1, tiny_trl.N)
    credits = pkpo.sloo_minus_one(rewards, 4, scale="mean")
    assert 0 < rewards.mean() < 1
    for k in (1, 4):
        expected = pkpo.pass_at_k(tiny_trl.N, rewards.sum(axis=1).astype(int), k).mean()
        assert logged[f"pkpo/pass@{k}"] == logged[f"pkpo/max@{k}"] == pytest.approx(expected, abs=1e-12)
    assert "pkpo/pass@2" not in logged
    assert logged["pkpo/k"] == 4
    assert logged["pkpo/groups"] == logged["pkpo/groups_estimated"] == 4
    assert logged["pkpo/zero_signal_groups"] == (credits == 0).all(axis=1).mean()
    assert logged["pkpo/mean_abs_credit"] == pytest.approx(np.abs(credits).mean())
    assert list(trainer._logs["advantages"]) == pytest.approx(credits.ravel().tolist())


def test_rewards_that_are_missing_or_not_binary(tmp_path: Path) -> None:
    trainer = tiny_trl.trainer(tmp_path, settings={"max_steps": 2}, k=4)
    trainer.train()
    logged = trainer.state.log_history[:2]
    assert sum(step["pkpo/missing_rewards"] for step in logged) > 0
    assert not any(name.startswith("pkpo/pass@") for step in logged for name in step)


def test_an_evaluation_logs_its_own_pass_at_k(tmp_path: Path) -> None:
    settings = {"num_generations_eval": 4, "per_device_eval_batch_size": 8}
    trainer = tiny_trl.trainer(tmp_path, reward=tiny_trl.passed, settings=settings, k=6)
    trainer.eval_dataset = tiny_trl.prompts().select(range(4))
    logged = trainer.evaluate()
    assert {"eval_pkpo/pass@1", "eval_pkpo/pass@4"} <= set(logged)
    assert "eval_pkpo/pass@8" not in logged


@pytest.mark.parametrize(
    ("pkpo_settings", "settings", "sentence"),
    [
        ({"k": 9}, {}, "sloo_minus_one at k=9 needs groups of at least 9 completions; got 8"),
        ({"k": 8, "transform": "centered"}, {}, "centered at k=8 needs groups of at least 9 completions; got 8"),
        ({"k": 4, "transform": "grpo?"}, {}, "'grpo?'"),
        ({"k": 0}, {}, "k must be at least 1"),
        ({"k": 4, "credit_scale": "max"}, {}, "credit_scale must be one of sum, mean, rms; got 'max'"),
        ({"k": 4, "short": "drop"}, {}, "short must be zero or error; got 'drop'"),
        ({"k": 4, "k_eval": [1, 16]}, {}, "k_eval must be at most the completions of a group, 8; got 16"),
        (
            {"k": 4, "credit_scale": "rms"},
            {"gradient_accumulation_steps": 4, "steps_per_generation": 2},
            "steps_per_generation must be at least gradient_accumulation_steps=4; got 2",
        ),
        ({"k": 4}, {"multi_objective_aggregation": "normalize_then_sum"}, "must be sum_then_normalize"),
    ],
)
def test_settings_that_cannot_be(pkpo_settings: Any, settings: Any, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=sentence.replace("?", r"\?")):
        tiny_trl.trainer(tmp_path, settings=settings, **pkpo_settings)


@pytest.mark.parametrize("k", ["8", None, [1, 8], True])
def test_a_k_that_is_none_is_refused_before_the_model_is_loaded(k: Any) -> None:
    with pytest.raises(ValueError, match="k must be a real number, a mapping of weights or a schedule's specification"):
        PKPOTrainer("no/such-model", tiny_trl.passed, k=k)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"credit_scale": "max"}, "^credit_scale must be one of sum, mean, rms; got 'max'"),
        ({"transform": "grpo"}, "transform must be one of"),
        ({"k_eval": [0]}, "k_eval must be at least 1"),
        ({"k_eval": 4}, "k_eval must be a list of numbers of attempts; got 4"),
    ],
)
def test_what_needs_no_group_is_refused_before_the_model_is_loaded(settings: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        PKPOTrainer("no/such-model", tiny_trl.passed, k=4, **settings)


def test_k_may_be_a_number_of_numpy_or_a_schedule(tmp_path: Path) -> None:
    plans = [tiny_trl.trainer(tmp_path, settings={}, k=k).plan for k in (4, np.int64(4), from_spec(4))]
    assert plans[0].schedule == plans[1].schedule == plans[2].schedule
    assert plans[0].saved() == plans[1].saved() == plans[2].saved()


def test_a_loss_that_weighs_by_length_is_said(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="loss_type='dapo' weighs completions by their lengths"):
        tiny_trl.trainer(tmp_path, settings={"loss_type": "dapo"}, k=4)


def test_an_infinite_reward_ends_the_training_in_a_sentence(tmp_path: Path) -> None:
    trainer = tiny_trl.trainer(tmp_path, reward=lambda _: float("inf"), settings={}, k=4)
    with pytest.raises(ValueError, match="rewards must be finite; got inf"):
        trainer.train()
