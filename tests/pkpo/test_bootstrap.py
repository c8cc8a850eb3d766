import math
import subprocess
import sys
from itertools import product
from typing import Any

import numpy as np
import pytest

from pkpo import mean_interval, pass_at_k, student_t
from pkpo.bootstrap import bootstrap_interval, bootstrap_pass_at_k, bootstrap_test, simultaneous_band

SKEWED = [0.0, 0.0, 0.1, 0.2, 1.0]
N, C = [8, 8, 4, 8], [0, 3, 4, 5]


def exact_ends(values: list[float], level: float) -> tuple[float, float]:
    """The studentised ends over all P^P resamples."""
    P = len(values)
    plain = mean_interval(values)
    away = []
    for chosen in product(values, repeat=P):
        mean, deviation = np.mean(chosen), np.std(chosen, ddof=1)
        miss = float(mean) - plain.value
        away.append(math.copysign(math.inf, miss) if deviation == 0 else miss / (float(deviation) / math.sqrt(P)))
    away.sort()
    low, high = (away[int(tail * len(away))] for tail in ((1 - level) / 2, (1 + level) / 2))
    return plain.value - high * plain.standard_error, plain.value - low * plain.standard_error


def test_the_bootstrap_nears_what_all_resamples_give() -> None:
    found = bootstrap_interval(SKEWED, 0.7, seed=1, draws=40_000)
    low, high = exact_ends(SKEWED, 0.7)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.02)
    assert found.high - found.value > 2 * (found.value - found.low)
    assert (found.method, found.problems, found.level, found.seed) == ("studentised bootstrap over problems", 5, 0.7, 1)


def test_a_seed_repeats_an_interval_and_another_changes_it() -> None:
    assert bootstrap_interval(SKEWED, 0.5, seed=3) == bootstrap_interval(SKEWED, 0.5, seed=3)
    assert bootstrap_interval(SKEWED, 0.5, seed=3) != bootstrap_interval(SKEWED, 0.5, seed=4)


def test_the_bootstrap_keeps_the_scale_and_stays_within_bounds() -> None:
    found = bootstrap_interval(SKEWED, seed=0, bounds=(0, 1))
    large = bootstrap_interval(np.array(SKEWED) * 2.0**1000, seed=0, bounds=(0, 2.0**1000))
    assert (large.low, large.high) == (found.low * 2.0**1000, found.high * 2.0**1000)
    assert found.high == 1
    # Two problems in five have one value: resamples of them alone, of no spread, are in more than half a percent.
    assert bootstrap_interval(SKEWED, 0.99, seed=0).high == math.inf
    assert bootstrap_interval(np.array(SKEWED) + 0.3, 0.99, seed=0).high == math.inf


def test_values_without_spread_give_no_width_and_one_problem_none_at_all() -> None:
    same = bootstrap_interval([0.3] * 7, seed=0)
    assert (same.low, same.high) == (0.3, 0.3)
    assert math.isnan(bootstrap_interval([0.3], seed=0).low)
    assert math.isnan(bootstrap_pass_at_k([8], [3], 2, seed=0).low)


def outcomes_of_fixed(level: float) -> tuple[float, float]:
    """The ends for N, C at k = 2 over the law of all resampled counts, with the jackknife by its definition."""
    tables = []
    for n, c in zip(N, C, strict=True):
        rho = [1 - math.comb(n - j, 2) / math.comb(n, 2) for j in range(n + 1)]
        spread = [jackknife(n, j) for j in range(n + 1)]
        tables.append(
            [(math.comb(n, j) * (c / n) ** j * (1 - c / n) ** (n - j), rho[j], spread[j]) for j in range(n + 1)]
        )
    center = sum(1 - (1 - c / n) ** 2 for n, c in zip(N, C, strict=True)) / len(N)
    found = []
    for outcome in product(*tables):
        chance = math.prod(each[0] for each in outcome)
        error = math.sqrt(sum(each[2] for each in outcome)) / len(N)
        away = sum(each[1] for each in outcome) / len(N) - center
        found.append((away / error if error else math.copysign(math.inf, away), chance))
    found.sort()
    below = np.cumsum([chance for _, chance in found])
    t_low, t_high = (found[int(np.searchsorted(below, tail))][0] for tail in ((1 - level) / 2, (1 + level) / 2))
    value = float(pass_at_k(N, C, 2).mean())
    error = math.sqrt(sum(jackknife(n, c) for n, c in zip(N, C, strict=True))) / len(N)
    return value - t_high * error, value - t_low * error


