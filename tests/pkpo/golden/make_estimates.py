"""Write estimates.json: estimates and their variances in exact fractions, by the mean over all subsets or outcomes.

.venv/bin/python -m tests.pkpo.golden.make_estimates
"""

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from tests.pkpo import exact, test_variance
from tests.pkpo.golden.make import GROUPS

PATH = Path(__file__).with_name("estimates.json")
LARGEST_N = 8
CHANCES = ["1/2", "1/8", "3/4"]
BALLOTS: dict[str, tuple[list[str | None], list[bool]]] = {
    "plurality": (["7", "7", "8", "9", "7", None], [True, True, False, False, True, False]),
    "tied": (["a", "b", "a", "b", "c"], [True, False, True, False, False]),
    "two spellings": (["1/2", "0.5", "0.5", "2", "2", "2"], [True, True, True, False, False, False]),
}
TIES = ("share", "correct", "wrong")


def cases() -> Iterator[dict[str, Any]]:
    """Every estimator at every n, c, k up to LARGEST_N, of every group and of every ballot."""
    for n in range(1, LARGEST_N + 1):
        for k in range(1, n + 1):
            yield from _of_counts(n, k)
    for label, group in GROUPS.items():
        g = tuple(map(Fraction, group))
        scores = g[::-1]
        for k in range(1, len(g) + 1):
            yield _case("max_at_k", exact.max_at_k(g, k), group=label, k=k)
            yield _case("min_at_k", -exact.max_at_k(tuple(-each for each in g), k), group=label, k=k)
            yield _case("best_of_k", exact.best_of_k(scores, g, k), group=label, k=k)
            if 2 * k <= len(g):
                yield _case("max_at_k_variance_estimate", test_variance.unbiased_of(g, k), group=label, k=k)
    for label, (answers, correct) in BALLOTS.items():
        for k in range(1, len(answers) + 1):
            yield _case("distinct_at_k", exact.distinct_at_k(answers, k), ballot=label, k=k)
            for ties in TIES:
                yield _case("maj_at_k", exact.maj_at_k(answers, correct, k, ties), ballot=label, k=k, ties=ties)


def _of_counts(n: int, k: int) -> Iterator[dict[str, Any]]:
    for c in range(n + 1):
        shares = [exact.g_pass_at_k(n, c, k, needed) for needed in range(1, k + 1)]
        yield _case("pass_at_k", shares[0], n=n, c=c, k=k)
        yield _case("fail_at_k", 1 - shares[0], n=n, c=c, k=k)
        yield _case("pass_hat_k", shares[-1], n=n, c=c, k=k)
        for needed, share in enumerate(shares, start=1):
            yield _case("g_pass_at_k", share, n=n, c=c, k=k, tau=f"{needed}/{k}")
        if k > 1:
            mean = Fraction(2, k) * sum(shares[(k + 1) // 2 :], Fraction(0))
            yield _case("mg_pass_at_k", mean, n=n, c=c, k=k)
        if 2 * k <= n:
            passes = (Fraction(1),) * c + (Fraction(0),) * (n - c)
            yield _case("pass_at_k_variance_estimate", test_variance.unbiased_of(passes, k), n=n, c=c, k=k)
    for p in CHANCES:
        yield _case("pass_at_k_variance", test_variance.variance(n, k, Fraction(p)), n=n, p=p, k=k)


def _case(estimator: str, value: Fraction, **of: Any) -> dict[str, Any]:
    return {"estimator": estimator, **of, "value": str(value)}


def text() -> str:
    """The file, a case a line."""
    lines = ",\n".join(f"  {json.dumps(case)}" for case in cases())
    return f'{{"groups": {json.dumps(GROUPS)}, "ballots": {json.dumps(BALLOTS)}, "cases": [\n{lines}\n]}}\n'


if __name__ == "__main__":
    PATH.write_text(text())
