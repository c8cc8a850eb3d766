"""An evaluation with its curve, its solve rates and its problems."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from app.estimates import kept, problems, run_queries
from app.estimates.errors import KExceedsN
from app.estimates.overview import Graded, Overview, overview
from app.estimates.run_queries import RunEvaluation
from app.estimates.schemas import Metric, ProblemsQuery
from app.estimates.service import evaluation
from app.exports.weights import is_gone
from app.ingest.evaluations import read_evaluation
from app.ingest.schemas import EvaluationResponse
from app.ingest.verifiers import options_of_verifiers
from app.jobs.story import running
from app.pages.jobs import at_work
from app.pages.outcomes import bias, shown
from app.pages.queries import EvaluationQuery
from app.pages.run import run_url
from dashboards.pages import EvaluationPage, JobAtWork, Neighbour, ProblemRow, ProblemTable, SolveCounts

PROBLEMS_A_PAGE: Final = 50
PROBLEM_KS: Final = (2, 8, 32)  # of each problem the page shows few k; the file has as many as the curve


@dataclass(frozen=True)
class Surroundings:
    """All that the page of an evaluation shows but for its counts, and the version of these: what tells pages apart.

    Read before the counts, so that a page may be newer than it says, and never older.
    """

    described: EvaluationResponse
    counts: kept.State
    earlier: Neighbour | None
    later: Neighbour | None
    at_work: tuple[JobAtWork, ...]
    running: int
    model_is_gone: bool


def surroundings(session: Session, project_id: int, evaluation_id: UUID, checkpoints: Path) -> Surroundings:
    """What is around an evaluation; NotFound where the project has none of this id."""
    described = read_evaluation(session, project_id, evaluation_id)
    found = evaluation(session, project_id, evaluation_id)
    earlier, later = run_queries.neighbours(session, found)
    return Surroundings(
        described=described,
        counts=kept.states(session, [found])[found.id],
        earlier=_neighbour(earlier),
        later=_neighbour(later),
        at_work=at_work(session, project_id, described),
        running=running(session, project_id),
        model_is_gone=is_gone(checkpoints, described.model),
    )


def evaluation_page(
    session: Session, project_id: int, around: Surroundings, query: EvaluationQuery, server: str
) -> EvaluationPage:
    """The evaluation as the query wants it seen."""
    described, evaluation_id = around.described, around.described.id
    found = overview(session, project_id, evaluation_id, query.verifier, query.missing, query.k)
    too_large = isinstance(found.outcome, KExceedsN)
    if too_large:  # the page as it is without them, for the reader to choose others
        found = overview(session, project_id, evaluation_id, query.verifier, query.missing)
    url = f"/evaluations/{evaluation_id}"
    return EvaluationPage(
        url=url,
        server=server,
        evaluation=str(evaluation_id),
        run=described.run,
        step=described.step,
        problem_set=described.problem_set,
        model=described.model,
        sampling=described.sampling,
        created=described.created_at,
        completions=found.completions,
        counts_only=found.evaluation.counts_only,
        problems_total=found.problems,
        verifiers=found.verifiers,
        verifier=found.graded.verifier if found.graded else None,
        missing=query.missing,
        outcome=shown(found.outcome),
        bias=bias(found.outcome, found.evaluation),
        solved=_solved(found.graded) if found.graded else None,
        problems=_problems(session, found, found.graded, query) if found.graded else None,
        further_ks=() if too_large else tuple(query.k),
        refused_ks=tuple(query.k) if too_large else (),
        run_url=run_url(described.run),
        options=options_of_verifiers(session, project_id, found.verifiers),
        earlier=around.earlier,
        later=around.later,
        at_work=around.at_work,
        running=around.running,
        model_is_gone=around.model_is_gone,
    )


def _neighbour(found: RunEvaluation | None) -> Neighbour | None:
    return None if found is None else Neighbour(f"/evaluations/{found.evaluation.uuid}", found.step)


def _solved(graded: Graded) -> SolveCounts | None:
    if graded.metric != "pass_at_k":
        return None
    drawn = graded.statistics.n > 0
    return SolveCounts(tuple(graded.statistics.n[drawn].tolist()), tuple(graded.statistics.c[drawn].tolist()))


def _problems(session: Session, found: Overview, graded: Graded, query: EvaluationQuery) -> ProblemTable:
    ks = tuple(k for k in PROBLEM_KS if k < graded.largest_n)
    wanted = ProblemsQuery(limit=PROBLEMS_A_PAGE, cursor=query.cursor, sort=query.sort, filter=query.filter)
    table = problems.problem_table(session, found.evaluation, graded.verifier, wanted, graded.metric, ks)
    return ProblemTable(
        rows=tuple(problem_row(each, graded.metric) for each in table.page.items),
        matching=table.matching,
        metric=graded.metric,
        ks=ks,
        sort=query.sort,
        filter=query.filter,
        cursor=query.cursor,
        next_cursor=table.page.next_cursor,
    )


def problem_row(row: problems.ProblemRow, metric: Metric) -> ProblemRow:
    """A problem as the pages show it."""
    c = row.c if metric == "pass_at_k" else None
    return ProblemRow(row.problem, row.n, c, row.mean_reward, row.missing, row.estimates)
