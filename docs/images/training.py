"""Draws baselines.png, bias.png and schedules.png of docs/images: `.venv/bin/python docs/images/training.py`.

Every point is an exact expectation, or a schedule's own k: nothing is sampled.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from playwright.sync_api import Browser, ViewportSize, sync_playwright

import pkpo
from pkpo import oracle
from pkpo.baselines import baseline
from pkpo.commands.bias_table import factors
from pkpo.plot import COLOURS
from pkpo.schedules import from_spec, signal_k

HERE = Path(__file__).parent
SIZE = ViewportSize(width=900, height=520)
N, K, P = 16, 4, 0.3
Lines = Mapping[str, tuple[Sequence[float], Sequence[float]]]


def weights() -> Lines:
    """What each method multiplies the gradient of p with, over p, each line divided by its own mean."""
    ps = np.linspace(0.01, 0.99, 99)
    methods = {
        "pass@4, sloo_minus_one": lambda g: pkpo.sloo_minus_one(g, K),
        "pass@1, rloo": lambda g: baseline("rloo", g),
        "GRPO": lambda g: baseline("grpo", g),
        "Chen et al., k = 4": lambda g: baseline("chen", g, K),
        "Pass@K-GRPO, K = 4": lambda g: baseline("pass_k_grpo", g, K),
        "MaxRL": lambda g: baseline("maxrl", g),
    }
    means = {name: [oracle.bernoulli(method, N, p).mean for p in ps.tolist()] for name, method in methods.items()}
    return {name: (ps.tolist(), [mean / np.mean(line) for mean in line]) for name, line in means.items()}


def centring() -> Lines:
    """The factor of what claims pass@k, over k."""
    names = {
        "sloo_minus_one": "sloo_minus_one",
        "mean_centered_s": "s, mean-centered",
        "mean_centered_sloo_minus_one": "sloo_minus_one, mean-centered",
        "chen": "Chen et al.",
        "pass_k_grpo": "Pass@K-GRPO",
        "pass_k_grpo_without_std": "Pass@K-GRPO without std",
    }
    ks = list(range(1, N + 1))
    return {
        shown: (ks, [each.factor or 0.0 for each in factors([name], [N], ks, [P])]) for name, shown in names.items()
    }


def schedules() -> Lines:
    """k over the steps of a run."""
    steps = list(range(0, 2001, 10))
    ramp = {"from": 8, "to": 1, "over": 1500}
    specs: dict[str, dict[str, Any]] = {
        "step": {"schedule": "step", "from": 8, "to": 1, "at": 1500},
        **{name: {"schedule": name, **ramp} for name in ("linear", "cosine", "exponential")},
    }
    found: dict[str, tuple[Sequence[float], Sequence[float]]] = {}
    for name, spec in specs.items():
        schedule = from_spec(spec)
        ks = [schedule.k({"step": step}) for step in steps]
        found[name] = (steps, [k for k in ks if not isinstance(k, dict)])
    p = np.clip(np.array(steps) / 2000, 0.0, 1.0)
    found["signal, if p grows by .05 in 100 steps"] = (steps, signal_k(p, 1, 8).tolist())
    return found


def draw(browser: Browser, name: str, lines: Lines, x: str, y: str, **axis: Any) -> None:
    """One figure, as a picture of that name beside this file."""
    figure = go.Figure(
        [
            go.Scatter(x=xs, y=ys, name=shown, mode="lines", line={"color": colour, "width": 2.5})
            for colour, (shown, (xs, ys)) in zip(COLOURS, lines.items(), strict=False)
        ]
    )
    for shown, (xs, ys) in lines.items() if "range" in axis else ():
        _mark_exit(figure, shown, xs, ys, axis["range"][1])
    figure.update_layout(
        template="plotly_white",
        margin={"t": 60 if "range" in axis else 20, "r": 20},
        font={"size": 15},
        legend={"orientation": "h", "y": -0.18},
        xaxis={"title": {"text": x}},
        yaxis={"title": {"text": y}, "rangemode": "tozero", **axis},
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "figure.html")
        figure.write_html(file, include_plotlyjs=True, config={"staticPlot": True})
        page = browser.new_page(viewport=SIZE, device_scale_factor=2)
        page.goto(file.as_uri(), wait_until="networkidle")
        page.screenshot(path=HERE / f"{name}.png")


def _mark_exit(figure: go.Figure, shown: str, xs: Sequence[float], ys: Sequence[float], top: float) -> None:
    """Say, where a line leaves the axis, how high it goes."""
    beyond = [place for place, y in enumerate(ys) if y > top]
    if beyond:
        last, first = beyond[0] - 1, beyond[0]
        x = np.interp(top, [ys[last], ys[first]], [xs[last], xs[first]])
        says = f"↑ {ys[-1]:.3g} at k = {xs[-1]}"
        side = "right" if x > (xs[0] + xs[-1]) / 2 else "left"
        figure.add_annotation(x=x, y=top, text=says, xanchor=side, yanchor="bottom", showarrow=False)
        figure.update_xaxes(range=[xs[0], xs[-1]])


def main() -> None:
    """Draw the three figures."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        draw(browser, "baselines", weights(), "p, the chance that a completion passes", "weight of a problem, mean 1")
        ratio = "E[gradient estimate] / gradient of pass@k"
        draw(browser, "bias", centring(), f"k, with n = {N} and p = {P}", ratio, range=[0, 3])
        draw(browser, "schedules", schedules(), "step", "k")
        browser.close()


if __name__ == "__main__":
    main()
