"""Credits and estimates against files of exact fractions, and the files against the scripts that write them."""

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
from tests.pkpo.golden import make, make_estimates

GOLDEN = json.loads(make.PATH.read_text())
ESTIMATES = json.loads(make_estimates.PATH.read_text())
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


def estimated(case: dict[str, Any]) -> Any:
    estimate = getattr(pkpo, case["estimator"])
    if "group" in case:
        g = floats(ESTIMATES["groups"][case["group"]])
        return estimate(g[::-1], g, case["k"]) if case["estimator"] == "best_of_k" else estimate(g, case["k"])
    if "ballot" in case:
        answers, correct = ESTIMATES["ballots"][case["ballot"]]
        return estimate(answers, correct, case["k"], case["ties"]) if "ties" in case else estimate(answers, case["k"])
    if "p" in case:
        return estimate(case["n"], float(Fraction(case["p"])), case["k"])
    tau = [float(Fraction(case["tau"]))] if "tau" in case else []
    return estimate(case["n"], case["c"], case["k"], *tau)


@pytest.mark.parametrize("name", sorted({case["estimator"] for case in ESTIMATES["cases"]}))
def test_estimates_are_those_of_the_file(name: str) -> None:
    cases = [case for case in ESTIMATES["cases"] if case["estimator"] == name]
    assert len(cases) >= 10
    for case in cases:
        value = Fraction(case["value"])
        largest = max((abs(Fraction(each)) for each in ESTIMATES["groups"].get(case.get("group"), ["1"])), default=1)
        size = max(abs(value), Fraction(largest) ** (2 if "variance" in name else 1))
        assert exact.ulps(estimated(case), value, of=size) <= 8, case


@pytest.mark.parametrize("script", [make, make_estimates])
def test_a_file_is_what_its_script_writes(script: Any) -> None:
    assert script.PATH.read_text() == script.text()
