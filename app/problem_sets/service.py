"""Problem sets made, closed and filled.

A problem is often known by its name before anybody sends its prompt, from the completions of an evaluation. So what is
not known of it can be added; what is known is never changed, for a curve over other problems is another curve.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from sqlalchemy import func, select, text, tuple_
from sqlalchemy.orm import Session

from app.estimates.errors import ProblemSetNotFound
from app.estimates.queries import problem_count, problem_counts
from app.estimates.runs import find_problem_set
from app.ingest.canonical import canonical_json
from app.ingest.errors import ProblemSetClosed, RowsContradict
from app.ingest.evaluations import problem_set_id
from app.ingest.queries import problem_ids
from app.models import Problem, ProblemSet
from app.paging import PageQuery, decode, page
from app.problem_sets.errors import ProblemsConflict
from app.problem_sets.schemas import (
    NewProblem,
    ProblemSetChanges,
    ProblemSetResponse,
    ProblemSetsResponse,
    ProblemsRecorded,
    SetProblem,
    SetProblemsResponse,
)

FIELDS: Final = ("prompt", "answer", "tests", "metadata")
# In the order of their names: two writers with problems in common would wait for each other otherwise.
ADD: Final = text(
    "INSERT INTO problems (problem_set_id, name, prompt, answer, tests, metadata)"
    " SELECT :set_id, problem, prompt, answer, tests, coalesce(metadata, '{}')"
    " FROM jsonb_to_recordset(CAST(:rows AS jsonb))"
    " AS given (problem text, prompt text, answer text, tests jsonb, metadata jsonb)"
    " ORDER BY problem ON CONFLICT DO NOTHING RETURNING name"
)
FILL: Final = text(
    "UPDATE problems SET prompt = coalesce(problems.prompt, given.prompt),"
    " answer = coalesce(problems.answer, given.answer), tests = coalesce(problems.tests, given.tests),"
    " metadata = CASE problems.metadata WHEN '{}' THEN coalesce(given.metadata, '{}') ELSE problems.metadata END"
    " FROM jsonb_to_recordset(CAST(:rows AS jsonb))"
    " AS given (problem text, prompt text, answer text, tests jsonb, metadata jsonb)"
    " WHERE problems.problem_set_id = :set_id AND problems.name = given.problem"
)


def put_problem_set(
    session: Session, project_id: int, full_name: str, changes: ProblemSetChanges
) -> tuple[ProblemSetResponse, bool]:
    """The problem set as it then is, and whether it is new."""
    try:
        set_id, new = find_problem_set(session, project_id, full_name), False
    except ProblemSetNotFound:
        set_id, new = problem_set_id(session, project_id, full_name), True
    # Who adds problems holds the row until they are in: it is closed after them.
    stored = session.scalars(select(ProblemSet).filter_by(id=set_id).with_for_update(key_share=True)).one()
    stored.closed = changes.get("closed", stored.closed)
    return _described(stored, problem_count(session, set_id)), new


def read_problem_set(session: Session, project_id: int, full_name: str) -> ProblemSetResponse:
    """The set of this name; ProblemSetNotFound where the project has none."""
    stored = session.get_one(ProblemSet, find_problem_set(session, project_id, full_name))
    return _described(stored, problem_count(session, stored.id))


def list_problem_sets(session: Session, project_id: int, query: PageQuery) -> ProblemSetsResponse:
    """The sets of the project, by name and version."""
    key = tuple_(ProblemSet.name, ProblemSet.version)
    wanted = select(ProblemSet).filter_by(project_id=project_id).order_by(key).limit(query.limit + 1)
    if query.cursor is not None:
        wanted = wanted.where(key > tuple_(*decode(query.cursor, (str,), (str,))))
    listed = page(session.scalars(wanted).all(), query.limit, lambda last: (last.name, last.version))
    counts = problem_counts(session, [each.id for each in listed.items])
    described = [_described(each, counts[each.id]) for each in listed.items]
    return ProblemSetsResponse(problem_sets=described, next_cursor=listed.next_cursor)


def _described(stored: ProblemSet, problems: int) -> ProblemSetResponse:
    return ProblemSetResponse(
        problem_set=f"{stored.name}@{stored.version}",
        closed=stored.closed,
        problems=problems,
        created_at=stored.created_at,
    )


def record_problems(
    session: Session, project_id: int, full_name: str, problems: Sequence[NewProblem]
) -> ProblemsRecorded:
    """How many problems are new or better known now, and how many were stored already.

    ProblemsConflict where something else is stored, ProblemSetClosed where a closed set has no such problem.
    """
    set_id = find_problem_set(session, project_id, full_name)
    closed = session.scalars(select(ProblemSet.closed).filter_by(id=set_id).with_for_update(read=True)).one()
    wanted = _by_name(problems)
    if closed:
        known = problem_ids(session, set_id, wanted)
        if refused := [f"/problems/{i}/problem" for i, each in enumerate(problems) if each["problem"] not in known]:
            raise ProblemSetClosed(refused)
        added: set[str] = set()
    else:
        added = set(session.scalars(ADD, {"set_id": set_id, "rows": canonical_json(list(wanted.values()))}))
    filled = _fill(session, set_id, {name: row for name, row in wanted.items() if name not in added}, problems)
    accepted = len(added) + filled
    return ProblemsRecorded(accepted=accepted, replayed=len(problems) - accepted)


def _by_name(problems: Sequence[NewProblem]) -> dict[str, dict[str, Any]]:
    """What is known of each problem; RowsContradict where the request says two things of one."""
    wanted: dict[str, dict[str, Any]] = {}
    contradictions = []
    for i, each in enumerate(problems):
        row = _known(each)
        first = wanted.setdefault(each["problem"], row)
        if first is not row and canonical_json(first) != canonical_json(row):
            contradictions.append((f"/problems/{i}", "contradicts another one of the same name"))
    if contradictions:
        raise RowsContradict(contradictions)
    return wanted


def _known(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What the fields say: null and {} say nothing."""
    return {field: value for field, value in fields.items() if value not in (None, {})}


