"""Settings that change what is trained or when it ends: the KL's reference, entropy, losses, saturation."""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("trl", reason="NOT TESTED: requirements/install.sh trl was not run")

from tests.workers.sampling.tiny import save_tiny_model
from tests.workers.training import small
from workers.sampling import ModelRefused
from workers.training.loop import REFERENCE, train


def test_the_kl_is_taken_to_the_model_that_the_training_began_from(tmp_path: Path) -> None:
    told = small.spec(kl=0.1)
    last, whole = small.trained(tmp_path / "alone", told)
    kls = [each.metrics["kl"] for each in whole.records]
    assert abs(kls[0]) < 1e-6
    assert kls[-1] > 1e-4
    first = (tmp_path / "alone" / REFERENCE / "model.safetensors").read_bytes()
    assert first == (tmp_path / "alone" / "step-000000000" / "model.safetensors").read_bytes()
    small.trained(tmp_path / "stopped", told, stop_after=3)
    again, second = small.trained(tmp_path / "stopped", told)
    assert small.weights(again) == small.weights(last)
    assert [each.metrics["kl"] for each in second.records] == kls[3:]


def test_a_weight_of_the_kl_keeps_the_policy_near(tmp_path: Path) -> None:
    free, held = (small.trained(tmp_path / str(kl), small.spec(kl=kl))[1] for kl in (1e-9, 10.0))
    assert held.records[-1].metrics["kl"] < 0.5 * free.records[-1].metrics["kl"]


@pytest.mark.filterwarnings("ignore:loss_type=")
@pytest.mark.parametrize("more", [{"entropy": 0.1}, {"loss": "bnpo"}, {"loss": "grpo"}, {"loss": "dapo"}], ids=str)
def test_entropy_and_loss_change_what_is_learned(tmp_path: Path, more: dict[str, float | str]) -> None:
    one, other = (
        small.trained(tmp_path / str(i), small.spec(steps=3) if i else small.spec(steps=3, **more)) for i in (0, 1)
    )
    assert [each.rewards for each in one[1].records[0].groups] == [each.rewards for each in other[1].records[0].groups]
    assert small.weights(one[0]) != small.weights(other[0])


def test_a_training_ends_where_no_problem_is_solved_for_the_first_time(tmp_path: Path) -> None:
    told = small.spec(steps=None, until={"saturated_for": 3}, optimizer={"lr": 0.01})
    last, follower = small.trained(tmp_path, told)
    solved = [each.metrics["cumulative_solve_rate"] for each in follower.records]
    assert solved[-4:] == [solved[-1]] * 4
    assert all(len(set(solved[i : i + 4])) > 1 for i in range(len(solved) - 4))
    assert last.manifest["ended"]
    assert follower.evaluated[-1] == last.step == len(follower.records)


def test_a_model_that_is_only_evaluated_is_held_to_its_prompts(tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "models" / "sums", chat=False)
    told = small.spec(model=str(model), pad_token="+", steps=0, generation={"max_tokens": 4, "prompt": "chat"})
    with small.training(tmp_path / "run", told) as ready, pytest.raises(ModelRefused, match="no chat template"):
        train(replace(ready, roots=(tmp_path / "models",)), small.Listening())
