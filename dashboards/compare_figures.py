"""Figures of two evaluations: their curves over one another, and the difference at each k."""

from collections.abc import Mapping, Sequence
from math import isnan, log10

import plotly.graph_objects as go

from dashboards.figures import ESTIMATE, INK, LINES, MARKS, RULE, axes_and_ground, k_ticks, precise, value_range
from dashboards.numerals import count, is_rate, metric_name, percent, problems
from pkpo.comparisons import Comparison
from pkpo.curves import PassAtKCurve

MARGIN = 0.04
NUDGE = 0.012  # of the axis, to either side: bars of a and b at one k stand beside each other


def curves_figure(curves: Mapping[str, PassAtKCurve]) -> go.Figure:
    """Curves over k by their names, their intervals as bars."""
    figure = go.Figure(layout=axes_and_ground())
    a, *_ = curves.values()
    width = log10(a.points[-1].k) - log10(a.points[0].k) or 1.0
    for place, (name, curve) in enumerate(curves.items()):
        shift = 10 ** (width * NUDGE * (2 * place + 1 - len(curves)))
        figure.add_trace(_curve(name, curve, place, shift))
    _k_axis(figure, [point.k for point in a.points], min(each.n_min for each in curves.values()), a.problems)
    low, high = zip(*map(value_range, curves.values()), strict=True)
    figure.update_yaxes(
        range=[min(low), max(high)],
        tickformat=".2f" if is_rate(a.metric) else "",
        title_text=metric_name(a.metric),
    )
    legend = {"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "font": {"color": INK}}
    return figure.update_layout(showlegend=True, legend=legend, hovermode="closest")


def difference_figure(found: Comparison) -> go.Figure:
    """b - a at each k with its interval, and the line of no difference."""
    figure = go.Figure(layout=axes_and_ground())
    points = found.points
    figure.add_hline(0, line={"color": INK, "width": 1})
    figure.add_trace(
        go.Scatter(
            name="b − a",
            x=[point.k for point in points],
            y=[point.difference for point in points],
            mode="markers",
            marker={"color": ESTIMATE, "size": 8},
            error_y=_bars([(p.difference, p.low, p.high) for p in points], ESTIMATE),
            cliponaxis=False,
            hovertext=[
                f"<b>{metric_name(found.metric, p.k)}: b − a = {precise(p.difference)}</b>"
                + ("" if isnan(p.low) else f"<br>{percent(found.level)} interval [{precise(p.low)}, {precise(p.high)}]")
                + f"<br>p = {precise(p.p_value)}"
                for p in points
            ],
            hoverinfo="text",
        )
    )
    _k_axis(figure, [point.k for point in points], points[-1].k, found.problems_used)
    figure.update_yaxes(title_text="b − a", nticks=6, zeroline=False)
    return figure.update_layout(hovermode="closest")


def _curve(name: str, curve: PassAtKCurve, place: int, shift: float) -> go.Scatter:
    colour = LINES[place % len(LINES)]
    return go.Scatter(
        name=name,
        x=[point.k * shift for point in curve.points],
        y=[point.value for point in curve.points],
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"color": colour, "size": 7, "symbol": MARKS[place]},
        error_y=_bars([(p.value, p.low, p.high) for p in curve.points], colour),
        cliponaxis=False,
        hovertext=[
            f"<b>{name}: {metric_name(curve.metric, p.k)} = {precise(p.value)}</b>"
            + ("" if isnan(p.low) else f"<br>{percent(curve.level)} interval [{precise(p.low)}, {precise(p.high)}]")
            for p in curve.points
        ],
        hoverinfo="text",
    )


def _bars(values: Sequence[tuple[float, float, float]], colour: str) -> dict[str, object]:
    """Of (value, low, high); what has no interval has no bar: nan is drawn as nothing."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [high - value for value, _, high in values],
        "arrayminus": [value - low for value, low, _ in values],
        "color": colour,
        "thickness": 1.2,
        "width": 4,
    }


def _k_axis(figure: go.Figure, ks: Sequence[int], n: int, size: int) -> None:
    ticks = k_ticks(ks, n) if n <= max(ks) else {k: count(k) for k in ks}
    margin = MARGIN * (log10(ks[-1]) - log10(ks[0]) or 1.0)
    figure.update_xaxes(
        type="log",
        range=(log10(ks[0]) - margin, log10(ks[-1]) + margin),
        tickvals=list(ticks),
        ticktext=[text.replace("<br>n", "") for text in ticks.values()],
        title_text=f"k attempts · {problems(size)}",
        linecolor=RULE,
    )
