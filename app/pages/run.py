"""A run over its checkpoints, on one of its problem sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.errors import AppError
from app.estimates import errors, run_queries
from app.estimates.comparisons import solved_changes
from app.estimates.curves import EvaluationCurve
from app.estimates.queries import problem_counts
from app.estimates.run_queries import RunSummary
from app.estimates.runs import EvaluationOutcome, RunOverview, read_run, run_overview
from app.estimates.schemas import RunCurvesQuery, RunsQuery
from app.exports.trained import spec_of_run
from app.exports.weights import Kept, kept, kept_state
from app.ingest.verifiers import options_of_verifiers
from app.models import Checkpoint, Evaluation, Job, Run
from app.pages.outcomes import bias
from app.pages.queries import RunQuery
from app.pages.run_job import run_job
from app.pages.training import training_log
from app.training.series import LogState, log_state
from dashboards.numerals import count
from dashboards.pages import with_query
from dashboards.run_page import CheckpointRow, RunJob, RunPage, SolvedChange, WeightsRow

MOST_RUNS: Final = 200  # to choose from
CHECKPOINTS_A_PAGE: Final = 100  # with 800 problems each, half a second on two cores


@dataclass(frozen=True)
class RunState:
    """All that the page of a run depends on, in a few queries, whatever the run has logged: what tells pages apart.

    Read before what it stands for, so that a page may be newer than it says, and never older.
    """

    run: RunSummary
    evaluations: tuple[tuple[int, UUID], ...]  # each with the version of its counts
    problems: Mapping[int, int]  # by problem set
    log: LogState
    on_disk: tuple[tuple[int, int], ...]
    newest: tuple[int, int | None]  # run to choose from, and training job
    job: RunJob | None


def run_state(session: Session, project_id: int, run: str, checkpoints: Path) -> RunState:
    """The state of a run; RunNotFound where the project has none of this name."""
    found = read_run(session, project_id, run)
    wanted = select(Evaluation.id, Evaluation.statistics_version, Evaluation.problem_set_id).join(Checkpoint)
    rows = session.execute(wanted.where(Checkpoint.run_id == found.id).order_by(Evaluation.id)).all()
    return RunState(
        run=found,
        evaluations=tuple((id_, version) for id_, version, _ in rows),
        problems=problem_counts(session, {set_id for _, _, set_id in rows}),
        log=log_state(session, found.id),
        on_disk=kept_state(checkpoints, project_id, run),
        newest=_newest(session, project_id),
        job=run_job(session, project_id, found),
    )


def _newest(session: Session, project_id: int) -> tuple[int, int | None]:
    run = select(func.max(Run.id)).filter_by(project_id=project_id).scalar_subquery()
    job = select(func.max(Job.id)).filter_by(project_id=project_id, kind="training").scalar_subquery()
    found = session.execute(select(run, job)).one()
    return found[0], found[1]


def run_page(session: Session, project_id: int, run: str, query: RunQuery, server: str, checkpoints: Path) -> RunPage:
    """The run as the query wants it seen, without the job that trains it, which its state knows."""
    found = run_overview(session, project_id, run, curves_query(query))
    changes = _changes(session, found.page.items, query.verifier)
    return RunPage(
        url=run_url(run),
        run=run,
        server=server,
        rows=tuple(_row(each, changes.get(each.found.evaluation.id)) for each in found.page.items),
        problem_sets=found.problem_sets,
        problem_set=found.problem_set,
        checkpoints=found.run.checkpoints,
        verifiers=found.verifiers,
        verifier=query.verifier,
        missing=query.missing,
        further_ks=tuple(sorted(set(query.k))),
        cursor=query.cursor,
        next_cursor=found.page.next_cursor,
        training=training_log(session, found.run.id),
        options=options_of_verifiers(session, project_id, found.verifiers),
        weights=_weights(session, found, kept(checkpoints, project_id, run)),
        like=_like(session, project_id, run),
        others=other_runs(session, project_id, [run]),
    )


def _weights(session: Session, found: RunOverview, on_disk: Mapping[int, Kept]) -> tuple[WeightsRow, ...]:
    """The latest checkpoints, those that were evaluated and those on disk; none of a run that has nothing on disk."""
    if not on_disk:
        return ()
    steps = session.scalars(select(Checkpoint.step).where(Checkpoint.run_id == found.run.id))
    latest = sorted({*steps, *on_disk})[-CHECKPOINTS_A_PAGE:]
    return tuple(_weights_row(step, on_disk.get(step)) for step in latest)


def _weights_row(step: int, found: Kept | None) -> WeightsRow:
    if found is None:
        return WeightsRow(step)
    return WeightsRow(step, found.part, str(found.folder), found.bytes)


def _like(session: Session, project_id: int, run: str) -> str | None:
    """Where the form is filled in as for this run; None where no job of the service trained it."""
    if spec_of_run(session, project_id, run) is None:
        return None
    return with_query("/jobs/new", {"kind": "training", "like": run})


def other_runs(session: Session, project_id: int, but: Sequence[str]) -> tuple[str, ...]:
    """The newest runs but for these, to choose from."""
    known = run_queries.runs(session, project_id, MOST_RUNS, None, "", RunsQuery().archived)
    return tuple(each.run for each in known[:MOST_RUNS] if each.run not in but)


def curves_query(query: RunQuery) -> RunCurvesQuery:
    """What the read side is asked for a page."""
    return RunCurvesQuery(
        problem_set=query.problem_set,
        verifier=query.verifier,
        missing=query.missing,
        k=sorted(set(query.k)) or None,
        limit=CHECKPOINTS_A_PAGE,
        cursor=query.cursor,
    )


def run_url(run: str) -> str:
    """The path of a run's page."""
    return f"/runs/{quote(run, safe=':@')}"


