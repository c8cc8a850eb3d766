"""Tables of what study.py and reproduce.py kept, in Markdown, and pictures of what study.py kept, for docs/images.

Means are over seeds and stand with their standard error; differences are by seed, with the 95 % interval of Student's
t. pass@k of a table is that of the held-out problems after the last step; over the steps it is that of the completions
that were trained on, as in the paper's figures. Pictures need Chromium.

    PYTHONPATH=. python examples/paper/report.py [--results FOLDER] [--out FOLDER]
"""

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from draw import COLOURS, HERE, SHARED, Floats, Results, differences, lines, matrix, mean_and_error, titled
from draw import table as plain_table
from draw import tables as tables_of_rows

import pkpo
from pkpo.strata import curves_by_reference

SMOOTHED = 3  # windows of 10 steps that a line, and a figure at the end, is the mean of
FIXED = ("k=1", "k=2", "k=4", "k=8", "k=16", "GRPO")
WEIGHTS = tuple(f"k=1, entropy {weight}" for weight in ("0.001", "0.005", "0.01", "0.05", "0.1"))
ORDER = (*FIXED, *WEIGHTS, "k=64")  # come first
OF_THE_NOTE = re.compile(r"(?<!@)\bK\b")  # which writes K for what is k everywhere else
EDGES = (0.125, 0.5)  # of the strata
TRAINING = ("cumulative_solve_rate", "entropy", "zero_signal", "reward")
COLOURS |= {
    "4 to 1": "#CC79A7",
    "2 to 1": "#8C564B",
    "linear 8 to 1": "#0072B2",
    "triggered 8, 4, 2, 1": "#000000",
    "adaptive up": "#999933",
    "adaptive down": "#882255",
    "k=1, entropy 0.01": "#D55E00",
    "k=64": "#D55E00",
    "all four k": "#0072B2",
    "adaptive k": "#999933",
}


class Kept:
    """The runs of a study as draw.py's functions ask for them; names are those of which every seed is there."""

    def __init__(self, path: Path, *others: Path, only: Sequence[str] | None = None) -> None:
        parts = [[json.loads(line) for line in each.read_text().splitlines()] for each in (path, *others)]
        self.heads = [part[0] for part in parts]
        if any(head[what] != self.heads[0][what] for head in self.heads for what in ("start", "setting")):
            raise ValueError(f"{path} and {others} have different policies or settings: their runs do not compare")
        self.head = self.heads[0]
        runs = [line | {"name": OF_THE_NOTE.sub("k", line["name"])} for part in parts for line in part[1:]]
        self.runs = [run for run in runs if only is None or run["name"] in only]
        seeds = {run["seed"] for run in self.runs}
        found = dict.fromkeys(run["name"] for run in self.runs)
        whole = [name for name in found if {run["seed"] for run in self.of(name)} == seeds]
        self.names = [name for name in ORDER if name in whole] + [name for name in whole if name not in ORDER]
        self.n = int(self.head["setting"]["n"])

    def of(self, name: str) -> list[dict[str, Any]]:
        """The runs of a name in the order of their seeds."""
        return sorted((run for run in self.runs if run["name"] == name), key=lambda run: int(run["seed"]))

    def over_steps(self, name: str, figure: str) -> tuple[list[int], Floats]:
        """Steps, and a figure of every seed at each, shape (seeds, steps), smoothed unless it is cumulative."""
        runs = self.of(name)
        if figure.startswith("pass@"):
            column = self.ks.index(int(figure[5:]))
            each = np.array([[row[column] for row in run["rolling"]] for run in runs])
        else:
            each = np.array([run[figure] for run in runs], dtype=np.float64)
        steps = [int(step) for step in runs[0]["step"]]
        if figure == "cumulative_solve_rate" or len(steps) < SMOOTHED:
            return steps, each
        windows = np.lib.stride_tricks.sliding_window_view(each, SMOOTHED, axis=1)
        return steps[SMOOTHED - 1 :], windows.mean(-1)

    @property
    def ks(self) -> list[int]:
        """The k of pass@k that were kept."""
        return [int(k) for k in self.runs[0]["pass_at_k"]]

    def last(self, name: str, figure: str) -> Floats:
        """A figure at the end, shape (seeds,): pass@k of the held-out problems."""
        if figure.startswith("pass@"):
            return np.array([run["pass_at_k"][figure[5:]][0] for run in self.of(name)])
        return np.asarray(self.over_steps(name, figure)[1][:, -1])

    def start(self, figure: str) -> float:
        """pass@k of the held-out problems before the first step."""
        return float(pkpo.pass_at_k(self.n, self.head["reference"], int(figure[5:])).mean())


