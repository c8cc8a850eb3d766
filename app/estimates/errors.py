"""Why there is no number: one class per reason, each with what the client can do."""

from collections.abc import Sequence

from app.errors import AppError, NotFound


class EvaluationNotFound(NotFound):
    """An id that is no evaluation of this project."""

    def __init__(self) -> None:
        super().__init__("This project has no evaluation of this id.")


class KExceedsN(AppError):
    """More attempts than some problem has completions: no unbiased estimate exists."""

    status, type = 422, "k-exceeds-n"

    def __init__(self, metric: str, k: int, bound: int, pointer: str = "query/k") -> None:
        super().__init__(
            f"{metric} at k={k} needs {k} completions of each problem; there are enough for k up to {bound}.",
            [(pointer, f"at most {bound}")],
        )


class NoPassed(AppError):
    """Rewards that nobody said pass or fail; thresholding them would be our guess."""

    status, type = 422, "no-passed"

    def __init__(self, metric: str, verifier: str, rewards: int) -> None:
        super().__init__(
            f"{metric} needs to know which completions passed; {verifier} gave {rewards} of them a reward without "
            "saying. metric=max_at_k takes the rewards as they are."
        )


class VerifierNeeded(AppError):
    """Several verifiers and none chosen."""

    status, type = 422, "verifier-needed"

    def __init__(self, verifiers: Sequence[str]) -> None:
        super().__init__(
            f"{len(verifiers)} verifiers have graded this evaluation; choose one of them: {', '.join(verifiers)}.",
            [("query/verifier", "missing")],
            verifiers=list(verifiers),
        )
        self.verifiers = tuple(verifiers)


class UnknownVerifier(AppError):
    """A verifier that has not graded this evaluation."""

    status, type = 404, "unknown-verifier"

    def __init__(self, verifiers: Sequence[str]) -> None:
        super().__init__(
            f"This verifier has graded nothing here; these have: {', '.join(verifiers) or 'none'}. "
            "A bare name is version 1.",
            [("query/verifier", "unknown")],
            verifiers=list(verifiers),
        )


class NoVerdict(AppError):
    """Completions perhaps, but nothing that says how good they are."""

    status, type = 409, "no-verdict"

    def __init__(self, completions: int) -> None:
        super().__init__(
            f"No verifier has graded any of this evaluation's {completions} completions: send verdicts with the "
            "completions, or to …/verifications.",
            completions=completions,
        )
        self.completions = completions


class OtherProblems(AppError):
    """Two evaluations on two problem sets: their difference would be that of the problems."""

    status, type = 422, "other-problem-set"

    def __init__(self) -> None:
        super().__init__(
            "These evaluations are on two problem sets; evaluations are compared problem by problem, on one set.",
            [("query/b", "on another problem set than a")],
        )


class OtherVerifiers(AppError):
    """Two evaluations that no verifier has both graded: their difference would be that of the verifiers."""

    status, type = 422, "no-common-verifier"

    def __init__(self, verifiers: Sequence[Sequence[str]]) -> None:
        a, b = (", ".join(names) for names in verifiers)
        super().__init__(
            f"No verifier has graded both: a was graded by {a}, b by {b}. "
            "Have one of them graded by a verifier of the other.",
            [("query/verifier", "none has graded both")],
        )


class RewardsTooLarge(AppError):
    """Rewards whose differences no float64 can hold."""

    status, type = 422, "beyond-float64"

    def __init__(self) -> None:
        super().__init__("The rewards differ by more than float64 holds; scale them down before they are recorded.")


class CompletionsMissing(AppError):
    """Not every completion that the evaluation expects has a verdict, so the mean would be over a selection."""

    status, type = 409, "completions-missing"

    def __init__(
        self, no_completion: int, no_verdict: int, infrastructure_error: int, problems: int, expected: int
    ) -> None:
        super().__init__(
            f"Of {expected} completions expected, {no_completion} do not exist, {no_verdict} have no verdict and "
            f"{infrastructure_error} ended in an infrastructure error, on {problems} problems. …/missing lists them; "
            "missing=drop leaves such problems out, missing=fail counts what is missing as not passed.",
            no_completion=no_completion,
            no_verdict=no_verdict,
            infrastructure_error=infrastructure_error,
            problems=problems,
            expected=expected,
        )
        self.missing = no_completion + no_verdict + infrastructure_error
        self.problems = problems
        self.expected = expected


class CountsOnly(AppError):
    """Only counts were imported: there are no completions, and no rewards."""

    status, type = 409, "counts-only"

    def __init__(self) -> None:
        super().__init__(
            "Only the counts n and c were imported for this evaluation: it has no completions, no rewards."
        )


class FailRewardNeeded(AppError):
    """Counting what is missing as not passed says nothing about its reward."""

    status, type = 422, "fail-reward-needed"

    def __init__(self, metric: str) -> None:
        super().__init__(
            f"missing=fail with {metric} needs fail_reward: the reward that a missing completion counts as.",
            [("query/fail_reward", "missing")],
        )


class UnknownN(AppError):
    """An evaluation that neither declares n, nor has a completion to tell it from."""

    status, type = 422, "unknown-n"

    def __init__(self, most: int) -> None:
        super().__init__(
            f"This evaluation declares no n up to {most} and shows none: say with n= how many completions each problem "
            "should have.",
            [("query/n", "missing")],
        )


class VerifierNotFound(NotFound):
    """A name that is no verifier of this project."""

    def __init__(self) -> None:
        super().__init__("This project has no verifier of this name and version; a bare name is version 1.")


class RunNotFound(NotFound):
    """A name that is no run of this project."""

    def __init__(self) -> None:
        super().__init__("This project has no run of this name.")


class ProblemSetNotFound(NotFound):
    """A name that is no problem set of this project."""

    def __init__(self) -> None:
        super().__init__("This project has no problem set of this name and version.")


class TooMuchWork(AppError):
    """Estimates that would keep the server busy for longer than anybody waits, or take more memory than it has."""

    status, type = 422, "too-much-work"

    def __init__(self, steps: int, most: int) -> None:
        super().__init__(
            f"These estimates take {steps} steps, and one request at most {most}: fewer problems, completions or k "
            "take fewer."
        )