def jackknife(n: int, c: int) -> float:
    each = [1 - math.comb(n - 1 - (c - passed), 2) / math.comb(n - 1, 2) for passed in [1] * c + [0] * (n - c)]
    return (n - 1) / n * sum((value - sum(each) / n) ** 2 for value in each)


def test_with_fixed_problems_it_nears_the_law_of_resampled_counts() -> None:
    found = bootstrap_pass_at_k(N, C, 2, 0.8, problems="fixed", seed=2, draws=40_000)
    assert (found.low, found.high) == pytest.approx(outcomes_of_fixed(0.8), abs=0.01)
    assert found.method == "studentised bootstrap over completions, problems fixed"


def test_other_problems_would_vary_more_than_other_completions() -> None:
    fixed, sample = (bootstrap_pass_at_k(N * 10, C * 10, 2, problems=each, seed=0) for each in ("fixed", "sample"))
    assert fixed.value == sample.value == pytest.approx(float(pass_at_k(N, C, 2).mean()))
    assert fixed.high - fixed.low < 0.5 * (sample.high - sample.low)
    assert sample.method == "studentised bootstrap over problems and completions"


def test_one_n_stands_for_all_problems() -> None:
    assert bootstrap_pass_at_k(8, [1, 2, 3], 2, seed=0) == bootstrap_pass_at_k([8, 8, 8], [1, 2, 3], 2, seed=0)


def test_a_test_nears_the_share_of_all_resamples_in_its_tail() -> None:
    differences = np.array([0.9, 0.1, 0.5, 1.0])
    mean = differences.mean()
    t = mean / (differences.std(ddof=1) / 2)
    resamples = np.array(list(product(differences, repeat=4)))
    spreads = resamples.std(axis=1, ddof=1) / 2
    away = resamples.mean(axis=1) - mean
    drawn = away / np.where(np.ptp(resamples, axis=1) > 0, spreads, 1e-300)  # without spread, as good as infinite
    share = min((drawn >= t).mean(), (drawn <= t).mean())
    assert 0 < share < 0.2
    assert bootstrap_test(differences, seed=0, draws=40_000) == pytest.approx(2 * share, abs=0.01)
    assert bootstrap_test(-differences, seed=0) == pytest.approx(2 * share, abs=0.02)


def test_a_test_rejects_where_the_interval_leaves_zero_out() -> None:
    rng = np.random.default_rng(2)
    rejected = 0
    for seed in range(60):
        differences = rng.exponential(size=25) - 0.6
        interval = bootstrap_interval(differences, seed=seed, draws=1999)
        p = bootstrap_test(differences, seed=seed, draws=1999)
        if abs(p - 0.05) > 0.005:
            assert (p < 0.05) == (interval.low > 0 or interval.high < 0)
        rejected += p < 0.05
    assert 10 < rejected < 50


def test_a_test_of_no_difference_holds_its_level_in_any_unit() -> None:
    rng = np.random.default_rng(4)
    unit = 2.0**-700
    below = [bootstrap_test(rng.normal(size=60) * unit, seed=seed, draws=199) < 0.05 for seed in range(400)]
    assert 0.02 < np.mean(below) < 0.08
    assert bootstrap_test([0.0, 0.0, 0.0], seed=0) == 1
    assert bootstrap_test([0.5, 0.5, 0.5], seed=0, draws=999) == 0.002


