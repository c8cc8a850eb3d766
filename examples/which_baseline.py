"""Which baseline has the least variance? The tables of docs/which-baseline.md, kept in docs/tables/which-baseline.json.

Variances of unbiased gradient estimates at n = 16, as ratios to that of sloo_minus_one, in four settings:

* toy: the one-dimensional problem of the paper's Figure 4, where all completions share one parameter;
* bernoulli: passes with chance p, exactly: by one parameter; with orthogonal scores of length 1; and where those of
  failures are 4 times as long, squared;
* continuous: rewards from three distributions, orthogonal scores;
* model: the true gradients of the small language models of which_baseline_lm.py, as many as seeds.

    .venv/bin/python examples/which_baseline.py [--part PART] [--quick] [--out FILE]

A part that is run again replaces its rows in the file.
"""

import argparse
import json
import os
import platform
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import torch
import which_baseline_lm as language_model
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

import pkpo
from pkpo import toy

Floats = NDArray[np.float64]

N = 16
KS = (1, 2, 4, 8, 14, 16)
REFERENCE = "sloo_minus_one"
MIXTURES = {f"mixed({share})": share for share in (0.25, 0.5, 0.75)}
# The baseline of history is max_at_k of an earlier group, or the mean of so many that it is all but the true max_g@k.
HISTORIES = ("history", "history(long)")
METHODS = ("s", "sloo", REFERENCE, "centered", "plugin", *MIXTURES, *HISTORIES, "alpha_loo")
OUT = Path(__file__).parents[1] / "docs/tables/which-baseline.json"


@dataclass(frozen=True)
class Row:
    """The variance of a method at k, its ratio to that of sloo_minus_one, and the ratio's 95 % interval."""

    setting: str
    k: int
    method: str
    variance: float
    ratio: float
    low: float | None = None  # None where the ratio is exact
    high: float | None = None


@dataclass(frozen=True)
class Effort:
    """How much is drawn."""

    batches: int = 20
    draws: int = 20_000  # groups in a batch
    seeds: tuple[int, ...] = (0, 1, 2)  # of language models
    stages: tuple[int, ...] = (700, 1100)  # steps of training after which a model is measured
    below: tuple[int, ...] = (10, 100)  # what the terms of its problems are below
    problems: int = 60
    pool: int = 192  # completions of a problem
    groups: int = 400  # drawn from a pool


QUICK = Effort(batches=4, draws=500, seeds=(0,), stages=(150,), below=(10,), problems=4, pool=64, groups=50)


def methods(k: int, n: int, binary: bool) -> list[str]:
    """The names of METHODS that exist for k of n, and for these rewards."""
    needs_others = {"sloo", "centered", *MIXTURES} if k == n else set(MIXTURES) if k == 1 else set()
    return [name for name in METHODS if name not in needs_others and (binary or name != "alpha_loo")]


def credits(name: str, g: Floats, k: int, past: Mapping[str, Floats]) -> Floats:
    """Credits of the named method, shape (..., n); past has the baselines of HISTORIES, which broadcast to (...)."""
    if name in MIXTURES:
        return pkpo.mixed(g, k, MIXTURES[name])
    if name in HISTORIES:
        return pkpo.history(g, k, past[name])
    return pkpo.alpha_loo(g, k) if name == "alpha_loo" else pkpo.transform(name, g, k)


def past_of(earlier: Floats, long: float | Floats, k: int) -> dict[str, Floats]:
    """The baselines of HISTORIES, from an earlier group of each group, shape (..., n), and from a long past."""
    return dict(zip(HISTORIES, (pkpo.max_at_k(earlier, k), np.asarray(long)), strict=True))


def against_reference(setting: str, k: int, drawn: dict[str, Floats]) -> Iterator[Row]:
    """Rows from the variances in independent batches, each method's from the same groups: a t interval of the ratio."""
    for name, variances in drawn.items():
        ratio = pkpo.mean_interval(variances / drawn[REFERENCE])
        yield Row(setting, k, name, variances.mean(), ratio.value, ratio.low, ratio.high)


