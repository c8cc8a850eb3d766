"""A verifier of one's own: a Python function that the operator has marked as one."""

from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from app.jobs.options.verifiers import FunctionOptions
from workers.verifiers.children import Children
from workers.verifiers.verification import Problem, Verification, Verifier, infrastructure_error, judged

MARK = "pkpo_verifier"


class Found(TypedDict, total=False):
    """What such a function may return as a dict."""

    passed: bool
    reward: float
    answer: str | None
    detail: dict[str, Any]


RESULT: TypeAdapter[bool | float | Found] = TypeAdapter(
    bool | float | Found, config={"strict": True, "allow_inf_nan": False}
)


class PythonFunction(Verifier):
    """Asks `module:function`, called as `function(completion=…, problem={prompt, answer, tests, metadata}, **options)`.

    It runs in a process of its own.

    The function has an attribute `pkpo_verifier`, its version as a text: so no other function of any module can be
    named. It returns
    a bool (passed), a number (the reward) or a dict of `passed`, `reward`, `answer`, `detail`.
    """

    Options = FunctionOptions
    options: FunctionOptions

    def __init__(self, options: FunctionOptions, entry_point: str) -> None:
        """Starts the process, and loads the function there.

        Raises:
          workers.verifiers.children.ScorerRefused: there is no such function, or it is not marked.
        """
        super().__init__(options)
        self._children = Children(entry_point, options.processes, options.seconds, MARK)
        assert self._children.version is not None
        self.name, self.version = entry_point, self._children.version

    def verify(self, completion: str, problem: Problem) -> Verification:
        """Asks the function. What it raises is an `infrastructure_error`: it says nothing about the completion."""
        told = self._children.score(completion=completion, problem=asdict(problem), **self.options.options)
        if "status" in told:
            return Verification(told["status"], 0.0, False, None, {"reason": told["reason"]})
        if "error" in told:
            return infrastructure_error(f"the function raised {told['error']}")
        try:
            return _verification(RESULT.validate_python(told["result"]))
        except ValidationError:
            return infrastructure_error("the function returned neither a bool nor a finite number nor such a dict")

    def close(self) -> None:
        """Ends the process."""
        self._children.close()


def _verification(found: bool | float | Found) -> Verification:
    if isinstance(found, bool):
        return judged(found, None)
    if not isinstance(found, dict):
        return Verification("scored", float(found), None)
    answer, detail = found.get("answer"), found.get("detail", {})
    if "passed" in found:
        return judged(found["passed"], answer, found.get("reward"), **detail)
    if "reward" not in found:
        return infrastructure_error("the function returned neither passed nor reward")
    return Verification("scored", found["reward"], None, answer, detail)
