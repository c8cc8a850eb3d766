import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pkpo import default_ks, pass_at_k
from pkpo.beta_binomial import (
    LOGARITHMS,
    RECIPROCALS,
    SQUARED_RECIPROCALS,
    Sums,
    Tables,
    fit,
    log_likelihood,
    pass_at_k_of,
)
from pkpo.extrapolation import ExtrapolationModel, calibration, extrapolate
from tests.examples_of import examples

MODELS: tuple[ExtrapolationModel, ...] = ("beta-binomial", "power law")


def beta_counts(a: int, b: int, n: int) -> list[int]:
    """As many problems of each c as make the shares exactly those of the beta-binomial with whole a and b."""
    each = [math.comb(c + a - 1, c) * math.comb(n - c + b - 1, n - c) for c in range(n + 1)]
    divisor = math.gcd(*each)
    return [c for c, count in enumerate(each) for _ in range(count // divisor)]


def rising(x: Fraction, count: int) -> Fraction:
    return math.prod((x + i for i in range(count)), start=Fraction(1))


def exact_pass(a: Fraction, b: Fraction, k: int) -> Fraction:
    return 1 - rising(b, k) / rising(a + b, k)


@settings(max_examples=examples(100))
@given(
    st.lists(st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), min_size=1, max_size=6),
    st.fractions(Fraction(1, 5), 9, max_denominator=7),
    st.fractions(Fraction(1, 5), 9, max_denominator=7),
)
def test_the_likelihood_is_that_of_the_counts(problems: list[tuple[int, int]], a: Fraction, b: Fraction) -> None:
    n, c = np.array(problems).T
    law = math.prod(rising(a, c) * rising(b, n - c) / rising(a + b, n) for n, c in problems)
    found = log_likelihood(Tables.of(n[None], c[None]), np.array([float(a)]), np.array([float(b)]))
    assert found[0] == pytest.approx(math.log(law), rel=1e-12, abs=1e-12)


# A sample whose shares are the model's own has its greatest likelihood at the model's own parameters.
@pytest.mark.parametrize(("a", "b", "n"), [(1, 1, 8), (2, 1, 6), (1, 3, 5), (2, 2, 16)])
def test_the_fit_finds_the_parameters_behind_an_ideal_sample(a: int, b: int, n: int) -> None:
    c = np.array([beta_counts(a, b, n)])
    found = fit(Tables.of(np.full_like(c, n), c))
    assert (found[0][0], found[1][0]) == pytest.approx((a, b), rel=1e-8)
    said = extrapolate(n, c[0], [1, 16, 1000], draws=100)
    assert said.parameters == pytest.approx((a, b), rel=1e-8)
    assert [point.value for point in said.points] == pytest.approx(
        [float(exact_pass(Fraction(a), Fraction(b), k)) for k in (1, 16, 1000)], rel=1e-8
    )


@pytest.mark.parametrize("x", [64.0, 64.01, 1e3, 1e9])
@pytest.mark.parametrize("d", [1, 2, 1000])
def test_a_sum_over_many_j_is_that_of_its_terms(x: float, d: int) -> None:
    terms = [Fraction(x) + j for j in range(d)]
    for sums, expected in (
        (RECIPROCALS, float(sum(1 / term for term in terms))),
        (SQUARED_RECIPROCALS, float(sum(1 / term**2 for term in terms))),
        (LOGARITHMS, math.fsum(math.log(term) for term in terms)),
    ):
        assert sums.beyond(np.array([x]), np.array([float(d)]))[0] == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("f", [RECIPROCALS, SQUARED_RECIPROCALS, LOGARITHMS])
def test_a_tally_adds_up_what_each_problem_has(f: Sums) -> None:
    rng = np.random.default_rng(3)
    n = rng.integers(1, 400, size=(2, 30))
    c = rng.integers(0, n + 1)
    tables, at = Tables.of(n, c), np.array([0.3, 20.0])
    for tally, counts in ((tables.passes, c), (tables.failures, n - c), (tables.totals, n)):
        plain = [
            math.fsum(float(f.term(at[row] + np.array([j]))[0]) for count in counts[row] for j in range(count))
            for row in (0, 1)
        ]
        assert tally.total(f, at) == pytest.approx(plain, rel=1e-13)


def test_a_million_completions_are_fitted_by_their_counts_alone() -> None:
    rng = np.random.default_rng(8)
    n = np.full((1, 400), 10**6)
    c = rng.binomial(n, rng.beta(2, 5, size=(1, 400)))
    a, b = fit(Tables.of(n, c))
    rates = c / n  # from so many completions all but the truth: the fit is that of the Beta distribution to them
    scores = [np.log(rates).mean() - digamma(a[0]), np.log1p(-rates).mean() - digamma(b[0])]
    assert scores == pytest.approx([-digamma(a[0] + b[0])] * 2, abs=5e-5)
    said = extrapolate(n[0], c[0], [1, 10**7], draws=100)
    assert said.points[0].value == pytest.approx(rates.mean(), rel=0.02)


def digamma(x: float) -> float:
    """By recurrence, and from 30 on by its asymptotic series."""
    shift = sum(1 / (x + j) for j in range(30))
    y = x + 30
    return math.log(y) - 1 / (2 * y) - 1 / (12 * y**2) + 1 / (120 * y**4) - shift


@given(st.integers(0, 10_000))
@example(7365)  # of 8 likelihoods one is so flat that rounding makes steps of more than 1e-9
@settings(max_examples=examples(50), deadline=None)
def test_no_parameters_nearby_are_more_likely(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = np.exp(rng.uniform(-3, 3, size=2))
    n = rng.integers(2, 20, size=(8, 30))
    c = rng.binomial(n, rng.beta(a, b, size=n.shape))
    tables = Tables.of(n, c)
    tables = tables.at(tables.overdispersed & (tables.mixed > 0))
    if tables.mixed.size:
        found = fit(tables)
        top = log_likelihood(tables, *found)
        for da, db in ((0.01, 0), (-0.01, 0), (0, 0.01), (0, -0.01), (0.01, 0.01), (-0.01, -0.01)):
            assert (log_likelihood(tables, found[0] * math.exp(da), found[1] * math.exp(db)) <= top + 1e-10).all()


@pytest.mark.parametrize(
    ("seed", "n", "a", "b", "problems"),
    [(seed, 20, 9.7, 7.2, 30) for seed in (12, 25, 34, 38)] + [(3, 16, 100, 100, 100), (2, 32, 300, 200, 200)],
)
def test_counts_that_hardly_vary_more_than_chance_have_an_interval(
    seed: int, n: int, a: float, b: float, problems: int
) -> None:
    """The likelihood of many a resample is so flat that steps of Newton's method get no smaller than rounding."""
    rng = np.random.default_rng(seed)
    c = rng.binomial(n, rng.beta(a, b, size=problems))
    first, last = extrapolate(n, c, [1, 64]).points
    assert first.low < first.value < first.high < last.low <= last.value <= last.high
    assert first.value == pytest.approx(c.mean() / n, abs=1e-3)


def test_fits_of_many_data_sets_at_once_are_those_of_each() -> None:
    rng = np.random.default_rng(1)
    n = rng.integers(4, 12, size=(5, 40))
    c = rng.binomial(n, rng.beta(0.5, 0.5, size=n.shape))
    together = fit(Tables.of(n, c))
    for row in range(5):
        alone = fit(Tables.of(n[row : row + 1], c[row : row + 1]))
        assert (alone[0][0], alone[1][0]) == pytest.approx((together[0][row], together[1][row]), rel=1e-6)


@pytest.mark.parametrize(("a", "b"), [(0.01, 0.5), (0.3, 0.6), (30.0, 500.0)])
def test_pass_at_k_of_a_beta_distribution_is_exact(a: float, b: float) -> None:
    ks = [1, 2, 64, 65, 66, 100, 2000]
    found = pass_at_k_of(np.array([a]), np.array([b]), ks)[0]
    assert found[0] == pytest.approx(a / (a + b), rel=1e-15)
    assert found == pytest.approx([float(exact_pass(Fraction(a), Fraction(b), k)) for k in ks], rel=1e-13)


@pytest.mark.parametrize("b", [0.01, 40.0, 1e8])
@pytest.mark.parametrize("a", [1, 3, 1000])
def test_no_k_is_too_large_for_the_pass_at_k_of_a_beta_distribution(a: int, b: float) -> None:
    ks = [65, 10**6, 10**12, 2**53]
    found = pass_at_k_of(np.array([float(a)]), np.array([b]), ks)[0]
    # For whole a the ratio of beta functions is that of two products of a factors.
    expected = [float(1 - rising(Fraction(b), a) / rising(Fraction(b) + k, a)) for k in ks]
    assert found == pytest.approx(expected, abs=1e-12, rel=0)
    assert (np.diff(found) >= 0).all()
    assert (found <= 1).all()


def test_with_two_points_the_power_law_goes_through_both() -> None:
    c = [0, 1, 2, 1, 0, 0]
    said = extrapolate(2, c, [1, 2, 4], model="power law", draws=100)
    one, two = (float(pass_at_k(2, c, k).mean()) for k in (1, 2))
    assert [point.value for point in said.points[:2]] == pytest.approx([one, two])
    # -log pass@k falls by the same factor from 2 to 4 as from 1 to 2.
    assert math.log(said.points[2].value) == pytest.approx(math.log(two) ** 2 / math.log(one))
    a, b = said.parameters
    assert said.points[2].value == pytest.approx(math.exp(-a * 4**-b))


def test_the_power_law_takes_the_line_of_least_squares() -> None:
    c = np.random.default_rng(2).binomial(16, 0.1, size=50)
    ks = default_ks(16)
    x = np.log(ks)
    y = np.log([-math.log(float(pass_at_k(16, c, k).mean())) for k in ks])
    slope, height = np.polyfit(x, y, 1)
    assert extrapolate(16, c, 64, model="power law", draws=100).parameters == pytest.approx((math.exp(height), -slope))


def test_where_the_model_holds_its_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng, held, true = np.random.default_rng(0), [], float(exact_pass(Fraction(3, 10), Fraction(6, 10), 64))
    for seed in range(500):
        c = rng.binomial(16, rng.beta(0.3, 0.6, size=100))
        point = extrapolate(16, c, 64, seed=seed, draws=200).points[0]
        held.append(point.low <= true <= point.high)
    assert 0.93 <= np.mean(held) <= 0.97


@pytest.mark.parametrize("model", MODELS)
def test_an_extrapolation_says_what_it_is(model: ExtrapolationModel) -> None:
    said = extrapolate([8, 4, 8, 8], [1, 4, 0, 7], [32, 16, 16], model=model, seed=5, draws=50, level=0.9)
    assert (said.model, said.level, said.problems, said.n_max) == (model, 0.9, 4, 8)
    assert (said.method, said.seed, said.draws) == ("percentile bootstrap over problems", 5, 50)
    assert [point.k for point in said.points] == [16, 32]
    assert all(point.low <= point.value <= point.high for point in said.points)
    assert said == extrapolate([8, 4, 8, 8], [1, 4, 0, 7], [16, 32], model=model, seed=5, draws=50, level=0.9)


def test_resamples_without_a_fit_take_the_limit_of_the_model() -> None:
    # Of two problems, one mixed: a quarter of the resamples has the other twice, none passed; a quarter has one rate.
    said = extrapolate(8, [0, 4], 8, draws=400, level=0.8)
    assert said.points[0].low == 0
    assert said.points[0].high == pytest.approx(1 - 0.5**8)
    assert extrapolate(8, [0, 4], 8, model="power law", draws=400, level=0.8).points[0].low == 0


@pytest.mark.parametrize("model", MODELS)
def test_calibration_sets_the_prediction_from_a_part_against_all(model: ExtrapolationModel) -> None:
    rng = np.random.default_rng(0)
    c = rng.binomial(32, rng.beta(0.3, 0.6, size=2000))
    report = calibration(32, c, 8, model=model, draws=100)
    assert [point.k for point in report.points] == list(default_ks(32))
    for point in report.points:
        assert point.unbiased == pytest.approx(float(pass_at_k(32, c, point.k).mean()))
        assert point.error == point.predicted - point.unbiased
    assert report.largest_error == max(abs(point.error) for point in report.points) < 0.03
    assert (report.model, report.fit_n, report.n, report.problems) == (model, 8, 32, 2000)


def test_the_part_for_the_fit_is_drawn_without_replacement() -> None:
    c = np.random.default_rng(0).binomial(32, np.random.default_rng(1).beta(0.3, 0.6, size=40))
    all_but_one = calibration(32, c, 31, draws=50).points
    whole = extrapolate(32, c, default_ks(32), draws=50).points
    # Drawn with replacement, pass@1 alone would move by some .006.
    for part, point in zip(all_but_one, whole, strict=True):
        assert part.predicted == pytest.approx(point.value, abs=0.003)


def test_calibration_shows_a_model_that_does_not_hold() -> None:
    # Half of the problems are never solved: no Beta distribution has that, and the prediction goes on rising.
    c = np.concatenate([np.zeros(500, int), np.random.default_rng(0).binomial(64, 0.2, size=500)])
    report = calibration(64, c, 4, draws=100)
    last = report.points[-1]
    assert last.unbiased == pytest.approx(0.5, abs=0.001)
    assert last.error > 0.2
    assert last.low > last.unbiased


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: extrapolate(8, [0, 0], 16), "none of the completions passed"),
        (lambda: extrapolate(8, [8, 8], 16), "all of the completions passed"),
        (lambda: extrapolate(8, [0, 8], 16), "every problem passed always or never"),
        (lambda: extrapolate(8, [4, 4, 4], 16), "vary no more than chance .* that rate, 0.5, pass@k is"),
        (lambda: extrapolate(8, [4], 16), r"needs at least 2 of them; got shape \(1,\)"),
        (lambda: extrapolate(1, [0, 1, 1], 16), "at least 2 completions of each problem; got n=1"),
        (lambda: extrapolate(2, [1, 2, 2], 16, model="power law"), r"pass@2 is 1: a power law"),
        (lambda: extrapolate(8, [1, 4], 0), "k must be at least 1"),
        (lambda: extrapolate(8, [1, 4], [2, 2**53 + 1]), "k must be at most 2.53, .*; got 9007199254740993"),
        (lambda: extrapolate(8, [1, 4], []), "k must hold at least one"),
        (lambda: extrapolate(8, [1, 7], 16, draws=10), "draws must be at least 40"),
        (lambda: extrapolate(8, [1, 7], 16, seed=-1), "seed must be"),
        (lambda: extrapolate(8, [1, 7], 16, level=1), "level must be in"),
        (lambda: extrapolate(8, [1, 9], 16), r"c must be in \[0, n\]"),
        (lambda: calibration(8, [1, 7], 8), "fit_n must be below the smallest n; got fit_n=8, n=8"),
        (lambda: calibration(8, [1, 7], 0), "fit_n must be at least 1"),
    ],
)
def test_what_cannot_be_extrapolated_is_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_an_unknown_model_is_refused() -> None:
    untyped: Any = extrapolate
    with pytest.raises(ValueError, match="model must be one of beta-binomial, power law; got 'logistic'"):
        untyped(8, [1, 4], 16, model="logistic")
