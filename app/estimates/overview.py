"""An evaluation at a glance: its curve or why there is none, and the counts behind it, read once for both."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from app.errors import AppError
from app.estimates import queries
from app.estimates.curves import Design, EvaluationCurve, Statistics, evaluation_curve
from app.estimates.errors import NoVerdict, UnknownVerifier, VerifierNeeded
from app.estimates.schemas import CurveQuery, Metric, Missing
from app.estimates.service import evaluation
from app.ingest.verdicts import versioned_name
from app.models import Evaluation


@dataclass(frozen=True)
class Graded:
    """The counts of an evaluation under one verifier."""

    verifier: str
    verifier_id: int
    metric: Metric  # pass_at_k, or max_at_k where the verifier does not say of every completion whether it passed
    statistics: Statistics
    expected: int  # completions per problem, of problems that have no more


@dataclass(frozen=True)
class Overview:
    """An evaluation, the verifiers that have graded it, and what the chosen one says."""

    evaluation: Evaluation
    completions: int
    verifiers: tuple[str, ...]
    graded: Graded | None  # None where there is no verifier, or several and none chosen
    outcome: EvaluationCurve | AppError


def overview(
    session: Session, project_id: int, evaluation_id: UUID, verifier: str | None, missing: Missing
) -> Overview:
    """The evaluation; EvaluationNotFound or UnknownVerifier where there is nothing to show."""
    found = evaluation(session, project_id, evaluation_id)
    graders = queries.verifiers(session, [found.id])[found.id]
    completions = queries.completions(session, [found.id])[found.id]
    names = tuple(graders)
    if not names:
        return Overview(found, completions, names, None, NoVerdict(completions))
    if verifier is None and len(names) > 1:
        return Overview(found, completions, names, None, VerifierNeeded(names))
    full_name = "@".join(versioned_name(verifier)) if verifier else names[0]
    if full_name not in graders:
        raise UnknownVerifier(names)
    graded = _graded(session, found, full_name, graders[full_name])
    query = CurveQuery(metric=graded.metric, verifier=full_name, missing=missing)
    if found.counts_only:
        completions = int(graded.statistics.n.sum())
    return Overview(found, completions, names, graded, _outcome(graded, found, query))


def _graded(session: Session, found: Evaluation, verifier: str, verifier_id: int) -> Graded:
    wanted = {found.id: verifier_id}
    statistics = queries.statistics(session, wanted, rewards=False)[found.id]
    metric: Metric = "pass_at_k"
    if not found.counts_only and (statistics.n_rewards > statistics.n).any():
        metric = "max_at_k"
        statistics = queries.statistics(session, wanted, rewards=True)[found.id]
    drawn = statistics.n if found.counts_only else statistics.completions
    return Graded(verifier, verifier_id, metric, statistics, found.n or int(drawn.max()))


def _outcome(graded: Graded, found: Evaluation, query: CurveQuery) -> EvaluationCurve | AppError:
    try:
        design = Design(found.n, found.iid, found.counts_only)
        return evaluation_curve(graded.statistics, design, graded.verifier, query)
    except AppError as refusal:
        return refusal
