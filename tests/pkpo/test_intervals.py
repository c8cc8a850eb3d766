import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkpo import mean_interval, student_t
from pkpo.intervals import fixed_interval
from tests.examples_of import examples

# mpmath 1.3.0 at 60 digits: bisection of betainc(1/2, df/2, 0, t^2/(df + t^2), regularized=True) = level.
QUANTILES = [
    (0.5, 1, 1.0),
    (0.5, 3, 0.7648923284043453),
    (0.5, 10, 0.6998120613124317),
    (0.5, 799, 0.6747969271732769),
    (0.8, 1, 3.077683537175254),
    (0.8, 3, 1.6377443536962104),
    (0.8, 10, 1.3721836411103359),
    (0.8, 799, 1.2826120157055447),
    (0.95, 1, 12.706204736174694),
    (0.95, 2, 4.302652729749462),
    (0.95, 3, 3.1824463052837086),
    (0.95, 4, 2.7764451051977934),
    (0.95, 5, 2.5705818356363146),
    (0.95, 7, 2.364624251592785),
    (0.95, 10, 2.2281388519862744),
    (0.95, 30, 2.0422724563012378),
    (0.95, 99, 1.9842169515864172),
    (0.95, 163, 1.974624620966361),
    (0.95, 799, 1.9629374611056079),
    (0.95, 1318, 1.9617655127673148),
    (0.95, 10000, 1.960201239890626),
    (0.99, 1, 63.656741162871526),
    (0.99, 3, 5.840909309733355),
    (0.99, 10, 3.169272672616951),
    (0.99, 799, 2.5819965424968925),
    (0.999999, 1, 636619.7723487513),
    (0.999999, 2, 999.9992499854659),
    (0.999999, 3, 130.1545895571102),
    (0.999999, 4, 49.4586367565786),
    (0.999999, 5, 28.47847346281956),
    (0.999999, 7, 15.767009437416196),
    (0.999999, 10, 10.516489956882173),
    (0.999999, 30, 6.119075620373899),
    (0.999999, 99, 5.217164206642668),
    (0.999999, 163, 5.085049245723503),
    (0.999999, 799, 4.930052830598313),
    (0.999999, 1318, 4.914863684161884),
    (0.999999, 10000, 4.894688616309937),
    (0.01, 1, 0.015709255323664916),
    (0.01, 3, 0.013604054691036678),
    (0.01, 10, 0.012850279188571376),
    (0.01, 799, 0.012537392348414809),
]


@pytest.mark.parametrize(("level", "df", "t"), QUANTILES)
def test_the_t_quantile_is_that_of_multiple_precision_arithmetic(level: float, df: int, t: float) -> None:
    assert student_t(level, df) == pytest.approx(t, rel=2e-16)


# The two-sided 95 % column of Student's own table, as the NIST/SEMATECH e-Handbook prints it (section 1.3.6.7.2).
@pytest.mark.parametrize(
    ("df", "t"), [(1, 12.706), (2, 4.303), (3, 3.182), (5, 2.571), (9, 2.262), (20, 2.086), (60, 2.000), (100, 1.984)]
)
def test_the_t_quantile_is_that_of_the_printed_table(df: int, t: float) -> None:
    assert round(student_t(0.95, df), 3) == t


@settings(max_examples=examples(100))
@given(st.floats(1e-6, 1 - 1e-6))
def test_the_t_quantile_has_its_closed_forms(level: float) -> None:
    assert student_t(level, 1) == pytest.approx(
        math.tan(math.pi * level / 2), rel=1e-9
    )  # tan is ill-conditioned near 1
    exact = Fraction(level)
    assert student_t(level, 2) == pytest.approx(level * math.sqrt(2 / ((1 - exact) * (1 + exact))), rel=1e-14)
    # df = 4: P(|T| <= t) = x (3 - x^2) / 2 with x = t / sqrt(4 + t^2).
    t = student_t(level, 4)
    x = t / math.sqrt(4 + t * t)
    assert x * (3 - x * x) / 2 == pytest.approx(level, rel=1e-14)