def _fill(
    session: Session, set_id: int, wanted: Mapping[str, Mapping[str, Any]], problems: Sequence[NewProblem]
) -> int:
    """How many stored problems something was added to."""
    stored = _locked(session, set_id, list(wanted))
    places = {each["problem"]: i for i, each in reversed(list(enumerate(problems)))}
    fuller, conflicts = [], []
    for name, row in wanted.items():
        known = stored[name]
        given = {field: row[field] for field in FIELDS if field in row}
        conflicts += [
            f"/problems/{places[name]}/{field}"
            for field, value in given.items()
            if field in known and canonical_json(known[field]) != canonical_json(value)
        ]
        if given.keys() - known.keys():
            fuller.append(row)
    if conflicts:
        raise ProblemsConflict(conflicts)
    if fuller:
        session.execute(FILL, {"set_id": set_id, "rows": canonical_json(fuller)})
    return len(fuller)


def _locked(session: Session, set_id: int, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What is known of each problem, which until the end of the transaction nobody else will change."""
    columns = (Problem.name, Problem.prompt, Problem.answer, Problem.tests, Problem.fields)
    wanted = select(*columns).where(Problem.problem_set_id == set_id, Problem.name == func.any(names))
    rows = session.execute(wanted.order_by(Problem.name).with_for_update(key_share=True))
    return {row[0]: _known(dict(zip(FIELDS, row[1:], strict=True))) for row in rows}


def list_problems(session: Session, project_id: int, full_name: str, query: PageQuery) -> SetProblemsResponse:
    """The problems of the set, by name."""
    set_id = find_problem_set(session, project_id, full_name)
    wanted = select(Problem).filter_by(problem_set_id=set_id).order_by(Problem.name).limit(query.limit + 1)
    if query.cursor is not None:
        wanted = wanted.where(Problem.name > cast(tuple[str], decode(query.cursor, (str,)))[0])
    listed = page(session.scalars(wanted).all(), query.limit, lambda last: (last.name,))
    problems = [
        SetProblem(problem=each.name, prompt=each.prompt, answer=each.answer, tests=each.tests, metadata=each.fields)
        for each in listed.items
    ]
    return SetProblemsResponse(problems=problems, next_cursor=listed.next_cursor)
