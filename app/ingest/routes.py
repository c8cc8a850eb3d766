"""Routes that write: evaluations, their completions, verdicts on them."""

from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import TypeAdapter

from app.auth.security import Reader, Writer
from app.db import SessionDep
from app.ingest import evaluations, service
from app.ingest.body import JsonBytes, documented, parse
from app.ingest.schemas import (
    CompletionsRecorded,
    EvaluationResponse,
    NewCompletions,
    NewEvaluation,
    NewVerifications,
    VerificationsRecorded,
)

router = APIRouter(prefix="/v1/evaluations", tags=["evaluations"])

NEW_EVALUATION = TypeAdapter(NewEvaluation)
NEW_COMPLETIONS = TypeAdapter(NewCompletions)
NEW_VERIFICATIONS = TypeAdapter(NewVerifications)


@router.post(
    "",
    summary="Create an evaluation, or find it",
    status_code=201,
    responses={200: {"model": EvaluationResponse, "description": "It existed"}},
    openapi_extra=documented(NEW_EVALUATION),
)
def create_evaluation(body: JsonBytes, caller: Writer, session: SessionDep, response: Response) -> EvaluationResponse:
    """An evaluation is one checkpoint on one problem set with one sampling configuration.

    Run, step, problem set and sampling together are its identity, so asking again answers the same id, with 200. Keys
    of `sampling` may come in any order, and 1 is 1.0. A `model`, `n` or `iid` other than the stored one is 409; what is
    left out is not compared. The run, the checkpoint and the problem set are made where there are none.
    """
    evaluation_id, new = evaluations.create_evaluation(session, caller.project_id, parse(NEW_EVALUATION, body))
    response.status_code = 201 if new else 200
    response.headers["Location"] = f"/v1/evaluations/{evaluation_id}"
    return evaluations.read_evaluation(session, caller.project_id, evaluation_id)


@router.get("/{evaluation_id}", summary="An evaluation")
def read_evaluation(evaluation_id: UUID, caller: Reader, session: SessionDep) -> EvaluationResponse:
    """What was evaluated, and how its completions were drawn."""
    return evaluations.read_evaluation(session, caller.project_id, evaluation_id)


@router.post("/{evaluation_id}/completions", summary="Record completions", openapi_extra=documented(NEW_COMPLETIONS))
def record_completions(
    evaluation_id: UUID, body: JsonBytes, caller: Writer, session: SessionDep
) -> CompletionsRecorded:
    """Completions with their verdicts are stored all, or none; on disk before the answer.

    A completion is known by its problem and `sample_index`. The same one again counts as `replayed`, so a request
    without an answer is simply sent again; other content under the same key is 409 and changes nothing. A replayed
    completion may bring verdicts of further verifiers, which are added. Problems and verifiers are made where there are
    none; a closed problem set takes no others (422).
    """
    completions = parse(NEW_COMPLETIONS, body)["completions"]
    evaluation = evaluations.evaluation_for_writing(session, caller.project_id, evaluation_id)
    return service.record_completions(session, evaluation, completions)


@router.post(
    "/{evaluation_id}/verifications",
    summary="Record verdicts on stored completions",
    openapi_extra=documented(NEW_VERIFICATIONS),
)
def record_verifications(
    evaluation_id: UUID, body: JsonBytes, caller: Writer, session: SessionDep
) -> VerificationsRecorded:
    """Verdicts are stored all, or none; on disk before the answer.

    A verdict of a verifier that has one on the completion takes its place; the old one is kept as history. To keep both
    in force, give the verifier another version.
    """
    verifications = parse(NEW_VERIFICATIONS, body)["verifications"]
    evaluation = evaluations.evaluation_for_writing(session, caller.project_id, evaluation_id)
    return service.record_verifications(session, evaluation, verifications)
