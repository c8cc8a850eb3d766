"""Unit tests in Python, run against the completion in the sandbox."""

import re
from typing import Any, Literal

from app.jobs.options.verifiers import PythonTestsOptions
from workers.sandbox import Limits, Program, Sandboxes
from workers.sandbox.check import checked_sandboxes
from workers.verifiers.answers import extracted
from workers.verifiers.verification import Problem, Verification, Verifier, infrastructure_error


class PythonTests(Verifier):
    """Passes where all tests do.

    `problem.tests` is HumanEval's `{"test": …, "entry_point": …}`, with the code that is completed as the prompt; or
    MBPP's
    list of asserts, or `{"test_list": […], "test_setup_code": …}`; or a text of asserts.
    """

    name = "python-tests"
    Options = PythonTestsOptions
    options: PythonTestsOptions

    def __init__(self, options: PythonTestsOptions) -> None:
        """Starts the sandboxes.

        Raises:
          workers.sandbox.NotOffered: the sandbox's self-check did not pass on this machine.
        """
        super().__init__(options)
        self._sandboxes: Sandboxes = checked_sandboxes(
            options.slots, Limits(seconds=options.seconds, memory_bytes=options.memory_mib << 20)
        )

    def verify(self, completion: str, problem: Problem) -> Verification:
        """Grades the completion in two sandboxes."""
        try:
            program = program_of(completion, problem, self.options.code)
            verdict = self._sandboxes.grade(program)
        except ValueError as error:
            return infrastructure_error(str(error))
        if verdict.status == "infrastructure_error":
            return infrastructure_error(verdict.detail)
        detail: dict[str, Any] = {"passed_tests": verdict.passed_tests, "total_tests": verdict.total_tests}
        detail |= {"sandbox": verdict.sandbox, "reason": verdict.detail, "output": verdict.output}
        share = verdict.passed_tests / verdict.total_tests if verdict.total_tests else 0.0
        reward = share if self.options.reward == "fraction" else float(verdict.passed)
        return Verification(
            verdict.status, reward, verdict.passed, None, {key: value for key, value in detail.items() if value != ""}
        )

    def close(self) -> None:
        """Ends the sandboxes."""
        self._sandboxes.close()


def program_of(completion: str, problem: Problem, code: Literal["auto", "continuation", "fenced"]) -> Program:
    """The program that grades a completion.

    Raises:
      ValueError: `problem.tests` has none of the forms.
    """
    match problem.tests:
        case {"test": str(test), "entry_point": str(name)}:
            source = _source(completion, problem.prompt or "", name, code)
            return Program(source, f"{test}\ncheck({name})\n", problem.prompt or "", name)
        case {"test_list": [*asserts], **rest} if asserts and all(isinstance(line, str) for line in asserts):
            setup = str(rest.get("test_setup_code") or "")
            return Program(f"{setup}\n{_block(completion)}", "\n".join(asserts), setup)
        case [str(), *_] as asserts if all(isinstance(line, str) for line in asserts):
            return Program(_block(completion), "\n".join(asserts))
        case str(tests) if tests.strip():
            return Program(_block(completion), tests)
    raise ValueError("the problem's tests are neither HumanEval's {test, entry_point} nor a list or a text of asserts")


def _block(completion: str) -> str:
    fenced = extracted(completion, ("fence",))
    return completion if fenced is None else fenced


def _source(completion: str, prompt: str, name: str, code: str) -> str:
    fenced = extracted(completion, ("fence",)) if code != "continuation" else None
    text = completion if fenced is None else fenced
    anew = re.search(rf"^(?:async )?def {re.escape(name)}\b", text, re.MULTILINE)
    if code == "continuation" or (code == "auto" and not (anew and (fenced or not text[:1].isspace()))):
        return prompt + (completion if fenced is None else _indented(fenced))
    # What the prompt imports and defines stays; its unfinished function is a docstring and nothing more.
    return f"{prompt}\n    pass\n\n{text}"


def _indented(body: str) -> str:
    """A function's body that came without the indentation it continues."""
    return body if body[:1].isspace() else "".join(f"    {line}" for line in body.splitlines(keepends=True))