def test_a_band_of_one_k_is_no_narrower_than_t_and_several_are_wider() -> None:
    values = np.random.default_rng(0).random((60, 8))
    plain = [mean_interval(column) for column in values.T]
    (alone,) = simultaneous_band(values[:, :1], seed=0)
    assert alone.low <= plain[0].low
    assert alone.high == pytest.approx(plain[0].high, abs=0.005)
    together = simultaneous_band(values, seed=0, draws=10_000)
    critical = {round((each.high - each.value) / each.standard_error, 9) for each in together}
    assert len(critical) == 1
    # Eight independent columns: the level of each is .95^(1/8) in the normal limit, and near it at 59 degrees.
    assert critical.pop() == pytest.approx(student_t(0.95 ** (1 / 8), 59), rel=0.05)
    copies = simultaneous_band(np.repeat(values[:, :1], 8, axis=1), seed=0)
    assert [(each.low, each.high) for each in copies] == [(alone.low, alone.high)] * 8


def test_a_band_is_the_quantile_of_the_largest_t_over_all_resamples() -> None:
    values = np.array([[0.0, 0.1], [0.1, 0.5], [0.4, 0.5], [1.0, 0.7], [0.3, 0.0]])
    means, largest = values.mean(axis=0), []
    for chosen in product(range(5), repeat=5):
        drawn = values[list(chosen)]
        away, error = np.abs(drawn.mean(axis=0) - means), drawn.std(axis=0, ddof=1) / math.sqrt(5)
        largest.append(max(a / e if e > 1e-12 else math.inf for a, e in zip(away, error, strict=True)))
    q = sorted(largest)[int(0.7 * len(largest))]
    found = simultaneous_band(values, 0.7, seed=1, draws=40_000)
    for mean, each in zip(means, found, strict=True):
        assert each.high == pytest.approx(mean + q * each.standard_error, abs=0.02)


def test_a_band_keeps_the_scale_of_each_column() -> None:
    values = np.array([[0.0, 0.1], [0.1, 0.5], [0.4, 0.5], [1.0, 0.7], [0.3, 0.0]])
    plain, scaled = (simultaneous_band(each, 0.7, seed=1) for each in (values, values * [2.0**-90, 2.0**90]))
    assert scaled[0].high == plain[0].high * 2.0**-90
    assert scaled[1].high == plain[1].high * 2.0**90


def test_a_band_takes_constant_columns_one_problem_and_bounds() -> None:
    values = np.array([[0.5, 0.0], [0.5, 1.0], [0.5, 1.0]])
    flat, clipped = simultaneous_band(values, seed=0, bounds=(0, 1))
    assert (flat.low, flat.high, clipped.high) == (0.5, 0.5, 1)
    assert all(math.isnan(each.low) for each in simultaneous_band([[0.5, 1.0]], seed=0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap_interval([0, 1], seed=-1), "seed must be an integer of at least 0; got -1"),
        (lambda: bootstrap_interval([0, 1], seed=None), "seed must be an integer"),  # type: ignore[arg-type]
        (lambda: bootstrap_interval([0, 1], seed=0, draws=39), "draws must be at least 40 at level 0.95; got 39"),
        (lambda: bootstrap_interval([], seed=0), "values must"),
        (lambda: bootstrap_pass_at_k(8, [1, 2], 8, problems="fixed", seed=0), "k=8 needs n >= 9"),
        (lambda: bootstrap_pass_at_k(8, [1, 2], 9, seed=0), "k must be at most the smallest n"),
        (lambda: bootstrap_pass_at_k(8, [1], 1, problems="all", seed=0), "problems must be sample or fixed; got 'all'"),  # type: ignore[arg-type]
        (lambda: bootstrap_test([0.1], seed=0), "at least 2 problems; got 1"),
        (lambda: bootstrap_test([0.1, 0.2], seed=0, draws=0), "draws must be at least 1"),
        (lambda: bootstrap_test([[0.1], [0.2]], seed=0), r"must have shape \(P,\); got \(2, 1\)"),
        (lambda: simultaneous_band([0.1, 0.2], seed=0), r"values must have shape \(P, K\); got \(2,\)"),
    ],
)
def test_what_cannot_be_resampled_is_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_random_numbers_are_imported_when_they_are_drawn() -> None:
    named = "pkpo.mean_interval([0, 1]), pkpo.Comparison, pkpo.extrapolate"
    program = f"import sys, pkpo; {named}; print('numpy.random' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"
