"""The oracle against sums written out, and with it what is said of transforms, means and weights."""

import doctest
import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import pkpo
from pkpo import baselines, oracle, toy, transforms
from tests.examples_of import examples
from tests.pkpo import exact

Q = Fraction
Floats = NDArray[np.float64]


def written_out(n: int, k: int, rewards: list[Fraction], pi: list[Fraction]) -> tuple[list[Fraction], list[Fraction]]:
    """Mean, and mean of squares, of the gradient estimate of sloo_minus_one over all m^n groups in order."""
    m = len(pi)
    mean, square = [Q(0)] * m, [Q(0)] * m
    for group in product(range(m), repeat=n):
        chance = math.prod((pi[a] for a in group), start=Q(1))
        credits = exact.sloo_minus_one(tuple(rewards[a] for a in group), k)
        for b in range(m):
            estimate = sum((s * ((a == b) - pi[b]) for a, s in zip(group, credits, strict=True)), Q(0))
            mean[b] += chance * estimate
            square[b] += chance * estimate**2
    return mean, square


@pytest.mark.parametrize("ordered", [False, True])
def test_moments_are_the_sums_over_all_groups(ordered: bool) -> None:
    rewards, pi = [Q(0), Q(1, 2), Q(2)], [Q(1, 2), Q(1, 3), Q(1, 6)]
    mean, square = written_out(4, 2, rewards, pi)
    found = oracle.categorical(lambda g: exact.sloo_minus_one(g, 2), 4, rewards, pi, ordered=ordered)
    assert found.mean.tolist() == mean
    assert found.covariance.diagonal().tolist() == [s - e**2 for s, e in zip(square, mean, strict=True)]
    assert found.covariance.sum() == 0  # the softmax has a direction in which nothing moves
    floats = oracle.categorical(
        lambda g: pkpo.sloo_minus_one(g, 2), 4, [0, 0.5, 2], [1 / 2, 1 / 3, 1 / 6], ordered=ordered
    )
    assert np.allclose(floats.mean, [float(each) for each in mean], rtol=1e-14, atol=0)
    assert np.allclose(floats.covariance, found.covariance.astype(float), rtol=1e-13, atol=1e-16)


def test_a_bernoulli_policy_has_two_categories_and_two_parameters() -> None:
    p = Q(1, 3)

    def method(g: exact.Group) -> exact.Group:
        return exact.s(g, 2)

    by_p, by_logit = (oracle.bernoulli(method, 5, p, of=of) for of in ("p", "logit"))
    assert by_p.mean == oracle.pass_at_k_gradient(2, p) == 2 * (1 - p)
    assert by_logit.mean == by_p.mean * p * (1 - p) == oracle.pass_at_k_gradient(2, p, of="logit")
    assert by_logit.variance == by_p.variance * (p * (1 - p)) ** 2
    estimates = [
        (math.comb(5, c) * p**c * (1 - p) ** (5 - c), exact.s((Q(1),) * c + (Q(0),) * (5 - c), 2)) for c in range(6)
    ]
    square = sum(chance * (sum(s[:c]) / p - sum(s[c:]) / (1 - p)) ** 2 for c, (chance, s) in enumerate(estimates))
    assert by_p.variance == square - by_p.mean**2


@settings(max_examples=examples(60), deadline=None)
@given(st.sampled_from(list(exact.TRANSFORMS)), st.integers(1, 4), st.data())
def test_every_transform_is_exactly_unbiased_over_any_categories(name: str, n: int, data: st.DataObject) -> None:
    n = max(n, exact.SMALLEST_N[name](1))
    k = data.draw(st.sampled_from(exact.ks_of(name, n)))
    m = data.draw(st.integers(2, 3))
    sizes = data.draw(st.lists(st.integers(1, 9), min_size=m, max_size=m))
    rewards = data.draw(st.lists(st.integers(-3, 3).map(lambda i: Q(i, 7)), min_size=m, max_size=m))
    pi = [Q(size, sum(sizes)) for size in sizes]
    found = oracle.categorical(lambda g: exact.TRANSFORMS[name](g, k), n, rewards, pi)
    assert found.mean.tolist() == oracle.max_at_k_gradient(k, rewards, pi).tolist()


