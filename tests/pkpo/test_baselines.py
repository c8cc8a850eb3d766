"""Each baseline against its published formula, written out, and against what is said of its expectation."""

import inspect
import json
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pkpo import baselines, oracle
from pkpo.baselines import BASELINES, baseline
from pkpo.transforms import Scale
from tests.examples_of import examples
from tests.pkpo import exact

Floats = NDArray[np.float64]
named = pytest.mark.parametrize("name", BASELINES)


def k_of(name: str, k: int) -> int | None:
    return k if BASELINES[name].claims == "pass@k" else None


def of(name: str, g: Any, k: int, **options: Any) -> Floats:
    return baseline(name, g, k_of(name, k), **options)


# The published formulas, for a group, at the scale they were published at.


def deviations(g: list[float]) -> list[float]:
    mean = sum(g) / len(g)
    return [each - mean for each in g]


def std(g: list[float]) -> float:
    return math.sqrt(sum(each**2 for each in deviations(g)) / (len(g) - 1)) if len(set(g)) > 1 else 0.0


def over(credits: list[float], by: float) -> list[float]:
    return [credit / by if by else 0.0 for credit in credits]


def rloo(g: list[float]) -> list[float]:
    return [each - (sum(g) - each) / (len(g) - 1) for each in g]


def tang(g: list[float]) -> list[float]:
    return [max(g) - max(g[:i] + g[i + 1 :]) for i in range(len(g))]


def verl(g: list[float]) -> list[float]:
    best, second = sorted(g)[-1:-3:-1]
    first = g.index(best)
    return [best - second if i == first else 0.0 for i in range(len(g))]


def sets(g: list[float], k: int) -> list[list[float]]:
    return [g[start : start + k] for start in range(0, len(g), k)]


def naive(g: list[float], k: int) -> list[float]:
    return [k / len(g) * max(part) for part in sets(g, k) for _ in part]


def naive_baselined(g: list[float], k: int) -> list[float]:
    credits = []
    for j, part in enumerate(sets(g, k)):
        others = [max(other) for i, other in enumerate(sets(g, k)) if i != j]
        credits += [k / len(g) * (max(part) - sum(others) / len(others))] * k
    return credits


def tang_partitioned(g: list[float], k: int) -> list[float]:
    return [k / len(g) * credit for part in sets(g, k) for credit in tang(part)]


def chen(g: list[float], k: int, divided: bool) -> list[float]:
    n, c = len(g), int(sum(g))
    passing = 1 - Fraction(math.comb(n - c, k), math.comb(n, k))
    if passing in (0, 1):
        return [0.0] * n
    sigma = math.sqrt(passing * (1 - passing)) if divided else 1
    of_failure = 1 - passing - (Fraction(math.comb(n - c - 1, k - 1), math.comb(n - 1, k - 1)) if c < n else 0)
    return [float((1 - passing) if each else of_failure) / sigma for each in g]


def best_of_n_mean(g: list[float]) -> list[float]:
    best = g.count(max(g))
    return [(max(g) - sum(g) / len(g)) / best if each == max(g) else 0.0 for each in g]


def maxrl(g: list[float]) -> list[float]:
    return over(deviations(g), sum(g) / len(g))


def pass_k_grpo(g: list[float], k: int) -> list[float]:
    weight = k * (1 - sum(g) / len(g)) ** (k - 1)
    return [weight * each for each in deviations(g)]


def surrogate(g: list[float], k: int) -> list[float]:
    p = sum(g) / len(g)
    return [each / p * k * (1 - p) ** (k - 1) / (1 - (1 - p) ** k) * p if p else 0.0 for each in deviations(g)]


def centred(credits: tuple[Fraction, ...]) -> list[float]:
    return [float(credit - exact.mean(credits)) for credit in credits]


BY_MEAN: dict[str, Callable[[list[float], int], list[float]]] = {
    "reinforce": lambda g, _: g,
    "rloo": lambda g, _: rloo(g),
    "dr_grpo": lambda g, _: deviations(g),
    "grpo": lambda g, _: over(deviations(g), std(g)),
    "chen": lambda g, k: chen(g, k, divided=True),
    "chen_without_std": lambda g, k: chen(g, k, divided=False),
    "grpo_passk": lambda g, _: over(verl(g), std(g)),
    "grpo_passk_without_std": lambda g, _: verl(g),
    "best_of_n_mean": lambda g, _: best_of_n_mean(g),
    "maxrl": lambda g, _: maxrl(g),
    "pass_k_grpo": lambda g, k: over(pass_k_grpo(g, k), std(g)),
    "pass_k_grpo_without_std": pass_k_grpo,
    "surrogate": surrogate,
}
BY_SUM: dict[str, Callable[[list[float], int], list[float]]] = {
    "tang": lambda g, _: tang(g),
    "tang_partitioned": tang_partitioned,
    "naive_partition": naive,
    "naive_partition_baselined": naive_baselined,
    "mean_centered_s": lambda g, k: centred(exact.s(exact.group_of(g), k)),
    "mean_centered_sloo_minus_one": lambda g, k: centred(exact.sloo_minus_one(exact.group_of(g), k)),
}


