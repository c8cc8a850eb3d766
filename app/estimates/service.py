"""What there is to say of evaluations: their curves."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from uuid import UUID

from sqlalchemy.orm import Session

from app.errors import AppError
from app.estimates import kept, queries
from app.estimates.curves import Design, EvaluationCurve, evaluation_curve
from app.estimates.errors import EvaluationNotFound, NoVerdict, UnknownVerifier, VerifierNeeded
from app.estimates.kept import CACHE, State
from app.estimates.schemas import REWARD_METRICS, CurveQuery
from app.ingest.verdicts import versioned_name
from app.models import Evaluation


def curve(session: Session, project_id: int, evaluation_id: UUID, query: CurveQuery) -> EvaluationCurve:
    """The curve of an evaluation; an AppError says why there is none."""
    outcome = curves(session, [evaluation(session, project_id, evaluation_id)], query)[0]
    if isinstance(outcome, AppError):
        raise outcome
    return outcome


def curves(session: Session, evaluations: Sequence[Evaluation], query: CurveQuery) -> list[EvaluationCurve | AppError]:
    """The curve of each evaluation, or why it has none: from four queries however many evaluations there are.

    A curve that was drawn before is not drawn again while it holds.
    """
    states = kept.states(session, evaluations)
    keys = {each.id: kept.curve_key(states[each.id], design_of(each), query) for each in evaluations}
    found: dict[int, EvaluationCurve | AppError] = {
        each: curve for each, key in keys.items() if (curve := CACHE.find(key)) is not None
    }
    if absent := [each for each in evaluations if each.id not in found]:
        for each, outcome in _computed(session, absent, states, query):
            found[each] = outcome
            if isinstance(outcome, EvaluationCurve):
                kept.keep_curve(keys[each], outcome)
    return [found[each.id] for each in evaluations]


def _computed(
    session: Session, evaluations: Sequence[Evaluation], states: Mapping[int, State], query: CurveQuery
) -> Iterator[tuple[int, EvaluationCurve | AppError]]:
    """The curve of each evaluation, or why it has none, by id."""
    graders = kept.verifiers(session, evaluations)
    completions = queries.completions(session, [each for each, names in graders.items() if not names])
    chosen = {
        each: chosen_verifier(names, query.verifier) if names else NoVerdict(completions[each])
        for each, names in graders.items()
    }
    verifier_ids = {each: graders[each][name] for each, name in chosen.items() if isinstance(name, str)}
    if query.metric in REWARD_METRICS:
        statistics = queries.statistics(session, verifier_ids, rewards=True)
    else:
        statistics = kept.counts(session, verifier_ids, states)

    def outcome(evaluation: Evaluation) -> EvaluationCurve | AppError:
        verifier = chosen[evaluation.id]
        if isinstance(verifier, AppError):
            return verifier
        try:
            return evaluation_curve(statistics[evaluation.id], design_of(evaluation), verifier, query)
        except AppError as refusal:
            return refusal

    return ((each.id, outcome(each)) for each in evaluations)


def verifier(session: Session, evaluation: Evaluation, wanted: str | None) -> str | None:
    """The full name of the verifier that is wanted, by default the only one; None where there is none to choose."""
    names = kept.verifiers(session, [evaluation])[evaluation.id]
    if wanted is None and not names:
        return None
    chosen = chosen_verifier(names, wanted)
    if isinstance(chosen, AppError):
        raise chosen
    return chosen


def chosen_verifier(verifiers: Iterable[str], wanted: str | None) -> str | AppError:
    """The full name of the verifier that is wanted: the one named, else the only one; or why there is none."""
    names = list(verifiers)
    if wanted is None:
        return names[0] if len(names) == 1 else VerifierNeeded(names)
    full_name = "@".join(versioned_name(wanted))
    return full_name if full_name in names else UnknownVerifier(names)


def design_of(evaluation: Evaluation) -> Design:
    """How the evaluation was to be drawn."""
    return Design(evaluation.n, evaluation.iid, evaluation.counts_only)


def evaluation(session: Session, project_id: int, evaluation_id: UUID) -> Evaluation:
    """The evaluation; EvaluationNotFound where the project has none of this id."""
    found = queries.evaluation(session, project_id, evaluation_id)
    if found is None:
        raise EvaluationNotFound
    return found
