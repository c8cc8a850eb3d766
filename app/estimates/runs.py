"""What there is to say of runs: which there are, what their latest evaluations show, their curves over checkpoints."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from sqlalchemy.orm import Session

from app.errors import AppError
from app.estimates import kept, run_queries
from app.estimates.curves import EvaluationCurve
from app.estimates.errors import KExceedsN, NoPassed, ProblemSetNotFound, RunNotFound
from app.estimates.run_queries import RunEvaluation, RunSummary
from app.estimates.schemas import CurveQuery, RunCurvesQuery, RunsQuery
from app.estimates.service import curves
from app.ingest.errors import AmbiguousProblemSet
from app.models import Evaluation
from app.paging import Page, PageQuery, decode, page


@dataclass(frozen=True)
class EvaluationOutcome:
    """An evaluation, and its curve or the reason why it has none."""

    found: RunEvaluation
    outcome: EvaluationCurve | AppError


@dataclass(frozen=True)
class RunWithLatest:
    """A run, and its latest evaluation if it has one."""

    run: RunSummary
    latest: EvaluationOutcome | None


def list_runs(session: Session, project_id: int, query: RunsQuery, containing: str = "") -> Page[RunSummary]:
    """The project's runs, newest first, those whose name contains a text."""
    before = cast(tuple[int], decode(query.cursor, (int,))) if query.cursor is not None else None
    rows = run_queries.runs(session, project_id, query.limit, before and before[0], containing, query.archived)
    return page(rows, query.limit, lambda last: (last.id,))


def read_run(session: Session, project_id: int, name: str) -> RunSummary:
    """The run; RunNotFound where the project has none of this name."""
    found = run_queries.run(session, project_id, name)
    if found is None:
        raise RunNotFound
    return found


def runs_with_latest(session: Session, project_id: int, query: RunsQuery, containing: str = "") -> Page[RunWithLatest]:
    """Runs with the curves of their latest evaluations, from eight queries however many runs there are.

    The curve is that of pass_at_k, or of max_at_k where the verifier gives rewards only.
    """
    listed = list_runs(session, project_id, query, containing)
    latest = run_queries.latest_evaluations(session, [run.id for run in listed.items])
    outcomes = _with_either_metric(session, [each.evaluation for each in latest.values()], CurveQuery())
    shown = {
        run_id: EvaluationOutcome(each, outcome)
        for (run_id, each), outcome in zip(latest.items(), outcomes, strict=True)
    }
    return Page(tuple(RunWithLatest(run, shown.get(run.id)) for run in listed.items), listed.next_cursor)


def _with_either_metric(
    session: Session, evaluations: Sequence[Evaluation], query: CurveQuery
) -> list[EvaluationCurve | AppError]:
    outcomes = curves(session, evaluations, query)
    scored = [i for i, outcome in enumerate(outcomes) if isinstance(outcome, NoPassed)]
    by_reward = curves(session, [evaluations[i] for i in scored], query.model_copy(update={"metric": "max_at_k"}))
    for i, outcome in zip(scored, by_reward, strict=True):
        outcomes[i] = outcome
    return outcomes


@dataclass(frozen=True)
class RunOverview:
    """A run on one of its problem sets: its evaluations by step, each with its curve or why it has none."""

    run: RunSummary
    problem_sets: tuple[str, ...]  # that of most evaluations first
    problem_set: str | None  # the one shown; None where the run has no evaluation
    verifiers: tuple[str, ...]  # that have graded any of the evaluations
    page: Page[EvaluationOutcome]


