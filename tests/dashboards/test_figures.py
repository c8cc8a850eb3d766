import json
import re
from collections.abc import Iterator
from importlib.resources import files
from math import log10, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.figures import curve_figure, k_ticks, solve_rate_histogram, value_range
from dashboards.pages import figure_json
from pkpo.curves import CurvePoint, PassAtKCurve
from tests.dashboards.examples import C, N

CURVE = PassAtKCurve.from_counts(N, C)
COUNTS = st.lists(
    st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), min_size=1, max_size=40
)


def test_the_line_is_the_estimates_and_the_ribbon_their_interval() -> None:
    low, high, line = curve_figure(CURVE).data
    assert list(line.x) == list(low.x) == list(high.x) == [1, 2, 4, 8, 10]
    assert list(line.y) == [point.value for point in CURVE.points]
    assert list(low.y) == [point.low for point in CURVE.points]
    assert list(high.y) == [point.high for point in CURVE.points]
    assert high.fill == "tonexty"


def test_the_k_axis_is_logarithmic_with_ticks_at_powers_of_two_and_n() -> None:
    axis = curve_figure(CURVE).layout.xaxis
    assert axis.type == "log"
    assert list(axis.tickvals) == [1, 2, 4, 8, 10]
    assert list(axis.ticktext) == ["1", "2", "4", "8", "10<br>n"]
    assert axis.range[0] < 0 < log10(10) < axis.range[1]


def test_ticks_neither_touch_each_other_nor_lose_n() -> None:
    assert list(k_ticks([1, 2, 4, 8, 9], 9)) == [1, 2, 4, 9]
    assert k_ticks([1, 2, 4, 8], 8)[8] == "8<br>n"
    assert len(k_ticks([2**power for power in range(20)], 2**19)) <= 12
    assert 1000 not in k_ticks([1, 2, 4], 1000)  # a curve up to 4 has no place for n = 1000


def test_n_and_the_number_of_problems_stand_in_the_figure_itself() -> None:
    ragged = PassAtKCurve.from_counts([8, 16, 10], [1, 2, 3])
    assert curve_figure(CURVE).layout.xaxis.title.text == "k attempts · n = 10 · 5 problems"
    assert curve_figure(ragged).layout.xaxis.title.text == "k attempts · n = 8–16 · 3 problems"
    assert solve_rate_histogram(N, C).layout.xaxis.title.text == "solve rate c/n · n = 10 · 5 problems"


def test_hovering_tells_k_value_interval_n_and_problems() -> None:
    text = curve_figure(CURVE).data[-1].hovertext[1].replace("\N{NO-BREAK SPACE}", " ")
    point = CURVE.points[1]
    assert text == (
        f"<b>pass@2 = {point.value:.6g}</b><br>95 % interval [{point.low:.6g}, {point.high:.6g}]<br>n = 10 · 5 problems"
    )


def test_one_problem_has_a_line_without_a_ribbon() -> None:
    figure = curve_figure(PassAtKCurve.from_counts([10], [3]))
    known = [trace for trace in figure.data if len(trace.x)]
    assert [trace.name for trace in known] == ["pass@k"]
    assert "interval" not in known[0].hovertext[0]


def test_a_curve_of_one_point_shows_its_interval_as_a_bar() -> None:
    curve = PassAtKCurve.from_counts([1, 1, 1, 1], [1, 0, 1, 1])
    bar, line = curve_figure(curve).data
    assert list(bar.y) == [curve.points[0].low, curve.points[0].high]
    assert list(bar.x) == [1, 1]
    assert list(line.y) == [0.75]


def test_the_axis_shows_all_of_the_ribbon_and_does_not_make_a_flat_curve_steep() -> None:
    low, high = value_range(CURVE)
    assert low <= min(point.low for point in CURVE.points) < max(point.high for point in CURVE.points) <= high
    flat = CurvePoint(1, 0.5, 0.001, 0.498, 0.502)
    low, high = value_range(PassAtKCurve("pass_at_k", "", (flat,), 0.95, "t", 800, 10, 10))
    assert high - low >= 0.1


def test_rewards_keep_their_own_scale() -> None:
    curve = PassAtKCurve.from_rewards([[-5.0, 120.0], [3.0, 80.0]])
    low, high = value_range(curve)
    assert low < min(point.low for point in curve.points)
    assert high > max(point.high for point in curve.points)
    assert curve_figure(curve).layout.yaxis.title.text == "max@k"


@given(COUNTS)
def test_every_problem_is_in_one_bar_and_the_ends_hold_those_that_none_or_all_solved(
    counts: list[tuple[int, int]],
) -> None:
    none, some, all_ = solve_rate_histogram([n for n, _ in counts], [c for _, c in counts]).data
    assert none.y[0] == sum(c == 0 for _, c in counts)
    assert all_.y[0] == sum(c == n for n, c in counts)
    assert none.y[0] + sum(some.y) + all_.y[0] == len(counts)


@given(COUNTS)
def test_the_ends_stand_apart_from_the_bins_between(counts: list[tuple[int, int]]) -> None:
    none, some, all_ = solve_rate_histogram([n for n, _ in counts], [c for _, c in counts]).data
    assert none.x[0] + none.width[0] / 2 < 0
    assert all_.x[0] - all_.width[0] / 2 > 1
    assert all(0 < x - width / 2 < x + width / 2 < 1 for x, width in zip(some.x, some.width, strict=True))


def test_equal_and_small_n_give_one_bar_for_each_c() -> None:
    some = solve_rate_histogram(N, C).data[1]
    assert list(some.x) == pytest.approx([c / 10 for c in range(1, 10)])
    assert list(some.y) == [0, 0, 1, 0, 0, 0, 1, 0, 0]


def test_the_edge_of_a_bin_is_decided_by_integers() -> None:
    some = solve_rate_histogram([10, 20, 30, 100], [3, 6, 9, 29]).data[1]
    assert list(some.y) == [0, 0, 1, 3, 0, 0, 0, 0, 0, 0]


def test_every_colour_of_a_figure_is_one_that_the_style_sheet_has() -> None:
    sheet = (files("dashboards") / "static" / "app.css").read_text()
    defined = set(re.findall(r"(--[a-z]+):", sheet))
    for figure in (curve_figure(CURVE), solve_rate_histogram(N, C)):
        drawn = json.loads(figure_json(figure))
        colours = {value for key, value in _leaves(drawn) if "color" in key}
        assert colours
        assert {re.sub(r"^var\((--[a-z]+)\)$", r"\1", str(colour)) for colour in colours} <= defined


def test_problems_are_counted_in_whole_numbers() -> None:
    assert solve_rate_histogram([4, 4], [1, 1]).layout.yaxis.dtick == 1
    assert solve_rate_histogram([1] * 1319, [1] * 1319).layout.yaxis.dtick is None


def test_what_is_unknown_reaches_the_page_as_null() -> None:
    curve = PassAtKCurve("pass_at_k", "", (CurvePoint(1, 0.5, nan, nan, nan),), 0.95, "t", 1, 1, 1)
    assert "NaN" not in figure_json(curve_figure(curve))


def _leaves(part: object, key: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(part, dict):
        for name, value in part.items():
            yield from _leaves(value, name)
    elif isinstance(part, list):
        for value in part:
            yield from _leaves(value, key)
    else:
        yield key, part
