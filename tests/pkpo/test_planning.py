import math
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

from pkpo import mean_interval, pass_at_k, student_t
from pkpo.planning import Pilot
from pkpo.variance import pass_at_k_variance, pass_at_k_variance_estimate

RATES = np.random.default_rng(0).beta(0.3, 0.6, size=500)
COUNTS = np.random.default_rng(1).binomial(16, RATES)
PILOT = Pilot.from_counts(16, COUNTS, 4)


def test_between_and_within_are_unbiased_over_all_outcomes() -> None:
    n, k, rates = 4, 2, [0.1, 0.5, 0.7]
    between, within_3, within_9 = 0.0, 0.0, 0.0
    for outcome in product(range(n + 1), repeat=3):
        chance = math.prod(math.comb(n, c) * p**c * (1 - p) ** (n - c) for c, p in zip(outcome, rates, strict=True))
        pilot = Pilot.from_counts(n, outcome, k)
        between += chance * pilot.between
        within_3 += chance * pilot.within(3)
        within_9 += chance * pilot.within(9)
    passes = [1 - (1 - Fraction(str(p))) ** k for p in rates]
    mean = sum(passes) / 3
    assert between == pytest.approx(float(sum((each - mean) ** 2 for each in passes) / 2), rel=1e-12)
    assert within_3 == pytest.approx(float(pass_at_k_variance(3, rates, k).mean()), rel=1e-12)
    assert within_9 == pytest.approx(float(pass_at_k_variance(9, rates, k).mean()), rel=1e-12)


def test_at_its_own_size_the_pilot_plans_the_interval_it_has() -> None:
    own = mean_interval(pass_at_k(16, COUNTS, 4))
    assert PILOT.half_width(16, 500) == pytest.approx(own.high - own.value, rel=1e-12)
    assert PILOT.within(16) == pytest.approx(pass_at_k_variance_estimate(16, COUNTS, 4).mean(), rel=1e-12)
    fixed = PILOT.half_width(16, 500, of="fixed")
    assert fixed == pytest.approx(1.9599639845400543 * math.sqrt(PILOT.within(16) / 500), rel=1e-12)


def test_a_plan_is_kept_by_a_new_evaluation() -> None:
    rng = np.random.default_rng(2)
    wanted = 0.05
    P = PILOT.problems_needed(wanted, n=8)
    widths = []
    for _ in range(50):
        found = mean_interval(pass_at_k(8, rng.binomial(8, rng.beta(0.3, 0.6, size=P)), 4))
        widths.append(found.high - found.value)
    assert np.mean(widths) == pytest.approx(wanted, rel=0.03)


def test_needs_are_the_least_that_suffice() -> None:
    n = PILOT.completions_needed(0.04, 500)
    assert PILOT.half_width(n, 500) <= 0.04 < PILOT.half_width(n - 1, 500)
    P = PILOT.problems_needed(0.04, 16)
    assert PILOT.half_width(16, P) <= 0.04 < PILOT.half_width(16, P - 1)
    fixed = PILOT.completions_needed(0.001, 500, of="fixed")
    assert PILOT.half_width(fixed, 500, of="fixed") <= 0.001 < PILOT.half_width(fixed - 1, 500, of="fixed")
    assert PILOT.completions_needed(1.0, 500) == 4
    assert PILOT.problems_needed(100.0, 16) == 2


def test_more_completions_end_at_the_floor_and_below_it_more_problems_are_asked_for() -> None:
    floor = PILOT.floor(500)
    assert floor == pytest.approx(student_t(0.95, 499) * math.sqrt(PILOT.between / 500))
    assert floor < PILOT.half_width(10**6, 500) < floor * 1.0001
    with pytest.raises(ValueError, match=r"how they differ leaves 0.035\d*; take at least (\d+) problems") as refused:
        PILOT.completions_needed(0.02, 500)
    least = int(str(refused.value).split()[-2])
    assert PILOT.half_width(2**20, least) <= 0.02 < PILOT.half_width(2**20, least - 1)


def test_problems_that_are_alike_leave_no_floor() -> None:
    alike = Pilot.from_counts(4, [2, 2, 2], 2)
    assert alike.between < 0
    assert alike.floor(3) == 0
    with pytest.raises(ValueError, match=r"puts the variance at .* below 0: it is too small to plan by"):
        alike.half_width(100, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Pilot.from_counts(16, [3], 4), r"a pilot needs at least 2 problems; got shape \(1,\)"),
        (
            lambda: Pilot.from_counts([16, 7], [3, 3], 4),
            "a pilot for k=4 needs n >= 8 completions of each problem; got n=7",
        ),
        (lambda: PILOT.half_width(3, 10), "n must be at least k; got n=3, k=4"),
        (lambda: PILOT.half_width(8, 1), "a sample of problems needs at least 2; got 1"),
        (lambda: PILOT.half_width(8, 10, of="all"), "of must be sample or fixed; got 'all'"),  # type: ignore[arg-type]
        (lambda: PILOT.completions_needed(0, 10), "half_width must be above 0; got 0"),
        (lambda: PILOT.completions_needed(1e-9, 500, of="fixed", most=10**4), "takes more than 10000 completions"),
        (lambda: PILOT.problems_needed(1e-9, 16), "takes more than 2147483648 problems"),
        (lambda: PILOT.problems_needed(math.nan, 16), "half_width must be finite"),
    ],
)
def test_what_cannot_be_planned_is_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
