"""The checkpoints of a run as REST lists them: how often each was evaluated, and what of it is still on disk."""

from pathlib import Path
from typing import Annotated, Any, Final, Self, cast

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.estimates.runs import read_run
from app.exports.weights import Kept, Part, kept
from app.models import Checkpoint, Evaluation
from app.paging import PageQuery, decode, page

EXAMPLE: Final[dict[str, Any]] = {
    "checkpoints": [
        {"step": 0, "evaluations": 1, "kept": "weights", "path": "/data/checkpoints/1/countdown-k8/step-000000000"}
        | {"bytes": 4_221_823, "sha256": "3f79bb7b435b05321651daefd374cdc681dc06faa65e374e38337b88ca046dea"},
        {"step": 50, "evaluations": 1, "kept": None, "path": None, "bytes": None, "sha256": None},
    ],
    "next_cursor": None,
}


class CheckpointResponse(BaseModel):
    """A checkpoint of a run."""

    step: int
    evaluations: int
    kept: Annotated[
        Part | None,
        Field(
            description="What lies on a disk that this service sees: `all`, so that a training can go on from it; "
            "`weights`, which load; null: nothing"
        ),
    ]
    path: Annotated[str | None, Field(description="Its folder, where there is one: a `model` for jobs")]
    bytes: Annotated[int | None, Field(description="Of the folder")]
    sha256: Annotated[str | None, Field(description="Of the files of the model, as in its card")]

    @classmethod
    def of(cls, step: int, evaluations: int, found: Kept | None) -> Self:
        """The checkpoint of a step."""
        if found is None:
            return cls(step=step, evaluations=evaluations, kept=None, path=None, bytes=None, sha256=None)
        return cls(
            step=step,
            evaluations=evaluations,
            kept=found.part,
            path=str(found.folder),
            bytes=found.bytes,
            sha256=found.sha256,
        )


class CheckpointsResponse(BaseModel):
    """Checkpoints by step."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    checkpoints: list[CheckpointResponse]
    next_cursor: str | None


def list_checkpoints(
    session: Session, project_id: int, folder: Path, run: str, query: PageQuery
) -> CheckpointsResponse:
    """A page of the run's checkpoints, those that were evaluated and those on disk; RunNotFound where there is none."""
    known = read_run(session, project_id, run)  # before its name is made part of a path
    evaluations = (
        select(Checkpoint.step, func.count(Evaluation.id))
        .outerjoin(Evaluation, Evaluation.checkpoint_id == Checkpoint.id)
        .where(Checkpoint.run_id == known.id)
        .group_by(Checkpoint.step)
    )
    counts: dict[int, int] = dict(session.execute(evaluations).all())
    on_disk = kept(folder, project_id, run)
    after = -1 if query.cursor is None else cast(tuple[int], decode(query.cursor, (int,)))[0]
    steps = [step for step in sorted({*counts, *on_disk}) if step > after]
    listed = page(steps[: query.limit + 1], query.limit, lambda last: (last,))
    checkpoints = [CheckpointResponse.of(step, counts.get(step, 0), on_disk.get(step)) for step in listed.items]
    return CheckpointsResponse(checkpoints=checkpoints, next_cursor=listed.next_cursor)
