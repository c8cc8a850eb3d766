"""Routes of problem sets."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import TypeAdapter

from app.auth.security import Reader, Writer
from app.body import JsonBytes, documented, parse
from app.db import SessionDep
from app.estimates.examples import answers
from app.idempotency import ONCE, KeepingRoute
from app.ingest.verdicts import VersionedName
from app.paging import PageQuery, each_parameter_once
from app.problem_sets import examples, service
from app.problem_sets.schemas import (
    NewProblems,
    ProblemSetChanges,
    ProblemSetResponse,
    ProblemSetsResponse,
    ProblemsRecorded,
    SetProblemsResponse,
)

router = APIRouter(
    prefix="/v1/problem-sets",
    tags=["problem sets"],
    route_class=KeepingRoute,
    dependencies=[Depends(each_parameter_once)],
)

CHANGES: Final = TypeAdapter(ProblemSetChanges)
NEW_PROBLEMS: Final = TypeAdapter(NewProblems)

SetName = Annotated[VersionedName, Path()]


@router.get("", summary="Problem sets", responses=answers(examples.PROBLEM_SETS))
def list_problem_sets(query: Annotated[PageQuery, Query()], caller: Reader, session: SessionDep) -> ProblemSetsResponse:
    """The problem sets of the project, by name and version."""
    return service.list_problem_sets(session, caller.project_id, query)


@router.get("/{problem_set}", summary="A problem set", responses=answers(examples.PROBLEM_SET))
def read_problem_set(problem_set: SetName, caller: Reader, session: SessionDep) -> ProblemSetResponse:
    """Whether it is closed, and how many problems it has. A bare name is its only version."""
    return service.read_problem_set(session, caller.project_id, problem_set)


@router.put(
    "/{problem_set}",
    summary="Make a problem set, open or close it",
    responses=answers(examples.PROBLEM_SET) | {201: {"model": ProblemSetResponse, "description": "It is new"}},
    openapi_extra=documented(CHANGES),
)
def put_problem_set(
    problem_set: SetName, caller: Writer, body: JsonBytes, session: SessionDep, response: Response
) -> ProblemSetResponse:
    """A set is `name@version`; a bare name is its only version, or version 1 of a new one.

    While it is open, problems are added to it by whoever sends them, or completions of them.
    """
    answer, new = service.put_problem_set(session, caller.project_id, problem_set, parse(CHANGES, body))
    response.status_code = 201 if new else 200
    return answer


@router.post(
    "/{problem_set}/problems",
    summary="Add problems to a set",
    responses=answers(examples.RECORDED),
    openapi_extra=documented(NEW_PROBLEMS),
    dependencies=[ONCE],
)
def record_problems(problem_set: SetName, caller: Writer, body: JsonBytes, session: SessionDep) -> ProblemsRecorded:
    """Problems are stored all, or none. The same one again counts as `replayed`.

    A problem of which only the name is known, from completions, takes the prompt, answer, tests and metadata that are
    sent; what is stored of it is never changed: another content is 409. A closed set takes no new problem (422).
    """
    return service.record_problems(session, caller.project_id, problem_set, parse(NEW_PROBLEMS, body)["problems"])


@router.get("/{problem_set}/problems", summary="The problems of a set", responses=answers(examples.PROBLEMS))
def list_problems(
    problem_set: SetName, query: Annotated[PageQuery, Query()], caller: Reader, session: SessionDep
) -> SetProblemsResponse:
    """By name, each with its prompt, reference answer, tests and metadata."""
    return service.list_problems(session, caller.project_id, problem_set, query)