def toy_rows(effort: Effort, _: list[dict[str, Any]]) -> Iterator[Row]:
    """At theta = 1, where half of the completions are beyond the cliff."""
    for k in KS:
        drawn: dict[str, list[float]] = {name: [] for name in methods(k, N, binary=False)}
        for batch in range(effort.batches):
            random = np.random.default_rng([batch, 1])
            past = past_of(toy.reward(random.normal(1, toy.SIGMA, (effort.draws, N))), toy.max_at_k(1, k), k)
            for name, variances in drawn.items():

                def method(g: Floats, name: str = name, past: Mapping[str, Floats] = past) -> Floats:
                    return credits(name, g, k, past)  # noqa: B023

                variances.append(toy.sampled(method, N, 1.0, draws=effort.draws, seed=batch).variance)
        yield from against_reference("toy", k, {name: np.array(each) for name, each in drawn.items()})


def bernoulli_rows(effort: Effort, _: list[dict[str, Any]]) -> Iterator[Row]:
    """Exact sums over the passes of a group and of the one before it."""
    passes, before = (each.ravel() for each in np.indices((N + 1, N + 1)))
    g, earlier = (np.arange(N) < each[:, None] for each in (passes, before))
    for p in (0.02, 0.1, 0.3, 0.5, 0.8):
        chance = np.array([comb(N, c) * p**c * (1 - p) ** (N - c) for c in range(N + 1)])
        weights = chance[passes] * chance[before]
        score = np.where(g, 1 / p, -1 / (1 - p))
        for k in KS:
            truth = k * (1 - p) ** (k - 1)
            past = past_of(earlier * 1.0, 1 - (1 - p) ** k, k)
            found = {name: credits(name, g * 1.0, k, past) for name in methods(k, N, binary=True)}
            for setting, variances in {
                "one parameter": {
                    name: weights @ (each * score).sum(axis=1) ** 2 - truth**2 for name, each in found.items()
                },
                "orthogonal": {name: weights @ (each**2).sum(axis=1) for name, each in found.items()},
                # As on the language model, where failures have the longer gradients.
                "orthogonal, failures 4": {
                    name: weights @ (each**2 * np.where(g, 1, 4)).sum(axis=1) for name, each in found.items()
                },
            }.items():
                for name, variance in variances.items():
                    yield Row(f"bernoulli, p = {p}, {setting}", k, name, variance, variance / variances[REFERENCE])


DISTRIBUTIONS: dict[str, Callable[[np.random.Generator, tuple[int, int]], Floats]] = {
    "uniform": lambda random, shape: random.random(shape),
    "normal": lambda random, shape: random.normal(size=shape),
    "log-normal": lambda random, shape: random.lognormal(size=shape),  # a heavy upper tail with all its moments
}


def continuous_rows(effort: Effort, _: list[dict[str, Any]]) -> Iterator[Row]:
    """The mean of sum_i s_i^2, which is the variance where scores are orthogonal and of length 1."""
    for distribution, draw in DISTRIBUTIONS.items():
        drawn: dict[int, dict[str, list[float]]] = {k: {name: [] for name in methods(k, N, False)} for k in KS}
        for batch in range(effort.batches):
            random = np.random.default_rng([batch, 2])
            g, earlier = draw(random, (effort.draws, N)), draw(random, (effort.draws, N))
            for k, of_method in drawn.items():
                past = past_of(earlier, pkpo.max_at_k(earlier, k).mean(), k)
                for name, sums in of_method.items():
                    sums.append(float(np.square(credits(name, g, k, past)).sum(axis=1).mean()))
        for k, of_method in drawn.items():
            yield from against_reference(
                f"continuous, {distribution}", k, {name: np.array(each) for name, each in of_method.items()}
            )


