"""Draws docs/images/intervals.png and extrapolation.png: `.venv/bin/python docs/images/intervals.py`.

The completions are simulated: 100 problems with 16 completions each for the intervals, 200 for the extrapolation, whose
problems also have 256 more, to see what became of it.
"""

import tempfile
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from playwright.sync_api import ViewportSize, sync_playwright

import pkpo
from pkpo.plot import COLOURS

N = 16
KS = list(range(1, N + 1))
SIZE = ViewportSize(width=900, height=520)
INTERVALS = ("problems fixed", "t, at one k", "band, all k at once")


def intervals() -> go.Figure:
    """pass@k with three of its intervals."""
    random = np.random.default_rng(3)
    c = random.binomial(N, random.beta(0.3, 0.6, 100))
    values = np.stack([pkpo.pass_at_k(N, c, k) for k in KS], axis=1)
    variances = [pkpo.pass_at_k_variance_estimate(N, c, k, method="either") for k in KS[:-1]]
    here = [pkpo.fixed_interval(column, each, bounds=(0, 1)) for column, each in zip(values.T, variances, strict=False)]
    alone = [pkpo.mean_interval(column, bounds=(0, 1)) for column in values.T]
    together = pkpo.simultaneous_band(values, seed=0, bounds=(0, 1))
    figure = go.Figure()
    for name, colour, found in zip(INTERVALS, COLOURS, (here, alone, together), strict=False):
        for shown, end in ((True, "low"), (False, "high")):
            ends = [getattr(each, end) for each in found]
            figure.add_scatter(x=KS, y=ends, name=name, mode="lines", line={"color": colour}, showlegend=shown)
    mean = values.mean(axis=0)
    figure.add_scatter(x=KS, y=mean, name="pass@k", mode="lines+markers", line={"color": "black", "width": 2.5})
    return _laid_out(figure, [1, 2, 3, 4, 8, 12, 16], "mean over 100 problems, n = 16")


def extrapolation() -> go.Figure:
    """What two models made of 16 completions, where a Beta distribution holds and where half is never solved."""
    random = np.random.default_rng(0)
    rates = {"Beta(.3, .6)": random.beta(0.3, 0.6, 200), "half never solved": _half(random, 200)}
    ks = [1, 2, 4, 8, 16, 32, 64, 128, 256]
    figure = go.Figure()
    for (name, p), colour in zip(rates.items(), COLOURS, strict=False):
        c = random.binomial(N, p)
        said = pkpo.extrapolate(N, c, ks).points
        ribbon = [point.low for point in said] + [point.high for point in reversed(said)]
        hull = {"x": ks + ks[::-1], "y": ribbon, "fill": "toself", "fillcolor": colour, "opacity": 0.15}
        figure.add_scatter(**hull, mode="lines", line={"width": 0}, showlegend=False, hoverinfo="skip")
        line = {"color": colour, "dash": "dash"}
        figure.add_scatter(x=ks, y=[point.value for point in said], name=f"{name}: model", mode="lines", line=line)
        known = c + random.binomial(240, p)
        later = [float(pkpo.pass_at_k(256, known, k).mean()) for k in ks]
        figure.add_scatter(x=ks, y=later, name=f"{name}: from 256", mode="lines+markers", line={"color": colour})
    figure.add_vline(x=N, line={"dash": "dot"})
    return _laid_out(figure, ks, "mean over 200 problems")


def _half(random: np.random.Generator, problems: int) -> NDArray[np.float64]:
    return np.where(np.arange(problems) < problems // 2, 0.0, random.beta(2, 5, problems))


def _laid_out(figure: go.Figure, ticks: list[int], what: str) -> go.Figure:
    return figure.update_layout(
        template="plotly_white",
        margin={"t": 20, "r": 20},
        font={"size": 15},
        xaxis={"type": "log", "tickvals": ticks, "ticktext": [str(k) for k in ticks], "title": {"text": "k attempts"}},
        yaxis={"range": [0, 1], "title": {"text": what}},
    )


def main() -> None:
    """Draw the figures and take their pictures."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, device_scale_factor=2)
        for name, figure in (("intervals", intervals()), ("extrapolation", extrapolation())):
            page_file = Path(folder, f"{name}.html")
            figure.write_html(page_file, include_plotlyjs=True, config={"staticPlot": True})
            page.goto(page_file.as_uri(), wait_until="networkidle")
            page.screenshot(path=Path(__file__).with_name(f"{name}.png"))
        browser.close()


if __name__ == "__main__":
    main()
