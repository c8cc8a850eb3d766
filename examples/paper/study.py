"""Comparisons of the paper and of the research note on small tasks, one run after the other, each kept when it ends.

    schedules   k fixed, annealed in steps, linearly, by what pass@8 does, adaptive (Figures 3, 6, 7)
    rivals      k = n, which is [TZSM25], and GRPO, beside `schedules`
    hard        a set of few problems that are hardly ever solved, trained again and again (Figure 8, Tables 5, 6)
    arc_1d      puzzles of reasoning-gym's arc_1d in place of countdown (Figure 8)
    entropy     k = 1 with an entropy term, the sweep of section 5.2, beside `schedules` (Tables 1 to 4, 7, 8)
    phases      the note's phases 1 to 3 at n = 64: K = 1, 4, 16, 64, several K at once, adaptive K
    note        the same K by the note's own credits, Pass@K-GRPO, and GRPO

All runs of a study begin from one taught policy, which is kept in OUT; the same call goes on where it was stopped, and
loses the one run that was cut off. Runs come seed by seed, so that what is there compares as soon as possible.

    PYTHONPATH=. python examples/paper/study.py NAME --out OUT [--size small] [--minutes M] [--runs RUN ...]
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from learning import Arm, Setting, Training, curve, solved, taught
from reproduce import TAUGHT_SEED, Log, machine
from stacked import Shape, Stack
from tasks import TASKS, sequence_length
from torch import Tensor

ENTROPY_WEIGHTS = (0.001, 0.005, 0.01, 0.05, 0.1)  # those of section 5.2
WINDOW = 10  # steps of which a run keeps the means


@dataclass(frozen=True)
class Start:
    """The taught policy of a study: of which problems, and the single-sample pass rate at which teaching ends."""

    numbers: int
    until: float
    task: str = "countdown"


@dataclass(frozen=True)
class Study:
    """From where, how, and which runs there are, as a function of the steps."""

    start: Start
    setting: Setting
    arms: Callable[[int], list[Arm]]


@dataclass(frozen=True)
class Size:
    """What a size has of its own: the policy, and its part of a study's steps, problems and seeds."""

    hidden: int
    layers: int
    heads: int
    teach_batch: int
    seeds: tuple[int, ...]
    steps: float = 1.0
    problems: float = 1.0
    rate: float = 1.0
    starts: Mapping[str, Start] = field(default_factory=dict)  # of its own for all studies of a task


TINY = {"countdown": Start(3, 0.02), "arc_1d": Start(8, 0.0, "arc_1d")}
SIZES = {
    "small": Size(64, 3, 4, 128, (0, 1, 2)),
    "tiny": Size(32, 2, 2, 64, (0, 1), steps=0.005, problems=0.1, starts=TINY),
    "full": Size(512, 6, 8, 1024, (0, 1, 2), steps=10.0, problems=6.0, rate=1 / 3),
}


def step_down(k: int, at: int) -> dict[str, Any]:
    """The specification of a schedule that goes from k to 1 at a step."""
    return {"schedule": "step", "from": k, "to": 1, "at": at}


