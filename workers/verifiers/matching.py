"""Answers that must equal the problem's: as text, or as numbers."""

from fractions import Fraction
from typing import ClassVar

from app.jobs.options.verifiers import ExactMatchOptions, Extraction, NumericMatchOptions
from workers.verifiers.answers import extracted, number
from workers.verifiers.verification import (
    Problem,
    Verification,
    Verifier,
    infrastructure_error,
    judged,
    unanswered,
)

NO_ANSWER = "the problem has no answer to compare with"


class ExactMatch(Verifier):
    """Passes where the answer is the problem's, character by character."""

    name = "exact-match"
    Options = ExactMatchOptions
    options: ExactMatchOptions

    def verify(self, completion: str, problem: Problem) -> Verification:
        """Compares the extracted answer with `problem.answer`."""
        if problem.answer is None:
            return infrastructure_error(NO_ANSWER)
        answer = extracted(completion, self.options.extract)
        if answer is None:
            return unanswered(f"no answer found as {', '.join(self.options.extract)}")
        return judged(self._plain(answer) == self._plain(problem.answer), answer)

    def _plain(self, text: str) -> str:
        text = " ".join(text.split()) if self.options.ignore_space else text.strip()
        return text.casefold() if self.options.ignore_case else text


class NumericMatch(Verifier):
    """Passes where the number is the problem's: exactly, in fractions, unless a tolerance is given."""

    name = "numeric-match"
    Options = NumericMatchOptions
    options: NumericMatchOptions
    # The problem's answer may be a whole solution that ends in #### and the number, as GSM8K's are.
    REFERENCE: ClassVar[tuple[Extraction, ...]] = ("hashes", "boxed", "text")

    def verify(self, completion: str, problem: Problem) -> Verification:
        """Compares the extracted number with the one in `problem.answer`."""
        expected = number(extracted(problem.answer or "", self.REFERENCE) or "")
        if expected is None:
            return infrastructure_error("the problem's answer is not a number")
        answer = extracted(completion, self.options.extract)
        if answer is None:
            return unanswered(f"no number found as {', '.join(self.options.extract)}")
        found = number(answer)
        if found is None:
            return judged(False, answer, reason="the answer is not a number")
        return judged(abs(found - expected) <= self._allowed(expected), answer)

    def _allowed(self, expected: Fraction) -> Fraction:
        relative, absolute = Fraction(self.options.relative_tolerance), Fraction(self.options.absolute_tolerance)
        return max(absolute, relative * abs(expected))
