"""Write transforms.json: credits of every transform in exact fractions, by brute force over all subsets.

.venv/bin/python -m tests.pkpo.golden.make
"""

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from pkpo import l_statistics
from tests.pkpo import exact
from tests.pkpo.test_offpolicy import by_subsets

PATH = Path(__file__).with_name("transforms.json")
GROUPS: dict[str, list[str]] = {  # as fractions that float64 holds
    "ties": ["1/2", "0", "1", "1/2", "0", "1/4"],
    "signed": ["-3", "5/8", "7", "-1/4", "0", "2", "7"],
    "binary": ["1", "0", "0", "1", "0", "0", "0", "1"],
    "equal": ["3/4"] * 4,
    "two": ["-1", "1"],
}
RATIOS = ["1/2", "2", "1", "3/4", "5/4", "1/8", "1", "3/2"]


def cases() -> Iterator[dict[str, Any]]:
    """Each transform of each group at each k, with what else it is given."""
    for label, group in GROUPS.items():
        g = tuple(map(Fraction, group))
        n = len(g)
        for name, definition in exact.TRANSFORMS.items():
            for k in exact.ks_of(name, n):
                yield _case(name, label, k, definition(g, k))
        for k in range(1, n + 1):
            if label == "binary":
                yield _case("alpha_loo", label, k, exact.alpha_loo(g, k))
            for lam in ("1/4", "-1") if k < n else ("0",):
                yield _case("mixed", label, k, exact.mixed(g, k, Fraction(lam)), lam=lam)
            yield _case("history", label, k, exact.history(g, k, Fraction("3/8")), baseline="3/8")
            for v in (l_statistics.median(k), l_statistics.top_mean(k, 1 + (k > 1)), l_statistics.cvar(k, 0.5)):
                weights = [Fraction(each) for each in v]
                yield _case("l_statistic", label, k, exact.l_statistic(g, weights), weights=list(map(str, weights)))
            for name in ("s", "sloo_minus_one"):
                credits = by_subsets(g, k, [Fraction(each) for each in RATIOS[:n]], name)
                yield _case("offpolicy", label, k, credits, of=name, ratios=RATIOS[:n])


def _case(name: str, label: str, k: int, credits: exact.Group, **more: Any) -> dict[str, Any]:
    return {"transform": name, "group": label, "k": k, **more, "credits": list(map(str, credits))}


def text() -> str:
    """The file, a case a line."""
    lines = ",\n".join(f"  {json.dumps(case)}" for case in cases())
    return f'{{"groups": {json.dumps(GROUPS)}, "cases": [\n{lines}\n]}}\n'


if __name__ == "__main__":
    PATH.write_text(text())
