"""Figures 3, 6, 7 and 8 of arXiv:2505.15201v4 on countdown, by policies of 19 million parameters made on the spot.

A policy is taught from solutions until it passes often enough, the learning rate is chosen by a short pilot, then all
runs of an experiment train side by side: `chain3`, three numbers (Figures 3, 6, 7), and `chain4`, four numbers from a
policy that hardly ever succeeds (Figure 8). Rows go to OUT/EXPERIMENT.jsonl as they come; a run that is cut off loses
its last steps alone. An experiment whose file has its last row is passed over, and one that was cut off begins anew.

    PYTHONPATH=. python examples/paper/reproduce.py --out OUT [--size full | small | tiny] [--seconds N] [--only NAME]
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from learning import Arm, Setting, Training, taught
from stacked import Shape
from tasks import sequence_length
from torch import Tensor

TAUGHT_SEED = 7


@dataclass(frozen=True)
class Size:
    """How large an experiment is."""

    hidden: int
    layers: int
    heads: int
    problems: int
    pool: int
    held_out: int
    every: int
    teach_batch: int
    pilot_steps: int
    rates: Sequence[float]  # of the pilot
    seeds: Sequence[int]
    ks: Sequence[int]
    rivals: bool = True  # GRPO, and annealing where nothing is easy


SIZES = {
    "full": Size(512, 6, 8, 32, 12_000, 1024, 100, 1024, 300, (3e-5, 1e-4, 2e-4), (0, 1, 2), (1, 2, 4, 8, 16)),
    "small": Size(64, 3, 4, 16, 2000, 256, 25, 128, 25, (3e-4, 6e-4, 1.2e-3), (0, 1, 2), (1, 4, 8, 16), rivals=False),
    "tiny": Size(32, 2, 2, 8, 200, 48, 5, 64, 3, (1e-4, 3e-4), (0, 1), (1, 8, 16)),
}


@dataclass(frozen=True)
class Experiment:
    """What is taught, for how long it may train, and which runs there are."""

    numbers: int
    until: float  # single-sample pass rate after which teaching ends
    teach_seconds: float
    steps: int
    share: float  # of the time of a call, up to its end
    ks: Sequence[int]


EXPERIMENTS = {
    "chain3": Experiment(3, 0.15, 60, 2500, 0.56, (1, 2, 4, 8, 16)),
    "chain4": Experiment(4, 0.02, 60, 2500, 1.0, (1, 4, 8, 16)),
}
WANTED_N = 16


def arms(experiment: Experiment, size: Size, steps: int) -> list[Arm]:
    """The runs: each k, annealing from 8 to 1 half way, and GRPO; of every seed."""
    anneal = {"schedule": "step", "from": 8, "to": 1, "at": steps // 2}
    found = [Arm(f"k={k}", seed, k) for k in experiment.ks if k in size.ks for seed in size.seeds]
    if size.rivals or experiment.numbers == 3:
        found += [Arm("8 to 1", seed, anneal) for seed in size.seeds]
    return found + [Arm("GRPO", seed) for seed in size.seeds if size.rivals]


class Log:
    """Lines of JSON in a file, each written out at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def __call__(self, row: dict[str, Any]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def is_whole(self) -> bool:
        """Whether the experiment came to its end."""
        return self.path.exists() and '"kind": "end"' in self.path.read_text()


def machine(device: str) -> dict[str, str]:
    """What it runs on."""
    where = torch.cuda.get_device_name() if device == "cuda" else f"{platform.machine()}, {torch.get_num_threads()} CPU"
    return {"device": where, "torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()}


def piloted(
    shape: Shape, start: Tensor, setting: Setting, rates: Sequence[float], device: str, dtype: torch.dtype
) -> dict[str, Any]:
    """The rate at which pass@1 of k=1 and pass@8 of k=8 have the largest sum at the end of a few steps."""
    runs = [Arm(f"k={k}", 99, k, rate) for rate in rates for k in (1, 8)]
    *_, last = Training(shape, start, runs, setting, device, dtype).rows(lambda: False)
    scores = {rate: sum(row["pass_at_k"][str(row["k"])][0] for row in last if row["lr"] == rate) for rate in rates}
    return {"kind": "pilot", "scores": scores, "lr": max(scores, key=scores.__getitem__)}


def seconds_of_a_step(training: Training, device: str) -> float:
    """With a step's part of an evaluation, measured on a stack that is thrown away afterwards."""
    took = []
    for work in (training.step, training.step, training.step, lambda _: training.evaluated(0, [])):
        wait(device)
        began = time.monotonic()
        work(0)
        wait(device)
        took.append(time.monotonic() - began)
    return min(took[1:3]) + took[3] / training.setting.evaluate_every


def wait(device: str) -> None:
    """Until the device has done what it was asked."""
    if device == "cuda":
        torch.cuda.synchronize()


def run(name: str, size: Size, out: Path, end: float, device: str, most_steps: int | None) -> None:
    """One experiment, whole, ending by the moment `end` of the monotonic clock."""
    experiment, log = EXPERIMENTS[name], Log(out / f"{name}.jsonl")
    if log.is_whole():
        print(f"{name}: done before, in {log.path}")
        return
    log.path.unlink(missing_ok=True)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    torch.manual_seed(TAUGHT_SEED)
    shape = Shape(size.hidden, size.layers, size.heads, sequence_length("countdown", experiment.numbers))
    numbers, teach = experiment.numbers, min(experiment.teach_seconds, (end - time.monotonic()) / 4)
    until, batch = experiment.until, size.teach_batch
    start, how = taught(shape, "countdown", numbers, until, teach, TAUGHT_SEED, device, dtype, batch)
    steps = min(experiment.steps, most_steps or experiment.steps)
    setting = Setting(numbers, WANTED_N, size.problems, steps, 1e-4, size.pool, size.held_out, size.every)
    log({"kind": "taught", "experiment": name, "parameters": shape.parameters, "shape": asdict(shape), **how})
    print(name, how, flush=True)
    short = replace(setting, steps=size.pilot_steps, evaluate_every=size.pilot_steps)
    pilot = piloted(shape, start, short, size.rates, device, dtype)
    log(pilot)
    print(pilot, f"{end - time.monotonic():.0f} s left", flush=True)
    setting = replace(setting, lr=pilot["lr"])
    each = seconds_of_a_step(Training(shape, start, arms(experiment, size, steps), setting, device, dtype), device)
    room = int((end - time.monotonic()) * 0.93 / (each * 1.03)) // size.every * size.every
    setting = replace(setting, steps=max(size.every, min(steps, room)))
    runs = arms(experiment, size, setting.steps)
    print(f"{each:.4f} s a step of {len(runs)} runs; {setting.steps} steps", flush=True)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    log(
        {"kind": "setting", **asdict(setting), "runs": len(runs), "step_seconds": each, "when": when, **machine(device)}
    )
    torch.manual_seed(TAUGHT_SEED + 1)
    if device == "cuda":
        torch.cuda.empty_cache()
    began = time.monotonic()
    for rows in Training(shape, start, runs, setting, device, dtype).rows(lambda: time.monotonic() > end):
        seconds = time.monotonic() - began
        for row in rows:
            log({"kind": "row", "seconds": round(seconds, 1), **row})
        shown = {r["name"]: [round(r["pass_at_k"][k][0], 3) for k in ("1", "16")] for r in rows if r["seed"] == 0}
        print(name, rows[0]["step"], f"{seconds:.0f} s", shown, flush=True)
    log({"kind": "end", "seconds": round(time.monotonic() - began, 1), "step": rows[0]["step"]})


def main() -> int:
    """Run what is asked for; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--seconds", type=float, default=7200.0, help="by when everything has ended; steps are fitted")
    parser.add_argument("--steps", type=int, help="at most so many, where the time allows them")
    parser.add_argument("--only", choices=EXPERIMENTS)
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    began = time.monotonic()
    for name in [arguments.only] if arguments.only else EXPERIMENTS:
        share = 1.0 if arguments.only else EXPERIMENTS[name].share
        run(name, SIZES[arguments.size], arguments.out, began + share * arguments.seconds, device, arguments.steps)
    return 0


if __name__ == "__main__":
    sys.exit(main())
