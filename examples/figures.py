"""Figures 1, 2, 4 and 5 of arXiv:2505.15201v4 and that of docs/which-baseline.md, computed again and drawn with Plotly.

They go to docs/images, as a picture and as Plotly's JSON, of which the site makes a figure on which each point says its
numbers; what Figure 4 measured goes to docs/tables/figure-4.json. --only draws one of them. Needs Chromium.

    .venv/bin/python examples/figures.py [--only NAME]
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

import pkpo
from pkpo import toy
from pkpo.baselines import baseline
from pkpo.plot import COLOURS

Floats = NDArray[np.float64]

DOCS = Path(__file__).parents[1] / "docs"
KS = (1, 2, 4, 8, 16)
INK = ("#440154", "#3B528B", "#21918C", "#5EC962", "#D9A800")  # k is ordered: dark to light

# The methods of Figure 4 under the paper's names, and centered, which the paper does not have.
METHODS: dict[str, Callable[[Floats], Floats]] = {
    "naive partitioned, no baseline": lambda g: baseline("naive_partition", g, 4),
    "all subsets, no baseline: s": lambda g: pkpo.s(g, 4),
    "naive partitioned, baselined": lambda g: baseline("naive_partition_baselined", g, 4),
    "all subsets, baselined: sloo": lambda g: pkpo.sloo(g, 4),
    "loo minus one, partitioned": lambda g: baseline("tang_partitioned", g, 4),
    "not in the paper: centered": lambda g: pkpo.centered(g, 4),
    "loo minus one, all subsets: sloo_minus_one": lambda g: pkpo.sloo_minus_one(g, 4),
}
SIZES = (8, 16, 32, 64)


def optimum(k: int) -> float:
    """The theta at which max_g@k of the toy is largest, to 1e-9: where its derivative changes sign."""
    low, high = 0.5, 1.2
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if toy.max_at_k_gradient(middle, k) > 0 else (low, middle)
    return (low + high) / 2


def figure_1() -> go.Figure:
    """max_g@k of the toy and its derivative over theta, with the best theta of each k."""
    thetas = np.linspace(0.5, 1.2, 141)
    figure = make_subplots(1, 2, subplot_titles=("max_g@k", "its derivative: zero at the best θ"))
    best = {k: optimum(k) for k in KS}
    for ink, k in zip(INK, KS, strict=True):
        line = {"line": {"color": ink, "width": 2.5, "simplify": False}, "legendgroup": str(k)}
        dot = {"mode": "markers", "marker": {"color": ink, "size": 10}, "legendgroup": str(k), "showlegend": False}
        name = f"k = {k}, best θ = {best[k]:.4f}"
        figure.add_scatter(x=thetas, y=[toy.max_at_k(theta, k) for theta in thetas], name=name, **line, row=1, col=1)
        figure.add_scatter(x=[best[k]], y=[toy.max_at_k(best[k], k)], name=name, **dot, row=1, col=1)
        slope = [toy.max_at_k_gradient(theta, k) for theta in thetas]
        figure.add_scatter(x=thetas, y=slope, name=name, **line, showlegend=False, row=1, col=2)
        figure.add_scatter(x=[best[k]], y=[0], name=name, **dot, row=1, col=2)
    figure.update_xaxes(title_text="θ, mean of the policy N(θ, 0.1²)")
    figure.update_yaxes(title_text="expected best reward of k", row=1, col=1)
    figure.update_yaxes(title_text="d max_g@k / dθ", range=[-8, 4], row=1, col=2)
    return titled(figure, f"More attempts allow more risk: the best θ moves from {best[1]:.3f} to {best[16]:.3f}")


def order_weights(n: int, k: int) -> Floats:
    """The weight of the i-th lowest of n rewards in max_at_k, shape (n,), from max_at_k of steps up at i."""
    steps = pkpo.max_at_k(np.triu(np.ones((n, n))), k)  # row i: the weights from i on
    return np.asarray(steps - np.append(steps[1:], 0.0))


def figure_2(n: int = 8) -> go.Figure:
    """The weights of a group's rewards in max_at_k."""
    figure = go.Figure()
    ks = (1, 2, 3, 4, 8)
    for ink, k in zip(INK, ks, strict=True):
        weights = order_weights(n, k)
        look = {"mode": "lines+markers", "line": {"color": ink, "width": 2.5}, "marker": {"size": 9}}
        figure.add_scatter(x=np.arange(1, n + 1), y=weights, name=f"k = {k}", **look)
    figure.update_xaxes(title_text=f"rank of the reward, of n = {n}; {n} is the best", dtick=1)
    figure.update_yaxes(title_text="weight in the estimate of max_g@k", rangemode="tozero")
    return titled(figure, f"From the mean (k = 1) to the maximum (k = {n}); the k − 1 lowest count for nothing")