def _changes(session: Session, items: Sequence[EvaluationOutcome], verifier: str | None) -> dict[int, SolvedChange]:
    """What each evaluation, by id, newly solves and forgets against that of the checkpoint before.

    Where a checkpoint was evaluated with several samplings, each is held against its own.
    """
    series = [
        (each.found, each.outcome.verifier)
        for each in items
        if isinstance(each.outcome, EvaluationCurve) and each.outcome.query.metric == "pass_at_k"
    ]
    several = len({found.step for found, _ in series}) < len(series)
    latest: dict[bytes, tuple[Evaluation, str]] = {}
    pairs = []
    for found, grader in series:
        sampling = found.evaluation.sampling_sha256 if several else b""
        before = latest.get(sampling)
        if before and before[1] == grader:
            pairs.append((before[0], found.evaluation))
        latest[sampling] = (found.evaluation, grader)
    verifiers = {found.evaluation.id: grader for found, grader in series}
    changes = solved_changes(session, pairs, verifiers)
    return {
        b.id: SolvedChange(each.newly_solved, each.forgotten, compare_url(a.uuid, b.uuid, verifier))
        for (a, b), each in zip(pairs, changes, strict=True)
    }


def compare_url(a: UUID, b: UUID, verifier: str | None = None) -> str:
    """The path of the page that compares two evaluations."""
    return with_query("/compare", {"a": str(a), "b": str(b), "verifier": verifier})


def _row(each: EvaluationOutcome, change: SolvedChange | None) -> CheckpointRow:
    evaluation, outcome = each.found.evaluation, each.outcome
    return CheckpointRow(
        url=f"/evaluations/{evaluation.uuid}",
        step=each.found.step,
        sampling=evaluation.sampling,
        outcome=outcome.curve if isinstance(outcome, EvaluationCurve) else _why(outcome),
        created=evaluation.created_at,
        bias=bias(outcome, evaluation),
        evaluation=str(evaluation.uuid),
        change=change,
    )


def _why(refusal: AppError) -> str:
    """Why there is no curve, in the few words that a row of a table has place for."""
    match refusal:
        case errors.CompletionsMissing():
            return f"{count(refusal.missing)} of {count(refusal.expected)} completions missing"
        case errors.NoVerdict():
            return f"{count(refusal.completions)} completions, no verdict yet"
        case errors.VerifierNeeded():
            return f"{len(refusal.verifiers)} verifiers: choose one"
        case errors.UnknownVerifier():
            return "not graded by this verifier"
        case _:
            return str(refusal)
