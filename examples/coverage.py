"""How often the 95 % intervals of pkpo hold the true value, by simulation: the table of docs/intervals.md.

Solve rates of problems are drawn from several populations, completions from them, and every interval is asked whether
it holds what it is about: mean pass@k of the population, or of these very problems, or the difference between two
checkpoints. With a results file, its problems' shares of passes are one more population.

    .venv/bin/python examples/coverage.py --repeats 1000 [FILE]
"""

import argparse
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

import pkpo
from pkpo.readers import open_results

Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]
P, N, CLUSTER = 100, 16, 4


def mixture(rng: np.random.Generator, size: int) -> NDArray[np.float64]:
    """Solve rates of which half are those of hard problems, and half of problems that are nearly mastered."""
    return np.where(rng.random(size) < 0.5, rng.beta(0.3, 3, size), rng.beta(5, 1, size))


POPULATIONS: Mapping[str, Draw] = {
    "Beta(.3, .6)": lambda rng, size: rng.beta(0.3, 0.6, size),
    "half Beta(.3, 3), half Beta(5, 1)": mixture,
    "Beta(.1, 4), hard": lambda rng, size: rng.beta(0.1, 4, size),
}


def covered(draw: Draw, k: int, repeats: int, seed: int = 0, draws: int = 600) -> dict[str, float]:
    """The share of repeats in which each interval at k held its true value, for P problems with N completions each."""
    rng = np.random.default_rng(seed)
    population = draw(rng, 400_000)
    true = float((1 - (1 - population) ** k).mean())
    held: dict[str, list[bool]] = {}
    for repeat in range(repeats):
        p, after = draw(rng, P), draw(rng, P)
        c = rng.binomial(N, p)
        values = pkpo.pass_at_k(N, c, k)
        # Another checkpoint has changed half of the problems for others of the population: the mean stays.
        other = rng.binomial(N, np.where(rng.random(P) < 0.5, p, after))
        groups = np.repeat(np.arange(P // CLUSTER), CLUSTER)
        shared = pkpo.pass_at_k(N, rng.binomial(N, draw(rng, P // CLUSTER)[groups]), k)
        difference = pkpo.Comparison.from_counts(N, c, N, other, k, seed=repeat, draws=50).points[0]
        here = float((1 - (1 - p) ** k).mean())
        found: dict[str, tuple[pkpo.MeanInterval | pkpo.Difference, float]] = {
            "t": (pkpo.mean_interval(values), true),
            "t, clusters of 4, ignored": (pkpo.mean_interval(shared), true),
            "t, clusters of 4": (pkpo.mean_interval(shared, clusters=groups), true),
            "bootstrap over problems": (pkpo.bootstrap_interval(values, seed=repeat, draws=draws), true),
            "bootstrap over both": (pkpo.bootstrap_pass_at_k(N, c, k, seed=repeat, draws=draws), true),
            "paired t": (difference, 0.0),
        }
        if k < N:
            variances = pkpo.pass_at_k_variance_estimate(N, c, k, method="either")
            found["problems fixed"] = (pkpo.fixed_interval(values, variances), here)
            again = pkpo.bootstrap_pass_at_k(N, c, k, problems="fixed", seed=repeat, draws=draws)
            found["bootstrap, problems fixed"] = (again, here)
        for name, (interval, value) in found.items():
            held.setdefault(name, []).append(interval.low <= value <= interval.high)
    return {name: float(np.mean(each)) for name, each in held.items()}


def band_covered(draw: Draw, repeats: int, seed: int = 0) -> dict[str, float]:
    """The share of repeats in which the whole curve, k = 1, 2, 4, 8, 16, lay in its band, and in its t intervals."""
    rng = np.random.default_rng(seed)
    ks = pkpo.default_ks(N)
    population = draw(rng, 400_000)
    true = [float((1 - (1 - population) ** k).mean()) for k in ks]
    held: dict[str, list[bool]] = {"band, all k at once": [], "t, all k at once": []}
    for repeat in range(repeats):
        c = rng.binomial(N, draw(rng, P))
        values = np.stack([pkpo.pass_at_k(N, c, k) for k in ks], axis=1)
        band = pkpo.simultaneous_band(values, seed=repeat, draws=1000)
        each = [pkpo.mean_interval(column) for column in values.T]
        for name, intervals in zip(held, (band, each), strict=True):
            held[name].append(all(one.low <= value <= one.high for one, value in zip(intervals, true, strict=True)))
    return {name: float(np.mean(each)) for name, each in held.items()}


def population_of(path: str) -> Draw:
    """Problems of a results file, drawn with replacement, with their shares of passes for solve rates."""
    problems = open_results(path).verdicts().problems.values()
    rates = np.array([problem.passed / problem.judged for problem in problems])
    return lambda rng, size: rng.choice(rates, size)


def main() -> None:
    """Print a table for each population."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?")
    parser.add_argument("--repeats", type=int, default=1000)
    arguments = parser.parse_args()
    populations = dict(POPULATIONS)
    if arguments.file:
        populations[arguments.file.rpartition("/")[2]] = population_of(arguments.file)
    for name, draw in populations.items():
        columns = {k: covered(draw, k, arguments.repeats) for k in (1, 4, 12, 16)}
        print(f"\n{name}: P = {P}, n = {N}, {arguments.repeats} repeats\n")
        print("| interval | k = 1 | 4 | 12 | 16 |\n|---|---|---|---|---|")
        for interval in columns[1]:
            print(f"| {interval} |", " | ".join(f"{each.get(interval, np.nan):.3f}" for each in columns.values()), "|")
        print("\n" + "\n".join(f"{each}: {share:.3f}" for each, share in band_covered(draw, arguments.repeats).items()))


if __name__ == "__main__":
    main()