def variances(draws: int = 10_000, seeds: Sequence[int] = tuple(range(40))) -> list[dict[str, Any]]:
    """Figure 4: the variance of each method's gradient estimates at theta = 1 and k = 4, with standard errors.

    Each seed's draws give a sample variance, as each point of the paper's is; the rows have their mean, and the
    standard error of that mean from how they differ.
    """
    rows = []
    for n in SIZES:
        for name, method in METHODS.items():
            each = [toy.sampled(method, n, 1.0, draws=draws, seed=seed).variance for seed in seeds]
            error = np.std(each, ddof=1) / np.sqrt(len(each))
            rows.append({"method": name, "n": n, "variance": float(np.mean(each)), "standard_error": float(error)})
    return rows


def figure_4(rows: Sequence[dict[str, Any]]) -> go.Figure:
    """The rows of variances, over n."""
    figure = go.Figure()
    for colour, name in zip((*COLOURS, "#000000"), METHODS, strict=True):
        of_method = [row for row in rows if row["method"] == name]
        errors = {"type": "data", "array": [1.96 * row["standard_error"] for row in of_method]}
        line = {"color": colour, "width": 2.5, "dash": "dot" if "no baseline" in name else "solid"}
        x, y = ([row[key] for row in of_method] for key in ("n", "variance"))
        figure.add_scatter(x=x, y=y, error_y=errors, name=name, mode="lines+markers", line=line)
    figure.update_xaxes(type="log", tickvals=SIZES, ticktext=[str(n) for n in SIZES], title_text="n completions")
    figure.update_yaxes(type="log", dtick=1, title_text="variance of the gradient estimate")
    figure.update_layout(legend={"orientation": "v", "y": 1, "x": 1.02}, width=1100)
    return titled(
        figure, "sloo_minus_one has the least variance at every n (k = 4, θ = 1; 95 % intervals are within the dots)"
    )


def expected_credit(name: str, x: Floats, k: int, n: int) -> Floats:
    """Mean credit of a completion whose reward is x where all n are uniform on [-1/2, 1/2], in the shape of x.

    A k-subset that holds x has k - 1 others, whose best is below x with chance u^(k-1), u = x + 1/2; so its maximum
    is 1 - (1 - u^k) / k - 1/2 on average. The baseline does not depend on x.
    """
    with_x = 0.5 - (1 - (x + 0.5) ** k) / k
    if name == "s":
        return np.asarray(k / n * with_x)
    if name == "sloo":
        return np.asarray(k / n * with_x - k / (n - 1) * (k / (k + 1) - 0.5))
    return np.asarray(k / n * (with_x - ((k - 1) / k - 0.5 if k > 1 else 0.0)))


def mean_credits(name: str, k: int, n: int, groups: int, bins: int, seed: int) -> tuple[Floats, Floats]:
    """Middles of bins of rewards, and the mean credit of sampled completions in each, both of shape (bins,)."""
    g = np.random.default_rng(seed).uniform(-0.5, 0.5, (groups, n))
    places = np.minimum(((g + 0.5) * bins).astype(int), bins - 1).ravel()
    sums = np.bincount(places, pkpo.transform(name, g, k).ravel(), minlength=bins)
    return (np.arange(bins) + 0.5) / bins - 0.5, sums / np.bincount(places, minlength=bins)


def figure_5(n: int = 32) -> go.Figure:
    """What a reward becomes, on average over the others of its group: exactly, and of 2,000 sampled groups."""
    names = ("s", "sloo", "sloo_minus_one")
    figure = make_subplots(1, 3, shared_yaxes=True, subplot_titles=("(a) s", "(b) sloo", "(c) sloo_minus_one"))
    x = np.linspace(-0.5, 0.5, 101)
    for column, name in enumerate(names, start=1):
        for ink, k in zip(INK, KS, strict=True):
            look = {"legendgroup": str(k), "name": f"k = {k}", "row": 1, "col": column}
            y = expected_credit(name, x, k, n)
            figure.add_scatter(x=x, y=y, line={"color": ink, "width": 2.5}, showlegend=column == 1, **look)
            middles, means = mean_credits(name, k, n, groups=2000, bins=20, seed=0)
            figure.add_scatter(x=middles, y=means, mode="markers", marker={"color": ink}, showlegend=False, **look)
    figure.update_xaxes(title_text="reward")
    figure.update_yaxes(title_text=f"mean credit, n = {n}", row=1, col=1)
    return titled(figure, "A baseline takes out the offset that grows with k (lines: exact; dots: 2,000 groups)")


PANELS = {
    "toy": "toy of Figure 4: one parameter",
    "bernoulli, p = 0.3, orthogonal": "passes, p = .3: orthogonal scores",
    "continuous, uniform": "uniform rewards: orthogonal scores",
    "model, step 700, passed, solve rate all": "language model, step 700: passes",
    "model, step 1100, passed, solve rate all": "language model, step 1100: passes",
    "model, step 1100, nearness, solve rate all": "language model, step 1100: graded",
}
LINES = ("sloo", "centered", "plugin", "mixed(0.25)", "history(long)")


