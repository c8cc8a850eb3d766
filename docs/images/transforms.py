"""Draws docs/images/transforms.png, the picture of docs/transforms.md: `.venv/bin/python docs/images/transforms.py`."""

import tempfile
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from playwright.sync_api import ViewportSize, sync_playwright
from plotly.subplots import make_subplots

import pkpo
from pkpo import l_statistics
from pkpo.plot import COLOURS

N, K = 16, 4
SIZE = ViewportSize(width=1000, height=560)
REWARDS = np.linspace(0, 1, N)
BASELINES = {
    "s": pkpo.s(REWARDS, K, scale="mean"),
    "history, b = ½": pkpo.history(REWARDS, K, 0.5, scale="mean"),
    "sloo": pkpo.sloo(REWARDS, K, scale="mean"),
    "centered": pkpo.centered(REWARDS, K, scale="mean"),
    "plugin": pkpo.plugin(REWARDS, K, scale="mean"),
    "sloo_minus_one": pkpo.sloo_minus_one(REWARDS, K, scale="mean"),
}
OBJECTIVES = {
    "best of 4": pkpo.l_statistic(REWARDS, K, l_statistics.top_mean(K, 1), scale="mean"),
    "mean of the best 2": pkpo.l_statistic(REWARDS, K, l_statistics.top_mean(K, 2), scale="mean"),
    "mean": pkpo.l_statistic(REWARDS, K, l_statistics.top_mean(K, K), scale="mean"),
    "median": pkpo.l_statistic(REWARDS, K, l_statistics.median(K), scale="mean"),
    "mean of the worst 2": pkpo.l_statistic(REWARDS, K, l_statistics.cvar(K, 0.5), scale="mean"),
}


def main() -> None:
    """Draw the figure and take its picture."""
    titles = ("one objective, max_g@4: baselines", "L-statistics of 4: objectives")
    figure = make_subplots(cols=2, subplot_titles=titles)
    for column, lines in enumerate((BASELINES, OBJECTIVES), 1):
        for colour, (name, credits) in zip(COLOURS * 2, lines.items(), strict=False):
            line = {"color": colour, "width": 2.5}
            trace = go.Scatter(x=REWARDS, y=credits, name=name, legend=f"legend{column}", mode="lines", line=line)
            figure.add_trace(trace, row=1, col=column)
    figure.update_layout(
        template="plotly_white",
        margin={"t": 40, "r": 20},
        font={"size": 14},
        legend1={"x": 0.02, "y": 0.74, "font": {"size": 12}},
        legend2={"x": 0.57, "y": 0.98, "font": {"size": 12}},
    )
    figure.update_xaxes(title="reward")
    figure.update_yaxes(title="credit, scale mean", col=1)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_file = Path(folder, "figure.html")
        figure.write_html(page_file, include_plotlyjs=True, config={"staticPlot": True})
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, device_scale_factor=2)
        page.goto(page_file.as_uri(), wait_until="networkidle")
        page.screenshot(path=Path(__file__).with_name("transforms.png"))
        browser.close()


if __name__ == "__main__":
    main()
