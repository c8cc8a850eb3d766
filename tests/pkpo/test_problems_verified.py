"""What an imported problem holds is what its verifier asks for: its own answer passes, another does not."""

import json
from pathlib import Path
from typing import Any

import pytest

from pkpo.problems import Problem, from_files, from_reasoning_gym

verifiers = pytest.importorskip("workers.verifiers", reason="NOT TESTED: requirements/install.sh workers was not run")

HUMAN_EVAL = {
    "task_id": "HumanEval/53",
    "prompt": 'def add(x: int, y: int):\n    """Add two numbers x and y\n    >>> add(2, 3)\n    5\n    """\n',
    "entry_point": "add",
    "canonical_solution": "    return x + y\n",
    "test": "def check(candidate):\n    assert candidate(0, 1) == 1\n    assert candidate(5, 7) == 12\n",
}
MBPP = {
    "task_id": 17,
    "prompt": "Write a function that returns the perimeter of a square given its side length as input.",
    "code": "def square_perimeter(a):\n  return math.floor(4*a)",
    "test_imports": ["import math"],
    "test_list": ["assert square_perimeter(10)==40", "assert square_perimeter(5)==20"],
}
GSM8K = {"question": "A car costs $1,000 and a bike $80. And both?", "answer": "1,000 + 80 = 1,080\n#### 1,080"}
MATH = {"problem": "What is half of $\\frac{1}{3}$?", "solution": "It is $\\boxed{\\frac{1}{6}}$."}
ARC = {
    "train": [{"input": [[0, 1]], "output": [[1, 0]]}],
    "test": [{"input": [[2, 3], [4, 5]], "output": [[3, 2], [5, 4]]}],
}


def read(path: Path, record: dict[str, Any]) -> Problem:
    path.write_text(json.dumps(record))
    (problem,) = from_files([path]).problems
    return problem


def verified(verifier: Any, problem: Problem, completion: str) -> Any:
    """Whether a completion of the problem, as the service gives it back, passes."""
    sent = json.loads(json.dumps(problem.sent()))
    stored = verifiers.Problem(sent["prompt"], sent.get("answer"), sent.get("tests"), sent["metadata"])
    found = verifier.verify(completion, stored)
    assert found.status in ("passed", "failed"), found.detail
    return found.passed


@pytest.mark.parametrize(
    ("record", "verifier", "right", "wrong"),
    [
        (GSM8K, "numeric-match", "Together they are $1,080.", "Together they are $1,081."),
        (GSM8K, "exact-match", "1080", "1,080 dollars"),
        (MATH, "math-verify", "So the answer is $\\boxed{1/6}$.", "So the answer is $\\boxed{1/3}$."),
        (ARC, "arc-grid", "The rows are turned round:\n3 2\n5 4", "2 3\n4 5"),
        (ARC, "arc-grid", "[[3, 2], [5, 4]]", "[[3, 2]]"),
    ],
)
def test_a_right_answer_passes_and_a_wrong_one_does_not(
    tmp_path: Path, record: dict[str, Any], verifier: str, right: str, wrong: str
) -> None:
    problem = read(tmp_path / "record.json", record)
    with verifiers.verifier(verifier) as graded:
        assert verified(graded, problem, right)
        assert not verified(graded, problem, wrong)


def code_tests() -> Any:
    """The verifier of Python code; skipped where this machine has no sandbox for it."""
    from workers.sandbox import NotOffered

    try:
        return verifiers.verifier("python-tests", {"slots": 1})
    except NotOffered as error:
        pytest.skip(f"CODE NOT TESTED: {error}")


def test_reference_code_passes_the_tests_that_arrive(tmp_path: Path) -> None:
    with code_tests() as graded:
        for record in (HUMAN_EVAL, MBPP):
            problem = read(tmp_path / "record.json", record)
            assert problem.answer is not None
            assert verified(graded, problem, problem.answer)
            assert not verified(graded, problem, problem.answer.replace("x + y", "x - y").replace("4*a", "3*a"))


@pytest.mark.filterwarnings("ignore:unclosed file .*arcagi:ResourceWarning")  # of the library that brings ARC's tasks
def test_reasoning_gym_knows_its_answers_again() -> None:
    pytest.importorskip("reasoning_gym", reason="NOT TESTED: requirements/install.sh workers was not run")
    with verifiers.verifier("reasoning-gym") as graded:
        for task in ("chain_sum", "knights_knaves", "arc_agi", "rearc"):
            for problem in from_reasoning_gym(task, 2, seed=7).problems:
                assert verified(graded, problem, f"<answer>{problem.answer}</answer>")
                assert not verified(graded, problem, "<answer>no idea</answer>")
