"""The scorers of reasoning-gym, which reward partly: with a threshold, because near misses earn up to .99."""

from app.jobs.options.verifiers import ReasoningGymOptions
from workers.verifiers.answers import extracted
from workers.verifiers.children import Children
from workers.verifiers.verification import (
    Problem,
    Verification,
    Verifier,
    infrastructure_error,
    judged,
    unanswered,
)


class ReasoningGym(Verifier):
    """Passes where the scorer of the problem's task gives at least the threshold.

    `problem.answer` is the entry's answer and `problem.metadata` its metadata, `source_dataset` among them.
    """

    name = "reasoning-gym"
    Options = ReasoningGymOptions
    options: ReasoningGymOptions

    def __init__(self, options: ReasoningGymOptions) -> None:
        """Starts the process that scores.

        Raises:
          workers.verifiers.children.ScorerRefused: reasoning-gym is not installed.
        """
        super().__init__(options)
        self._children = Children("workers.verifiers.score_gym:scored", options.processes, options.seconds)

    def verify(self, completion: str, problem: Problem) -> Verification:
        """Scores in a process of its own, where the scorers evaluate nothing but arithmetic and literals."""
        task = problem.metadata.get("source_dataset")
        if not isinstance(task, str):
            return infrastructure_error("the problem's metadata has no source_dataset: it is not one of reasoning-gym")
        answer = extracted(completion, self.options.extract)
        if answer is None:
            return unanswered(f"no answer found as {', '.join(self.options.extract)}")
        entry = {"question": problem.prompt, "answer": problem.answer, "metadata": dict(problem.metadata)}
        told = self._children.score(task=task, answer=answer, entry=entry)
        if "status" in told:
            return Verification(told["status"], 0.0, False, answer, {"reason": told["reason"]})
        if "error" in told:
            return infrastructure_error(f"the scorer of {task} failed: {told['error']}")
        score = float(told["result"])
        passed = score >= self.options.threshold
        return judged(passed, answer, score if self.options.reward == "score" else None, score=score)

    def close(self) -> None:
        """Ends the process."""
        self._children.close()
