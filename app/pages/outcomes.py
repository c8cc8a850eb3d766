"""What the read side says of an evaluation, in the words of the pages."""

from app.errors import AppError
from app.estimates import errors
from app.estimates.curves import EvaluationCurve
from app.models import Evaluation
from dashboards.numerals import count
from dashboards.pages import CompletionsMissing, NoVerdict, Outcome, TooMuchWork, VerifierNeeded


def shown(outcome: EvaluationCurve | AppError) -> Outcome:
    """The curve, or the reason why there is none; a refusal that no page has words for is raised."""
    match outcome:
        case EvaluationCurve():
            return outcome.curve
        case errors.CompletionsMissing():
            return CompletionsMissing(
                expected=outcome.expected,
                absent=outcome.more["no_completion"],
                unverified=outcome.more["no_verdict"],
                infrastructure_errors=outcome.more["infrastructure_error"],
                problems=outcome.problems,
            )
        case errors.NoVerdict():
            return NoVerdict(outcome.completions)
        case errors.VerifierNeeded():
            return VerifierNeeded(outcome.verifiers)
        case errors.TooMuchWork():
            return TooMuchWork(str(outcome))
        case _:
            raise outcome


def bias(outcome: EvaluationCurve | AppError, evaluation: Evaluation) -> str | None:
    """Why a curve is not unbiased, a sentence; None where it is, and where there is no curve."""
    if isinstance(outcome, AppError) or outcome.unbiased:
        return None
    if not evaluation.iid:
        return "The completions of a problem were not drawn independently of each other."
    match outcome.query.missing:
        case "fail":
            return "Completions that are missing count as not passed, so the curve can only be too low."
        case "drop":
            return (
                "Completions are missing, and their problems left out or estimated from fewer: where what is missing "
                "has to do with how hard a problem is, the mean is that of other problems."
            )
        case "error":
            return (
                f"n was declared as {count(evaluation.n or 0)}, and some problems have up to "
                f"{count(outcome.curve.n_max)} completions. Where outcomes decided which ones, the mean is off: "
                "a problem that is topped up for having failed gets chances that others do not."
            )