def schedules(steps: int) -> list[Arm]:
    """The schedule study: those that change do so by a third of the steps, and the linear one by two thirds."""
    third = max(1, steps // 3)
    ramp = {"schedule": "linear", "from": 8, "to": 1, "over": 2 * third}
    triggered = {"schedule": "plateau", "levels": [8, 4, 2, 1], "patience": 1, "min_delta": 0.01}
    adaptive = {"schedule": "adaptive", "smallest": 1, "largest": 8, "target": 0.4}
    return [
        *(Arm(f"k={k}", 0, k) for k in (1, 8)),
        *(Arm(f"{k} to 1", 0, step_down(k, third)) for k in (8, 4, 2)),
        Arm("linear 8 to 1", 0, ramp),
        Arm("triggered 8, 4, 2, 1", 0, triggered),
        Arm("adaptive up", 0, adaptive | {"direction": "up"}),
        Arm("adaptive down", 0, adaptive | {"direction": "down"}),
        *(Arm(f"k={k}", 0, k) for k in (2, 4)),
    ]


def rivals(steps: int) -> list[Arm]:
    """What the paper compares with, under the setting of `schedules`."""
    return [Arm("k=16", 0, 16), Arm("GRPO", 0)]


def hard(steps: int) -> list[Arm]:
    """The k of Figure 8, and k = n."""
    return [Arm(f"k={k}", 0, k) for k in (1, 8, 4, 16)]


def entropy(steps: int) -> list[Arm]:
    """The paper's sweep; k of 1 to 16 without such a term are in `schedules` and `rivals`, otherwise the same."""
    return [Arm(f"k=1, entropy {weight:g}", 0, 1, entropy_weight=weight) for weight in ENTROPY_WEIGHTS]


def phases(steps: int) -> list[Arm]:
    """The note's: fixed K (phase 1), all of them at once (2), growing with the solve rate (3)."""
    at_once = {"1": 0.25, "4": 0.25, "16": 0.25, "64": 0.25}
    adaptive = {"schedule": "adaptive", "smallest": 1, "largest": 64, "target": 0.4, "direction": "up"}
    fixed = [Arm(f"K={k}", 0, k) for k in (1, 4, 16, 64)]
    return [*fixed, Arm("all four K", 0, at_once), Arm("adaptive K", 0, adaptive)]


def note(steps: int) -> list[Arm]:
    """Phase 1 by the note's own credits; at K = 1 they are GRPO's."""
    return [Arm(f"Pass@K-GRPO, K={k}", 0, k, method="pass_k_grpo") for k in (1, 4, 16, 64)]


THREE = Start(3, 0.15)
ARC = Start(10, 0.025, "arc_1d")
COMMON = Setting(
    numbers=3, n=16, problems=16, steps=210, lr=3e-4, pool=2000, held_out=512, evaluate_every=0, last_rate=0.3
)
OF_64 = replace(COMMON, n=64, problems=4, steps=100, held_out=128)
STUDIES = {
    "schedules": Study(THREE, COMMON, schedules),
    "rivals": Study(THREE, COMMON, rivals),
    "hard": Study(Start(4, 0.008), replace(COMMON, numbers=4, steps=200, pool=160, held_out=256), hard),
    "entropy": Study(THREE, COMMON, entropy),
    "phases": Study(THREE, OF_64, phases),
    "note": Study(THREE, OF_64, note),
    "arc_1d": Study(ARC, replace(COMMON, numbers=10, steps=600, pool=160, held_out=256, task="arc_1d"), hard),
}


def begun(study: Study, size: Size) -> Start:
    """The study's taught policy at a size."""
    return size.starts.get(study.start.task, study.start)


def sized(study: Study, size: Size) -> Setting:
    """The study's setting at a size."""
    part, setting = size.problems, study.setting
    return replace(
        setting,
        numbers=begun(study, size).numbers,
        steps=max(4, round(setting.steps * size.steps)),
        pool=max(setting.problems, round(setting.pool * part)),
        held_out=max(16, round(setting.held_out * part)),
        lr=setting.lr * size.rate,
    )


def started(
    start: Start, size: Size, out: Path, device: str, dtype: torch.dtype
) -> tuple[Shape, Tensor, dict[str, Any]]:
    """The taught policy's shape and weights, (1, parameters), and how it was taught; taught once for each OUT."""
    shape = Shape(size.hidden, size.layers, size.heads, sequence_length(start.task, start.numbers))
    path = out / f"taught-{start.task}-{start.numbers}-{start.until:g}-{size.hidden}.pt"
    if not path.exists():
        torch.manual_seed(TAUGHT_SEED)
        task, batch = start.task, size.teach_batch
        weights, how = taught(shape, task, start.numbers, start.until, 600.0, TAUGHT_SEED, device, dtype, batch)
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"weights": weights.cpu(), "how": how}, path)
    kept = torch.load(path, weights_only=True)
    return shape, kept["weights"].to(device), kept["how"]


def digest(weights: Tensor) -> str:
    """SHA-256 of the weights, by which runs from different policies are told apart."""
    return hashlib.sha256(weights.cpu().numpy().tobytes()).hexdigest()


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """What is kept in a file so far, without a last line that was cut off."""
    if path.exists():
        for line in path.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                yield json.loads(line)


def opened(path: Path, head: dict[str, Any]) -> Log:
    """The file of a study, begun with its head where there is none, and cleared of a line that was cut off.

    Raises:
      ValueError: it has another head: its runs began elsewhere, or were made otherwise.
    """
    kept = list(lines(path))
    log = Log(path)
    if not kept:
        path.write_text("")
        log({"kind": "study", **head})
        return log
    told = {key: value for key, value in head.items() if key != "taught"}  # `start` is what came of it
    other = {key for key, value in told.items() if json.loads(json.dumps(value)) != kept[0].get(key)}
    if other:
        raise ValueError(f"{path} has runs of another {', '.join(sorted(other))}; give another folder as --out")
    path.write_text("".join(json.dumps(line) + "\n" for line in kept))
    return log