@pytest.mark.parametrize("name", transforms.TRANSFORMS)
@pytest.mark.parametrize("n", [2, 8, 16, 64])
def test_the_transforms_as_they_compute_have_factor_1(name: str, n: int) -> None:
    for k in {1, 2, n // 2, n - 1, n}:
        if transforms.smallest_n(name, k) <= n:
            for p in (0.02, 0.5, 0.9):
                # A gradient of (1-p)^(k-1) is what remains of credits of size k/n, so the error is held against these.
                slack = 1e-12 + 1e-15 * k / oracle.pass_at_k_gradient(k, p)
                assert abs(oracle.factor(lambda g: transforms.transform(name, g, k), n, k, p) - 1) < slack  # noqa: B023


def test_the_gradient_of_max_at_k_is_the_slope_of_its_definition() -> None:
    rewards, logits = np.array([0.5, 0.0, 2.0, 0.5]), np.array([0.3, 1.0, -0.5, 0.0])

    def expected_best(z: Floats, k: int) -> float:
        pi = oracle.softmax(z)
        return float(
            sum(math.prod(pi[list(group)]) * max(rewards[list(group)]) for group in product(range(4), repeat=k))
        )

    for k in (1, 2, 3):
        gradient = oracle.max_at_k_gradient(k, rewards, oracle.softmax(logits))  # type: ignore[arg-type]
        for a, step in enumerate(1e-5 * np.eye(4)):
            slope = (expected_best(logits + step, k) - expected_best(logits - step, k)) / 2e-5
            assert gradient[a] == pytest.approx(slope, abs=1e-9)


@pytest.mark.parametrize("p", [Q(1, 10), Q(1, 2), Q(9, 10)])
@pytest.mark.parametrize(("n", "k"), [(8, 1), (8, 3), (8, 8)])
def test_centring_s_leaves_1_less_k_over_n_of_the_gradient(n: int, k: int, p: Fraction) -> None:
    def centred(g: exact.Group) -> exact.Group:
        credits = exact.s(g, k)
        return tuple(credit - exact.mean(credits) for credit in credits)

    assert oracle.factor(centred, n, k, p) == 1 - Q(k, n)


@pytest.mark.parametrize("p", [Q(1, 10), Q(9, 10)])
@pytest.mark.parametrize(("n", "k"), [(8, 2), (8, 5), (8, 8)])
def test_centring_sloo_minus_one_changes_the_objective(n: int, k: int, p: Fraction) -> None:
    def centred(g: exact.Group) -> exact.Group:
        credits = exact.sloo_minus_one(g, k)
        return tuple(credit - exact.mean(credits) for credit in credits)

    at_k, before = oracle.pass_at_k_gradient(k, p), oracle.pass_at_k_gradient(k - 1, p)
    assert oracle.bernoulli(centred, n, p).mean == at_k - Q(k, n) * (at_k - before)


def test_a_running_sum_at_k_1_halves_the_gradient_of_a_mixture() -> None:
    n, p, weights = 8, 0.9, {1: 0.5, 8: 0.5}
    true = sum(weight * oracle.pass_at_k_gradient(k, p) for k, weight in weights.items())

    def one_running_sum(g: Floats) -> Floats:
        return np.asarray(0.5 * (g - g.min(axis=1, keepdims=True)) / n + 0.5 * pkpo.sloo_minus_one(g, 8))

    assert oracle.bernoulli(one_running_sum, n, p).mean / true == pytest.approx(0.52, abs=0.005)
    assert oracle.bernoulli(lambda g: pkpo.multi_k(g, weights), n, p).mean / true == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("n", "k", "ratio"), [(16, 4, 1.19), (16, 16, 48.9)])
def test_alpha_of_an_estimated_solve_rate_is_too_large(n: int, k: int, ratio: float) -> None:
    mean = sum(math.comb(n, c) * 0.5**n * float(baselines.alpha(c / n, k)) for c in range(n + 1))
    assert mean / float(baselines.alpha(0.5, k)) == pytest.approx(ratio, rel=3e-3)


# The Gaussian problem of Figures 1, 2 and 4.


