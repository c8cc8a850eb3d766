from math import nan

import pytest

from dashboards.numerals import estimate, interval, metric_name, percent, problems, rate, reward, span


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.342125, "0.342"), (0.0, "0.000"), (1.0, "1.000"), (1e-9, "<0.001"), (1 - 1e-9, ">0.999"), (-0.0312, "−0.031")],
)
def test_a_rate_has_three_decimals_and_is_never_rounded_to_certainty(value: float, text: str) -> None:
    assert rate(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1.9, "1.900"), (-2.5, "−2.500"), (0.0, "0.000"), (12345678.0, "1.235e+07"), (1234.0, "1234")]
)
def test_a_reward_has_four_significant_digits_on_any_scale(value: float, text: str) -> None:
    assert reward(value) == text


def test_the_unknown_is_a_dash_and_no_interval_is_made_from_it() -> None:
    assert rate(nan) == reward(nan) == estimate(nan, "pass_at_k") == "—"
    assert interval(nan, nan, "pass_at_k") == ""
    assert interval(0.3110, 0.3733, "pass_at_k") == "[0.311, 0.373]"


def test_metrics_go_by_the_names_of_the_field() -> None:
    assert metric_name("pass_at_k", 8) == "pass@8"
    assert metric_name("max_at_k") == "max@k"
    assert metric_name("pass_hat_k", 4) == "pass^4"


def test_ranges_and_levels_carry_no_superfluous_characters() -> None:
    assert (problems(0), problems(1), problems(1319)) == ("0 problems", "1 problem", "1,319 problems")
    assert span(10, 10) == "10"
    assert span(8, 1024) == "8–1,024"
    assert percent(0.95).split() == ["95", "%"]
    assert percent(0.999).split() == ["99.9", "%"]
