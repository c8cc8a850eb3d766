"""Unit tests as a verifier: our own problems, and HumanEval's where the shared data are."""

import gzip
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.pkpo.results_files import shared
from tests.workers.verifiers.problems import PROBLEMS
from workers.sandbox import NotOffered
from workers.verifiers import Problem, Verification, Verifier, verifier

CHAT = "Here it is:\n```python\n{}```\nThat works."
MBPP = Problem(prompt="Write a function to add.", tests=["assert add(1, 2) == 3", "assert add(0, 0) == 0"])


def started(**options: Any) -> Verifier:
    try:
        return verifier("python-tests", options)
    except NotOffered as error:
        pytest.skip(f"no sandbox on this machine: {error}")


@pytest.fixture(scope="module")
def tests() -> Iterator[Verifier]:
    with started(reward="fraction", slots=2) as made:
        yield made


def human_eval() -> dict[str, Problem]:
    with gzip.open(shared("human_eval", "HumanEval.jsonl.gz"), "rt") as lines:
        rows = [json.loads(line) for line in lines]
    return {row["task_id"]: Problem(row["prompt"], row["canonical_solution"], _tests(row)) for row in rows}


def _tests(row: dict[str, Any]) -> dict[str, str]:
    return {"test": row["test"], "entry_point": row["entry_point"]}


def graded(tests: Verifier, completions: list[tuple[str, Problem]]) -> list[Verification]:
    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(lambda one: tests.verify(*one), completions))


@pytest.mark.parametrize("name", PROBLEMS)
def test_our_own_problems(tests: Verifier, name: str) -> None:
    problem, right, partly, share = PROBLEMS[name]
    assert problem.prompt
    passed = tests.verify(right, problem)
    assert (passed.status, passed.reward, passed.passed) == ("passed", 1.0, True), passed
    assert passed.detail["sandbox"] == "bubblewrap"
    in_chat = CHAT.format(problem.prompt + right)
    assert tests.verify(in_chat, problem).passed is True
    failed = tests.verify(partly, problem)
    assert (failed.status, failed.passed) == ("failed", False), failed
    assert failed.reward == pytest.approx(share)
    assert failed.detail["reason"].startswith("assert ")


@pytest.mark.parametrize(
    "completion",
    [
        "def add(a, b):\n    return a + b",
        CHAT.format("def add(a, b):\n    return a + b\n"),
        "```\nadd = lambda a, b: a + b",
    ],
)
def test_asserts_in_the_form_of_mbpp(tests: Verifier, completion: str) -> None:
    setup = {"test_list": ["assert add(*ones) == 2"], "test_setup_code": "ones = (1, 1)"}
    assert tests.verify(completion, MBPP).passed is True
    assert tests.verify(completion, Problem(tests=setup)).passed is True
    assert tests.verify(completion, Problem(tests="assert add(2, 2) == 4")).passed is True
    assert tests.verify(completion, Problem(tests="assert add(2, 2) == 5")).passed is False


@pytest.mark.parametrize(
    ("completion", "code", "passed"),
    [
        ("    return n * (n + 1) // 2\n", "continuation", True),
        (CHAT.format("    return n * (n + 1) // 2\n"), "auto", True),
        (CHAT.format("return n * (n + 1) // 2\n"), "auto", True),
        (CHAT.format("    return n * (n + 1) // 2\n"), "continuation", False),
        ("def triangle(n):\n    return n * (n + 1) // 2\n", "auto", True),
        ("def triangle(n):\n    return n * (n + 1) // 2\n", "fenced", True),
        ("    return n * (n + 1) // 2\n\ndef triangle(n):\n    return 0\n", "auto", False),
    ],
)
def test_where_the_code_stands(completion: str, code: str, passed: bool) -> None:
    with started(code=code, slots=1) as made:
        assert made.verify(completion, PROBLEMS["triangle"].problem).passed is passed


@pytest.mark.parametrize("wrong", [None, [], "", {"test": "x"}, [1], {"test_list": []}, 3])
def test_tests_of_no_known_form_are_no_failure(tests: Verifier, wrong: object) -> None:
    found = tests.verify("def add(a, b): return a + b", Problem(tests=wrong))
    assert (found.status, found.reward) == ("infrastructure_error", None)


def test_a_completion_that_never_ends_gets_no_reward() -> None:
    with started(seconds=1, slots=1) as made:
        found = made.verify("    while True: pass\n", PROBLEMS["triangle"].problem)
    assert (found.status, found.reward, found.passed) == ("timeout", 0.0, False)


def test_human_evals_own_solutions_pass_and_return_none_does_not(tests: Verifier) -> None:
    problems = human_eval()
    right = graded(tests, [(problem.answer or "", problem) for problem in problems.values()])
    assert [name for name, found in zip(problems, right, strict=True) if not found.passed] == []
    assert len(right) == 164
    nothing = graded(tests, [("    return None\n", problem) for problem in problems.values()])
    assert [name for name, found in zip(problems, nothing, strict=True) if found.passed] == []
    assert {found.status for found in nothing} == {"failed"}


@pytest.mark.slow
def test_the_verdicts_of_human_eval_on_gpt_3_5_are_reproduced(tests: Verifier) -> None:
    rows = _rows(shared("code_cushman", "azure.jsonl_results.jsonl"))
    problems = human_eval()
    found = graded(tests, [(row["completion"], problems[row["task_id"]]) for row in rows])
    assert [one.passed for one in found] == [row["passed"] for row in rows]
    assert sum(bool(one.passed) for one in found) == 122
    timeouts = [row["result"] == "timed out" for row in rows]
    assert [one.status == "timeout" for one in found] == timeouts


@pytest.mark.slow
def test_code_cushmans_completions_are_graded_as_by_one_process() -> None:
    """461 of the 1,640 pass: so many as when completion and tests run as one program, as human-eval runs them."""
    rows = _rows(shared("code_cushman", "results-code-cushman-001-10.jsonl"))
    problems = human_eval()
    with started(code="continuation", seconds=4) as made:
        found = graded(made, [(row["completion"], problems[row["task_id"]]) for row in rows])
    assert len(found) == 1640
    assert sum(bool(one.passed) for one in found) == 461
    assert not [one for one in found if one.status == "infrastructure_error"]


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
