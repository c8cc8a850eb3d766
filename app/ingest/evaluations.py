"""Evaluations, known by what they evaluate: asking twice for the same one finds the first."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.ingest.canonical import canonical_json
from app.ingest.errors import AmbiguousProblemSet, EvaluationConflict, OtherWeights
from app.ingest.schemas import EvaluationResponse, NewEvaluation
from app.ingest.verdicts import FIRST_VERSION
from app.models import Checkpoint, Evaluation, EvaluationProblem, Model, ProblemSet, Run


@dataclass(frozen=True)
class SampledModel:
    """Weights on the machine of a job, by the name that its spec has."""

    name: str
    path: str
    revision: str | None
    sha256: bytes


def create_evaluation(session: Session, project_id: int, wanted: NewEvaluation) -> tuple[UUID, bool]:
    """The evaluation's id and whether it is new, with the run, checkpoint and problem set that it needs.

    What the request leaves out, or null, it does not claim. So it agrees with any `n` that was declared, while an `n`
    that comes after the evaluation was made without one is refused: nobody fixed it beforehand.
    """
    run_id = _id_of(session, Run, project_id=project_id, name=wanted.run)
    key = {
        "checkpoint_id": _id_of(session, Checkpoint, run_id=run_id, step=wanted.step),
        "problem_set_id": problem_set_id(session, project_id, wanted.problem_set),
        "sampling_sha256": _digest(wanted.sampling),
    }
    row = {**key, "project_id": project_id, **wanted.model_dump(include={"sampling", "model", "n", "iid"})}
    made = session.scalar(insert(Evaluation).values(row).on_conflict_do_nothing().returning(Evaluation.uuid))
    if made is not None:
        return made, True
    stored = session.scalars(select(Evaluation).filter_by(**key)).one()
    claims = wanted.model_dump(include=wanted.model_fields_set & {"model", "n", "iid"}, exclude_none=True)
    if differing := [field for field, value in claims.items() if value != getattr(stored, field)]:
        raise EvaluationConflict(differing)
    return stored.uuid, False


def raise_n(session: Session, evaluation: Evaluation, n: int) -> None:
    """Declare n completions per problem where fewer are: for all problems alike, whatever came out so far."""
    fewer = or_(Evaluation.n.is_(None), Evaluation.n < n)
    session.execute(update(Evaluation).where(Evaluation.id == evaluation.id, fewer).values(n=n))


def record_model(session: Session, evaluation: Evaluation, model: SampledModel) -> None:
    """Note the weights that a job has loaded for the evaluation; OtherWeights where it has completions of others."""
    row = {"path": model.path, "revision": model.revision, "sha256": model.sha256}
    registered = insert(Model).values(row | {"project_id": evaluation.project_id, "name": model.name})
    session.execute(registered.on_conflict_do_update(index_elements=["project_id", "name"], set_=row))
    session.refresh(evaluation, with_for_update={"key_share": True})
    if evaluation.model_sha256 not in (None, model.sha256) and _has_completions(session, evaluation):
        raise OtherWeights(model.name)
    evaluation.model_sha256 = model.sha256


def _has_completions(session: Session, evaluation: Evaluation) -> bool:
    drawn = select(EvaluationProblem).filter_by(evaluation_id=evaluation.id).where(EvaluationProblem.completions > 0)
    return bool(session.scalar(select(drawn.exists())))


def find_evaluation(session: Session, project_id: int, evaluation_id: UUID, *, for_writing: bool = False) -> Evaluation:
    """The evaluation; NotFound where the project has none of this id.

    One found for writing can be deleted by nobody before this transaction ends.
    """
    wanted = select(Evaluation).filter_by(project_id=project_id, uuid=evaluation_id)
    evaluation = session.scalar(wanted.with_for_update(read=True, key_share=True) if for_writing else wanted)
    if evaluation is None:
        raise NotFound("This project has no evaluation of this id.")
    return evaluation


def sampled_evaluations(
    session: Session, project_id: int, run: str, step: int, problem_set: str, sampling: dict[str, object]
) -> Sequence[UUID]:
    """The evaluation of this identity, if there is one, which nobody can delete before this transaction ends.

    More than one where a bare name of a set was its only version's, and is no longer.
    """
    name, _, version = problem_set.partition("@")
    wanted = (
        select(Evaluation.uuid)
        .join(Checkpoint, Checkpoint.id == Evaluation.checkpoint_id)
        .join(Run, Run.id == Checkpoint.run_id)
        .join(ProblemSet, ProblemSet.id == Evaluation.problem_set_id)
        .where(Run.project_id == project_id, Run.name == run, Checkpoint.step == step, ProblemSet.name == name)
        .where(Evaluation.sampling_sha256 == _digest(sampling))
    )
    if version:
        wanted = wanted.where(ProblemSet.version == version)
    return session.scalars(wanted.with_for_update(read=True, key_share=True, of=Evaluation)).all()


def _digest(sampling: Mapping[str, object]) -> bytes:
    return hashlib.sha256(canonical_json(sampling).encode()).digest()


def read_evaluation(session: Session, project_id: int, evaluation_id: UUID) -> EvaluationResponse:
    """The evaluation as the service shows it; NotFound where the project has none of this id."""
    row = session.execute(
        select(Evaluation, Checkpoint.step, Run.name, ProblemSet)
        .join(Checkpoint, Checkpoint.id == Evaluation.checkpoint_id)
        .join(Run, Run.id == Checkpoint.run_id)
        .join(ProblemSet, ProblemSet.id == Evaluation.problem_set_id)
        .where(Evaluation.project_id == project_id, Evaluation.uuid == evaluation_id)
    ).one_or_none()
    if row is None:
        raise NotFound("This project has no evaluation of this id.")
    evaluation, step, run, problem_set = row
    return EvaluationResponse(
        id=evaluation.uuid,
        run=run,
        step=step,
        problem_set=f"{problem_set.name}@{problem_set.version}",
        sampling=evaluation.sampling,
        model=evaluation.model,
        n=evaluation.n,
        iid=evaluation.iid,
        counts_only=evaluation.counts_only,
        created_at=evaluation.created_at,
    )


def problem_set_id(session: Session, project_id: int, full_name: str) -> int:
    """The id of `name@version`, made where there is none; a bare name is its only version, or a new set's first."""
    name, _, version = full_name.partition("@")
    if not version:
        versions = select(ProblemSet.version).filter_by(project_id=project_id, name=name).order_by(ProblemSet.version)
        version, *others = session.scalars(versions).all() or [FIRST_VERSION]
        if others:
            raise AmbiguousProblemSet([f"{name}@{each}" for each in (version, *others)])
    return _id_of(session, ProblemSet, project_id=project_id, name=name, version=version)


def _id_of(session: Session, table: type[Run | Checkpoint | ProblemSet], **key: str | int) -> int:
    """The id of the row with this natural key, made where there is none, whoever makes it at the same time.

    The row is locked against deletion, so that what refers to it can be written.
    """
    found = select(table.id).filter_by(**key).with_for_update(read=True, key_share=True)
    made = insert(table).values(key).on_conflict_do_nothing().returning(table.id)
    return session.scalar(found) or session.scalar(made) or session.scalars(found).one()