@settings(max_examples=examples(100))
@given(st.floats(1e-9, 1 - 1e-9), st.integers(1, 10**7))
def test_the_t_quantile_rises_with_the_level_and_falls_with_the_degrees_of_freedom(level: float, df: int) -> None:
    t = student_t(level, df)
    assert student_t(level, df + 1) <= t
    assert student_t((level + 1) / 2, df) > t > 0


def test_the_t_quantile_ends_in_the_normal_one() -> None:
    assert student_t(0.95, 2**40) == pytest.approx(1.9599639845400543, rel=1e-11)  # Phi^-1(.975)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, 2, 95, math.nan, math.inf, None, "0.95", True])
def test_a_level_outside_zero_to_one_is_refused(level: Any) -> None:
    with pytest.raises(ValueError, match=r"^level must be"):
        student_t(level, 5)
    with pytest.raises(ValueError, match=r"^level must be"):
        mean_interval([0.0, 1.0], level)


@pytest.mark.parametrize("df", [0, -1, 2.5, 3.0, True, None])
def test_degrees_of_freedom_below_one_are_refused(df: Any) -> None:
    with pytest.raises(ValueError, match=r"^df must be"):
        student_t(0.95, df)


@settings(max_examples=examples(100))
@given(st.lists(st.integers(-(10**9), 10**9).map(lambda i: i / 7e6), min_size=2, max_size=30), st.floats(0.01, 0.99))
def test_the_interval_is_the_mean_with_t_standard_errors_to_either_side(values: list[float], level: float) -> None:
    exact = [Fraction(value) for value in values]
    mean = sum(exact) / len(exact)
    variance = sum((value - mean) ** 2 for value in exact) / (len(exact) - 1) / len(exact)
    found = mean_interval(values, level)
    size = max(map(abs, values))
    assert found.value == pytest.approx(float(mean), rel=1e-15, abs=1e-300)
    assert found.standard_error == pytest.approx(math.sqrt(variance), rel=1e-12, abs=1e-14 * size)
    half = student_t(level, len(values) - 1) * found.standard_error
    assert found.low == pytest.approx(found.value - half, rel=1e-13, abs=1e-15 * size)
    assert found.high == pytest.approx(found.value + half, rel=1e-13, abs=1e-15 * size)


def test_one_value_says_nothing_about_the_spread() -> None:
    found = mean_interval([0.25])
    assert found.value == 0.25
    assert all(map(math.isnan, (found.standard_error, found.low, found.high)))


def test_equal_values_have_no_spread() -> None:
    for value, problems in ((0.1, 7), (0.0, 2), (-1e308, 3), (5e-324, 5), (0.3, 49), (1 / 3, 11), (0.7, 1319)):
        found = mean_interval([value] * problems)
        assert (found.value, found.standard_error, found.low, found.high) == (value, 0, value, value)


def test_the_interval_stays_within_its_bounds() -> None:
    found = mean_interval([0.0, 0.0, 1.0], bounds=(0.0, 1.0))
    assert (found.low, found.high) == (0.0, 1.0)
    assert mean_interval([0.0, 0.0, 1.0]).low < 0


@pytest.mark.parametrize("bounds", [(0.0, 0.5), (0.5, 1.0), (1.0, 0.0), (math.nan, 1.0), (0.0, math.nan)])
def test_values_that_leave_their_bounds_are_refused(bounds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"values must be within bounds \(.*\); got 0.0 to 1.0"):
        mean_interval([0.0, 0.0, 1.0], bounds=bounds)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.longdouble])
def test_a_level_of_every_real_type_is_taken_without_a_warning(kind: type) -> None:
    assert student_t(kind(0.75), 5) == student_t(0.75, 5)


def test_means_do_not_overflow_and_spreads_do_not_vanish() -> None:
    found = mean_interval(np.array([1.7e308, 1.7e308, 1.6e308]))
    assert found.value == pytest.approx(1.6666666666666667e308, rel=1e-15)
    assert found.standard_error == pytest.approx(1e307 / 3, rel=1e-12)
    assert mean_interval([-1.7e308, 1.7e308]).high == math.inf
    small = mean_interval([1e-200, 3e-200])
    assert small.standard_error == pytest.approx(1e-200, rel=1e-15)


