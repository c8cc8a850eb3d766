"""CreditPlan: a schedule of k over the optimizer steps of a training, whatever the trainer."""

import json
import math
from typing import Any

import numpy as np
import pytest

import pkpo
from pkpo import oracle
from pkpo.integrations.credits_per_step import CreditPlan
from pkpo.schedules import from_spec
from pkpo.schedules.spec import Spec

BINARY = (np.random.default_rng(1).random((3, 8)) < 0.4).astype(float)
NAMES = ["a", "b", "c"]


def plan(spec: Spec, problems: int | None = None, **settings: Any) -> CreditPlan:
    return CreditPlan(8, from_spec(spec), problems=problems, **settings)


def test_k_follows_the_steps() -> None:
    made = plan({"schedule": "step", "from": 8, "to": 1, "at": 2})
    for step, k in enumerate([8, 8, 1]):
        credits = made.train(BINARY, NAMES, step)
        assert credits.metrics["k"] == k
        assert credits.credits == pytest.approx(pkpo.sloo_minus_one(BINARY, k, scale="mean"))


def test_steps_that_learn_from_the_same_completions_again_count() -> None:
    made = plan({"schedule": "step", "from": 8, "to": 1, "at": 2})
    assert [made.train(BINARY, NAMES, step).metrics["k"] for step in (0, 2)] == [8, 1]


def test_completions_that_are_drawn_twice_for_a_step_have_one_k() -> None:
    made = plan({"schedule": "linear", "from": 8, "to": 1, "over": 7})
    assert [made.train(BINARY, NAMES, step).metrics["k"] for step in (0, 0, 1)] == [8, 8, 7]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"schedule": "signal", "smallest": 1, "largest": 4}, {"solve_rate": 0.375}),
        (
            {"schedule": "signal", "smallest": 1, "largest": 4, "per_problem": True},
            {"solve_rates": {"a": 1.0, "b": 0.0, "c": 0.25, "d": 0.25}},
        ),
        ({"schedule": "plateau", "levels": [2, 1], "patience": 5}, {"best": 0.5}),
    ],
)
def test_what_is_drawn_twice_for_a_step_is_observed_together(spec: Spec, expected: dict[str, Any]) -> None:
    made, alone = CreditPlan(4, from_spec(spec)), CreditPlan(4, from_spec(spec))
    first, second = np.tile([[1.0], [0.0]], 4), np.tile([0.0, 0.0, 0.0, 1.0], (2, 1))
    for rewards, names in ((first, ["a", "b"]), (second, ["c", "d"])):
        made.train(rewards, names, 0)
    for of_plan in (made, alone):
        of_plan.train(first, ["a", "b"], 1)
    assert made.state == {**made.state, "step": 1, **expected}
    assert made.observed == alone.observed  # of a step that is drawn once, that alone


def test_a_k_between_two_is_their_mixture() -> None:
    credits = plan(2.25).train(BINARY, NAMES, 0).credits
    two, three = (pkpo.sloo_minus_one(BINARY, k, scale="mean") for k in (2, 3))
    assert credits == pytest.approx(0.75 * two + 0.25 * three)


def test_a_transform_with_its_parameter_in_its_name() -> None:
    credits = plan(2, transform="mixed(0.25)").train(BINARY, NAMES, 0).credits
    assert credits == pytest.approx(pkpo.mixed(BINARY, 2, 0.25, scale="mean"))


def test_an_l_statistic_by_its_name() -> None:
    credits = plan(4, transform="top_mean(2)").train(BINARY, NAMES, 0).credits
    assert credits == pytest.approx(pkpo.l_statistic(BINARY, 4, (0, 0, 0.5, 0.5), scale="mean"))


def test_history_takes_the_problems_own_past_off_and_nothing_of_the_step() -> None:
    # Worked out here anew: of each problem the moving average of max_g@k; of a new one the mean of the known ones.
    rng, decay, k = np.random.default_rng(3), 0.25, 3
    made, known = plan(k, transform="history(0.25)"), dict[str, float]()
    for step, names in enumerate((["a", "b", "a"], ["b", "c", "d"], ["a", "d", "e"])):
        rewards = rng.random((3, 8))
        rewards[1, 5:] = np.nan
        of_all = np.mean(list(known.values())) if known else 0.0
        found = made.train(rewards, names, step).credits
        drawn: dict[str, list[float]] = {}
        for name, group, credits in zip(names, rewards, found, strict=True):
            there = group[~np.isnan(group)]
            assert credits[: len(there)] == pytest.approx(
                pkpo.history(there, k, known.get(name, of_all), scale="mean"), rel=1e-13
            )
            assert (credits[len(there) :] == 0).all()
            drawn.setdefault(name, []).append(float(pkpo.max_at_k(there, k)))
        for name, values in drawn.items():
            new = float(np.mean(values))
            known[name] = decay * known[name] + (1 - decay) * new if name in known else new


