"""The demo over several seeds, by the API and the queue of a service that runs: a table and two pictures for docs/.

For each seed a model is made and taught, then trained for pass@1 and for pass@8 (--study anneal: from 8 to 1), one seed
after the other, so that the times are those of one demo. Nothing else should run on the machine. In another terminal:

    make run                                         (wait until the first page says that a worker is there)
    .venv/bin/python examples/demo.py --seeds 0 1 2

Stopped at any time and started again it goes on: seeds that are in the table already are kept, and a demo that the
service has begun is waited for. docs/tables/demo.json has every number; docs/images/demo-curves.* and demo-ends.* are
drawn of it.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Final

import figures
import httpx
import plotly.graph_objects as go

import pkpo
from pkpo.plot import COLOURS

Answer = dict[str, Any]

DOCS: Final = Path(__file__).parents[1] / "docs"
KS: Final = (1, 2, 4, 8, 12, 16)
SHOWN: Final = (1, 4, 8, 16)
LABELS: Final = {"taught": "taught", "k1": "k = 1", "k8": "k = 8", "8-to-1": "8 → 1"}
DRAWN: Final = LABELS | {"taught": "taught answers, before RL", "k1": "trained at k = 1", "k8": "trained at k = 8"}
PAIRS: Final = (("taught", "k1"), ("taught", "k8"), ("k1", "k8"), ("taught", "8-to-1"), ("k1", "8-to-1"))
OVER: Final = ("succeeded", "failed", "dead", "cancelled")
POLL: Final = 1.0  # seconds


class DemoFailed(Exception):
    """A part that came to no good end, with the reason."""


def begun(client: httpx.Client, size: str, study: str, seed: int) -> Answer:
    """The demo of the seed, begun unless it was."""
    return answered(client.post("/v1/demo", json={"size": size, "study": study, "seed": seed}))


def answered(answer: httpx.Response) -> Answer:
    """What the service says; DemoFailed with its own sentence where it refuses."""
    if answer.is_error:
        raise DemoFailed(answer.json().get("detail", answer.text))
    found: Answer = answer.json()
    return found


def waited_for(client: httpx.Client, size: str, seed: int, patience: float, say: Any = print) -> Answer:
    """The demo once all its parts have succeeded, its progress being said meanwhile."""
    give_up, said = time.monotonic() + patience, ""
    while True:
        told = answered(client.get("/v1/demo", params={"size": size, "seed": seed}))
        if (line := progress(told)) != said:
            say(f"seed {seed}: {line}")
            said = line
        for part in told["parts"]:
            if part["job"] and part["job"]["state"] in OVER[1:]:
                why = (part["job"]["error"] or {}).get("detail", "")
                raise DemoFailed(f"{part['run']} {part['job']['state']}: {why} Retry job {part['job']['id']}.")
        if all(part["job"] and part["job"]["state"] == "succeeded" for part in told["parts"]):
            return told
        if time.monotonic() > give_up:
            raise DemoFailed(f"after {patience:.0f} s seed {seed} is at: {line}")
        time.sleep(POLL)


def progress(told: Answer) -> str:
    """How far a demo is, in a line: tenths of the steps, so that not every step is a line."""
    if told["trouble"]:
        return str(told["trouble"])
    return ", ".join(f"{LABELS[part['part']]} {_state(part['job'])}" for part in told["parts"])


def _state(job: Answer | None) -> str:
    if job is None:
        return "waits"
    done, total = job["progress"]["done"], job["progress"]["total"]
    return f"{100 * done // total // 10 * 10} %" if job["state"] == "running" and total else str(job["state"])


def measured(client: httpx.Client, told: Answer) -> Answer:
    """What is kept of a demo: times, the curve of every checkpoint, and the differences between the last ones."""
    runs = {part["part"]: answered(client.get(f"/v1/runs/{part['run']}")) for part in told["parts"]}
    start = min(moment(run["created_at"]) for run in runs.values())
    ended = {part["part"]: moment(part["job"]["finished_at"]) for part in told["parts"]}
    curves = {part: checkpoints(client, run["run"]) for part, run in runs.items()}
    last = {part: found[-1]["evaluation"] for part, found in curves.items()}
    return {
        "seed": told["seed"],
        "first_curve_seconds": round(ended["taught"] - start, 1),
        "seconds": round(max(ended.values()) - start, 1),
        "curves": curves,
        "differences": {
            f"{b} - {a}": difference(client, last[a], last[b]) for a, b in PAIRS if a in last and b in last
        },
    }


def moment(text: str) -> float:
    """A time of the API, in seconds."""
    return datetime.fromisoformat(text).timestamp()


def checkpoints(client: httpx.Client, run: str) -> list[Answer]:
    """The checkpoints of a run with their curves on the held-out problems."""
    found: list[Answer] = answered(client.get(f"/v1/runs/{run}/curves", params={"k": KS}))["checkpoints"]
    return [{name: each[name] for name in ("step", "evaluation", "points")} for each in found]


def difference(client: httpx.Client, a: str, b: str) -> list[Answer]:
    """b − a at each k, with its interval."""
    points: list[Answer] = answered(client.get("/v1/comparisons", params={"a": a, "b": b, "k": KS}))["points"]
    return points


def machine() -> Answer:
    """Where and when it was measured."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "date": date.today().isoformat(),
        "processor": models[0].partition(": ")[2] if models else platform.machine(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "pkpo": pkpo.__version__,
    }