@named
@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_credits_are_the_published_formula(name: str, data: st.DataObject) -> None:
    k = data.draw(st.integers(2, 3))
    n = k * data.draw(st.integers(2, 3))
    rewards = st.sampled_from([0.0, 1.0]) if BASELINES[name].binary else st.sampled_from([-1.0, 0.0, 0.3, 0.5, 2.0])
    g = data.draw(st.lists(rewards, min_size=n, max_size=n))
    scale, formula = ("mean", BY_MEAN[name]) if name in BY_MEAN else ("sum", BY_SUM[name])
    assert np.allclose(of(name, g, k, scale=scale), formula(g, k), rtol=1e-12, atol=1e-13)


def test_every_baseline_has_its_formula_here_a_source_and_one_verdict() -> None:
    assert BY_MEAN.keys() | BY_SUM.keys() == BASELINES.keys()
    for name, found in BASELINES.items():
        assert found.source
        assert (found.unbiased_for is None) != (found.biased is None), name
        assert inspect.getdoc(getattr(found.credits, "func", found.credits)), name


# What is said of their expectations, against the oracle.


def mean_gradient(name: str, n: int, k: int, p: float, **options: Any) -> float:
    found = BASELINES[name]
    return oracle.bernoulli(lambda g: of(name, g, k, **options), n, p, ordered=found.ordered).mean


def pass_at_k(k: int, p: float) -> float:
    return oracle.pass_at_k_gradient(k, p)


@pytest.mark.parametrize("p", [0.05, 0.5, 0.9])
@pytest.mark.parametrize(("n", "k"), [(4, 2), (8, 4), (12, 3)])
@pytest.mark.parametrize("name", [name for name, found in BASELINES.items() if found.unbiased_for])
def test_what_is_called_unbiased_is(name: str, n: int, k: int, p: float) -> None:
    claimed = {"pass@1": 1, "pass@k": k, "pass@n": n}
    assert BASELINES[name].unbiased_for == BASELINES[name].claims
    assert mean_gradient(name, n, k, p) == pytest.approx(pass_at_k(claimed[BASELINES[name].claims], p), rel=1e-11)


@pytest.mark.parametrize("p", [0.05, 0.5, 0.9])
@pytest.mark.parametrize(("n", "k"), [(4, 2), (8, 5), (12, 12)])
def test_the_stated_factors_are_exact(n: int, k: int, p: float) -> None:
    expected = {
        "dr_grpo": 1 - 1 / n,
        "chen_without_std": (1 - k / n) / k * pass_at_k(k, p),
        "grpo_passk": pass_at_k(n, p) / math.sqrt(n),
        "grpo_passk_without_std": pass_at_k(n, p) / n,
        "best_of_n_mean": sum(pass_at_k(j, p) / j for j in range(2, n + 1)) / n,
        "maxrl": sum(pass_at_k(j, p) / j for j in range(1, n)),
        "mean_centered_s": (1 - k / n) * pass_at_k(k, p),
        "mean_centered_sloo_minus_one": pass_at_k(k, p) - k / n * (pass_at_k(k, p) - pass_at_k(k - 1, p)),
    }
    for name, gradient in expected.items():
        assert mean_gradient(name, n, k, p) == pytest.approx(gradient, rel=1e-11, abs=1e-15), name


def test_large_groups_climb_what_is_stated_for_them() -> None:
    n, k, p = 400, 4, 0.3
    assert mean_gradient("grpo", n, k, p) == pytest.approx(1 / math.sqrt(p * (1 - p)), rel=0.012)
    # d/dp K B(p; 1/2, K - 1/2) = K p^(-1/2) (1-p)^(K - 3/2)
    assert mean_gradient("pass_k_grpo", n, k, p) == pytest.approx(k * p**-0.5 * (1 - p) ** (k - 1.5), rel=0.012)
    assert mean_gradient("surrogate", n, k, p) == pytest.approx(pass_at_k(k, p) / (1 - (1 - p) ** k), rel=0.012)


@pytest.mark.parametrize("p", [0.1, 0.6])
def test_a_solve_rate_from_before_leaves_a_constant_factor(p: float) -> None:
    n, k = 8, 4
    mean = mean_gradient("pass_k_grpo_without_std", n, k, p, **{})
    given_p = oracle.bernoulli(lambda g: baselines.pass_k_grpo(g, k, solve_rate=p, std=False), n, p).mean
    assert given_p == pytest.approx((1 - 1 / n) * pass_at_k(k, p), rel=1e-12)
    assert mean != pytest.approx(given_p, rel=0.01)


