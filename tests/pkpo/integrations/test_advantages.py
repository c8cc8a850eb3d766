"""The advantage estimator for registries of verl's signature: groups by name, settings, a schedule that resumes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="pkpo.integrations.advantages is NOT tested here: torch is not installed")

import torch

import pkpo
from pkpo.integrations.advantages import AdvantageEstimator

INDEX = np.array(["b", "a", "b", "c", "a", "b", "a", "b", "c", "a"], dtype=object)  # groups of 4, 4 and 2, mixed
MASK = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]] * 5)


def rewards(seed: int = 0) -> torch.Tensor:
    """At the last token of each response, as an outcome reward stands."""
    at_last = torch.zeros(10, 4)
    at_last[torch.arange(10), MASK.sum(dim=1) - 1] = torch.rand(10, generator=torch.Generator().manual_seed(seed))
    return at_last


def expected(name: str, k: int, of: torch.Tensor, scale: pkpo.Scale = "mean") -> Any:
    scores, credits = of.double().sum(dim=1).numpy(), np.zeros(10)
    for group in "abc":
        rows = np.equal(INDEX, group)
        if rows.sum() >= k:
            credits[rows] = pkpo.transform(name, scores[rows], k, scale=scale)
    return torch.from_numpy(credits).float()[:, None] * MASK


@pytest.mark.parametrize("name", ["sloo_minus_one", "s", "plugin"])
def test_each_token_of_a_response_has_its_credit_in_its_group(name: str) -> None:
    advantages, returns = AdvantageEstimator({"k": 2, "transform": name})(rewards(), MASK, INDEX)
    torch.testing.assert_close(advantages, expected(name, 2, rewards()))
    assert torch.equal(advantages, returns)
    assert advantages is not returns


def test_settings_come_from_the_configuration_too() -> None:
    estimate = AdvantageEstimator()
    for k, scale in ((2, "mean"), (1, "sum")):
        config = {"adv_estimator": "pkpo", "pkpo": {"k": k, "scale": scale}}
        advantages, _ = estimate(token_level_rewards=rewards(), response_mask=MASK, index=INDEX, config=config)
        torch.testing.assert_close(advantages, expected("sloo_minus_one", k, rewards(), scale))  # type: ignore[arg-type]


def test_a_group_that_is_too_short_for_k_gets_nothing_or_is_refused() -> None:
    advantages, _ = AdvantageEstimator({"k": 3})(rewards(), MASK, INDEX)
    assert (advantages[INDEX == "c"] == 0).all()
    torch.testing.assert_close(advantages, expected("sloo_minus_one", 3, rewards()))
    with pytest.raises(ValueError, match="needs at least 3 rewards per group"):
        AdvantageEstimator({"k": 3, "short": "error"})(rewards(), MASK, INDEX)


def test_a_missing_reward_is_left_out() -> None:
    missing = rewards()
    missing[0, 0] = torch.nan
    advantages, _ = AdvantageEstimator({"k": 2})(missing, MASK, INDEX)
    assert (advantages[0] == 0).all()
    others = [2, 5, 7]
    scores = rewards().double().sum(dim=1).numpy()[others]
    assert advantages[others, 0].numpy() == pytest.approx(pkpo.sloo_minus_one(scores, 2, scale="mean"))


def test_a_schedule_goes_on_from_its_file(tmp_path: Path) -> None:
    settings = {"k": {"schedule": "linear", "from": 4, "to": 1, "over": 3}, "state": str(tmp_path / "k.json")}
    for step, k in enumerate((4, 3, 2, 1)):
        advantages, _ = AdvantageEstimator(settings)(rewards(step), MASK, INDEX)  # a process of its own for each step
        torch.testing.assert_close(advantages, expected("sloo_minus_one", k, rewards(step)))
    assert [path.name for path in tmp_path.iterdir()] == ["k.json"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, r"pkpo needs its k in the configuration: \+algorithm\.pkpo\.k=8"),
        ({"k": 2, "baseline": "mean"}, "pkpo takes k, transform, scale, short, state; got baseline"),
        (None, "pkpo needs its k in the configuration"),
        ({"k": 0}, "k must be at least 1; got 0"),
        ({"k": [1, 2]}, r"k must be a real number, a mapping of weights or a schedule's specification; got \[1, 2\]"),
        ({"k": 2, "scale": "std"}, "^scale must be one of sum, mean, rms; got 'std'"),
        ({"k": 2, "short": "drop"}, "short must be zero or error; got 'drop'"),
        ({"k": 2, "transform": "grpo"}, "transform must be one of"),
        ({"k": 2, "transform": "top_mean(3)"}, "got m=3.0, k=2"),
        ({"k": {"schedule": "signal", "smallest": 1, "largest": 4, "per_problem": True}}, "must know problems apart"),
        ({"k": 2, "transform": "history(0.5)"}, "history must know problems apart over the steps, and cannot here"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_sampled(settings: Any, sentence: str) -> None:
    if settings is not None:
        with pytest.raises(ValueError, match=sentence):
            AdvantageEstimator(settings)
    estimate = AdvantageEstimator()  # whose settings come with the first call
    with pytest.raises(ValueError, match=sentence):
        estimate(rewards(), MASK, INDEX, config={"pkpo": settings})


def test_a_k_beyond_the_largest_group_is_refused_with_that_group() -> None:
    with pytest.raises(ValueError, match="needs groups of at least 5 completions; got 4"):
        AdvantageEstimator({"k": 5})(rewards(), MASK, INDEX)


def test_settings_may_be_numbers_of_numpy_and_paths(tmp_path: Path) -> None:
    settings = {"k": np.int64(2), "state": tmp_path / "k.json"}
    advantages, _ = AdvantageEstimator(settings)(rewards(), MASK, INDEX)
    torch.testing.assert_close(advantages, expected("sloo_minus_one", 2, rewards()))
    assert [path.name for path in tmp_path.iterdir()] == ["k.json"]


def test_a_training_without_settings_says_what_is_missing() -> None:
    for config in (None, {}, {"pkpo": None}):
        with pytest.raises(ValueError, match="pkpo needs its k"):
            AdvantageEstimator()(rewards(), MASK, INDEX, config=config)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"index": INDEX[:9]}, "index must name the group of each of 10 responses; got 9 names"),
        ({"index": np.append(INDEX, "a")}, "index must name the group of each of 10 responses; got 11 names"),
        ({"index": None}, "index must name the group of each of 10 responses; got None"),
        ({"index": np.array("a")}, "index must name the group of each of 10 responses; got array"),
        ({"response_mask": MASK[:, :1]}, r"response_mask must have the rewards' shape \(10, 4\); got \(10, 1\)"),
        ({"response_mask": MASK[0]}, r"response_mask must have the rewards' shape \(10, 4\); got \(4,\)"),
        ({"token_level_rewards": rewards().sum(dim=1)}, r"must have shape \(responses, tokens\); got \(10,\)"),
    ],
)
def test_what_is_not_of_the_same_responses_is_refused(given: dict[str, Any], sentence: str) -> None:
    whole: dict[str, Any] = {"token_level_rewards": rewards(), "response_mask": MASK, "index": INDEX}
    with pytest.raises(ValueError, match=sentence):
        AdvantageEstimator({"k": 2})(**whole | given)


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one response; got none"):
        AdvantageEstimator({"k": 2})(rewards()[:0], MASK[:0], INDEX[:0])