def table(kept: Answer) -> str:
    """The measurements in Markdown: each seed, then the differences over seeds."""
    lines = ["| seed | checkpoint | " + " | ".join(f"pass@{k}" for k in SHOWN) + " | minutes |"]
    lines.append("|---" * (len(SHOWN) + 3) + "|")
    for seed in kept["seeds"]:
        for part, found in seed["curves"].items():
            when = seed["first_curve_seconds"] if part == "taught" else seed["seconds"]
            at = "" if part == "taught" else f", step {found[-1]['step']}"
            values = " | ".join(_value(found[-1]["points"], k) for k in SHOWN)
            lines.append(f"| {seed['seed']} | {LABELS[part]}{at} | {values} | {when / 60:.1f} |")
    lines += [
        "",
        "| difference | " + " | ".join(f"pass@{k}" for k in SHOWN) + " | of |",
        "|---" * (len(SHOWN) + 2) + "|",
    ]
    for pair in dict.fromkeys(pair for seed in kept["seeds"] for pair in seed["differences"]):
        b, _, a = pair.partition(" - ")
        found = [seed["differences"][pair] for seed in kept["seeds"] if pair in seed["differences"]]
        values = " | ".join(_over_seeds([_at(points, k)["difference"] for points in found]) for k in SHOWN)
        lines.append(f"| {LABELS[b]} − {LABELS[a]} | {values} | {len(found)} seeds |")
    return "\n".join(lines) + "\n"


def _at(points: Sequence[Answer], k: int) -> Answer:
    return next(point for point in points if point["k"] == k)


def _value(points: Sequence[Answer], k: int) -> str:
    point = _at(points, k)
    return f"{point['value']:.3f} [{point['low']:.3f}, {point['high']:.3f}]"


def _over_seeds(values: Sequence[float]) -> str:
    """The mean, with its standard error where several seeds know one."""
    error = f" ± {stdev(values) / len(values) ** 0.5:.3f}" if len(values) > 1 else ""
    return f"{mean(values):+.3f}{error}"


def curves_figure(seed: Answer) -> go.Figure:
    """The last curve of each part of a seed, with intervals."""
    figure = go.Figure()
    for place, (part, found) in enumerate(seed["curves"].items()):
        figure.add_trace(_line(DRAWN[part], COLOURS[place], found[-1]["points"]))
    ticks = {"tickvals": list(KS), "ticktext": list(map(str, KS))}
    figure.update_xaxes(type="log", title_text="k attempts", **ticks)
    figure.update_yaxes(title_text="pass@k of held-out problems")
    return _laid_out(figure, f"seed {seed['seed']}; bars: 95 % intervals over problems")


def _line(name: str, colour: str, points: Sequence[Answer]) -> go.Scatter:
    return go.Scatter(
        name=name,
        x=[point["k"] for point in points],
        y=[point["value"] for point in points],
        mode="lines+markers",
        line={"color": colour},
        error_y=_bars(points),
    )


def _bars(points: Sequence[Answer]) -> Answer:
    ends = [(point["high"] - point["value"], point["value"] - point["low"]) for point in points]
    return {"array": [high for high, _ in ends], "arrayminus": [low for _, low in ends], "thickness": 1}


