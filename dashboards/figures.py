"""Figures of plotly, made from numbers alone: no query, no page, no name that somebody else chose.

A colour is the name of one of the page's custom properties, `var(--estimate)`: pages.js puts the colour in when it
draws, and again when the reader's scheme changes, so that figure and page are never of two minds.
Importing plotly takes 0.05 s, the first figure of a process 0.2 s and later ones 1 ms: too little to go round its
checks with dictionaries of our own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isnan, log2, log10
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboards.numerals import MINUS, count, estimate, is_rate, metric_name, percent, problems, span
from pkpo.curves import CurvePoint, PassAtKCurve
from pkpo.weights import LIFT, order_weights

INK, MUTED, RULE, PAPER = "var(--ink)", "var(--muted)", "var(--rule)", "var(--paper)"
ESTIMATE, RIBBON = "var(--estimate)", "var(--ribbon)"
PASSED, FAILED, BETWEEN = "var(--passed)", "var(--failed)", "var(--between)"

# One colour and one mark for each k of a run's figure: no pair of both repeats before the thirteenth.
LINES = ("var(--estimate)", "var(--second)", "var(--third)")
MARKS = ("circle", "square", "diamond", "triangle-up")
# By the word for it, for the text beside the figure.
DASHES = {"solid": "solid", "dotted": "dot", "dashed": "dash", "dash-dotted": "dashdot"}

BINS = 10  # of solve rates strictly between 0 and 1, where n differs between problems or is too large for a bar per c
FEW_STEPS = 8  # plotly writes ten labels at most, so that of more steps than these none stands between two
END_BAR = 0.07  # where the all-failed bar stands left of 0, and the all-passed bar right of 1


def curve_figure(curve: PassAtKCurve) -> go.Figure:
    """The curve over k on a log2 axis, its interval as a ribbon, n and the number of problems in the axis title."""
    points = curve.points
    known = [point for point in points if not isnan(point.low) and not isnan(point.high)]
    figure = go.Figure(layout=axes_and_ground())
    figure.add_traces([*_interval(known), _estimates(curve)])
    ticks = k_ticks([point.k for point in points], curve.n_min)
    figure.update_xaxes(
        type="log",
        range=_padded(log10(points[0].k), log10(points[-1].k), 0.04),
        tickvals=list(ticks),
        ticktext=list(ticks.values()),
        title_text=f"k attempts · n = {span(curve.n_min, curve.n_max)} · {problems(curve.problems)}",
    )
    figure.update_yaxes(
        range=value_range(curve),
        tickformat=".2f" if is_rate(curve.metric) else "",
        title_text=metric_name(curve.metric),
    )
    return figure


@dataclass(frozen=True)
class CheckpointCurve:
    """The curve of a run's checkpoint; where several samplings were evaluated at one step, which of them."""

    step: int
    curve: PassAtKCurve
    sampling: int = 0