def trained(training: Training) -> dict[str, Any]:
    """A run: its figures window by window, and what it solves of the held-out problems at the end."""
    (arm,), setting = training.arms, training.setting
    rows: list[dict[str, Any]] = []
    window: list[dict[str, Tensor]] = []
    for step in range(setting.steps):
        window.append(training.step(step))
        if (step + 1) % WINDOW == 0 or step + 1 == setting.steps:
            rows += training.summed(step + 1, window)
            window = []
    figures = ("step", "k_now", "rolling", "reward", "entropy", "gradient_norm", "zero_signal", "cumulative_solve_rate")
    counts = solved(training.stack, training.held_out, setting.n)[0].cpu().numpy()
    over_steps = {name: [rounded(row[name]) for row in rows] for name in figures}
    return {**asdict(arm), **over_steps, "solved": counts.tolist(), "pass_at_k": curve(counts, setting.n)}


def rounded(value: Any) -> Any:
    """Numbers to five decimals, which is below their noise by far."""
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return round(value, 5) if isinstance(value, float) else value


def run(name: str, size_name: str, out: Path, end: float, device: str, only: Sequence[str] = ()) -> bool:
    """The runs of a study that its file lacks, until `end` of the monotonic clock; whether all are there then.

    Raises:
      ValueError: a run of `only` is none of the study's.
    """
    study, size = STUDIES[name], SIZES[size_name]
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    shape, start, how = started(begun(study, size), size, out, device, dtype)
    setting, path = sized(study, size), out / f"{name}.jsonl"
    head = {"study": name, "size": size_name, "setting": asdict(setting), "parameters": shape.parameters}
    log = opened(
        path, head | {"taught": how, "start": digest(start), "reference": reference(shape, start, setting, device)}
    )
    done = {(line["name"], line["seed"]) for line in lines(path) if line["kind"] == "run"}
    arms = [arm for arm in study.arms(setting.steps) if not only or arm.name in only]
    if unknown := set(only) - {arm.name for arm in arms}:
        raise ValueError(f"{name} has no run {', '.join(sorted(unknown))}")
    for arm in (replace(arm, seed=seed) for seed in size.seeds for arm in arms):
        if (arm.name, arm.seed) in done:
            continue
        if time.monotonic() > end:
            return False
        began, used = time.monotonic(), time.process_time()
        torch.manual_seed(1000 + arm.seed)
        found = trained(Training(shape, start, [arm], setting, device, dtype))
        spent = {"seconds": round(time.monotonic() - began, 1), "cpu_seconds": round(time.process_time() - used, 1)}
        when = datetime.now(UTC).isoformat(timespec="seconds")
        log({"kind": "run", **found, **spent, "when": when, **machine(device)})
        last = {k: round(mean, 3) for k, (mean, _) in found["pass_at_k"].items()}
        print(
            name, arm.name, arm.seed, spent, last, found["entropy"][-1], found["cumulative_solve_rate"][-1], flush=True
        )
    return True


def reference(shape: Shape, start: Tensor, setting: Setting, device: str) -> list[int]:
    """How many of n completions of each held-out problem the taught policy solves: what strata are made of."""
    torch.manual_seed(TAUGHT_SEED + 2)
    stack = Stack(shape, start.clone(), torch.float32)
    problems = TASKS[setting.task].problems
    held_out = problems(setting.held_out, setting.numbers, 12, held_out=True).to(device)
    return [int(count) for count in solved(stack, held_out, setting.n)[0]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; 0 where all its runs are there, 3 where time ran out before."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=STUDIES)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--minutes", type=float, default=1e6, help="after which no further run is begun")
    parser.add_argument("--runs", nargs="+", default=(), metavar="RUN", help="names of runs; else all of the study")
    given = parser.parse_args(arguments)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        torch.set_num_threads(1)  # so small products gain nothing by a second
    end = time.monotonic() + 60 * given.minutes
    return 0 if run(given.name, given.size, given.out, end, device, given.runs) else 3


if __name__ == "__main__":
    sys.exit(main())
