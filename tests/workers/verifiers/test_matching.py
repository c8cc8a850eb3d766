"""Answers that must equal the problem's, and terms beside them."""

from typing import Any

import pytest

from workers.verifiers import Problem, verifier

GSM8K = Problem(answer="She has 3 * 6 = 18 eggs.\n#### 18")


@pytest.mark.parametrize(
    ("options", "completion", "answer", "passed"),
    [
        ({}, " Paris \n", "Paris", True),
        ({}, "Paris", "paris", False),
        ({}, "New  York", "New York", True),
        ({"ignore_case": True}, "PARIS", "paris", True),
        ({"ignore_space": False}, "New  York", "New York", False),
        ({"extract": ["tag"]}, "I say <answer>Paris</answer>.", "Paris", True),
        ({"extract": ["tag"]}, "Paris", "Paris", False),
    ],
)
def test_exact_match(options: dict[str, Any], completion: str, answer: str, passed: bool) -> None:
    found = verifier("exact-match", options).verify(completion, Problem(answer=answer))
    assert (found.passed, found.reward, found.status) == (passed, float(passed), "passed" if passed else "failed")


@pytest.mark.parametrize(
    ("options", "completion", "passed"),
    [
        ({}, "so 18.", True),
        ({}, "so 18.0 eggs", True),
        ({}, r"\boxed{18} of 20", True),
        ({}, "18 of 20", False),
        ({}, "#### 18\n20 more", True),
        ({}, "none", False),
        ({}, r"\boxed{x}", False),
        ({}, "18.01", False),
        ({"absolute_tolerance": 0.02}, "18.01", True),
        ({"relative_tolerance": 0.001}, "18.01", True),
        ({"relative_tolerance": 0.0001}, "18.01", False),
    ],
)
def test_numeric_match(options: dict[str, Any], completion: str, passed: bool) -> None:
    assert verifier("numeric-match", options).verify(completion, GSM8K).passed is passed


@pytest.mark.parametrize("name", ["exact-match", "numeric-match", "arc-grid", "reasoning-gym", "math-verify"])
def test_a_problem_without_an_answer_is_no_failure_of_the_completion(name: str) -> None:
    if name in ("reasoning-gym", "math-verify"):
        pytest.importorskip(name.replace("-", "_"))
    with verifier(name) as made:
        found = made.verify("42", Problem(prompt="What?"))
    assert (found.status, found.reward, found.passed) == ("infrastructure_error", None, None)
    assert found.detail["reason"]


ARC = Problem(answer="[[0,1],[2,3]]")


@pytest.mark.parametrize(
    ("completion", "cells", "passed"),
    [
        ("[[0, 1],\n [2, 3]]", 1.0, True),
        ("First [[9,9],[9,9]], no: [[0,1],[2,3]].", 1.0, True),
        ("the output:\n0 1\n2 3\n", 1.0, True),
        ("01\n23", 1.0, True),
        ("[[0,1],[2,9]]", 0.75, False),
        ("[[0,1,2],[2,3,4]]", 0.0, False),
        ("[[0,1],[2]]", 0.0, False),
        ("[[0,1],[2,10]]", 0.0, False),
        ("[[true,1],[2,3]]", 0.0, False),
        ("nothing", 0.0, False),
        ("[" * 10_000, 0.0, False),
    ],
)
def test_arc_grids(completion: str, cells: float, passed: bool) -> None:
    by_cells = verifier("arc-grid", {"reward": "cells"}).verify(completion, ARC)
    exact = verifier("arc-grid").verify(completion, ARC)
    assert (by_cells.reward, by_cells.passed) == (cells, passed)
    assert (exact.reward, exact.passed) == (float(passed), passed)


THINKING = {"marks": ["<think>", "</think>"], "extract": ["boxed"]}


@pytest.mark.parametrize(
    ("completion", "reward"),
    [
        (r"<think>so</think> \boxed{3}", 1.0),
        (r"<think>so</think> 3", 0.0),
        (r"</think><think> \boxed{3}", 0.0),
        (r"<think><think></think> \boxed{3}", 0.0),
        (r"<think> \boxed{3}", 0.0),
    ],
)
def test_format(completion: str, reward: float) -> None:
    found = verifier("format", THINKING).verify(completion, Problem())
    assert (found.reward, found.passed, found.status) == (reward, None, "scored")


@pytest.mark.parametrize(("characters", "reward"), [(0, 1.0), (100, 1.0), (150, 0.5), (200, 0.0), (999, 0.0)])
def test_length(characters: int, reward: float) -> None:
    assert verifier("length", {"free": 100, "most": 200}).verify("x" * characters, Problem()).reward == reward


def weighted(completion: str, answer: str | None = "18") -> Any:
    terms = [
        {"verifier": "numeric-match@1"},
        {"verifier": "format", "options": {"extract": ["boxed"]}, "weight": 0.5},
        {"verifier": "length", "options": {"free": 10, "most": 20}, "weight": -0.25},
    ]
    with verifier("weighted", {"terms": terms}) as made:
        return made.verify(completion, Problem(answer=answer))


def test_a_weighted_sum_passes_with_its_verdicts_and_not_its_terms() -> None:
    right, wrong, unmarked = weighted(r"\boxed{18}"), weighted(r"\boxed{19}"), weighted("18")
    assert (right.status, right.passed, right.reward) == ("passed", True, 1 + 0.5 - 0.25)
    assert (wrong.status, wrong.passed, wrong.reward) == ("failed", False, 0.5 - 0.25)
    assert (unmarked.status, unmarked.passed, unmarked.reward) == ("passed", True, 1 - 0.25)
    assert [term["verifier"] for term in right.detail["terms"]] == ["numeric-match@1", "format@1", "length@1"]


def test_a_sum_with_an_unknown_term_is_unknown() -> None:
    found = weighted("18", answer=None)
    assert (found.status, found.passed, found.reward) == ("infrastructure_error", None, None)
    assert found.unsaid == "numeric-match@1: the problem's answer is not a number"