def run_figure(checkpoints: Sequence[CheckpointCurve], ks: Sequence[int | None]) -> go.Figure:
    """The metric over steps, a line for each k (None: each checkpoint's own n), its interval as bars.

    All checkpoints have the same metric. Lines join checkpoints of one sampling.
    """
    metric = checkpoints[0].curve.metric
    figure = go.Figure(layout=axes_and_ground())
    for i, k in enumerate(ks):
        for sampling in sorted({each.sampling for each in checkpoints}):
            figure.add_trace(_steps([each for each in checkpoints if each.sampling == sampling], k, i, sampling))
    n = span(min(each.curve.n_min for each in checkpoints), max(each.curve.n_max for each in checkpoints))
    sizes = [each.curve.problems for each in checkpoints]
    counted = problems(sizes[0]) if min(sizes) == max(sizes) else f"{span(min(sizes), max(sizes))} problems"
    steps = {each.step for each in checkpoints}
    figure.update_xaxes(
        title_text=f"step · n = {n} · {counted}",
        range=_padded(min(steps), max(steps), 0.04),
        **step_ticks(steps),
        tickvals=sorted(steps) if len(steps) <= 8 else None,
    )
    figure.update_yaxes(
        range=_extent([each.curve for each in checkpoints], ks),
        tickformat=".2f" if is_rate(metric) else "",
        title_text=metric_name(metric),
    )
    legend = {"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "font": {"color": INK}}
    figure.update_layout(showlegend=len(ks) > 1, legend=legend, hovermode="closest")
    return figure


def solve_rate_histogram(n: Sequence[int], c: Sequence[int]) -> go.Figure:
    """Problems by solve rate c/n: one bar per c where all n are equal and small, else ten bins.

    The problems that no completion solved, and those that all did, stand apart on either side: they hold every problem
    whose true rate is too near 0 or 1 for n to tell, so they are not bins like the others, and give no gradient.
    """
    failed = sum(passed == 0 for passed in c)
    solved = sum(passed == drawn for drawn, passed in zip(n, c, strict=True))
    between = [(drawn, passed) for drawn, passed in zip(n, c, strict=True) if 0 < passed < drawn]
    figure = go.Figure(layout=axes_and_ground())
    figure.add_trace(_end_bar("none passed", -END_BAR, failed, FAILED))
    figure.add_trace(_interior_bars(between, set(n)))
    figure.add_trace(_end_bar("all passed", 1 + END_BAR, solved, PASSED))
    figure.update_xaxes(
        range=[-2 * END_BAR, 1 + 2 * END_BAR],
        tickvals=[-END_BAR, 0.2, 0.4, 0.6, 0.8, 1 + END_BAR],
        ticktext=["none<br>passed", "0.2", "0.4", "0.6", "0.8", "all<br>passed"],
        title_text=f"solve rate c/n · n = {span(min(n), max(n))} · {problems(len(n))}",
    )
    highest = max(max(trace.y, default=0) for trace in figure.data)
    figure.update_yaxes(rangemode="tozero", title_text="problems", nticks=6, dtick=1 if highest <= 5 else None)
    for edge in (0, 1):
        figure.add_vline(edge, line={"color": RULE, "width": 1})
    return figure


def weights_figure(n: int, k: int) -> go.Figure:
    """The weight of each rank in max_g@k of n rewards, C(i - 1, k - 1) / C(n, k), as a bar.

    arXiv:2505.15201v4, Figure 2.
    """
    weights = np.ldexp(order_weights(n, k), -LIFT)
    figure = go.Figure(layout=axes_and_ground())
    figure.add_trace(
        go.Bar(
            name="weight",
            x=list(range(1, n + 1)),
            y=weights.tolist(),
            marker={"color": ESTIMATE},
            hovertext=[f"<b>{precise(weight)}</b><br>rank {i} of {n}" for i, weight in enumerate(weights, 1)],
            hoverinfo="text",
        )
    )
    figure.update_xaxes(
        title_text=f"rank i of the reward, ascending · n = {count(n)} · k = {count(k)}", tickformat=",d"
    )
    if n <= 20:
        figure.update_xaxes(dtick=1)
    figure.update_yaxes(title_text="weight", rangemode="tozero", nticks=6)
    return figure


def k_ticks(ks: Sequence[int], n: int) -> dict[int, str]:
    """The labels of the k axis: powers of two, every other one where there are many, and n, which is marked."""
    step = 1 + int(log2(max(ks))) // 12
    powers = [2**power for power in range(0, int(log2(max(ks))) + 1, step)]
    ticks = {power: count(power) for power in powers if power >= min(ks) and not 0 < abs(log2(n / power)) < 0.3}
    return ticks | {n: f"{count(n)}<br>n"} if n <= max(ks) else ticks


def step_ticks(steps: Iterable[float]) -> dict[str, Any]:
    """The ticks of an axis of steps, whole ones: of few steps plotly would write halves, each as the next whole one."""
    known = list(steps)
    few = not known or max(known) - min(known) <= FEW_STEPS
    return {"tickformat": ",d"} | ({"dtick": 1} if few else {})


def value_range(curve: PassAtKCurve) -> tuple[float, float]:
    """The extent of the value axis: what is known of the ribbon and a margin, at least 0.1 wide for a rate."""
    return range_of(curve.points, curve.metric)


def range_of(points: Sequence[CurvePoint], metric: str) -> tuple[float, float]:
    """The extent of an axis of these points and their intervals."""
    known = [v for point in points for v in (point.value, point.low, point.high) if not isnan(v)]
    low, high = min(known), max(known)
    if is_rate(metric) and high - low < 0.1:  # a flat curve should look flat
        low, high = (low + high) / 2 - 0.05, (low + high) / 2 + 0.05
    low, high = _padded(low, high, 0.08)
    return of_rates(low, high) if is_rate(metric) else (low, high)


def of_rates(low: float, high: float) -> tuple[float, float]:
    """The extent cut to [0, 1] and so little more that a mark on the border is whole, and no tick lies outside."""
    edge = 0.02 * (high - low)
    return max(low, -edge), min(high, 1 + edge)


def _points_at(curve: PassAtKCurve, k: int | None) -> list[CurvePoint]:
    """The curve's point at k, or at its own n; none where it has none there."""
    return [point for point in curve.points if point.k == (k or curve.n_min)]


def _extent(curves: Sequence[PassAtKCurve], ks: Sequence[int | None]) -> tuple[float, float] | None:
    """The extent of the value axis; None, so plotly's own, where no curve has any of the k."""
    points = [point for curve in curves for k in ks for point in _points_at(curve, k)]
    return range_of(points, curves[0].metric) if points else None


def _steps(checkpoints: Sequence[CheckpointCurve], k: int | None, place: int, sampling: int) -> go.Scatter:
    """The line of one k over the checkpoints that have it."""
    found = [(each, point) for each in checkpoints for point in _points_at(each.curve, k)]
    colour = LINES[place % len(LINES)]
    # What has no interval has no bar: nan is drawn as nothing.
    bars = {"array": [p.high - p.value for _, p in found], "arrayminus": [p.value - p.low for _, p in found]}
    return go.Scatter(
        name=metric_name(checkpoints[0].curve.metric, k or "n"),
        legendgroup=place,
        showlegend=sampling == 0,
        x=[each.step for each, _ in found],
        y=[point.value for _, point in found],
        # pass@16 here and pass@2 there are not one quantity over time: the points stand alone.
        mode="lines+markers" if len({point.k for _, point in found}) < 2 else "markers",
        line={"color": colour, "width": 2, "dash": list(DASHES.values())[sampling % len(DASHES)]},
        marker={"color": colour, "size": 7, "symbol": MARKS[place % len(MARKS)]},
        error_y={"type": "data", "symmetric": False, "color": colour, "thickness": 1, "width": 4} | bars,
        cliponaxis=False,
        hovertext=[_hover(each.curve, point) + f"<br>step {count(each.step)}" for each, point in found],
        hoverinfo="text",
    )


def _interval(points: Sequence[CurvePoint]) -> list[go.Scatter]:
    """Two invisible lines, the lower bound and the upper one filled down to it; a single point has a bar instead."""
    k, low, high = [p.k for p in points], [p.low for p in points], [p.high for p in points]
    if len(points) < 2:
        bar = {"mode": "lines", "line": {"width": 9, "color": RIBBON}, "hoverinfo": "skip"}
        return [go.Scatter(name="interval", x=k * 2, y=low + high, **bar)]
    edge = {"mode": "lines", "line": {"width": 0, "color": ESTIMATE}, "hoverinfo": "skip"}
    return [
        go.Scatter(name="low", x=k, y=low, **edge),
        go.Scatter(name="high", x=k, y=high, fill="tonexty", fillcolor=RIBBON, **edge),
    ]


def _estimates(curve: PassAtKCurve) -> go.Scatter:
    points = curve.points
    labels = [""] * len(points)
    for end in (0, -1):
        labels[end] = estimate(points[end].value, curve.metric)
    return go.Scatter(
        name=metric_name(curve.metric),
        x=[point.k for point in points],
        y=[point.value for point in points],
        mode="lines+markers+text",
        text=labels,
        # The curve is concave: the first label is clear of it on the right below, the last one above.
        textposition=["bottom right"] + ["top center"] * (len(points) - 1),
        textfont={"color": INK},
        line={"color": ESTIMATE, "width": 2},
        marker={"color": ESTIMATE, "size": 7, "line": {"color": PAPER, "width": 1.5}},
        cliponaxis=False,
        hovertext=[_hover(curve, point) for point in points],
        hoverinfo="text",
    )


def _hover(curve: PassAtKCurve, point: CurvePoint) -> str:
    lines = [f"<b>{metric_name(curve.metric, point.k)} = {precise(point.value)}</b>"]
    if not isnan(point.low):
        lines.append(f"{percent(curve.level)} interval [{precise(point.low)}, {precise(point.high)}]")
    return "<br>".join([*lines, f"n = {span(curve.n_min, curve.n_max)} · {problems(curve.problems)}"])


def precise(value: float) -> str:
    return f"{value:.6g}".replace("-", MINUS)


def _end_bar(name: str, at: float, height: int, colour: str) -> go.Bar:
    return go.Bar(
        name=name,
        x=[at],
        y=[height],
        width=[END_BAR],
        marker={"color": colour},
        text=[count(height)],
        textfont={"size": 12, "color": INK},
        textposition="outside",
        textangle=0,
        constraintext="none",
        cliponaxis=False,
        hovertext=[f"<b>{problems(height)}</b><br>{name}"],
        hoverinfo="text",
    )


def _interior_bars(between: Sequence[tuple[int, int]], sizes: set[int]) -> go.Bar:
    n = max(sizes)
    by_count = len(sizes) == 1 and n <= 2 * BINS
    # Integers decide the bin: c/n in floating point would put 3/10 now left, now right of its edge.
    bins = range(1, n) if by_count else range(BINS)
    heights = dict.fromkeys(bins, 0)
    for drawn, passed in between:
        heights[passed if by_count else passed * BINS // drawn] += 1
    width = 1 / n if by_count else 1 / BINS
    names = [f"{c} of {n} passed" if by_count else f"solve rate {c / BINS:.1f} to {(c + 1) / BINS:.1f}" for c in bins]
    return go.Bar(
        name="some passed",
        x=[bin_ * width if by_count else (bin_ + 0.5) * width for bin_ in bins],
        y=list(heights.values()),
        width=[0.86 * width] * len(heights),
        marker={"color": BETWEEN},
        text=[count(height) if height else "" for height in heights.values()],
        textfont={"size": 10, "color": MUTED},
        textposition="outside",
        textangle=0,
        constraintext="none",
        cliponaxis=False,
        hovertext=[f"<b>{problems(h)}</b><br>{name}" for h, name in zip(heights.values(), names, strict=True)],
        hoverinfo="text",
    )


def _padded(low: float, high: float, share: float) -> tuple[float, float]:
    margin = share * (high - low) or share
    return low - margin, high + margin


def axes_and_ground() -> go.Layout:
    axis = {
        "showgrid": False,
        "zeroline": False,
        "showline": True,
        "linecolor": MUTED,
        "ticks": "outside",
        "tickcolor": MUTED,
        "ticklen": 4,
        "tickfont": {"color": MUTED},
        "title": {"font": {"color": MUTED, "size": 13}, "standoff": 8},
        "automargin": True,
        "fixedrange": True,
    }
    return go.Layout(
        template="none",
        paper_bgcolor=PAPER,  # opaque, so that a downloaded picture reads the same on any ground
        plot_bgcolor=PAPER,
        font={"family": "var(--sans)", "size": 12, "color": INK},
        margin={"l": 24, "r": 24, "t": 24, "b": 24},
        showlegend=False,
        hovermode="x",
        hoverlabel={"bgcolor": PAPER, "bordercolor": RULE, "font": {"color": INK}},
        xaxis=axis,
        yaxis=axis | {"showgrid": True, "gridcolor": RULE},
    )