def which_baseline(kept: dict[str, Any]) -> go.Figure:
    """Variances over that of sloo_minus_one, from the file of which_baseline.py."""
    rows = [row for part in kept.values() for row in part["rows"]]
    figure = make_subplots(2, 3, subplot_titles=list(PANELS.values()), shared_yaxes=True, vertical_spacing=0.14)
    for place, setting in enumerate(PANELS):
        where = {"row": place // 3 + 1, "col": place % 3 + 1}
        for colour, name in zip(COLOURS, LINES, strict=False):
            line = [row for row in rows if row["setting"] == setting and row["method"] == name]
            ratios = [row["ratio"] for row in line]
            above, below = ([(row[end] or row["ratio"]) for row in line] for end in ("high", "low"))
            figure.add_scatter(
                x=[str(row["k"]) for row in line],
                y=ratios,
                error_y={
                    "type": "data",
                    "array": np.subtract(above, ratios),
                    "arrayminus": np.subtract(ratios, below),
                },
                name=name,
                mode="lines+markers",
                line={"color": colour, "width": 2},
                legendgroup=name,
                showlegend=place == 0,
                **where,
            )
    figure.update_yaxes(type="log", range=[np.log10(0.4), np.log10(5)], tickvals=[0.5, 0.7, 1, 1.4, 2, 4])
    figure.add_hline(y=1, line={"color": "#000000", "width": 1})
    figure.update_yaxes(title_text="variance / sloo_minus_one's", col=1)
    figure.update_xaxes(
        type="category", categoryarray=[str(k) for k in (1, 2, 4, 8, 14, 16)], title_text="k, of n = 16"
    )
    figure.update_layout(height=800, width=1200, legend={"orientation": "h", "y": -0.12})
    finding = "No baseline wins everywhere: on a model's passes sloo_minus_one is hard to beat (95 % intervals)"
    return titled(figure, finding)


def titled(figure: go.Figure, finding: str) -> go.Figure:
    """The figure with what it shows for a title, in the look of the other pictures."""
    layout = figure.layout
    return figure.update_layout(
        template="plotly_white",
        title={"text": finding, "font": {"size": 17}},
        font={"size": 14},
        margin={"t": 90, "r": 20},
        width=layout.width or 1000,
        height=layout.height or 520,
        legend={"orientation": layout.legend.orientation or "h", "y": layout.legend.y or -0.2},
    )


def measured_figure_4(file: Path) -> go.Figure:
    """Measure Figure 4, keep what was found, draw it."""
    rows = variances()
    lines = ",\n  ".join(json.dumps(row) for row in rows)
    settings = '"k": 4, "theta": 1, "draws": 10000, "seeds": "0 to 39", "numpy": ' + json.dumps(np.__version__)
    file.write_text(f'{{{settings}, "rows": [\n  {lines}\n]}}\n')
    return figure_4(rows)


FIGURES: dict[str, Callable[[], go.Figure]] = {
    "figure-1": figure_1,
    "figure-2": figure_2,
    "figure-4": partial(measured_figure_4, DOCS / "tables/figure-4.json"),
    "figure-5": figure_5,
    "which-baseline": lambda: which_baseline(json.loads((DOCS / "tables/which-baseline.json").read_text())),
}


class NotDrawn(Exception):
    """There is no browser that draws; the JSON is there."""


def draw(name: str, figure: go.Figure, folder: Path) -> None:
    """The figure of that name in the folder: as JSON, and as a picture; NotDrawn where only the first can be."""
    folder.joinpath(f"{name}.json").write_text(figure.to_json() + "\n")
    try:  # not of what a service needs: who measures on a plain installation still has the numbers
        from playwright.sync_api import Error, ViewportSize, sync_playwright
    except ImportError as error:
        raise NotDrawn("playwright is not installed: make install-test system-packages") from error
    size = ViewportSize(width=figure.layout.width, height=figure.layout.height)
    try:
        with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
            page_file = Path(temporary, "figure.html")
            figure.write_html(page_file, include_plotlyjs=True, config={"staticPlot": True})
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            page = browser.new_page(viewport=size, device_scale_factor=1.5)
            page.goto(page_file.as_uri(), wait_until="networkidle")
            page.locator(".plot-container").first.screenshot(path=folder / f"{name}.png")
            browser.close()
    except Error as error:
        raise NotDrawn(str(error).splitlines()[0]) from error


def main() -> None:
    """Draw what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=FIGURES)
    arguments = parser.parse_args()
    for name in [arguments.only] if arguments.only else FIGURES:
        draw(name, FIGURES[name](), DOCS / "images")


if __name__ == "__main__":
    main()
