"""What is said of two evaluations: no more than the intervals support."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dashboards.compare_page import (
    Changed,
    Choice,
    ComparePage,
    CompareRunsPage,
    Side,
    render_compare,
    render_compare_runs,
    verdict,
)
from pkpo.comparisons import Comparison, Difference
from pkpo.curves import PassAtKCurve
from tests.dashboards.examples import Page

A, B = (0, 0, 2, 4, 1), (0, 3, 3, 2, 0)


def side(letter: str, run: str = "llama") -> Side:
    return Side(letter, f"/evaluations/{letter}", run, f"/runs/{run}", 100, "temperature 1.0", None)


def changed(**changes: Any) -> Changed:
    found = Comparison.from_counts(4, A, 4, B, problems=[f"p{i}" for i in range(5)])
    a, b = (PassAtKCurve.from_counts([4] * 5, c) for c in (A, B))
    return replace(Changed(found, a, b, ("p1",), ("p4",), 5, "exact@1"), **changes)


def page(**changes: Any) -> ComparePage:
    return replace(ComparePage(side("a"), side("b"), changed(), (), False), **changes)


def at(k: int, difference: float, low: float, high: float) -> Difference:
    return Difference(k, difference, 0.01, low, high, 0.01, 0.02)


def found(*points: Difference, metric: str = "pass_at_k", problems: int = 40) -> Comparison:
    return Comparison(metric, points, (), (), problems, 0.95, "t", "sign flips, all", None)


@pytest.mark.parametrize(
    ("points", "sentence"),
    [
        (
            (at(1, 0.004, -0.01, 0.02), at(8, 0.04, 0.01, 0.07)),
            "b is higher at k=8 by 0.040 [0.010, 0.070]; at k=1 the difference cannot be told from zero.",
        ),
        (
            (at(1, 0.1, 0.05, 0.15), at(2, 0.1, 0.04, 0.16), at(4, 0.0, -0.1, 0.1), at(8, -0.1, -0.15, -0.05)),
            "b is higher at k=1 by 0.100 [0.050, 0.150] and k=2 by 0.100 [0.040, 0.160]; b is lower at k=8 by 0.100 "
            "[0.050, 0.150]; at k=4 the difference cannot be told from zero.",
        ),
        (
            (at(1, 0.0, -0.1, 0.1), at(2, 0.05, 0.0, 0.1)),
            "At k=1 and k=2 no difference can be told from zero.",
        ),
        ((at(1, 0.5, float("nan"), float("nan")),), "At k=1 no interval is known."),
    ],
)
def test_the_sentence_says_what_the_intervals_support(points: tuple[Difference, ...], sentence: str) -> None:
    assert verdict(found(*points)) == sentence


def test_one_problem_supports_nothing() -> None:
    assert verdict(found(at(1, 0.5, 0.4, 0.6), problems=1)).startswith("One problem says nothing")


def test_the_table_has_the_numbers_of_the_library() -> None:
    shown = Page(render_compare(page()))
    for point in Comparison.from_counts(4, A, 4, B).points:
        assert f"{point.difference:+.3f}".replace("-", "−") in shown.text
        assert f"{point.p_value:.4f} {point.p_value_any:.4f}" in shown.text
    assert "1 newly solved" in shown.text
    assert "/evaluations/b/problem?problem=p1&verifier=exact%401" in shown.values("href")
    assert "/evaluations/a/problem?problem=p4&verifier=exact%401" in shown.values("href")


def test_rewards_have_no_newly_solved_problems() -> None:
    rewards = np.random.default_rng(0).normal(size=(2, 4, 3))
    compared = Comparison.from_rewards(*rewards)
    a, b = (PassAtKCurve.from_rewards(each) for each in rewards)
    shown = Page(render_compare(page(outcome=Changed(compared, a, b, None, None, 4, "score@1"))))
    assert "newly solved" not in shown.text
    assert "max@k" in "".join(shown.data)


def test_a_refusal_is_said_with_what_to_do() -> None:
    shown = Page(render_compare(page(outcome="Evaluation a: 3 completions missing.", offers_missing=True)))
    assert "Evaluation a: 3 completions missing." in shown.text
    assert "/compare?a=a&b=b&missing=drop" in shown.values("href")
    asked = Page(render_compare(page(outcome="Choose.", verifiers=("x@1", "y@1"))))
    assert "/compare?a=a&b=b&verifier=x%401" in asked.values("href")


def test_names_that_others_chose_are_only_text() -> None:
    hostile = "<script>alert(1)</script>"
    outcome = changed(newly_solved=(hostile,), verifier=hostile)
    choices = (Choice("x", hostile, 1, hostile, hostile),)
    for html in (
        render_compare(page(outcome=outcome, a=side("a", hostile), choices=choices)),
        render_compare(page(outcome=None, a=None, choices=choices, problem_set=hostile, filter=hostile)),
    ):
        assert hostile not in html
        assert html.count("&lt;script&gt;") > 2


def test_the_list_of_problems_ends_where_it_would_be_endless() -> None:
    shown = render_compare(page(outcome=changed(newly_solved=tuple(f"q{i}" for i in range(1000)))))
    assert len(re.findall(r">q\d+<", shown)) == 200
    assert "And 800 beyond these" in shown


def test_two_runs_without_anything_in_common_say_so() -> None:
    assert "Neither run has logged anything" in render_compare_runs(CompareRunsPage(()))