def second_moments(g: Floats, gram: Floats, groups: int, random: np.random.Generator, binary: bool) -> Floats:
    """E|gradient estimate|^2 less |gradient|^2, shape (KS, METHODS), from a pool of completions; nan where undefined.

    Args:
      g, gram: rewards of the pool, shape (M,), and the inner products of its scores, shape (M, M).
      groups: groups of N drawn from the pool. The others are their past: N of them an earlier group, all a long past.

    The first term is a mean over groups. The second is the same for every unbiased method: the mean inner product of
    the estimates from two halves of the pool, which are independent of each other.
    """
    shuffled = random.permuted(np.tile(np.arange(len(g)), (groups, 1)), axis=1)
    now, before, others = shuffled[:, :N], shuffled[:, N : 2 * N], shuffled[:, N:]
    inner = gram[now[:, :, None], now[:, None, :]]
    halves = np.split(shuffled[:, : len(g) // 2 * 2], 2, axis=1)
    found = np.full((len(KS), len(METHODS)), np.nan)
    for row, k in enumerate(KS):
        dense = np.zeros((2, groups, len(g)))
        for half, places in zip(dense, halves, strict=True):
            np.put_along_axis(half, places, pkpo.plugin(g[places], k), axis=1)
        gradient = ((dense[0] @ gram) * dense[1]).sum(axis=1).mean()
        past = past_of(g[before], pkpo.max_at_k(g[others], k), k)
        for name in methods(k, N, binary):
            s = credits(name, g[now], k, past)
            found[row, METHODS.index(name)] = np.einsum("gi,gij,gj->g", s, inner, s).mean() - gradient
    return found


def ratio_rows(setting: str, of_problems: Floats, random: np.random.Generator, draws: int = 2000) -> Iterator[Row]:
    """Ratios of sums over problems, with percentiles of a bootstrap over problems.

    Args:
      of_problems: variances of shape (models, problems of each, KS, METHODS), zero for problems that do not count.
        Problems are drawn within their model.
    """
    models, P = of_problems.shape[:2]
    reference = METHODS.index(REFERENCE)
    drawn = random.integers(0, P, (draws, models, P)) + P * np.arange(models)[:, None]
    counts = np.stack([np.bincount(each.ravel(), minlength=models * P) for each in drawn])
    flat = of_problems.reshape(models * P, -1)
    sums = np.concatenate([flat.sum(axis=0, keepdims=True), counts @ flat]).reshape(-1, len(KS), len(METHODS))
    ratios = sums / sums[:, :, reference, None]
    low, high = np.quantile(ratios[1:], [0.025, 0.975], axis=0)
    for row, column in np.argwhere(~np.isnan(ratios[0])):
        at = row, column
        yield Row(setting, KS[row], METHODS[column], sums[0][at], ratios[0][at], low[at], high[at])


# What is measured apart: problems by their solve rate, which is that of other completions than the pool's.
STRATA = {"all": (0.0, 1.0), "under .1": (0.0, 0.1), ".1 to .4": (0.1, 0.4), "over .4": (0.4, 1.0)}


@dataclass(frozen=True)
class Likeness:
    """What a model of this seed and step was like: means over its problems."""

    seed: int
    step: int
    solve_rates: list[float]  # quartiles, with the least and the greatest
    distinct: float  # share of distinct completions in a pool
    cosine: float  # between the gradients of two completions of a problem
    failures_to_passes: float | None  # mean squared length of failures' gradients over that of passes', if any passed


def measured(effort: Effort, seed: int) -> Iterator[tuple[Likeness, Floats, Floats]]:
    """One model at each stage: solve rates, shape (problems,), and variances, (2 rewards, problems, KS, METHODS)."""
    random, generator = np.random.default_rng([seed, 3]), torch.Generator().manual_seed(seed)
    wanted = language_model.problems(random, effort.problems, effort.below)
    for step, model in enumerate(language_model.train(max(effort.stages), seed, effort.below), start=1):
        if step not in effort.stages:
            continue
        rates, variances, pools = [], [], []
        for problem in track(wanted, f"model {seed}, gradients at step {step}", console=Console(stderr=True)):
            fresh = language_model.completions(model, problem, effort.pool, generator)
            rates.append(np.mean([problem.rewards(text)[0] for text in fresh]))
            pool = language_model.pool(model, problem, effort.pool, generator)
            of_rewards = ((pool.passed, True), (pool.nearness, False))
            variances.append([second_moments(g, pool.gram, effort.groups, random, binary) for g, binary in of_rewards])
            lengths, passed = pool.gram.diagonal(), pool.passed > 0
            lengths_of = lengths[~passed].sum(), (~passed).sum(), lengths[passed].sum(), passed.sum()
            pools.append((pool.distinct / effort.pool, pool.cosine, *lengths_of))
        quartiles = np.quantile(rates, [0, 0.25, 0.5, 0.75, 1]).round(3).tolist()
        distinct, cosine, failing, failures, passing, passes = np.mean(pools, axis=0).tolist()
        ratio = round(failing / failures / (passing / passes), 3) if passes and failures else None
        likeness = Likeness(seed, step, quartiles, round(distinct, 3), round(cosine, 3), ratio)
        yield likeness, np.array(rates), np.array(variances).swapaxes(0, 1)


def model_rows(effort: Effort, models: list[dict[str, Any]]) -> Iterator[Row]:
    """The trace of the covariance of the whole gradient, for the 0.1 million parameters of each model.

    Args:
      models: takes what each model was like.
    """
    each = [list(measured(effort, seed)) for seed in effort.seeds]
    models.extend(asdict(likeness) for stages in each for likeness, _, _ in stages)
    for stage, step in enumerate(effort.stages):
        rates = np.stack([stages[stage][1] for stages in each])
        for reward, name in enumerate(("passed", "nearness")):
            variances = np.stack([stages[stage][2][reward] for stages in each])
            for stratum, (low, high) in STRATA.items():
                counted = (rates >= low) & (rates <= high)
                if counted.sum() >= min(20, effort.problems):
                    setting = f"model, step {step}, {name}, solve rate {stratum}"
                    yield from ratio_rows(setting, variances * counted[..., None, None], np.random.default_rng(4))


PARTS: dict[str, Callable[[Effort, list[dict[str, Any]]], Iterable[Row]]] = {
    "toy": toy_rows,
    "bernoulli": bernoulli_rows,
    "continuous": continuous_rows,
    "model": model_rows,
}


def table(rows: Sequence[Row]) -> str:
    """Ratios of one setting as Markdown: methods down, k across, intervals in parentheses."""
    of_method = {name: [row for row in rows if row.method == name] for name in METHODS}
    return _table(rows[0].setting, {f"`{name}`": line for name, line in of_method.items() if line})


def across(rows: Sequence[Row], method: str) -> str:
    """Ratios of one method as Markdown: settings down, k across."""
    settings = dict.fromkeys(row.setting for row in rows)
    return _table(
        f"`{method}`", {at: [row for row in rows if (row.setting, row.method) == (at, method)] for at in settings}
    )


def _table(title: str, lines: Mapping[str, Sequence[Row]]) -> str:
    head = [f"| {title} |" + "".join(f" k = {k} |" for k in KS), "|---|" + "---|" * len(KS)]
    at = {(name, row.k): row for name, line in lines.items() for row in line}
    return "\n".join(head + [f"| {name} |" + "".join(f" {cell(at.get((name, k)))} |" for k in KS) for name in lines])


def cell(row: Row | None) -> str:
    """A ratio with three digits, and its interval where it has one."""
    if row is None:
        return ""
    if row.low is None or row.high is None or row.low == row.high:
        return f"{row.ratio:.3g}"
    return f"{row.ratio:.3g} ({row.low:.3g}–{row.high:.3g})"


def rounded(row: Row) -> dict[str, Any]:
    """A row for the file, to five digits."""
    return {name: float(f"{each:.5g}") if isinstance(each, float) else each for name, each in asdict(row).items()}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the parts, keep their rows, print their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, action="append", help="only this one; may be given again")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes, with wide intervals")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)  # matrices are small: a second thread gains little, and loses much on shared cores
    effort = QUICK if arguments.quick else Effort()
    kept = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    for part in arguments.part or PARTS:
        models: list[dict[str, Any]] = []
        rows = list(PARTS[part](effort, models))
        kept[part] = {
            "date": date.today().isoformat(),
            "versions": {"pkpo": pkpo.__version__, "numpy": np.__version__, "torch": torch.__version__},
            "machine": f"{len(os.sched_getaffinity(0))} cores, {platform.machine()}, no GPU",
            "effort": asdict(effort),
            "models": models,
            "rows": [rounded(row) for row in rows],
        }
        arguments.out.write_text(written(kept))
        for setting in dict.fromkeys(row.setting for row in rows):
            print(table([row for row in rows if row.setting == setting]), end="\n\n")
        print(*(across(rows, method) for method in ("mixed(0.25)", "plugin")), sep="\n\n", end="\n\n", flush=True)


def written(kept: dict[str, Any]) -> str:
    """JSON with a line for each row."""
    text = json.dumps(kept, indent=1)
    return re.sub(r"\{\s+\"setting\"[^}]*\}", lambda found: re.sub(r"\s+", " ", found[0]), text) + "\n"


if __name__ == "__main__":
    main()
