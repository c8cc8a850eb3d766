"""Terms of a reward beside the verdict: the form of a completion, its length, and their sum by weights."""

from collections.abc import Sequence
from typing import Any

from app.jobs.options.verifiers import FormatOptions, LengthOptions, WeightedOptions
from workers.verifiers.answers import extracted
from workers.verifiers.verification import Problem, Status, Verification, Verifier


class Format(Verifier):
    """Reward 1 where the completion has the form, else 0; it neither passes nor fails."""

    name = "format"
    Options = FormatOptions
    options: FormatOptions

    def verify(self, completion: str, problem: Problem) -> Verification:
        """Looks for the marks and for an answer."""
        places = [completion.find(mark) for mark in self.options.marks]
        once = all(completion.count(mark) == 1 for mark in self.options.marks)
        found = not self.options.extract or extracted(completion, self.options.extract) is not None
        return _scored(float(once and places == sorted(places) and found))


class Length(Verifier):
    """Reward 1 up to `free` characters, 0 from `most` on, and on a line between; it neither passes nor fails."""

    name = "length"
    Options = LengthOptions
    options: LengthOptions

    def verify(self, completion: str, problem: Problem) -> Verification:
        """Measures the completion."""
        free, most = self.options.free, self.options.most
        return _scored(min(1.0, max(0.0, (most - len(completion)) / (most - free))), characters=len(completion))


class Weighted(Verifier):
    """Reward = sum of weight times reward over its terms; it passes where every term that passes or fails does.

    Its status is that of the first term that did not pass. One term of which nothing is known makes nothing known.
    """

    name = "weighted"
    Options = WeightedOptions
    options: WeightedOptions

    def __init__(self, options: WeightedOptions, terms: Sequence[Verifier]) -> None:
        super().__init__(options)
        self._terms = terms

    @property
    def told(self) -> dict[str, Any]:
        """Its terms, each with its version, its options that are not the defaults, and its weight."""
        return {
            "terms": [
                {"verifier": f"{term.name}@{term.version}", "options": term.told, "weight": said.weight}
                for term, said in zip(self._terms, self.options.terms, strict=True)
            ]
        }

    def verify(self, completion: str, problem: Problem) -> Verification:
        """Asks every term."""
        found = [term.verify(completion, problem) for term in self._terms]
        detail: dict[str, Any] = {
            "terms": [
                {"verifier": f"{term.name}@{term.version}", "reward": one.reward, "status": one.status, **one.detail}
                for term, one in zip(self._terms, found, strict=True)
            ]
        }
        answer = next((one.answer for one in found if one.answer is not None), None)
        rewards = [one.reward for one in found if one.reward is not None]
        if len(rewards) < len(found):
            named = zip(self._terms, found, strict=True)
            detail["reason"] = next(f"{term.name}@{term.version}: {one.unsaid}" for term, one in named if one.unsaid)
            return Verification("infrastructure_error", None, None, answer, detail)
        reward = sum(term.weight * one for term, one in zip(self.options.terms, rewards, strict=True))
        decided = [one for one in found if one.passed is not None]
        passed = all(one.passed for one in decided) if decided else None
        status: Status = next((one.status for one in decided if not one.passed), "passed" if decided else "scored")
        return Verification(status, reward, passed, answer, detail)

    def close(self) -> None:
        """Ends what the terms keep running."""
        for term in self._terms:
            term.close()


def _scored(reward: float, **detail: Any) -> Verification:
    return Verification("scored", reward, None, None, detail)
