"""Figures of what a run has logged over its steps; two runs lie in one figure, as A and B.

As in `figures`, no text comes from outside: the name of a metric, or of a run, stands beside the figure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import log10

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from dashboards.figures import (
    DASHES,
    ESTIMATE,
    FAILED,
    INK,
    LINES,
    MARKS,
    MUTED,
    RIBBON,
    CheckpointCurve,
    axes_and_ground,
    of_rates,
    precise,
    range_of,
    step_ticks,
)
from dashboards.numerals import count, metric_name
from dashboards.training_log import Point, Series
from pkpo.curves import CurvePoint

METRIC = "pass_at_k"  # of a trajectory
LABEL_WIDTH, LABEL_HEIGHT = 0.25, 0.1  # of the axes, on a phone
GIVEN_UP_OPACITY = 0.7
LOG_FROM = 100.0  # largest over smallest: where a linear axis would show one outlier and a floor


@dataclass(frozen=True)
class Line:
    """A series in a figure: its name in the legend, and how it is drawn."""

    name: str
    series: Series
    place: int = 0
    """Of its colour."""
    dash: str = "solid"


def series_figure(
    lines: Sequence[Line],
    title: str,
    *,
    rate: bool = False,
    steps: bool = False,
    spread: Series | None = None,
    log_scale: bool = False,
) -> go.Figure:
    """Metrics over steps; behind a line the extent of the steps that each of its points is the mean of.

    `steps` keeps a value until the next one, as k is kept; `spread` draws a band of one deviation on either side of the
    first line in place of its extent. What a later segment took the place of is dashed and faint.
    """
    figure = go.Figure(layout=axes_and_ground())
    shape = "hv" if steps else "linear"
    if spread is not None:
        figure.add_traces(_deviation(lines[0].series, spread))
    elif len(lines) == 1 and not steps:
        figure.add_traces(_extent(lines[0].series))
    for line in lines:
        for _, points in line.series.given_up:
            figure.add_trace(_trace(line, points, shape, given_up=True))
        figure.add_trace(_trace(line, line.series.points, shape))
    figure.add_traces([trace for line in lines if (trace := _not_finite(line.series))])
    figure.update_xaxes(title_text="step", **step_ticks(_every_step([line.series for line in lines])))
    figure.update_yaxes(title_text=title, nticks=6)
    if steps:
        figure.update_yaxes(rangemode="tozero")
    if rate:
        figure.update_yaxes(range=_rate_range([line.series for line in lines]), tickformat=".2f")
    if log_scale and _wide([line.series for line in lines]):
        figure.update_yaxes(type="log", dtick=1, nticks=None)
    legend = {"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "font": {"color": INK}}
    return figure.update_layout(showlegend=len(lines) > 1, legend=legend, hovermode="closest")


def phases_figure(phases: Sequence[Line]) -> go.Figure:
    """Seconds of a step by what they went to, one on top of the other."""
    figure = go.Figure(layout=axes_and_ground())
    for line in phases:
        points = line.series.finite
        colour = _colour(line.place)
        figure.add_trace(
            go.Scatter(
                name=line.name,
                x=_steps(points),
                y=_means(points),
                stackgroup="seconds",
                mode="lines",
                line={"color": colour, "width": 1, "dash": DASHES[line.dash]},
                hovertemplate=_hover(line.name),
            )
        )
    figure.update_xaxes(title_text="step", **step_ticks(_every_step([line.series for line in phases])))
    figure.update_yaxes(title_text="seconds of a step", rangemode="tozero", nticks=6)
    legend = {"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "font": {"color": INK}}
    return figure.update_layout(showlegend=True, legend=legend, hovermode="closest")


def trajectory_figure(
    runs: Sequence[Sequence[CheckpointCurve]], low_k: int, high_k: int, names: Sequence[str] = "AB"
) -> go.Figure:
    """pass@high over pass@low, a point for each checkpoint with its intervals, arrows from one to the next."""
    figure = go.Figure(layout=axes_and_ground())
    drawn = [[(each, *pair) for each in run if (pair := _pair(each, low_k, high_k))] for run in runs]
    lows, highs = [low for run in drawn for _, low, _ in run], [high for run in drawn for _, _, high in run]
    across, upward = (range_of(points, METRIC) if points else (0.0, 1.0) for points in (lows, highs))
    labels = _Labels(across, upward)
    for place, found in enumerate(drawn):
        colour = _colour(place)
        figure.add_trace(
            go.Scatter(
                name=names[place],
                x=[low.value for _, low, _ in found],
                y=[high.value for _, _, high in found],
                mode="markers+text",
                text=[
                    labels.of(each.step, low.value, high.value) if i in (0, len(found) - 1) else ""
                    for i, (each, low, high) in enumerate(found)
                ],
                textposition=[
                    labels.place(low.value, high.value, begins=i == 0) for i, (_, low, high) in enumerate(found)
                ],
                textfont={"color": INK},
                marker={"color": colour, "size": 8, "symbol": MARKS[place]},
                error_x=_bars([low for _, low, _ in found], colour),
                error_y=_bars([high for _, _, high in found], colour),
                cliponaxis=False,
                hovertext=[
                    f"<b>step {count(each.step)}</b><br>pass@{low_k} = {precise(low.value)}"
                    f"<br>pass@{high_k} = {precise(high.value)}"
                    for each, low, high in found
                ],
                hoverinfo="text",
            )
        )
        for (_, x, y), (_, to_x, to_y) in pairwise(found):
            figure.add_annotation(
                {"x": to_x.value, "y": to_y.value, "ax": x.value, "ay": y.value}
                | {"xref": "x", "yref": "y", "axref": "x", "ayref": "y", "text": "", "showarrow": True}
                | {"arrowhead": 2, "arrowsize": 1.2, "arrowwidth": 1.5, "arrowcolor": colour, "standoff": 5}
            )
    figure.update_xaxes(title_text=metric_name(METRIC, low_k), range=across, tickformat=".2f", nticks=6)
    figure.update_yaxes(title_text=metric_name(METRIC, high_k), range=upward, tickformat=".2f", nticks=6)
    legend = {"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "font": {"color": INK}}
    return figure.update_layout(showlegend=len(runs) > 1, legend=legend, hovermode="closest")


@dataclass
class _Labels:
    """What was written beside points: where runs begin in one point, each label would lie over the last."""

    across: tuple[float, float]
    upward: tuple[float, float]
    written: list[tuple[str, float, float]] = field(default_factory=list)

    def of(self, step: int, x: float, y: float) -> str:
        """The label of a step, or none where it stands nearby already."""
        label = f"step {count(step)}"
        x, y = self._shares(x, y)
        for text, at_x, at_y in self.written:
            if text == label and abs(x - at_x) < LABEL_WIDTH and abs(y - at_y) < LABEL_HEIGHT:
                return ""
        self.written.append((label, x, y))
        return label

    def place(self, x: float, y: float, *, begins: bool) -> str:
        """Where the label stands: of a beginning to the right below, of an end to the left above, but on no axis."""
        x, y = self._shares(x, y)
        if begins:
            return f"{'bottom' if y > LABEL_HEIGHT else 'middle'} {'right' if x < 1 - LABEL_WIDTH else 'left'}"
        return f"top {'left' if x > LABEL_WIDTH else 'right'}"

    def _shares(self, x: float, y: float) -> tuple[float, float]:
        """Where a point lies in the figure, from 0 to 1."""
        (left, right), (bottom, top) = self.across, self.upward
        return (x - left) / (right - left), (y - bottom) / (top - bottom)


def style_of(place: int) -> tuple[int, str]:
    """Colour and dash of the line in this place: no pair of both repeats before the thirteenth."""
    return place % len(LINES), list(DASHES)[place // len(LINES) % len(DASHES)]


def _colour(place: int) -> str:
    return LINES[place % len(LINES)]


def _pair(each: CheckpointCurve, low_k: int, high_k: int) -> tuple[CurvePoint, CurvePoint] | None:
    at = {point.k: point for point in each.curve.points}
    return (at[low_k], at[high_k]) if low_k in at and high_k in at else None


def _bars(points: Sequence[CurvePoint], colour: str) -> dict[str, object]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [point.high - point.value for point in points],
        "arrayminus": [point.value - point.low for point in points],
        "color": colour,
        "thickness": 0.75,
        "width": 3,
    }


def _trace(line: Line, points: Sequence[Point], shape: str, *, given_up: bool = False) -> go.Scatter:
    alone = len(points) == 1
    return go.Scatter(
        name=line.name,
        showlegend=not given_up,
        x=_steps(points),
        y=_means(points),
        mode="markers" if alone else "lines",
        connectgaps=False,
        opacity=GIVEN_UP_OPACITY if given_up else 1,
        line={
            "color": MUTED if given_up else _colour(line.place),
            "width": 1.2 if given_up else 1.8,
            "dash": "dash" if given_up else DASHES[line.dash],
            "shape": shape,
        },
        marker={"color": _colour(line.place), "size": 6},
        hovertemplate=_hover(line.name + (", given up" if given_up else "")),
    )


def _hover(name: str) -> str:
    """One for all points: a text for each would be most of the page."""
    return f"<b>{name} %{{y:.5~g}}</b><br>step %{{x:,d}}<extra></extra>"


def _steps(points: Sequence[Point]) -> NDArray[np.float64]:
    """As an array, of which plotly writes the bytes: a third of the digits, in a tenth of the time."""
    return np.array([point.step for point in points], dtype=np.float64)


def _every_step(series: Sequence[Series]) -> list[float]:
    drawn = [points for each in series for points in (each.points, *(given_up for _, given_up in each.given_up))]
    return [point.step for points in drawn for point in points]


def _means(points: Sequence[Point]) -> NDArray[np.float64]:
    return np.array([point.mean for point in points], dtype=np.float64)


def _extent(series: Series) -> list[go.Scatter]:
    """From the smallest to the largest of the steps behind each point."""
    points = series.finite
    if all(point.low == point.high for point in points):
        return []
    return _band(points, [point.low for point in points], [point.high for point in points])


def _deviation(series: Series, spread: Series) -> list[go.Scatter]:
    """One deviation on either side, at the steps that have both."""
    deviations = {point.first_step: point.mean for point in spread.finite}
    points = [point for point in series.finite if point.first_step in deviations]
    low = [point.mean - deviations[point.first_step] for point in points]
    return _band(points, low, [point.mean + deviations[point.first_step] for point in points])


def _band(points: Sequence[Point], low: Sequence[float], high: Sequence[float]) -> list[go.Scatter]:
    steps = _steps(points)
    edge = {"mode": "lines", "line": {"width": 0, "color": ESTIMATE}, "hoverinfo": "skip", "showlegend": False}
    return [
        go.Scatter(name="low", x=steps, y=np.array(low), **edge),
        go.Scatter(name="high", x=steps, y=np.array(high), fill="tonexty", fillcolor=RIBBON, **edge),
    ]


def _not_finite(series: Series) -> go.Scatter | None:
    """A cross where a value was no finite number, at the height of the series there."""
    height, crosses = None, []
    for point in series.points:
        height = point.mean if point.mean == point.mean else height
        if point.not_finite:
            crosses.append((point.first_not_finite, height))
    if not crosses:
        return None
    level = next((at for _, at in crosses if at is not None), 0.0)
    return go.Scatter(
        name="not a number",
        showlegend=False,
        x=[step for step, _ in crosses],
        y=[level if at is None else at for _, at in crosses],
        mode="markers",
        marker={"color": FAILED, "size": 9, "symbol": "x-thin", "line": {"color": FAILED, "width": 2}},
        hovertext=[f"<b>not a number</b><br>step {count(step or 0)}" for step, _ in crosses],
        hoverinfo="text",
    )


def _rate_range(series: Sequence[Series]) -> tuple[float, float] | None:
    """The extent of the axis of a rate, at least a tenth wide; None, so plotly's own, where nothing is known."""
    values = [point.mean for each in series for point in each.finite]
    if not values:
        return None
    low, high = min(values), max(values)
    margin = max(0.05 * (high - low), (0.1 - (high - low)) / 2)
    bottom, top = of_rates(low - margin, high + margin)
    return min(bottom, low), max(top, high)  # what somebody logs as a rate need not be one


def _wide(series: Sequence[Series]) -> bool:
    values = [point.mean for each in series for point in each.finite]
    return bool(values) and min(values) > 0 and log10(max(values)) - log10(min(values)) > log10(LOG_FROM)