def ends_figure(seeds: Sequence[Answer]) -> go.Figure:
    """pass@16 over pass@1 of every checkpoint of every seed, a line for each training."""
    figure = go.Figure()
    for seed in seeds:
        for place, (part, found) in enumerate(seed["curves"].items()):
            if part == "taught":
                continue
            low, high = ([_at(each["points"], k) for each in found] for k in (1, 16))
            figure.add_trace(
                go.Scatter(
                    name=DRAWN[part],
                    legendgroup=part,
                    showlegend=seed is seeds[0],
                    x=[point["value"] for point in low],
                    y=[point["value"] for point in high],
                    mode="lines+markers",
                    line={"color": COLOURS[place]},
                    marker=_marked_start(len(found)),
                    error_x=_bars(low),
                    error_y=_bars(high),
                    hovertext=[f"seed {seed['seed']}, step {each['step']}" for each in found],
                )
            )
    figure.update_xaxes(title_text="pass@1")
    figure.update_yaxes(title_text="pass@16")
    each = ", ".join(str(seed["seed"]) for seed in seeds)
    return _laid_out(figure, f"seeds {each}; squares: before RL; bars: 95 % intervals over problems")


def _marked_start(points: int) -> Answer:
    """Markers of which the first, where a training begins, stands out."""
    rest = points - 1
    edge = {"width": [1.5, *[0] * rest], "color": "#000000"}
    return {"symbol": ["square", *["circle"] * rest], "size": [9, *[6] * rest], "line": edge, "opacity": 1}


def _laid_out(figure: go.Figure, says: str) -> go.Figure:
    legend = {"orientation": "h", "y": -0.2}
    title = {"text": says, "font": {"size": 14}, "x": 0.08}
    return figure.update_layout(
        template="plotly_white", width=760, height=460, legend=legend, margin={"t": 50, "r": 20}, title=title
    )


def loaded(path: Path, size: str) -> Answer:
    """What was measured so far of this size."""
    kept: Answer = json.loads(path.read_text()) if path.exists() else {}
    return kept if kept.get("size") == size else {"size": size, "machine": machine(), "seeds": []}


def lacking(kept: Answer, seeds: Sequence[int], study: str) -> list[int]:
    """The seeds of which the study is not in the table."""
    part = "k8" if study == "compare" else "8-to-1"
    there = {seed["seed"] for seed in kept["seeds"] if part in seed["curves"]}
    return [seed for seed in seeds if seed not in there]


def with_seed(kept: Answer, seed: Answer) -> Answer:
    """The table with this seed in the place of what was known of it."""
    seeds = [each for each in kept["seeds"] if each["seed"] != seed["seed"]]
    return kept | {"seeds": sorted([*seeds, seed], key=lambda each: int(each["seed"]))}


def drawn(kept: Answer, folder: Path) -> None:
    """Both pictures; without Chromium the JSON that the site draws itself."""
    pictures: Mapping[str, go.Figure] = {
        "demo-curves": curves_figure(kept["seeds"][0]),
        "demo-ends": ends_figure(kept["seeds"]),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in pictures.items():
        try:
            figures.draw(name, figure, folder)
        except figures.NotDrawn as error:
            print(f"{name}.png was not drawn: {error}", file=sys.stderr)


def run(arguments: argparse.Namespace) -> None:
    """Do the seeds that are not there yet, and write what is known after each."""
    path = arguments.out / "tables" / "demo.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = loaded(path, arguments.size)
    headers = {"Authorization": f"Bearer {key}"} if (key := os.environ.get("PKPO_API_KEY")) else {}
    with httpx.Client(base_url=arguments.url, headers=headers, timeout=60) as client:
        for seed in lacking(kept, arguments.seeds, arguments.study):
            begun(client, arguments.size, arguments.study, seed)
            told = waited_for(client, arguments.size, seed, 60 * arguments.minutes)
            kept = with_seed(kept, measured(client, told))
            path.write_text(json.dumps(kept, indent=1) + "\n")
    print(table(kept))
    drawn(kept, arguments.out / "images")


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="of the service (http://127.0.0.1:8000)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="SEED")
    parser.add_argument("--study", choices=["compare", "anneal"], default="compare")
    parser.add_argument("--size", choices=["full", "small"], default="full", help="small shows every part in a minute")
    parser.add_argument("--minutes", type=float, default=120.0, help="that a seed may take (120)")
    parser.add_argument("--out", type=Path, default=DOCS, metavar="FOLDER", help="where tables/ and images/ are (docs)")
    try:
        run(parser.parse_args())
    except (DemoFailed, httpx.HTTPError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