def test_the_entropy_bonus_climbs_the_entropy() -> None:
    pi = np.array([0.5, 0.3, 0.2])
    found = oracle.categorical(lambda log_p: baselines.entropy_bonus(log_p, 0.05), 4, np.log(pi).tolist(), pi)
    entropy = -(pi * np.log(pi)).sum()
    assert np.allclose(found.mean, 0.05 * -pi * (np.log(pi) + entropy), rtol=1e-12, atol=1e-15)


# Scales, masks, shapes.


@named
def test_a_mask_means_leaving_the_completions_out(name: str) -> None:
    groups: list[list[float]] = [[1, 0, 0, 1, 0, 0], [0, 0, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0, 0, 0]]
    g, mask = np.full((2, 2, 8), np.nan), np.zeros((2, 2, 8), dtype=bool)
    for place, group in enumerate(groups):
        holes = [0, 1, 3, 4, 5, 7][: len(group)]
        g[place // 2, place % 2, holes], mask[place // 2, place % 2, holes] = group, True
    scales: tuple[Scale, ...] = ("sum", "mean")
    for scale in scales:
        credits = of(name, g, 2, mask=mask, scale=scale)
        assert (credits[~mask] == 0).all()
        for place, group in enumerate(groups):
            row = credits[place // 2, place % 2][mask[place // 2, place % 2]]
            assert row.tolist() == of(name, group, 2, scale=scale).tolist()


@named
def test_scales_differ_by_n_and_by_one_number_for_the_batch(name: str) -> None:
    g = [[0, 0, 1, 0], [1, 0, 1, 0]]
    by_sum, by_mean, rms = (of(name, g, 2, scale=scale) for scale in ("sum", "mean", "rms"))
    assert np.allclose(by_mean, 4 * by_sum, rtol=1e-15, atol=0)
    assert np.sqrt(np.mean(rms**2)) == pytest.approx(1)
    assert np.allclose(rms * np.sqrt(np.mean(by_sum**2)), by_sum, rtol=1e-14)


@pytest.mark.parametrize(
    ("name", "reward"), [(name, r) for name, found in BASELINES.items() for r in (0.0, 1.0, 0.1)[: 3 - found.binary]]
)
def test_equal_rewards_teach_nothing(name: str, reward: float) -> None:
    credits = of(name, [reward] * 6, 2)
    if name in ("reinforce", "naive_partition"):
        assert credits.tolist() == pytest.approx([reward / 6 if name == "reinforce" else reward / 3] * 6)
    elif name == "mean_centered_s":
        assert np.abs(credits).max() < 1e-16  # a mean of what s gives is rounded
    else:
        assert not credits.any()


@named
def test_a_group_of_one_is_refused_where_it_has_nothing_to_be_compared_with(name: str) -> None:
    alone = {"reinforce", "naive_partition", "chen", "chen_without_std", "mean_centered_s"}
    if name in alone:
        assert np.isfinite(of(name, [1.0], 1)).all()
    else:
        with pytest.raises(ValueError, match=r"needs at least 2|needs k of at least 2"):
            of(name, [1.0], 1)


def test_extreme_rewards_are_divided_by_a_finite_deviation() -> None:
    for size in (1e-160, 1e160):
        g = [0.0, 0.5 * size, size]
        assert baselines.grpo(g, scale="mean").tolist() == pytest.approx([-1, 0, 1])
    with pytest.raises(ValueError, match="credits exceed the range of float64; their largest"):
        baselines.rloo([1.7e308, -1.7e308], scale="mean")


# Solve rates.


def test_the_moving_average_is_a_state_to_carry_on() -> None:
    g = [[[1, 0], [1, 1]], [[0, 0], [0, 1]]]
    first = baselines.moving_solve_rate(None, g)
    assert first.tolist() == [[0.5, 1.0], [0.0, 0.5]]
    resumed = baselines.moving_solve_rate(json.loads(json.dumps(first.tolist())), g)
    assert resumed.tolist() == first.tolist()
    assert baselines.moving_solve_rate(0.5, [1, 1]).tolist() == pytest.approx(0.55)
    assert baselines.moving_solve_rate(0.5, [1, 1], decay=0.5).tolist() == 0.75
    assert baselines.moving_solve_rate(None, [1, 0, 0], mask=[True, True, False]).tolist() == 0.5


def test_the_global_rate_counts_everything_drawn() -> None:
    counts, rate = baselines.counted_solve_rate((0, 0), [[1, 0], [1, 1]])
    assert (counts, rate) == ((3, 4), 0.75)
    assert baselines.counted_solve_rate(counts, [0, 0, 1], mask=[True, True, False]) == ((3, 6), 0.5)


def test_rates_are_per_group_in_the_shape_of_the_batch() -> None:
    g = [[1, 0, 0, 0], [1, 0, 0, 0]]
    credits = baselines.pass_k_grpo(g, 3, solve_rate=[0.0, 0.5], std=False, scale="mean")
    assert credits[:, 0].tolist() == [3 * 0.75, 3 * 0.25 * 0.75]


@pytest.mark.parametrize(
    ("p", "k", "alpha", "surrogate"), [(1.0, 1, 1, 1), (1.0, 4, 0, 0), (0.5, 1, 1, 2), (0.5, 4, 0.5, 0.5 / (15 / 16))]
)
def test_weights_at_the_ends_are_numbers(p: float, k: int, alpha: float, surrogate: float) -> None:
    assert baselines.alpha(p, k) == alpha
    assert baselines.surrogate_weight(p, k) == pytest.approx(surrogate, rel=1e-15)
    assert baselines.alpha(0.0, k) == k
    assert baselines.surrogate_weight(1e-12, k) == pytest.approx(1e12)


# What is refused.


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: baseline("ppo", [1, 0]), "baseline must be one of reinforce, rloo, .*; got 'ppo'"),
        (lambda: baseline("rloo", [1, 0], 2), "rloo takes no k, its objective is pass@1; got k=2"),
        (lambda: baseline("chen", [1, 0]), "chen needs k, the attempts that its objective allows"),
        (lambda: baseline("chen", [1, 0], 3), "chen at k=3 needs at least 3 rewards per group; got n=2"),
        (lambda: baseline("chen", [1, 0.5], 2), r"chen needs rewards of 0 and 1; got 0.5 at index \(1,\)"),
        (lambda: baseline("maxrl", [[1, 0], [2, 0]]), r"maxrl needs rewards of 0 and 1; got 2.0 at index \(1, 0\)"),
        (lambda: baseline("pass_k_grpo", [1, 0], 0), "k must be at least 1; got k=0"),
        (lambda: baseline("naive_partition", [1, 0, 0], 2), "to be a multiple of k; got n=3"),
        (lambda: baseline("naive_partition", [1, 0, 0], 0), "k must be at least 1"),
        (lambda: baseline("naive_partition_baselined", [1, 0], 2), "k=2 needs at least 4 rewards per group; got n=2"),
        (lambda: baseline("tang_partitioned", [1, 0], 1), "tang_partitioned needs k of at least 2"),
        (lambda: baseline("mean_centered_s", [1, 0], 3), "mean_centered s at k=3 needs at least 3"),
        (lambda: baselines.grpo([1, math.nan]), "rewards must be finite"),
        (lambda: baselines.grpo([1, 0], scale="max"), "scale must be one of sum, mean, rms; got 'max'"),  # type: ignore[arg-type]
        (lambda: baselines.grpo([[1, 0]], mask=[[True, False]]), "grpo at any k needs at least 2 .*group 0 has n=1"),
        (lambda: baselines.pass_k_grpo([1, 0], 2, weight="beta"), "weight must be alpha or surrogate; got 'beta'"),  # type: ignore[arg-type]
        (lambda: baselines.pass_k_grpo([1, 0], 2, solve_rate=1.5), r"solve rates must be in \[0, 1\]; got 1.5"),
        (lambda: baselines.pass_k_grpo([1, 0], 2, solve_rate=[0.1, 0.2]), r"shape \(2,\) do not broadcast to groups"),
        (lambda: baselines.pass_k_grpo([1, 0], 2, solve_rate=0, weight="surrogate"), "needs p above 0"),
        (lambda: baselines.alpha(math.nan, 2), "solve rates must be in"),
        (lambda: baselines.moving_solve_rate(None, [1, 0], decay=1.0), r"decay must be in \[0, 1\); got 1.0"),
        (lambda: baselines.moving_solve_rate(None, [1], mask=[False]), "needs a completion in every group"),
        (lambda: baselines.counted_solve_rate((2, 1), [1]), r"0 <= passed <= drawn; got \(2, 1\)"),
        (lambda: baselines.counted_solve_rate((0, 0), [1], mask=[False]), "needs a completion; got none"),
        (lambda: baselines.entropy_bonus([-1.0, math.inf], 0.1), "log_p must be finite"),
        (lambda: baselines.entropy_bonus([-1.0, -2.0], math.nan), "coefficient must be finite"),
    ],
)
def test_what_has_no_credit_is_refused(call: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()  # type: ignore[operator]
