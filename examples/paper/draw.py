"""Lines over steps, matrices of pass@k and Markdown tables of runs with several seeds, for report.py.

A band, and what stands after a mean, is one standard error of it over the seeds.
"""

import json
import runpy
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from pkpo.intervals import student_t

HERE = Path(__file__).parent
SHARED = runpy.run_path(str(HERE.parent / "figures.py"))  # the look of the other figures
COLOURS = {
    "k=1": "#440154",
    "k=2": "#3B528B",
    "k=4": "#21918C",
    "k=8": "#5EC962",
    "k=16": "#D9A800",
    "8 to 1": "#D55E00",
    "GRPO": "#888888",
}
K_EVAL = ("1", "2", "4", "8", "12", "16")
Floats = NDArray[np.float64]
Row = dict[str, Any]


class Runs(Protocol):
    """What pictures and tables ask of an experiment."""

    @property
    def names(self) -> list[str]:
        """Of the runs, each once for all its seeds."""

    def over_steps(self, name: str, figure: str) -> tuple[list[int], Floats]:
        """Steps, and a figure of every seed at each, shape (seeds, steps)."""

    def last(self, name: str, figure: str) -> Floats:
        """A figure after the last step, shape (seeds,)."""

    def start(self, figure: str) -> float:
        """A figure before the first step."""


class Results:
    """The rows of an experiment, by run."""

    def __init__(self, path: Path) -> None:
        self.lines = [json.loads(line) for line in path.read_text().splitlines()]
        self.rows = [line for line in self.lines if line["kind"] == "row"]
        self.names: list[str] = list(dict.fromkeys(row["name"] for row in self.rows))

    def one(self, kind: str) -> Row:
        """The line of a kind that is there once."""
        (found,) = (line for line in self.lines if line["kind"] == kind)
        return dict(found)

    def over_steps(self, name: str, figure: str) -> tuple[list[int], Floats]:
        """Steps, and a figure of every seed at each, shape (seeds, steps); "pass@4" is one, as "entropy"."""
        seeds = sorted({row["seed"] for row in self.rows if row["name"] == name})
        found: dict[int, list[float]] = {}
        for row in sorted((row for row in self.rows if row["name"] == name), key=lambda row: row["seed"]):
            if figure.startswith("pass@"):
                found.setdefault(row["step"], []).append(row["pass_at_k"][figure[5:]][0])
            elif figure in row:
                found.setdefault(row["step"], []).append(row[figure])
        steps = sorted(step for step, each in found.items() if len(each) == len(seeds))
        return steps, np.array([found[step] for step in steps]).T

    def last(self, name: str, figure: str) -> Floats:
        """A figure after the last step, shape (seeds,)."""
        return np.asarray(self.over_steps(name, figure)[1][:, -1])

    def start(self, figure: str) -> float:
        """A figure before the first step: the mean over all runs, which begin equal."""
        return float(np.mean([self.over_steps(name, figure)[1][:, 0] for name in self.names]))


def mean_and_error(each: Floats) -> tuple[Floats, Floats]:
    """Over the seeds, which come first; a single seed says nothing about the error."""
    if len(each) < 2:
        return each.mean(0), np.full_like(each.mean(0), np.nan)
    return each.mean(0), each.std(0, ddof=1) / np.sqrt(len(each))


def lines(results: Runs, names: Sequence[str], panels: Sequence[tuple[str, str]]) -> go.Figure:
    """A panel for each (figure, title), with a line and its band for each name."""
    figure = make_subplots(1, len(panels), subplot_titles=[title for _, title in panels])
    for column, (what, _) in enumerate(panels, start=1):
        for name in names:
            steps, each = results.over_steps(name, what)
            mean, error = mean_and_error(each)
            red, green, blue = (int(COLOURS[name][place : place + 2], 16) for place in (1, 3, 5))
            band = {"fill": "toself", "fillcolor": f"rgba({red},{green},{blue},0.18)", "line": {"width": 0}}
            edge = [*(mean + error), *(mean - error)[::-1]]
            shared = {"legendgroup": name, "row": 1, "col": column}
            figure.add_scatter(
                x=[*steps, *steps[::-1]], y=edge, **band, hoverinfo="skip", mode="lines", showlegend=False, **shared
            )
            look = {"color": COLOURS[name], "width": 2.5}
            figure.add_scatter(x=steps, y=mean, name=name, mode="lines", line=look, showlegend=column == 1, **shared)
    return figure.update_xaxes(title_text="step").update_layout(width=1200)


def matrix(results: Runs) -> go.Figure:
    """pass@k_eval after training, a row for each run; the colour compares within a column."""
    names = results.names
    means = np.array([[mean_and_error(results.last(name, f"pass@{k}"))[0] for k in K_EVAL] for name in names])
    errors = np.array([[mean_and_error(results.last(name, f"pass@{k}"))[1] for k in K_EVAL] for name in names])
    shown = means - means.min(0)
    texts = [[f"{m:.3f} ± {e:.3f}" for m, e in zip(*row, strict=True)] for row in zip(means, errors, strict=True)]
    heat = go.Heatmap(
        z=shown / np.maximum(shown.max(0), 1e-9),
        x=[f"pass@{k}" for k in K_EVAL],
        y=names,
        text=texts,
        texttemplate="%{text}",
        colorscale="Blues",
        zmax=1.4,
        showscale=False,
    )
    return go.Figure(heat).update_yaxes(autorange="reversed", title_text="trained for").update_layout(width=1000)


def table(results: Runs, columns: Iterable[str]) -> str:
    """Markdown: a row for each run and for the start, means and standard errors over seeds after the last step."""
    columns = list(columns)
    rows = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    start = [results.start(column) if "@" in column else None for column in columns]
    rows.append("| before | " + " | ".join("" if each is None else f"{each:.3f}" for each in start) + " |")
    for name in results.names:
        cells = ["{:.3f} ± {:.3f}".format(*mean_and_error(results.last(name, column))) for column in columns]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def differences(results: Runs, columns: Iterable[str], than: str = "k=1") -> str:
    """Markdown: each run less that of `than` with the same seed after the last step, and the 95 % interval of its mean.

    By Student's t over the seeds, which both runs share with their problems and the order of them.
    """
    columns = list(columns)
    rows = [f"| less {than} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name in (name for name in results.names if name != than):
        cells = []
        for column in columns:
            each = results.last(name, column) - results.last(than, column)
            mean, error = mean_and_error(each)
            reach = student_t(0.95, len(each) - 1) * error
            cells.append(f"{mean:+.3f} ± {reach:.3f}" + ("" if abs(mean) > reach else " (0 inside)"))
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def titled(figure: go.Figure, finding: str) -> go.Figure:
    """As the other figures are."""
    return SHARED["titled"](figure, finding)


def tables(results: Results) -> list[str]:
    """What the page shows of an experiment."""
    held_out, training = [f"pass@{k}" for k in K_EVAL], ["cumulative_solve_rate", "entropy", "zero_signal", "reward"]
    found = [table(results, held_out), differences(results, held_out), table(results, training)]
    return [*found, differences(results, training[:2])]
