"""The demo's routes: our own pages' and scripts', and no promise to others, so not in the API's document."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy.orm import Session

from app.auth.security import Reader, Submitter
from app.body import JsonBytes, parse
from app.db import SessionDep
from app.demo import service
from app.demo.plan import Demo
from app.demo.schemas import NEW_DEMO, DemoQuery, DemoResponse, PartResponse
from app.idempotency import KeepingRoute, once
from app.paging import each_parameter_once

router = APIRouter(
    prefix="/v1/demo",
    include_in_schema=False,
    route_class=KeepingRoute,
    dependencies=[Depends(each_parameter_once)],
)


@router.post("", status_code=202, dependencies=[once("jobs")])
def begin(request: Request, caller: Submitter, body: JsonBytes, session: SessionDep) -> DemoResponse:
    """Begin a demo; one that was begun stays as it is."""
    wanted = parse(NEW_DEMO, body)
    demo = Demo(wanted.size, wanted.seed)
    service.begin(session, caller.project_id, demo, wanted.study)
    session.flush()
    request.app.state.demo.call()
    return _told(request, session, caller.project_id, demo)


@router.get("")
def read(request: Request, query: Annotated[DemoQuery, Query()], caller: Reader, session: SessionDep) -> DemoResponse:
    """How far it is; without parts where nobody has begun it."""
    return _told(request, session, caller.project_id, Demo(query.size, query.seed))


def _told(request: Request, session: Session, project_id: int, demo: Demo) -> DemoResponse:
    return DemoResponse(
        size=demo.size,
        seed=demo.seed,
        problem_set=demo.problem_set,
        held_out=demo.held_out,
        problems_ready=service.problems_are_there(session, project_id, demo),
        parts=[
            PartResponse(part=each.name, run=each.run, job=each.job)
            for each in service.parts(session, project_id, demo)
        ],
        trouble=request.app.state.demo.trouble,
    )
