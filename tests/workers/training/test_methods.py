"""Credits of a training by every method, figures of its steps, and what is trained: all weights, or an adapter."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("trl", reason="NOT TESTED: requirements/install.sh trl was not run")

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from pkpo.baselines import BASELINES, baseline
from pkpo.transforms import transform
from tests.workers.sampling.tiny import save_tiny_model
from tests.workers.training import small
from workers.sampling import ModelRefused
from workers.training.loop import Training, train
from workers.training.models import loaded
from workers.training.plans import UnsuitableRewards, plan
from workers.training.problems import split
from workers.training.records import Tally
from workers.training.rewards import Rewards
from workers.verifiers import verifier

GROUPS = np.array([[0, 1, 0, 1, 1, 0], [0, 0, 0, 0, 0, 1], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]], dtype=float)
NAMES = ["a", "b", "c", "d"]
PARTS = ("sampling", "verifying", "learning", "pkpo")


@pytest.mark.parametrize("scale", ["mean", "sum"])
@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_makes_the_credits_that_the_library_gives(name: str, scale: Any) -> None:
    k = 3 if BASELINES[name].claims == "pass@k" else None
    told = small.spec(n=6, baseline=name, k=k, credit_scale=scale)
    made = plan(told, 4).train(GROUPS, NAMES, 0)
    np.testing.assert_array_equal(made.credits, baseline(name, GROUPS, k, scale=scale))
    assert made.metrics["k"] == (k or 1)
    assert made.metrics["zero_signal_groups"] == (made.credits == 0).all(axis=1).mean()


def test_a_missing_reward_has_no_credit_and_leaves_its_group_smaller() -> None:
    groups = GROUPS.copy()
    groups[0, 1] = np.nan
    groups[1, 1:] = np.nan
    for told in (small.spec(n=6, baseline="rloo", k=None), small.spec(n=6, k=1)):
        made = plan(told, 4).train(groups, NAMES, 0)
        assert (made.credits[np.isnan(groups)] == 0).all()
        there = np.delete(groups[0], 1)
        np.testing.assert_allclose(np.delete(made.credits[0], 1), transform("sloo_minus_one", there, 1, scale="mean"))
        assert (made.metrics["missing_rewards"], made.metrics["short_groups"]) == (6, 1)
        assert (made.credits[1] == 0).all()


def test_every_reward_missing_is_no_signal() -> None:
    made = plan(small.spec(n=6, k=3), 4).train(np.full((4, 6), np.nan), NAMES, 0)
    assert (made.credits == 0).all()
    assert made.metrics["zero_signal_groups"] == 1
    told = Tally((1, 3), 4).add(1, np.full((4, 6), np.nan), NAMES)
    assert np.isnan(told["reward/mean"])
    assert told["cumulative_solve_rate"] == 0


def test_rewards_that_a_method_does_not_take_are_told_with_the_step() -> None:
    with pytest.raises(UnsuitableRewards, match=r"Step 4: .*0 and 1|Step 4: .*0 or 1"):
        plan(small.spec(n=6, baseline="chen", k=3), 4).train(GROUPS / 2, NAMES, 3)


def test_the_figures_are_of_this_step_and_the_ten_before() -> None:
    tally = Tally((1, 2), 8)
    first = tally.add(1, GROUPS, NAMES)
    assert first["pass@1"] == pytest.approx((3 + 1 + 6 + 0) / 24)
    assert (first["cumulative_solve_rate"], tally.last_new) == (3 / 8, 1)
    later = tally.add(2, np.ones((1, 6)), ["c"])
    assert later["pass@1"] == pytest.approx((10 / 24 + 1) / 2)
    assert (later["cumulative_solve_rate"], tally.last_new) == (3 / 8, 1)
    again = Tally((1, 2), 8)
    again.resume(json.loads(json.dumps(tally.saved())))
    for step in range(3, 14):
        told = again.add(step, np.zeros((1, 6)), ["e"])
    assert (told["pass@1"], told["reward/std"], told["cumulative_solve_rate"]) == (0, 0, 3 / 8)
    graded = again.add(14, np.full((1, 6), 0.5), ["e"])
    assert "pass@1" not in graded
    assert graded["max@1"] == pytest.approx(0.05)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models").resolve() / "tiny")


def test_a_model_without_a_pad_token_is_refused_until_one_is_named(base: Path) -> None:
    with pytest.raises(ModelRefused, match=r"has no pad token.*as pad_token in the spec"):
        loaded(str(base), None, [base.parent])
    with pytest.raises(ModelRefused, match="has no token 'nope'"):
        loaded(str(base), "nope", [base.parent])
    with pytest.raises(ModelRefused, match="ends its completions with '<eos>'"):
        loaded(str(base), "<eos>", [base.parent])
    assert loaded(str(base), "+", [base.parent]).tokenizer.pad_token == "+"


def adapted(base: Path, folder: Path, stop_after: int | None = None) -> Any:
    told = small.spec(model=str(base), pad_token="+", lora={"r": 2, "alpha": 4}, steps=4, baseline="reinforce", k=None)
    problems = split(small.SUMS, 0.25)
    with verifier("length", {"free": 1, "most": 6}) as judge:
        rewards = Rewards(judge, {each.name: each for each in problems.training})
        follower = small.Listening(stop_after)
        return train(Training(told, 0, problems, rewards, folder, [base.parent]), follower)


def test_an_adapter_is_trained_merged_into_each_checkpoint_and_gone_on_with(base: Path, tmp_path: Path) -> None:
    adapted(base, tmp_path / "stopped", stop_after=3)
    last, alone = adapted(base, tmp_path / "stopped"), adapted(base, tmp_path / "alone")
    assert small.weights(last) == small.weights(alone)
    before, after = (AutoModelForCausalLM.from_pretrained(each).state_dict() for each in (base, last.folder))
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("_proj" in name for name in changed), "embeddings and norms are not adapted"
    assert AutoTokenizer.from_pretrained(last.folder).pad_token == "+"


def test_prompts_that_leave_no_room_for_a_completion_are_told_before_the_first_step(base: Path, tmp_path: Path) -> None:
    told = small.spec(model=str(base), pad_token="+", generation={"max_tokens": 62})
    problems = split(small.SUMS, 0.25)
    with verifier("exact-match") as judge:
        ready = Training(told, 0, problems, Rewards(judge, {}), tmp_path, [base.parent])
        with pytest.raises(ModelRefused, match=r"has 4 tokens: with generation.max_tokens = 62 .* than the 64"):
            train(ready, small.Listening())


def test_what_pkpo_takes_of_a_step_of_the_papers_size_is_less_than_a_hundredth(tmp_path: Path) -> None:
    told = small.spec(model={**small.TINY, "hidden": 128, "layers": 4}, n=16, problems_per_step=16, k=8, steps=5)
    _, follower = small.trained(tmp_path, told)
    spent = [{name: each.metrics[f"seconds/{name}"] for name in PARTS} for each in follower.records]
    assert np.median([each["pkpo"] / sum(each.values()) for each in spent]) < 0.01