def run_overview(session: Session, project_id: int, name: str, query: RunCurvesQuery) -> RunOverview:
    """The run on the problem set of the query, else on that of most evaluations.

    Curves are of pass_at_k, or of max_at_k where the verifier gives rewards only, each at those k of the query that its
    n allows: one checkpoint with few completions takes no line from the others.
    """
    run = read_run(session, project_id, name)
    sets = run_queries.problem_sets_of(session, run.id)
    if not sets:
        return RunOverview(run, (), None, (), Page((), None))
    shown = next(iter(sets)) if query.problem_set is None else _one_of(sets, query.problem_set)
    listed = _evaluations(session, run, sets[shown], query)
    evaluations = [each.evaluation for each in listed.items]
    graders = kept.verifiers(session, evaluations)
    outcomes = _at_ks(session, evaluations, query)
    return RunOverview(
        run,
        tuple(sets),
        shown,
        tuple(sorted({verifier for names in graders.values() for verifier in names})),
        Page(tuple(map(EvaluationOutcome, listed.items, outcomes)), listed.next_cursor),
    )


def _one_of(sets: Iterable[str], wanted: str) -> str:
    """The set of the run that is wanted: `name@version`, or a bare name of which the run has one version."""
    found = [each for each in sets if wanted in (each, each.partition("@")[0])]
    if not found:
        raise ProblemSetNotFound
    if len(found) > 1:
        raise AmbiguousProblemSet(sorted(found))
    return found[0]


def _at_ks(
    session: Session, evaluations: Sequence[Evaluation], query: RunCurvesQuery
) -> list[EvaluationCurve | AppError]:
    """The curve of each evaluation at the query's k, or at those that are within its n where some are not."""
    outcomes = _with_either_metric(session, evaluations, query)
    short = [i for i, outcome in enumerate(outcomes) if isinstance(outcome, KExceedsN)]
    if short:
        fewer = _within_n(session, [evaluations[i] for i in short], query)
        for i, outcome in zip(short, fewer, strict=True):
            outcomes[i] = outcome
    return outcomes


def _within_n(
    session: Session, evaluations: Sequence[Evaluation], query: RunCurvesQuery
) -> list[EvaluationCurve | AppError]:
    """The curve of each evaluation at those of the query's k that its n allows, read once for each such choice of k."""
    outcomes = _with_either_metric(session, evaluations, query.model_copy(update={"k": None}))
    allowed = defaultdict(list)
    for i, outcome in enumerate(outcomes):
        if isinstance(outcome, EvaluationCurve):
            ks = tuple(k for k in query.k or () if k <= outcome.curve.n_min)
            allowed[outcome.query.metric, ks].append(i)
    for (metric, ks), places in allowed.items():
        if ks:
            at_ks = query.model_copy(update={"metric": metric, "k": list(ks)})
            for i, outcome in zip(places, curves(session, [evaluations[i] for i in places], at_ks), strict=True):
                outcomes[i] = outcome
    return outcomes


def run_curves(session: Session, project_id: int, name: str, query: RunCurvesQuery) -> Page[EvaluationOutcome]:
    """The curve of each evaluation of a run, by step, or why it has none."""
    run = read_run(session, project_id, name)
    problem_set_id = None if query.problem_set is None else find_problem_set(session, project_id, query.problem_set)
    listed = _evaluations(session, run, problem_set_id, query)
    outcomes = curves(session, [each.evaluation for each in listed.items], query)
    return Page(tuple(map(EvaluationOutcome, listed.items, outcomes)), listed.next_cursor)


def _evaluations(
    session: Session, run: RunSummary, problem_set_id: int | None, query: PageQuery
) -> Page[RunEvaluation]:
    after = cast(tuple[int, int], decode(query.cursor, (int,), (int,))) if query.cursor is not None else None
    rows = run_queries.evaluations(session, run.id, problem_set_id, query.limit, after)
    return page(rows, query.limit, lambda last: (last.step, last.evaluation.id))


def find_problem_set(session: Session, project_id: int, full_name: str) -> int:
    """The id of `name@version`; of a bare name its only version."""
    name, _, version = full_name.partition("@")
    versions = run_queries.problem_sets(session, project_id, name)
    if not version and len(versions) > 1:
        raise AmbiguousProblemSet([f"{name}@{each}" for each in versions])
    found = versions.get(version) if version else next(iter(versions.values()), None)
    if found is None:
        raise ProblemSetNotFound
    return found
