"""Routes of what a training loop logs."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query
from pydantic import TypeAdapter

from app.auth.security import Reader, Writer
from app.body import JsonBytes, documented, parse
from app.db import SessionDep
from app.idempotency import ONCE, KeepingRoute
from app.ingest.schemas import Name
from app.paging import each_parameter_once
from app.training import examples, log, service
from app.training.schemas import (
    GroupsQuery,
    GroupsResponse,
    Logged,
    MetricsQuery,
    MetricsResponse,
    NewGroups,
    NewMetrics,
)

router = APIRouter(
    prefix="/v1/runs", tags=["training"], route_class=KeepingRoute, dependencies=[Depends(each_parameter_once)]
)

NEW_GROUPS: Final = TypeAdapter(NewGroups)
NEW_METRICS: Final = TypeAdapter(NewMetrics)

RunName = Annotated[Name, Path()]


def _answers(example: examples.Example) -> dict[int | str, dict[str, Any]]:
    """What a route says of its answer: an example of it."""
    return {200: {"content": {"application/json": {"example": example}}}}


@router.get("/{run}/groups", summary="Logged groups", responses=_answers(examples.GROUPS))
def list_groups(
    run: RunName, query: Annotated[GroupsQuery, Query()], caller: Reader, session: SessionDep
) -> GroupsResponse:
    """By segment, step and `group_index`. A page of long texts is of fewer groups than the limit, about 25 MiB."""
    return log.list_groups(session, caller.project_id, run, query)


@router.get("/{run}/metrics", summary="Logged metrics", responses=_answers(examples.METRICS))
def list_metrics(
    run: RunName, query: Annotated[MetricsQuery, Query()], caller: Reader, session: SessionDep
) -> MetricsResponse:
    """By segment, name and step."""
    return log.list_metrics(session, caller.project_id, run, query)


@router.post(
    "/{run}/groups",
    summary="Log groups",
    responses=_answers(examples.LOGGED),
    openapi_extra=documented(NEW_GROUPS),
    dependencies=[ONCE],
)
def record_groups(run: RunName, caller: Writer, body: JsonBytes, session: SessionDep) -> Logged:
    """Groups with credits that the loop made itself are stored all, or none. The run is made where there is none.

    A group is known by run, segment, step and `group_index`; the same one again counts as `replayed`. A group without a
    segment is of the run's latest one. Where that has another in its place, the run was resumed: the groups of this
    request that name no segment open the next. In a segment that is named, another content is 409.
    """
    return service.record_groups(session, caller.project_id, run, parse(NEW_GROUPS, body).groups)


@router.post(
    "/{run}/metrics",
    summary="Log metrics",
    responses=_answers(examples.LOGGED),
    openapi_extra=documented(NEW_METRICS),
    dependencies=[ONCE],
)
def record_metrics(run: RunName, caller: Writer, body: JsonBytes, session: SessionDep) -> Logged:
    """Numbers by step and name are stored all, or none. The run is made where there is none.

    A metric is known by run, segment, step and name. Segments are as in groups, and shared with them.
    """
    return service.record_metrics(session, caller.project_id, run, parse(NEW_METRICS, body).metrics)
