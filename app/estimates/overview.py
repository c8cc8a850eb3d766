"""An evaluation at a glance: its curve or why there is none, and the counts behind it."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from app.errors import AppError
from app.estimates import kept, queries
from app.estimates.curves import EvaluationCurve, Statistics
from app.estimates.errors import NoVerdict, UnknownVerifier
from app.estimates.schemas import CurveQuery, Metric, Missing
from app.estimates.service import chosen_verifier, curves, design_of, evaluation
from app.models import Evaluation


@dataclass(frozen=True)
class Graded:
    """The counts of an evaluation under one verifier, an entry for every problem of its set."""

    verifier: str
    metric: Metric  # pass_at_k, or max_at_k where the verifier does not say of every completion whether it passed
    statistics: Statistics

    @property
    def largest_n(self) -> int:
        """Completions with a result of the problem that has most."""
        return int(self.statistics.n_rewards.max())


@dataclass(frozen=True)
class Overview:
    """An evaluation, the verifiers that have graded it, and what the chosen one says."""

    evaluation: Evaluation
    completions: int
    problems: int
    verifiers: tuple[str, ...]
    graded: Graded | None  # None where there is no verifier, or several and none chosen
    outcome: EvaluationCurve | AppError


def overview(
    session: Session,
    project_id: int,
    evaluation_id: UUID,
    verifier: str | None,
    missing: Missing = "error",
    further_ks: Iterable[int] = (),
) -> Overview:
    """The evaluation; EvaluationNotFound or UnknownVerifier where there is nothing to show.

    Its curve is at the usual k, and at further ones.
    """
    found = evaluation(session, project_id, evaluation_id)
    states = kept.states(session, [found])
    _, problems = states[found.id]
    verifier_ids = kept.verifiers(session, [found])[found.id]
    names = tuple(verifier_ids)
    chosen = chosen_verifier(names, verifier) if names else None
    if isinstance(chosen, UnknownVerifier):
        raise chosen
    if not isinstance(chosen, str):
        completions = queries.completions(session, [found.id])[found.id]
        return Overview(found, completions, problems, names, None, chosen or NoVerdict(completions))
    statistics = kept.counts(session, {found.id: verifier_ids[chosen]}, states)[found.id].drawn_as(design_of(found))
    graded = Graded(chosen, "pass_at_k" if (statistics.n_rewards == statistics.n).all() else "max_at_k", statistics)
    query = CurveQuery(metric=graded.metric, verifier=chosen, missing=missing)
    [outcome] = curves(session, [found], query)
    if isinstance(outcome, EvaluationCurve) and (ks := {*outcome.curve.k.tolist(), *further_ks}) > set(outcome.curve.k):
        [outcome] = curves(session, [found], query.model_copy(update={"k": sorted(ks)}))
    return Overview(found, int(graded.statistics.completions.sum()), problems, names, graded, outcome)
