"""Mathematical answers that may be written in many ways, compared by math-verify."""

from typing import Any

from app.jobs.options.verifiers import MathVerifyOptions
from workers.verifiers.answers import extracted
from workers.verifiers.children import Children
from workers.verifiers.matching import NO_ANSWER
from workers.verifiers.verification import (
    Problem,
    Verification,
    Verifier,
    infrastructure_error,
    judged,
    unanswered,
)


class MathVerify(Verifier):
    r"""Passes where math-verify finds the answer equal to the problem's: 1/2, \frac{1}{2} and 0.5 are one number.

    `problem.answer` is a formula, a number, GSM8K's solution with `####`, or MATH's with `\boxed`.
    """

    name = "math-verify"
    Options = MathVerifyOptions
    options: MathVerifyOptions

    def __init__(self, options: MathVerifyOptions) -> None:
        """Starts the process that compares.

        Raises:
          workers.verifiers.children.ScorerRefused: math-verify is not installed.
        """
        super().__init__(options)
        self._children = Children("workers.verifiers.score_mathematics:compared", options.processes, options.seconds)

    def verify(self, completion: str, problem: Problem) -> Verification:
        """Compares in a process of its own, because math-verify needs `signal.alarm` and some formulas take forever."""
        if problem.answer is None:
            return infrastructure_error(NO_ANSWER)
        text = completion
        if self.options.extract:
            answer = extracted(completion, self.options.extract)
            if answer is None:
                return unanswered(f"no answer found as {', '.join(self.options.extract)}")
            text = f"\\boxed{{{answer}}}"
        return self._told(self._children.score(completion=text, expected=problem.answer))

    @staticmethod
    def _told(told: dict[str, Any]) -> Verification:
        if "status" in told:
            return Verification(told["status"], 0.0, False, None, {"reason": told["reason"]})
        if "error" in told:
            return judged(False, None, reason=told["error"])
        result = told["result"]
        if result["unreadable"]:
            return infrastructure_error("math-verify cannot read the problem's answer")
        return (
            judged(result["equal"], result["answer"]) if result["answer"] else unanswered("no formula or number found")
        )

    def close(self) -> None:
        """Ends the process."""
        self._children.close()
