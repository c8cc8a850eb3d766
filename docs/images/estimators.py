"""Draws docs/images/estimators.png, the picture of docs/estimators.md: `.venv/bin/python docs/images/estimators.py`.

The completions are simulated: each problem has a solve rate and a popular wrong answer among others; a reward model
scores what passes higher by one standard deviation.
"""

import tempfile
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from playwright.sync_api import ViewportSize, sync_playwright

import pkpo
from pkpo.plot import COLOURS

P, N = 200, 64
KS = [1, 2, 4, 8, 16, 32, 64]
SIZE = ViewportSize(width=900, height=520)


def simulated(seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Answers, of which 0 is the correct one, and the scores of a reward model, each of shape (P, N)."""
    random = np.random.default_rng(seed)
    solve_rates = random.beta(0.6, 0.9, (P, 1))
    wrong = np.minimum(random.zipf(1.7, (P, N)), 30)  # 1 is the popular one
    answers = np.where(random.random((P, N)) < solve_rates, 0, wrong)
    return answers, (answers == 0) + random.normal(size=(P, N))


def lines() -> dict[str, dict[int, float]]:
    """The mean over problems of each estimate, by k."""
    answers, scores = simulated()
    passed = answers == 0
    c = passed.sum(axis=1)
    each = {
        "pass@k": {k: pkpo.pass_at_k(N, c, k) for k in KS},
        "best of k, by a reward model": {k: pkpo.best_of_k(scores, passed, k) for k in KS},
        "maj@k": {k: pkpo.maj_at_k(answers, passed, k) for k in KS},
        "G-Pass@k, half of them": {k: pkpo.g_pass_at_k(N, c, k, 0.5) for k in KS},
        "mG-Pass@k": {k: pkpo.mg_pass_at_k(N, c, k) for k in KS if k > 1},
        "pass^k": {k: pkpo.pass_hat_k(N, c, k) for k in KS},
    }
    return {name: {k: float(values.mean()) for k, values in line.items()} for name, line in each.items()}


def main() -> None:
    """Draw the figure and take its picture."""
    figure = go.Figure(
        [
            go.Scatter(
                x=list(line),
                y=list(line.values()),
                name=name,
                mode="lines+markers",
                line={"color": colour, "width": 2.5},
            )
            for colour, (name, line) in zip(COLOURS, lines().items(), strict=True)
        ]
    )
    figure.update_layout(
        template="plotly_white",
        margin={"t": 20, "r": 20},
        font={"size": 15},
        xaxis={"type": "log", "tickvals": KS, "ticktext": [str(k) for k in KS], "title": {"text": "k attempts"}},
        yaxis={"range": [0, 1], "title": {"text": f"mean over {P} problems, n = {N}"}},
    )
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_file = Path(folder, "figure.html")
        figure.write_html(page_file, include_plotlyjs=True, config={"staticPlot": True})
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, device_scale_factor=2)
        page.goto(page_file.as_uri(), wait_until="networkidle")
        page.screenshot(path=Path(__file__).with_name("estimators.png"))
        browser.close()


if __name__ == "__main__":
    main()
