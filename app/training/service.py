"""What a training loop logs, stored row by row, each once and never changed.

A resumed run logs steps again that it had logged before it stopped. What it logs then is in a segment of its own: the
one it names, or one that is opened when rows without a segment meet others in their place.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import ARRAY, cast, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from app.ingest.errors import RowsContradict
from app.models import Metric, Run, TrainingGroup
from app.training.errors import LogConflict
from app.training.schemas import Logged, NewGroup, NewMetric


class LogRow(NamedTuple):
    """A row that a loop logs, and where in the request it stands."""

    segment: int | None  # None leaves the choice to the service
    step: int
    place: int | str  # within the step: a group's index, a metric's name
    content: tuple[Any, ...]  # in the order of the log's columns
    pointer: str


Key = tuple[int, int, int | str]  # segment, step, place


@dataclass(frozen=True)
class _Log:
    """A table of what is logged by run, segment, step and one column more."""

    table: type[TrainingGroup | Metric]
    place: str
    content: tuple[str, ...]


GROUPS: Final = _Log(
    TrainingGroup, "group_index", ("problem", "rewards", "credits", "completions", "k", "transform", "scale")
)
METRICS: Final = _Log(Metric, "name", ("value",))


def record_groups(session: Session, project_id: int, run: str, groups: Sequence[NewGroup]) -> Logged:
    """What became of groups with the credits that the loop made of them."""
    return record_group_rows(session, project_id, run, list(_group_rows(groups)))


def record_group_rows(session: Session, project_id: int, run: str, rows: Sequence[LogRow]) -> Logged:
    """What became of rows of `training_groups`."""
    return _record(session, project_id, run, GROUPS, rows)


def record_metrics(session: Session, project_id: int, run: str, metrics: Sequence[NewMetric]) -> Logged:
    """What became of metrics."""
    rows = [
        LogRow(each.segment, each.step, each.name, (each.value,), f"/metrics/{i}") for i, each in enumerate(metrics)
    ]
    return _record(session, project_id, run, METRICS, rows)


def next_segment(session: Session, project_id: int, run: str) -> int:
    """The segment after the run's latest, 0 where nothing is logged; the run is made where there is none."""
    run_id = _locked_run(session, project_id, run)
    latest = [session.scalar(select(func.max(log.table.segment)).filter_by(run_id=run_id)) for log in (GROUPS, METRICS)]
    return 1 + max(-1 if each is None else each for each in latest)


def group_content(
    problem: str,
    rewards: Sequence[float | None],
    credits: Sequence[float | None],
    completions: Sequence[str] | None,
    weights: Mapping[int, float],
    transform: str,
    scale: str,
) -> tuple[Any, ...]:
    """The content of a row of `training_groups`."""
    k = {str(k): weight for k, weight in weights.items()}
    return problem, rewards, credits, completions, k, transform, scale


def _group_rows(groups: Iterable[NewGroup]) -> Iterator[LogRow]:
    seen: Counter[tuple[int | None, int]] = Counter()
    for i, group in enumerate(groups):
        index = seen[group.segment, group.step] if group.group_index is None else group.group_index
        seen[group.segment, group.step] += 1
        content = group_content(
            group.problem, group.rewards, group.credits, group.completions, group.weights, group.transform, group.scale
        )
        yield LogRow(group.segment, group.step, index, content, f"/groups/{i}")


def _record(session: Session, project_id: int, run: str, log: _Log, rows: Sequence[LogRow]) -> Logged:
    run_id = _locked_run(session, project_id, run)
    named = [row.segment for row in rows if row.segment is not None]
    segment = max(_latest_segment(session, run_id), *named, 0)
    placed = _placed(rows, segment)
    stored = _stored(session, run_id, log, placed)
    differing = [row for key, row in placed.items() if key in stored and not _same(stored[key], row.content)]
    if refused := [row.pointer for row in differing if row.segment is not None]:
        raise LogConflict(refused)
    if differing:
        segment += 1  # the run was resumed
        placed = _placed(rows, segment)
    new = {key: row for key, row in placed.items() if key not in stored}
    _add(session, run_id, log, new)
    chosen = segment if len(named) < len(rows) else None
    return Logged(accepted=len(new), replayed=len(rows) - len(new), segment=chosen)


def _locked_run(session: Session, project_id: int, name: str) -> int:
    """The id of the run, made where there is none. Until the transaction ends nobody else logs to it."""
    session.execute(upsert(Run).values(project_id=project_id, name=name).on_conflict_do_nothing())
    wanted = select(Run.id).filter_by(project_id=project_id, name=name)
    return session.scalars(wanted.with_for_update(key_share=True)).one()


def _latest_segment(session: Session, run_id: int) -> int:
    latest = (select(func.max(log.table.segment)).filter_by(run_id=run_id) for log in (GROUPS, METRICS))
    return max(session.scalar(each) or 0 for each in latest)


def _placed(rows: Iterable[LogRow], segment: int) -> dict[Key, LogRow]:
    """The rows by key, those that name no segment in this one; RowsContradict where two of a key differ."""
    placed: dict[Key, LogRow] = {}
    contradictions = []
    for row in rows:
        key = (segment if row.segment is None else row.segment, row.step, row.place)
        first = placed.setdefault(key, row)
        if not _same(first.content, row.content):
            contradictions.append((row.pointer, f"contradicts {first.pointer}"))
    if contradictions:
        raise RowsContradict(contradictions)
    return placed


def _same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Whether two contents are equal, NaN being NaN."""
    return all(a == b or (a != a and b != b) for a, b in zip(one, other, strict=True))


def _stored(session: Session, run_id: int, log: _Log, keys: Iterable[Key]) -> dict[Key, tuple[Any, ...]]:
    """The contents of those of the keys that are there."""
    columns = log.table.__table__.c
    names = ("segment", "step", log.place)
    arrays = [
        cast(list(values), ARRAY(columns[name].type))
        for name, values in zip(names, zip(*keys, strict=True), strict=False)
    ]
    if not arrays:
        return {}
    wanted = func.unnest(*arrays).table_valued(*names).render_derived(name="wanted")
    found = session.execute(
        select(*(columns[name] for name in (*names, *log.content)))
        .join(wanted, wanted.c.segment == columns.segment)
        .where(columns.run_id == run_id, columns.step == wanted.c.step, columns[log.place] == wanted.c[log.place])
    )
    return {tuple(row[:3]): tuple(row[3:]) for row in found}


def _add(session: Session, run_id: int, log: _Log, rows: Mapping[Key, LogRow]) -> None:
    names = ("run_id", "segment", "step", log.place, *log.content)
    values = [dict(zip(names, (run_id, *key, *row.content), strict=True)) for key, row in rows.items()]
    if values:
        session.execute(insert(log.table), values)