@pytest.mark.parametrize("values", [[], [[0.0, 1.0]], [math.nan, 1.0], 1.0, [None], ["1"]])
def test_values_without_a_mean_are_refused(values: Any) -> None:
    with pytest.raises(ValueError, match=r"^values must"):
        mean_interval(values)


CLUSTERED = [1, 0, 1, 1, 0, 0, 0, 1, 1], ["a", "b", "a", "c", "b", "b", "c", "a", "c"]


def test_clusters_are_the_sample_where_problems_come_in_clusters() -> None:
    values, clusters = CLUSTERED
    mean = Fraction(sum(values), len(values))
    sums = [sum(value - mean for value, at in zip(values, clusters, strict=True) if at == name) for name in "abc"]
    error = math.sqrt(Fraction(3, 2) * sum(each**2 for each in sums)) / 9
    found = mean_interval(values, clusters=clusters)
    assert found.value == float(mean)
    assert found.standard_error == pytest.approx(error, rel=1e-14)
    assert found.high == pytest.approx(found.value + student_t(0.95, 2) * error, rel=1e-14)
    assert (found.method, found.problems, found.level, found.seed) == ("clustered t", 9, 0.95, None)


@settings(max_examples=examples(100))
@given(st.lists(st.integers(-9, 9), min_size=1, max_size=9))
def test_clusters_of_one_problem_each_are_none(values: list[int]) -> None:
    plain, clustered = mean_interval(values), mean_interval(values, clusters=list(range(len(values))))
    assert clustered.method == "clustered t"
    for name in ("value", "standard_error", "low", "high"):
        assert getattr(clustered, name) == pytest.approx(getattr(plain, name), nan_ok=True)


def test_one_cluster_says_nothing_about_the_spread() -> None:
    found = mean_interval([0, 1, 1], clusters=["a", "a", "a"])
    assert found.value == 2 / 3
    assert all(map(math.isnan, (found.standard_error, found.low, found.high)))


def test_copies_of_every_problem_change_nothing_where_they_are_clusters() -> None:
    values = [0.0, 0.25, 1.0, 0.75]
    once = mean_interval(values)
    five_times = mean_interval(values * 5, clusters=[0, 1, 2, 3] * 5)
    assert (five_times.low, five_times.high) == pytest.approx((once.low, once.high))
    assert mean_interval(values * 5).standard_error < once.standard_error / 2


@pytest.mark.parametrize("clusters", [["a"], [1.0, 2.0, 3.0], [None, "a", "b"], "abc", [["a", "b", "c"]]])
def test_clusters_that_do_not_fit_are_refused(clusters: Any) -> None:
    with pytest.raises(ValueError, match="clusters must be one integer or string for each of 3 problems"):
        mean_interval([0, 1, 1], clusters=clusters)


def test_fixed_problems_leave_only_the_draw_of_completions_open() -> None:
    found = fixed_interval([0.5, 1.0, 0.0, 0.25], [0.04, 0.0, -0.01, 0.06], bounds=(0, 1))
    assert found.value == 0.4375
    assert found.standard_error == pytest.approx(0.3 / 4)
    assert found.high - found.value == pytest.approx(1.9599639845400543 * 0.3 / 4)
    assert (found.method, found.problems) == ("normal, problems fixed", 4)
    assert fixed_interval([0.5], [0.04]).standard_error == pytest.approx(0.2)
    assert fixed_interval([0.9], [0.04], bounds=(0, 1)).high == 1


@pytest.mark.parametrize(
    ("variances", "message"),
    [
        ([0.1, -0.2], "variances must not have a sum below 0, for which there is no standard error; got -0.1"),
        ([0.1], r"variances must have the shape of values, \(2,\); got \(1,\)"),
        ([0.1, math.nan], "variances must be finite"),
    ],
)
def test_variances_that_give_no_error_are_refused(variances: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fixed_interval([0.0, 1.0], variances)
