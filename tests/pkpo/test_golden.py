"""Credits against a file of exact fractions, and the file against the script that writes it."""

import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import pkpo
from pkpo import offpolicy
from tests.pkpo import exact
from tests.pkpo.golden import make

GOLDEN = json.loads(make.PATH.read_text())
NAMES = [
    "s",
    "sloo",
    "sloo_minus_one",
    "centered",
    "plugin",
    "alpha_loo",
    "mixed",
    "history",
    "l_statistic",
    "offpolicy",
]


def floats(fractions: list[str]) -> NDArray[np.float64]:
    return np.array([float(Fraction(each)) for each in fractions])


def credited(case: dict[str, Any]) -> NDArray[np.float64]:
    name, g, k = case["transform"], floats(GOLDEN["groups"][case["group"]]), case["k"]
    match name:
        case "mixed":
            return pkpo.mixed(g, k, float(Fraction(case["lam"])))
        case "history":
            return pkpo.history(g, k, float(Fraction(case["baseline"])))
        case "l_statistic":
            return pkpo.l_statistic(g, k, floats(case["weights"]))
        case "offpolicy":
            return offpolicy.exact(g, k, np.log(floats(case["ratios"])), name=case["of"])
    return pkpo.transform(name, g, k)


@pytest.mark.parametrize("name", NAMES)
def test_credits_are_those_of_the_file(name: str) -> None:
    cases = [case for case in GOLDEN["cases"] if case["transform"] == name]
    assert len(cases) >= 8
    for case in cases:
        credits, expected = credited(case), [Fraction(each) for each in case["credits"]]
        largest = max(abs(Fraction(each)) for each in GOLDEN["groups"][case["group"]]) + 1
        size = max(*map(abs, expected), Fraction(case["k"], len(expected)) * largest)
        if name == "sloo_minus_one" and case["k"] > 1:
            assert exact.worst_ulps(credits, expected) <= 16, case
        if name == "offpolicy":  # the logarithms of the ratios are rounded, k of them in a product
            size *= 8 * math.prod(max(Fraction(1), Fraction(each)) for each in case["ratios"])
        assert exact.worst_ulps(credits, expected, of=size) <= 16, case


def test_the_file_is_what_its_script_writes() -> None:
    assert make.PATH.read_text() == make.text()