def strata(kept: Kept, ks: Sequence[int]) -> str:
    """Markdown: pass@k by stratum of the taught policy's solve rate, which was evaluated apart from every run."""
    solved = {name: [run["solved"] for run in kept.of(name)] for name in kept.names}
    found: dict[str, dict[str, list[Any]]] = {}
    for name, runs in solved.items():
        for counts in runs:
            curves = curves_by_reference(kept.n, counts, kept.n, kept.head["reference"], list(ks), edges=EDGES)
            for stratum, curve in curves.items():
                found.setdefault(stratum, {}).setdefault(name, []).append(curve)
    columns = [(stratum, k) for stratum in found for k in ks]
    sizes = {stratum: by_name[kept.names[0]][0].problems for stratum, by_name in found.items()}
    rows = ["| | " + " | ".join(f"{stratum} ({sizes[stratum]}): pass@{k}" for stratum, k in columns) + " |"]
    rows.append("|---" * (len(columns) + 1) + "|")
    for name in kept.names:
        cells = []
        for stratum, k in columns:
            points = [next(point for point in curve.points if point.k == k) for curve in found[stratum][name]]
            each = np.array([point.value for point in points])
            cells.append("{:.3f} ± {:.3f}".format(*mean_and_error(each)))
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def tables(kept: Kept, rivals: Sequence[str], ks: Sequence[str]) -> list[str]:
    """pass@k and training figures of every run, and what they have above each rival."""
    held_out = [f"pass@{k}" for k in ks]
    both = [*held_out[:1], *held_out[2::2], *TRAINING[:2]] if len(ks) > 4 else [*held_out, *TRAINING[:2]]
    found = [table(kept, held_out), table(kept, TRAINING)]
    return [*found, *(differences(kept, both, rival) for rival in rivals if rival in kept.names)]


def table(kept: Kept, columns: Sequence[str]) -> str:
    """As draw.py's, without the row of the start where it would be empty."""
    rows = plain_table(kept, columns).splitlines()
    return "\n".join(row for row in rows if not row.startswith("| before |  |"))


def against(kept: Kept, k: int) -> go.Figure:
    """pass@1 over pass@k at the end: a point with its standard errors for each run, a cross for the start."""
    figure = go.Figure()
    for name in kept.names:
        (x, x_error), (y, y_error) = (mean_and_error(kept.last(name, f"pass@{each}")) for each in (k, 1))
        look = {"size": 11, "color": COLOURS.get(name, "#777777")}
        bars = {"error_x": {"array": [float(x_error)]}, "error_y": {"array": [float(y_error)]}}
        figure.add_scatter(x=[float(x)], y=[float(y)], name=name, mode="markers", marker=look, **bars)
    start = {"x": [kept.start(f"pass@{k}")], "y": [kept.start("pass@1")]}
    figure.add_scatter(**start, name="before", mode="markers", marker={"size": 11, "symbol": "x", "color": "#000000"})
    axes = figure.update_xaxes(title_text=f"pass@{k}, held out").update_yaxes(title_text="pass@1, held out")
    return axes.update_layout(width=1000, height=640)


TRAINED = [("cumulative_solve_rate", "cumulative solve rate, training"), ("entropy", "entropy of a token, nats")]
PASSES = [("pass@1", "pass@1, training"), ("pass@8", "pass@8, training"), ("pass@16", "pass@16, training")]


def present(folder: Path, *studies: str) -> list[Path]:
    """The files of those studies that are there."""
    return [path for path in (folder / f"{study}.jsonl" for study in studies) if path.exists()]


def there(kept: Kept, *names: str) -> list[str]:
    """Those names of which every seed is there."""
    return [name for name in names if name in kept.names]


