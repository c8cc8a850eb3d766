"""Rewards in, credits out: the call that a training loop makes at every step, so nothing stands in its way."""

from functools import partial
from itertools import pairwise
from typing import Annotated, Any, NamedTuple

import numpy as np
import orjson
from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from fastapi.security import SecurityScopes
from numpy.typing import NDArray
from sqlalchemy.orm import Session
from starlette.types import Receive, Scope, Send

from app.auth.security import Reader, authorize, bearer
from app.auth.service import Caller, ScopeMissing
from app.body import JSON, Body, body_in
from app.db import session_of
from app.errors import InvalidRequest
from app.idempotency import IdempotencyKeyHeader, done_once
from app.transforms import npy, query, record, schemas, service, wire
from app.transforms.schemas import Record, Recorded, TransformOptions
from app.transforms.service import Credits
from app.transforms.wire import Groups

READ = SecurityScopes(["read"])
body_of = body_in(JSON, npy.MEDIA_TYPE)


class DirectRoute(APIRoute):
    """A route documented by FastAPI that asks for its caller and body itself: they are all that it depends on.

    FastAPI's resolution of dependencies would take as long as the transform of a hundred groups.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.app = self._answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the endpoint, called with what its signature says; errors are the application's to answer."""
        request = Request(scope, receive)
        caller = await authorize(request, READ, await bearer(request))
        response: Response = await self.endpoint(request, caller, await body_of(request))
        await response(scope, receive, send)


router = APIRouter(tags=["transforms"], route_class=DirectRoute)

# A body of this size takes some two milliseconds. Handing it to a thread would cost a tenth of that and gain nothing,
# for parsing holds the interpreter's lock; a body of many megabytes would keep every other request waiting meanwhile.
SMALL = 512 * 1024


@router.post(
    "/v1/transforms",
    summary="Credits for groups of rewards",
    openapi_extra=schemas.REQUEST_BODY,
    responses={200: {"model": schemas.TransformResponse, "content": schemas.ANSWERS}},
)
async def transform_rewards(
    request: Request,
    caller: Reader,
    body: Annotated[Body, Depends(body_of)],
    idempotency_key: IdempotencyKeyHeader = None,  # for the document: done_once reads it
) -> Response:
    """Each reward's credit, to stand in place of its advantage: nothing may centre credits or scale them by group.

    Unbiased for the gradient of max_g@k (of pass@k where rewards are 0 and 1), or of its weighted sum over several k.

    With `record` the groups are stored before the answer, by run, segment, step and place in the request: the same ones
    again are `replayed`. It needs the scope `write`, and only with it an `Idempotency-Key` counts.

    An array in the npy format (`application/x-npy`) is `(n,)`, one group, or `(groups, n)`, of floats, integers or
    bools; nan = missing. Its options stand in the query, its answer is the credits alone: float64, of the same shape,
    nan where the reward is. `Accept` asks for the other form: JSON for an array, or an array for groups of one size.
    """
    small = len(body.content) <= SMALL
    asked = _read(body, request) if small else await run_in_threadpool(_read, body, request)
    if asked.record is not None:
        if "write" not in caller.scopes:
            raise ScopeMissing("write")
        async with session_of(request.app) as session:
            answer = partial(run_in_threadpool, _answer, request, caller, asked, session)
            return await done_once(request, caller, body.content, session, answer)
    return _answer(request, caller, asked) if small else await run_in_threadpool(_answer, request, caller, asked)


class _Asked(NamedTuple):
    """Groups, and what they are to become."""

    groups: Groups
    options: TransformOptions
    media_type: str  # of the body
    shape: tuple[int, ...] | None = None  # of the array that they were, if they were one
    record: Record | None = None  # where to store them


def _answer(request: Request, caller: Caller, asked: _Asked, session: Session | None = None) -> Response:
    """The credits, of groups that are stored in the session where there is one."""
    result = service.credit(asked.groups, asked.options)
    recorded = None
    if session is not None and asked.record is not None:
        recorded = record.store(session, caller.project_id, asked.record, asked.groups, asked.options, result)
    media_type = _media_type_of_answer(request, asked.media_type)
    if media_type == npy.MEDIA_TYPE:
        answer = npy.written(asked.groups, result.credits, asked.shape)
    else:
        answer = _json(asked.groups, asked.options, result, recorded)
    return Response(answer, media_type=media_type)


def _read(body: Body, request: Request) -> _Asked:
    if body.media_type == npy.MEDIA_TYPE:
        options, rewards = query.options_in(request.scope["query_string"]), npy.rewards(body.content)
        return _Asked(npy.groups_of(rewards), options, body.media_type, rewards.shape)
    if request.scope["query_string"]:
        query.refuse_options(request.query_params)
    fields = wire.json_object(body.content)
    if "rewards" not in fields:
        raise InvalidRequest("rewards are missing.", [("/rewards", "missing")])
    where = record.read(body.content, fields) if "record" in fields else None
    options = wire.options_of(TransformOptions, {name: fields[name] for name in fields if name != "record"})
    groups = wire.groups_of(fields["rewards"])
    if where is None:
        wire.refuse_key_twice(body.content, fields)
    else:
        record.refuse_other_shape(where, groups)
    return _Asked(groups, options, body.media_type, record=where)


def _media_type_of_answer(request: Request, of_body: str) -> str:
    """That of the body, unless only the other one is accepted by name."""
    accepted = {each.partition(";")[0].strip().lower() for each in request.headers.get("accept", "").split(",")}
    named = accepted & {JSON, npy.MEDIA_TYPE}
    return named.pop() if len(named) == 1 else of_body


def _json(groups: Groups, options: TransformOptions, result: Credits, recorded: Recorded | None) -> bytes:
    return orjson.dumps(
        {
            "credits": _by_group(result.credits, groups.sizes),
            "max_at_k": result.max_at_k,
            "transform": options.transform,
            "k": options.k,
            "scale": options.scale,
            **({"recorded": recorded.model_dump()} if recorded else {}),
        },
        option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS,  # nan is written null
    )


def _by_group(credits: NDArray[np.float64], sizes: NDArray[np.int64]) -> NDArray[np.float64] | list[list[float]]:
    if (sizes == sizes[0]).all():
        return credits.reshape(len(sizes), sizes[0])
    values, ends = credits.tolist(), [0, *np.cumsum(sizes).tolist()]
    return [values[start:end] for start, end in pairwise(ends)]
