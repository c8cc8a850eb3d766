"""The groups of a transform stored, where the request asks for it."""

from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from sqlalchemy.orm import Session
from typing_extensions import TypedDict

from app.body import refuse_key_twice, validated
from app.errors import MOST_ERRORS, InvalidRequest
from app.training.service import LogRow, group_content, record_group_rows
from app.transforms.schemas import Record, Recorded, TransformOptions
from app.transforms.service import Credits
from app.transforms.wire import Groups


class _Recording(TypedDict):
    record: Record


RECORDING: Final = TypeAdapter(_Recording)


def read(body: bytes, fields: dict[str, Any]) -> Record:
    """Where the groups of a body are to be stored."""
    refuse_key_twice(body)
    return validated(RECORDING, {"record": fields["record"]})["record"]


def refuse_other_shape(record: Record, groups: Groups) -> None:
    """Raise InvalidRequest where there are not as many problems as groups, or texts as rewards."""
    count = len(groups.sizes)
    for name, given in (("problems", record.problems), ("completions", record.completions)):
        if given is not None and len(given) != count:
            rule = f"{count} groups need as many {name}; got {len(given)}."
            raise InvalidRequest(rule, [(f"/record/{name}", f"{count} needed")])
    texts = map(len, record.completions or ())
    errors = [
        (f"/record/completions/{i}", f"{size} needed")
        for i, (size, given) in enumerate(zip(groups.sizes.tolist(), texts, strict=False))
        if size != given
    ]
    if errors:
        raise InvalidRequest("Each group needs as many completions as rewards.", errors[:MOST_ERRORS])


def store(
    session: Session, project_id: int, record: Record, groups: Groups, options: TransformOptions, result: Credits
) -> Recorded:
    """What became of the groups and their credits; LogConflict where the segment named has others."""
    rewards, credits = _by_group(groups.rewards, groups), _by_group(result.credits, groups)
    rows = [
        LogRow(
            record.segment,
            record.step,
            i,
            group_content(
                problem,
                rewards[i],
                credits[i],
                None if record.completions is None else record.completions[i],
                options.weights,
                options.transform,
                options.scale,
            ),
            f"/rewards/{i}",
        )
        for i, problem in enumerate(record.problems)
    ]
    logged = record_group_rows(session, project_id, record.run, rows)
    segment = record.segment if logged.segment is None else logged.segment
    assert segment is not None  # named, or chosen
    return Recorded(segment=segment, accepted=logged.accepted, replayed=logged.replayed)


def _by_group(values: NDArray[np.float64], groups: Groups) -> list[list[float | None]]:
    """A list for each group, None where a value is missing."""
    listed = [None if missing else value for value, missing in zip(values.tolist(), np.isnan(values), strict=True)]
    ends = [0, *np.cumsum(groups.sizes).tolist()]
    return [listed[start:end] for start, end in pairwise(ends)]