def test_history_has_a_baseline_for_each_k() -> None:
    made, g = plan({"1": 0.25, "4": 0.75}, transform="history(0)"), np.random.default_rng(4).random((2, 3, 8))
    made.train(g[0], NAMES, 0)
    found = made.train(g[1], NAMES, 1).credits
    each = {k: pkpo.history(g[1], k, pkpo.max_at_k(g[0], k), scale="mean") for k in (1, 4)}
    assert found == pytest.approx(0.25 * each[1] + 0.75 * each[4], rel=1e-13)
    assert made.evaluate(g[0], NAMES).credits == pytest.approx(
        sum(w * pkpo.history(g[0], k, pkpo.max_at_k(g[0], k), scale="mean") for k, w in ((1, 0.25), (4, 0.75)))
    )  # the step that is under way is no past yet


def test_history_is_unbiased_whatever_the_past_was() -> None:
    made = CreditPlan(4, from_spec(2), "history(0.5)", "sum")
    made.train(np.array([[1.0, 0.0, 0.0, 1.0]]), ["a"], 0)
    before, p = made.saved(), 0.3

    def credits(outcome: Any) -> Any:
        now = CreditPlan(4, from_spec(2), "history(0.5)", "sum")
        now.resume(before)
        return now.train(outcome[None], ["a"], 1).credits[0]

    assert oracle.bernoulli(lambda outcomes: np.array([*map(credits, outcomes)]), 4, p).mean == pytest.approx(
        2 * (1 - p), rel=1e-12
    )


def test_completions_drawn_twice_for_a_step_are_no_past_of_each_other() -> None:
    g = np.random.default_rng(5).random((3, 1, 8))
    made = plan(2, transform="history(0)")
    for step, rewards in ((0, g[0]), (0, g[1])):
        assert made.train(rewards, ["a"], step).credits == pytest.approx(pkpo.s(rewards, 2, scale="mean"))
    past = (pkpo.max_at_k(g[0, 0], 2) + pkpo.max_at_k(g[1, 0], 2)) / 2
    assert made.train(g[2], ["a"], 1).credits == pytest.approx(pkpo.history(g[2], 2, past, scale="mean"))


def test_weights_of_several_k() -> None:
    step = plan({"1": 0.5, "8": 0.5}).train(BINARY, NAMES, 0)
    assert step.credits == pytest.approx(pkpo.multi_k(BINARY, {1: 0.5, 8: 0.5}, scale="mean"))
    assert step.metrics["k"] == 4.5


def test_each_problem_may_have_its_k() -> None:
    made = plan({"schedule": "signal", "smallest": 1, "largest": 8, "per_problem": True, "decay": 0})
    solve_rates = BINARY.mean(axis=1)
    assert 0 < solve_rates[0] != solve_rates[1] > 0
    made.train(BINARY, NAMES, 0)
    credits = made.train(BINARY, NAMES, 1).credits
    for row, rate in enumerate(solve_rates):
        k = min(max(-1 / math.log1p(-rate), 1), 8) if rate else 8
        low = math.floor(k)
        expected = pkpo.multi_k(BINARY[row], {low: low + 1 - k, low + 1: k - low}, scale="mean")
        assert credits[row] == pytest.approx(expected)


def test_a_plateau_of_pass_at_k_ends_a_level() -> None:
    made = plan({"schedule": "plateau", "levels": [8, 1], "patience": 2})
    assert [made.train(BINARY, NAMES, step).metrics["k"] for step in range(4)] == [8, 8, 8, 1]


def test_the_cumulative_solve_rate_counts_each_problem_once() -> None:
    made = plan({"schedule": "plateau", "levels": [8, 1], "patience": 1, "watch": "cumulative_solve_rate"}, problems=6)
    solved = np.ones((1, 8))
    ks = [made.train(solved, [name], step).metrics["k"] for step, name in enumerate(["a", "b", "a", "a"])]
    assert ks == [8, 8, 8, 1]
    assert made.solved == {"a", "b"}


@pytest.mark.parametrize(
    "spec",
    [
        {"schedule": "cosine", "from": 8, "to": 2, "over": 5},
        {"schedule": "adaptive", "smallest": 1, "largest": 8, "target": 0.5, "direction": "down"},
        {"schedule": "signal", "smallest": 1, "largest": 8, "per_problem": True},
        {"schedule": "plateau", "levels": [8, 4, 1], "patience": 2, "watch": "cumulative_solve_rate"},
    ],
)
def test_what_is_saved_is_all_that_a_plan_remembers(spec: Spec) -> None:
    whole, first = plan(spec, problems=9), plan(spec, problems=9)
    for step in range(3):
        whole.train(BINARY, NAMES, step)
        first.train(BINARY, NAMES, step)
    again = plan(spec, problems=9)
    again.resume(json.loads(json.dumps(first.saved())))
    for step in range(3, 8):
        assert (again.train(BINARY, NAMES, step).credits == whole.train(BINARY, NAMES, step).credits).all()


