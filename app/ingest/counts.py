"""Counts of completions that nobody has any more: what papers and other tools report."""

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.ingest import queries
from app.ingest.errors import CountsConflict, NotCountsOnly, RowsContradict
from app.ingest.queries import CountContent
from app.ingest.rows import Rows, pointers
from app.ingest.schemas import CountsRecorded, NewCount
from app.ingest.service import ids_of_problems, ids_of_verifiers
from app.models import Evaluation, EvaluationProblem


def record_counts(session: Session, project_id: int, evaluation_id: UUID, given: Sequence[NewCount]) -> CountsRecorded:
    """How many counts were new and how many were stored already. Stored counts are never changed: CountsConflict."""
    evaluation = _of_counts(session, project_id, evaluation_id)
    evaluation.counts_only |= bool(given)
    problem_ids = ids_of_problems(session, evaluation, [each.problem for each in given], "counts")
    verifier_ids = ids_of_verifiers(session, evaluation, {each.verifier for each in given})
    rows = Rows(
        [(problem_ids[each.problem], verifier_ids[each.verifier]) for each in given],
        [CountContent(each.n, each.c) for each in given],
        partial(pointers, "counts", len(given)),
    )
    if contradictions := rows.contradictions():
        raise RowsContradict(contradictions)
    queries.lock_problems(session, evaluation.id, problem_ids.values())
    stored = queries.stored_counts(session, evaluation.id, problem_ids.values())
    if conflicts := rows.differing(stored):
        raise CountsConflict(rows.pointers_of(conflicts))
    new = rows.without(stored)
    queries.add_counts(session, evaluation.id, new)
    return CountsRecorded(accepted=len(new), replayed=len(given) - len(new))


def _of_counts(session: Session, project_id: int, evaluation_id: UUID) -> Evaluation:
    """The evaluation, if it has no completions: nobody else writes to it before this transaction ends."""
    found = select(Evaluation).filter_by(project_id=project_id, uuid=evaluation_id).with_for_update()
    evaluation = session.scalar(found)
    if evaluation is None:
        raise NotFound("This project has no evaluation of this id.")
    counted = exists().where(EvaluationProblem.evaluation_id == evaluation.id, EvaluationProblem.completions > 0)
    if not evaluation.counts_only and session.scalar(select(counted)):
        raise NotCountsOnly
    return evaluation
