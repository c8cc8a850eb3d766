"""Curves as a figure, in a file: HTML that needs no network, or PNG. Needs plotly, PNG also kaleido: extra `plot`."""

from collections.abc import Mapping
from html import escape
from importlib.util import find_spec
from math import isfinite, isnan
from pathlib import Path

from pkpo.curves import PassAtKCurve

# Okabe and Ito's colours, told apart with any kind of sight; a seventh curve begins again with another dash.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("solid", "dash", "dot", "dashdot")
NEEDS = {".html": ("plotly",), ".png": ("plotly", "kaleido")}
SIZE = {"width": 900, "height": 560, "scale": 2}  # pixels, and how many of them for one


def lacking(suffix: str) -> list[str]:
    """The packages that a file of this suffix, ".html" or ".png", needs and that are not installed."""
    return [name for name in NEEDS[suffix] if find_spec(name) is None]


def figure_json(curves: Mapping[str, PassAtKCurve]) -> dict[str, object]:
    """The figure of these curves by name, as plotly writes it: a line each over k, its interval as a ribbon.

    Raises:
      ValueError: no curve, or curves of different metrics, which have no axis in common.
    """
    metrics = sorted({curve.metric for curve in curves.values()})
    if len(metrics) != 1:
        raise ValueError(f"a figure is of one metric, got {' and '.join(metrics) or 'no curve'}")
    ks = sorted({point.k for curve in curves.values() for point in curve.points})
    levels = " and ".join(f"{100 * level:.12g} %" for level in sorted({curve.level for curve in curves.values()}))
    styled = [(*_style(position), name, curve) for position, (name, curve) in enumerate(curves.items())]
    ribbons = [_ribbon(colour, curve) for colour, _, _, curve in styled if not isnan(curve.points[0].low)]
    lines = [_line(*each) for each in styled]
    title = {"text": f"k attempts · {levels} intervals" if ribbons else "k attempts"}
    axis = {"type": "log", "tickvals": ks, "ticktext": [str(k) for k in ks], "title": title}
    value = {"title": {"text": metrics[0].replace("_at_k", "@k").replace("_hat_k", "^k")}}
    legend = {"orientation": "h", "y": -0.2}
    look = {"template": "plotly_white", "showlegend": True, "legend": legend, "margin": {"t": 30}}
    return {"data": ribbons + lines, "layout": {**look, "xaxis": axis, "yaxis": value}}


def save(curves: Mapping[str, PassAtKCurve], path: Path, suffix: str) -> None:
    """Write the figure as ".html" or ".png", whatever the path ends in.

    Raises:
      OSError: the file cannot be written.
      RuntimeError: PNG, and there is no Chrome for kaleido to draw with.
      ValueError: as for figure_json.
    """
    import plotly.graph_objects as go

    figure = go.Figure(figure_json(curves))
    if suffix == ".png":
        path.write_bytes(figure.to_image(format="png", **SIZE))
    else:
        path.write_text(figure.to_html(include_plotlyjs=True), encoding="utf-8")


def _style(position: int) -> tuple[str, str]:
    return COLOURS[position % len(COLOURS)], DASHES[position // len(COLOURS) % len(DASHES)]


def _ribbon(colour: str, curve: PassAtKCurve) -> dict[str, object]:
    """The interval, over its known ends and back: float64 may not hold those of large rewards."""
    known = [point for point in curve.points if isfinite(point.low) and isfinite(point.high)]
    return {
        "type": "scatter",
        "x": [point.k for point in (*known, *reversed(known))],
        "y": [*(point.high for point in known), *(point.low for point in reversed(known))],
        "fill": "toself",
        "fillcolor": colour,
        "opacity": 0.15,
        "line": {"width": 0},
        "mode": "lines",
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _line(colour: str, dash: str, name: str, curve: PassAtKCurve) -> dict[str, object]:
    """The estimates, under a name that says how many completions and problems they rest on."""
    n = str(curve.n_min) if curve.n_min == curve.n_max else f"{curve.n_min}..{curve.n_max}"
    problems = "1 problem" if curve.problems == 1 else f"{curve.problems:,} problems"
    return {
        "type": "scatter",
        "x": [point.k for point in curve.points],
        "y": [point.value for point in curve.points],
        "mode": "lines+markers",
        "line": {"color": colour, "dash": dash},
        "name": f"{escape(name)} (n = {n}, {problems})",
    }
