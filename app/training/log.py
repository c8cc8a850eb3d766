"""What a training loop has logged, read back."""

from collections.abc import Iterable
from contextlib import closing
from typing import Final

from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.models import Metric, Run, TrainingGroup
from app.paging import Page, decode, page
from app.training.schemas import (
    GroupsQuery,
    GroupsResponse,
    LogQuery,
    MetricsQuery,
    MetricsResponse,
    StoredGroup,
    StoredMetric,
)

PAGE_BYTES: Final = 25 * 1024 * 1024  # as much as one request logs
NUMBER_BYTES: Final = 25  # of a float64, written in full


def list_groups(session: Session, project_id: int, run: str, query: GroupsQuery) -> GroupsResponse:
    """A page of the run's groups by segment, step and group_index; it ends early where it would be over PAGE_BYTES."""
    key = tuple_(TrainingGroup.segment, TrainingGroup.step, TrainingGroup.group_index)
    wanted = select(TrainingGroup).where(*_of_run(session, TrainingGroup, project_id, run, query))
    wanted = wanted.order_by(key).limit(query.limit + 1)
    if query.cursor is not None:
        wanted = wanted.where(key > tuple_(*decode(query.cursor, (int,), (int,), (int,))))
    # One by one, so that no more is read than the page holds, and one group.
    with closing(session.scalars(wanted.execution_options(yield_per=1))) as rows:
        listed = _fitting(rows, query.limit)
    return GroupsResponse(groups=[StoredGroup.of(each) for each in listed.items], next_cursor=listed.next_cursor)


def _fitting(groups: Iterable[TrainingGroup], limit: int) -> Page[TrainingGroup]:
    taken: list[TrainingGroup] = []
    size = 0
    for each in groups:
        size += 2 * NUMBER_BYTES * len(each.rewards) + sum(len(text.encode()) for text in each.completions or ())
        taken.append(each)
        if size > PAGE_BYTES and len(taken) > 1:
            limit = min(limit, len(taken) - 1)
            break
    return page(taken, limit, lambda last: (last.segment, last.step, last.group_index))


def list_metrics(session: Session, project_id: int, run: str, query: MetricsQuery) -> MetricsResponse:
    """A page of the run's metrics by segment, name and step."""
    key = tuple_(Metric.segment, Metric.name, Metric.step)
    wanted = select(Metric).where(*_of_run(session, Metric, project_id, run, query))
    wanted = wanted.order_by(key).limit(query.limit + 1)
    if query.name is not None:
        wanted = wanted.where(Metric.name == query.name)
    if query.cursor is not None:
        wanted = wanted.where(key > tuple_(*decode(query.cursor, (int,), (str,), (int,))))
    rows = session.scalars(wanted).all()
    listed = page(rows, query.limit, lambda last: (last.segment, last.name, last.step))
    return MetricsResponse(metrics=[StoredMetric.of(each) for each in listed.items], next_cursor=listed.next_cursor)


def _of_run(
    session: Session, table: type[TrainingGroup | Metric], project_id: int, run: str, query: LogQuery
) -> list[ColumnElement[bool]]:
    """What a row must be; NotFound where the project has no run of this name."""
    run_id = session.scalar(select(Run.id).filter_by(project_id=project_id, name=run))
    if run_id is None:
        raise NotFound("This project has no run of this name.")
    wanted = {table.run_id: run_id, table.segment: query.segment, table.step: query.step}
    return [column == value for column, value in wanted.items() if value is not None]