@pytest.mark.parametrize(("k", "optimum"), [(1, 0.8624), (2, 0.9017), (4, 0.9387), (8, 0.9690), (16, 0.9856)])
def test_the_optimal_theta_is_that_of_figure_1(k: int, optimum: float) -> None:
    assert toy.max_at_k_gradient(optimum - 1e-4, k) > 0 > toy.max_at_k_gradient(optimum + 1e-4, k)
    slope = (toy.max_at_k(0.95 + 1e-5, k) - toy.max_at_k(0.95 - 1e-5, k)) / 2e-5
    assert toy.max_at_k_gradient(0.95, k) == pytest.approx(slope, abs=1e-7)


def test_the_variances_are_those_of_figure_4() -> None:
    assert toy.max_at_k_gradient(1, 4) == pytest.approx(-1.7772, abs=5e-5)
    methods = {
        133: baselines.naive_partition,
        118: pkpo.s,
        37.8: baselines.naive_partition_baselined,
        13.2: pkpo.sloo,
        5.1: baselines.tang_partitioned,
        4.7: pkpo.centered,
        2.1: pkpo.sloo_minus_one,
    }
    for variance, method in methods.items():
        found = toy.sampled(lambda g: method(g, 4), 8, 1, draws=20_000, seed=7)  # noqa: B023
        assert found.variance == pytest.approx(variance, rel=0.08), method
        assert found.mean == pytest.approx(-1.7772, abs=5 * math.sqrt(variance / 20_000))


def test_the_reward_ends_at_a_cliff_and_the_score_is_the_slope_of_the_log_density() -> None:
    assert toy.reward([-0.1, 0, 0.5, 1, 1.001]).tolist() == [0, 0, 0.25, 1, 0]
    assert toy.score(0.9, 1.0) == pytest.approx(-10)


# What is refused.


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: oracle.bernoulli(np.copy, 4, 0.0),
            r"p must be in \(0, 1\), where every outcome has a chance; got 0.0",
        ),
        (lambda: oracle.bernoulli(np.copy, 4, math.nan), "p must be finite"),
        (lambda: oracle.bernoulli(np.copy, 4, "0.5"), "p must be a real number; got '0.5'"),  # type: ignore[type-var]
        (lambda: oracle.bernoulli(np.copy, 0, 0.5), "n must be at least 1; got n=0"),
        (lambda: oracle.bernoulli(np.copy, 4, 0.5, of="theta"), "of must be p or logit; got 'theta'"),
        (lambda: oracle.bernoulli(np.copy, 30, 0.5, ordered=True), "n=30 completions of 2 categories are 1073741824"),
        (lambda: oracle.bernoulli(lambda g: g[:, 1:], 4, 0.5), r"rewards' shape \(5, 4\); got \(5, 3\)"),
        (lambda: oracle.categorical(np.copy, 4, [0, 1], [0.5, 0.6]), "probabilities must be positive and sum to 1"),
        (lambda: oracle.categorical(np.copy, 4, [0, 1], [0.0, 1.0]), "probabilities must be positive and sum to 1"),
        (lambda: oracle.categorical(np.copy, 4, [0], [0.5, 0.5]), "must be of one length; got 1 and 2"),
        (lambda: oracle.categorical(np.copy, 4, [0, math.inf], [0.5, 0.5]), "a reward must be finite"),
        (lambda: oracle.max_at_k_gradient(0, [0, 1], [0.5, 0.5]), "k must be at least 1"),
        (lambda: oracle.max_at_k_gradient(1, [0], [0.5, 0.5]), "must be of one length; got 1 and 2"),
        (lambda: oracle.pass_at_k_gradient(2, 1.0), "p must be in"),
        (lambda: oracle.pass_at_k_gradient(2, 0.5, of="q"), "of must be p or logit; got 'q'"),
        (lambda: oracle.softmax([0, math.nan]), "logits must be finite"),
        (lambda: toy.sampled(np.copy, 4, 1.0, draws=1, seed=0), "draws must be at least 2"),
        (lambda: toy.max_at_k(math.inf, 4), "theta must be finite"),
    ],
)
def test_what_has_no_expectation_is_refused(call: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()  # type: ignore[operator]


def test_the_example_of_the_module_holds() -> None:
    assert doctest.testmod(oracle) == (0, 4)
