"""What can be wrong with a write, one class per cause."""

from collections.abc import Sequence

from app.errors import AppError, InvalidRequest


class EvaluationConflict(AppError):
    """The evaluation exists and was created otherwise."""

    status, type = 409, "evaluation-conflict"

    def __init__(self, fields: Sequence[str]) -> None:
        super().__init__(
            f"This evaluation exists with another {', '.join(fields)}; another sampling makes another evaluation.",
            [(f"/{field}", "differs") for field in fields],
        )


class OtherWeights(AppError):
    """A model whose weights are not those that the evaluation was sampled from before."""

    status, type = 409, "other-weights"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} holds other weights than those this evaluation was sampled from: another run, step or sampling "
            "makes another evaluation."
        )


class OtherOptions(AppError):
    """A verifier whose options end in the same digits as others, whose verdicts are stored under that name."""

    status, type = 409, "other-options"

    def __init__(self, full_name: str) -> None:
        super().__init__(
            f"{full_name} is what verdicts of this verifier with other options are stored as: the digits at the end "
            "are the same by chance. Any change of an option gives other digits."
        )


class AmbiguousProblemSet(AppError):
    """A bare name of a problem set that has several versions."""

    status, type = 422, "ambiguous-problem-set"

    def __init__(self, full_names: Sequence[str]) -> None:
        super().__init__(f"This problem set has several versions: name one of {', '.join(full_names)}.")


class ProblemSetClosed(AppError):
    """Problems that a closed set does not have, or completions of them."""

    status, type = 422, "problem-set-closed"

    def __init__(self, pointers: Sequence[str]) -> None:
        errors = [(pointer, "not in the set") for pointer in pointers]
        super().__init__("The problem set is closed, and some of these problems are not in it.", errors)


class CountsOnly(AppError):
    """An evaluation of which only counts are known takes no completions."""

    status, type = 409, "counts-only"

    def __init__(self) -> None:
        super().__init__("Only counts were imported for this evaluation; it takes no completions.")


class NotCountsOnly(AppError):
    """Counts for an evaluation whose completions are known."""

    status, type = 409, "not-counts-only"

    def __init__(self) -> None:
        super().__init__("This evaluation has completions, which are counted here; it takes no counts.")


class CountsConflict(AppError):
    """Counts that are stored otherwise."""

    status, type = 409, "counts-conflict"

    def __init__(self, pointers: Sequence[str]) -> None:
        errors = [(pointer, "stored with another n or c") for pointer in pointers]
        super().__init__("Some of these counts are stored otherwise; nothing of this request was written.", errors)


class RowsConflict(AppError):
    """Rows that are stored with another content."""

    status, type = 409, "completions-conflict"

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        rows = "row is" if len(errors) == 1 else "rows are"
        super().__init__(
            f"{len(errors)} {rows} stored with another content; nothing of this request was written. Verdicts are "
            "replaced by POST …/verifications, completions never.",
            errors,
        )


class RowsContradict(InvalidRequest):
    """Two rows of one request that say different things of one key."""

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        super().__init__("Rows of this request contradict each other.", errors)


class UnknownCompletions(AppError):
    """Verdicts on completions that the evaluation does not have."""

    status, type = 422, "unknown-completions"

    def __init__(self, pointers: Sequence[str]) -> None:
        errors = [(pointer, "no such completion") for pointer in pointers]
        count = f"{len(errors)} verdict{'s are' if len(errors) > 1 else ' is'}"
        super().__init__(f"{count} on completions that this evaluation does not have; nothing was written.", errors)