FINDINGS = {
    "paper-figure-3": "k from 8 to 1 at step 70: it comes up to k = 1 at pass@1, and stays ahead at pass@8 and 16",
    "paper-figure-6": "A larger k solves more of the training problems, at a higher entropy",
    "paper-figure-7": "k = 1 is best at pass@1, k = 8 at pass@16",
    "paper-figure-8": "Four numbers, solved once in a hundred attempts: k = 1 does not stall",
    "paper-figure-8-arc": "arc_1d: k = 4 ends above k = 1 at pass@1 too; from step 300 k = 1 solves nearly nothing new",
    "paper-phases": "n = 64: k = 64 has the lowest pass@1, and not the highest pass@64",
    "paper-schedules": "Every schedule trades pass@1 for pass@16; the cross is the policy before training",
}


def figures(folder: Path) -> dict[str, go.Figure]:
    """Each by the name of its file, of those studies that are there."""
    found: dict[str, go.Figure] = {}
    if (folder / "schedules.jsonl").exists():
        kept = Kept(*present(folder, "schedules", "rivals"))
        found["paper-figure-3"] = lines(kept, there(kept, "k=1", "k=8", "8 to 1"), PASSES)
        found["paper-figure-6"] = lines(kept, there(kept, "k=1", "k=2", "k=4", "k=8", "GRPO"), TRAINED)
        found["paper-figure-7"] = matrix(Kept(*present(folder, "schedules", "rivals"), only=FIXED))
        found["paper-schedules"] = against(kept, 16)
    if (folder / "hard.jsonl").exists():
        kept = Kept(folder / "hard.jsonl")
        found["paper-figure-8"] = lines(kept, kept.names, [TRAINED[0], PASSES[0], PASSES[2]])
    if (folder / "arc_1d.jsonl").exists():
        kept = Kept(folder / "arc_1d.jsonl")
        found["paper-figure-8-arc"] = lines(kept, kept.names, [TRAINED[0], PASSES[0], PASSES[2]])
    if (folder / "phases.jsonl").exists():
        found["paper-phases"] = against(Kept(folder / "phases.jsonl"), 64)
    return {name: titled(figure, FINDINGS.get(name, name)) for name, figure in found.items()}


def written(folder: Path) -> dict[str, list[str]]:
    """The tables of each study that is there, as the page shows them."""
    found: dict[str, list[str]] = {}
    sixteen, main = ("1", "2", "4", "8", "16"), folder / "schedules.jsonl"
    if main.exists():
        kept = Kept(*present(folder, "schedules", "rivals"))
        found["schedules"] = [*tables(kept, ["k=1", "k=8"], sixteen), strata(kept, [1, 16])]
    if (folder / "entropy.jsonl").exists():
        names = [*FIXED, *Kept(folder / "entropy.jsonl").names]
        kept = Kept(*present(folder, "schedules", "rivals", "entropy"), only=names)
        found["entropy"] = [*tables(kept, ["k=1", "k=8"], sixteen), strata(kept, [1, 16])]
    for name in ("hard", "arc_1d"):
        if (folder / f"{name}.jsonl").exists():
            kept = Kept(folder / f"{name}.jsonl")
            found[name] = [*tables(kept, ["k=1"], sixteen), strata(kept, [1, 16])]
    if (folder / "phases.jsonl").exists():
        kept = Kept(folder / "phases.jsonl")
        found["phases"] = tables(kept, ["k=1"], ("1", "4", "16", "64"))
        if (folder / "note.jsonl").exists():
            both = Kept(*present(folder, "phases", "note"))
            found["note"] = tables(both, ["k=1"], ("1", "4", "16", "64"))
    return found


def main() -> None:
    """Print the tables and draw the pictures of what there is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=HERE / "results/studies", help="folder of study.py's")
    parser.add_argument("--first", type=Path, default=HERE / "results", help="folder of reproduce.py's")
    parser.add_argument("--out", type=Path, default=HERE.parents[1] / "docs/images")
    parser.add_argument("--tables", action="store_true", help="no pictures")
    given = parser.parse_args()
    first = {path.stem: tables_of_rows(Results(path)) for path in sorted(given.first.glob("*.jsonl"))}
    for name, each in (written(given.results) | first).items():
        print(f"## {name}", *each, sep="\n\n")
    for name, figure in () if given.tables else figures(given.results).items():
        SHARED["draw"](name, figure, given.out)


if __name__ == "__main__":
    main()
