"""Routes of evaluations: their completions and the verdicts on them, written and read back."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import TypeAdapter

from app.auth.security import Reader, Writer
from app.body import JSON, JSON_LINES, PARQUET, Body, JsonBytes, body_in, documented, parse, parse_lines
from app.db import SessionDep
from app.idempotency import ONCE, KeepingRoute
from app.ingest import counts, evaluations, examples, service, stored
from app.ingest.columns import CompletionColumns
from app.ingest.examples import answered
from app.ingest.parquet import read_parquet
from app.ingest.schemas import (
    MOST_ROWS,
    CompletionsQuery,
    CompletionsRecorded,
    CompletionsResponse,
    CountsRecorded,
    EvaluationResponse,
    EvaluationSummary,
    NewCompletions,
    NewCounts,
    NewEvaluation,
    NewVerifications,
    VerificationsRecorded,
)

router = APIRouter(prefix="/v1/evaluations", tags=["evaluations"], route_class=KeepingRoute)

NEW_EVALUATION = TypeAdapter(NewEvaluation)
NEW_COMPLETIONS = TypeAdapter(NewCompletions)
NEW_COUNTS = TypeAdapter(NewCounts)
NEW_VERIFICATIONS = TypeAdapter(NewVerifications)

CompletionsBody = Annotated[Body, Depends(body_in(JSON, JSON_LINES, PARQUET))]


@router.post(
    "",
    summary="Create an evaluation, or find it",
    status_code=201,
    responses={
        200: {"model": EvaluationResponse, "description": "It existed", **answered(examples.EVALUATION)},
        201: {"description": "It is new", **answered(examples.EVALUATION)},
    },
    openapi_extra=documented(NEW_EVALUATION),
    dependencies=[ONCE],
)
def create_evaluation(caller: Writer, body: JsonBytes, session: SessionDep, response: Response) -> EvaluationResponse:
    """An evaluation is one checkpoint on one problem set with one sampling configuration.

    Run, step, problem set and sampling together are its identity, so asking again answers the same id, with 200. Keys
    of `sampling` may come in any order, and 1 is 1.0. A `model`, `n` or `iid` other than the stored one is 409; what is
    left out is not compared. The run, the checkpoint and the problem set are made where there are none.
    """
    evaluation_id, new = evaluations.create_evaluation(session, caller.project_id, parse(NEW_EVALUATION, body))
    response.status_code = 201 if new else 200
    response.headers["Location"] = f"/v1/evaluations/{evaluation_id}"
    return evaluations.read_evaluation(session, caller.project_id, evaluation_id)


@router.get("/{evaluation_id}", summary="An evaluation", responses={200: answered(examples.SUMMARY)})
def read_evaluation(evaluation_id: UUID, caller: Reader, session: SessionDep) -> EvaluationSummary:
    """What was evaluated, how its completions were drawn, and what has been recorded, in total by verifier."""
    return stored.summary(session, caller.project_id, evaluation_id)


@router.get(
    "/{evaluation_id}/completions",
    summary="The completions of an evaluation",
    responses={200: answered(examples.COMPLETIONS)},
)
def list_completions(
    evaluation_id: UUID, query: Annotated[CompletionsQuery, Query()], caller: Reader, session: SessionDep
) -> CompletionsResponse:
    """Completions of all problems, or of one, by `sample_index`, each with its text and the verdicts on it."""
    return stored.completions(session, caller.project_id, evaluation_id, query)


@router.post(
    "/{evaluation_id}/completions",
    summary="Record completions",
    responses={200: answered(examples.COMPLETIONS_RECORDED)},
    openapi_extra=documented(
        NEW_COMPLETIONS, **{JSON_LINES: examples.COMPLETION_LINES, PARQUET: examples.COMPLETION_PARQUET}
    ),
    dependencies=[ONCE],
)
def record_completions(
    evaluation_id: UUID, caller: Writer, body: CompletionsBody, session: SessionDep
) -> CompletionsRecorded:
    """Completions with their verdicts are stored all, or none; on disk before the answer.

    A completion is known by its problem and `sample_index`. The same one again counts as `replayed`, so a request
    without an answer is simply sent again; other content under the same key is 409 and changes nothing. A replayed
    completion may bring verdicts of further verifiers, which are added. Problems and verifiers are made where there are
    none; a closed problem set takes no others (422). As NDJSON (`application/x-ndjson`), each line is one;
    `/completions/2` then points at the third line that is not blank, or at the third row of Parquet.
    """
    completions = _completions(body)
    evaluation = evaluations.find_evaluation(session, caller.project_id, evaluation_id, for_writing=True)
    return service.record_completions(session, evaluation, completions)


def _completions(body: Body) -> CompletionColumns:
    if body.media_type == PARQUET:
        return read_parquet(body.content)
    if body.media_type == JSON_LINES:
        given = parse_lines(NEW_COMPLETIONS, body.content, "completions", MOST_ROWS)
    else:
        given = parse(NEW_COMPLETIONS, body.content)
    return CompletionColumns.of(given["completions"])


@router.post(
    "/{evaluation_id}/verifications",
    summary="Record verdicts on stored completions",
    responses={200: answered(examples.VERIFICATIONS_RECORDED)},
    openapi_extra=documented(NEW_VERIFICATIONS),
    dependencies=[ONCE],
)
def record_verifications(
    evaluation_id: UUID, caller: Writer, body: JsonBytes, session: SessionDep
) -> VerificationsRecorded:
    """Verdicts are stored all, or none; on disk before the answer.

    A verdict of a verifier that has one on the completion takes its place; the old one is kept as history. To keep both
    in force, give the verifier another version.
    """
    verifications = parse(NEW_VERIFICATIONS, body)["verifications"]
    evaluation = evaluations.find_evaluation(session, caller.project_id, evaluation_id, for_writing=True)
    return service.record_verifications(session, evaluation, verifications)


@router.post(
    "/{evaluation_id}/counts",
    summary="Record counts of completions that are not at hand",
    responses={200: answered(examples.COUNTS_RECORDED)},
    openapi_extra=documented(NEW_COUNTS),
    dependencies=[ONCE],
)
def record_counts(evaluation_id: UUID, caller: Writer, body: JsonBytes, session: SessionDep) -> CountsRecorded:
    """How many completions of each problem were judged, and how many passed: enough for pass@k, and for good.

    Counts are stored all, or none. The same again count as `replayed`; another n or c of a problem and verifier is 409
    and changes nothing. From its first counts on an evaluation is `counts_only` and takes no completions; one that has
    completions takes no counts (409).
    """
    given = parse(NEW_COUNTS, body)["counts"]
    return counts.record_counts(session, caller.project_id, evaluation_id, given)
