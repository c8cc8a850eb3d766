"""What a curve of answers needs of a results file: the answer of each completion, and whether it is correct."""

from collections.abc import Mapping

from pkpo.answers import AnswerMetric
from pkpo.readers import ResultsFile
from pkpo.readers.rows import shown


def answers_of(
    file: ResultsFile, metric: AnswerMetric, n: Mapping[str, int], fill: bool
) -> tuple[list[list[str | None]], list[list[bool]]]:
    """The answers of each problem in n, in its order, and which of them are correct.

    A completion without a verdict is left out, or with `fill` taken as one that has no answer.

    Raises:
      ReadError: the file is unsound, or has no completions in it.
      ValueError: no completion has an answer, or one answer to a problem both passed and failed, or none passed.
    """
    answers: dict[str, list[str | None]] = {problem: [] for problem in n}
    correct: dict[str, list[bool]] = {problem: [] for problem in n}
    for batch in file.completions():
        columns = zip(batch.problem, batch.passed, batch.reward, batch.answer, strict=True)
        for problem, passed, reward, answer in columns:
            if problem not in n:
                continue
            if passed is not None or (reward is not None and metric == "distinct_at_k"):
                answers[problem].append(answer)
                correct[problem].append(passed is True)
            elif fill:
                answers[problem].append(None)
                correct[problem].append(False)
    if not any(answer is not None for each in answers.values() for answer in each):
        raise ValueError(f"{metric} needs answers, and no completion in it has one; --answer names their field")
    if metric == "maj_at_k":
        for problem, given in answers.items():
            _refuse_contradiction(problem, given, correct[problem])
    return list(answers.values()), list(correct.values())


def _refuse_contradiction(problem: str, answers: list[str | None], correct: list[bool]) -> None:
    """ValueError where completions with the same answer to a problem passed and failed: whose vote would win?"""
    verdicts: dict[str | None, bool] = {None: False}
    for answer, passed in zip(answers, correct, strict=True):
        if verdicts.setdefault(answer, passed) != passed:
            what = "no answer" if answer is None else f"the answer {shown(answer)}"
            raise ValueError(
                f"maj_at_k needs one verdict for each answer, and in problem {shown(problem)} {what} "
                f"{'passed' if answer is None else 'both passed and failed'}"
            )