def test_the_past_of_history_is_saved_to_the_last_bit() -> None:
    rng, falling = np.random.default_rng(6), {"schedule": "linear", "from": 8, "to": 1, "over": 7}
    steps = [(rng.random((3, 8)), [str(name) for name in rng.permutation(5)[:3]]) for _ in range(8)]
    steps[1][0][0, 3:] = np.nan  # too short for the largest k: nothing is known of it there
    whole, first = (plan(falling, transform="history(0.3)", scale="rms") for _ in range(2))
    for step in range(3):
        whole.train(*steps[step], step)
        first.train(*steps[step], step)
    again = plan(falling, transform="history(0.3)", scale="rms")
    again.resume(json.loads(json.dumps(first.saved(), allow_nan=False)))
    for step in range(3, 8):
        assert (again.train(*steps[step], step).credits == whole.train(*steps[step], step).credits).all()
    assert again.saved() == whole.saved()


def test_history_may_begin_in_the_middle_of_a_training() -> None:
    first, again = plan(4), plan(4, transform="history(0.5)")
    first.train(BINARY, NAMES, 0)
    again.resume(json.loads(json.dumps(first.saved())))
    assert again.train(BINARY, NAMES, 1).credits == pytest.approx(pkpo.s(BINARY, 4, scale="mean"))


def test_an_evaluation_leaves_the_schedule_where_it_is() -> None:
    made = plan({"schedule": "linear", "from": 8, "to": 1, "over": 7})
    before = made.saved()
    assert set(made.evaluate(BINARY[:, :4], NAMES).metrics) >= {"pass@1", "pass@4"}
    assert made.saved() == before


def test_a_plan_of_another_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the checkpoint's schedule of k is Constant\(value=8\); this run's is"):
        plan(4).resume(plan(8).saved())


@pytest.mark.parametrize(
    ("spec", "settings", "sentence"),
    [
        (
            {"schedule": "linear", "from": 1, "to": 9, "over": 5},
            {},
            "at k=9 needs groups of at least 9 completions; got 8",
        ),
        (7.5, {"transform": "centered"}, "centered at k=8 needs groups of at least 9 completions; got 8"),
        (9, {"transform": "history(0.5)"}, "at k=9 needs groups of at least 9 completions; got 8"),
        (4, {"transform": "history(1)"}, r"decay of history must be in \[0, 1\); got 1.0"),
        (4, {"transform": "history"}, r"or in a trainer history\(decay\); got 'history'"),
        (
            {"schedule": "step", "from": 8, "to": 2, "at": 9},
            {"transform": "top_mean(3)"},
            r"m must be in \(0, k\]; got m=3.0, k=2",
        ),
        ({"schedule": "plateau", "levels": [8, 2], "patience": 1}, {"transform": "top_mean(3)"}, "got m=3.0, k=2"),
        ({"1": 0.5, "8": 0.5}, {"transform": "top_mean(3)"}, "got m=3.0, k=1"),
        (4, {"scale": "max"}, "^scale must be one of sum, mean, rms; got 'max'"),
        (4, {"short": "drop"}, "short must be zero or error; got 'drop'"),
        (4, {"k_eval": [0]}, "k_eval must be at least 1; got k_eval=0"),
        (4, {"k_eval": [1, 2.5]}, "k_eval must be an integer; got 2.5"),
        (4, {"k_eval": 4}, "k_eval must be a list of numbers of attempts; got 4"),
        (4, {"k_eval": None}, "k_eval must be a list of numbers of attempts; got None"),
        (4, {"k_eval": [9]}, "k_eval must be at most the completions of a group, 8; got 9"),
        (
            {"schedule": "plateau", "levels": [8, 1], "patience": 1, "watch": "cumulative_solve_rate"},
            {},
            "needs a training set of known length",
        ),
    ],
)
def test_a_plan_that_no_step_could_follow(spec: Spec, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        plan(spec, **settings)


def test_a_plan_of_no_schedule_says_what_makes_one() -> None:
    with pytest.raises(ValueError, match=r"from_spec makes one of k; got 8"):
        CreditPlan(8, 8)  # type: ignore[arg-type]


def test_solve_rates_need_rewards_of_zero_and_one() -> None:
    made = plan({"schedule": "adaptive", "smallest": 1, "largest": 8, "target": 0.5, "direction": "up"})
    with pytest.raises(ValueError, match="observes solve_rate needs rewards of 0 and 1"):
        made.train(BINARY / 3, NAMES, 0)
