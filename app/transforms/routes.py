"""Rewards in, credits out: the call that a training loop makes at every step, so nothing stands in its way."""

from itertools import pairwise
from typing import Annotated

import numpy as np
import orjson
from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from numpy.typing import NDArray

from app.auth.security import Reader
from app.body import JSON, Body, body_in
from app.errors import InvalidRequest
from app.transforms import npy, query, schemas, service, wire
from app.transforms.schemas import TransformOptions
from app.transforms.service import Credits
from app.transforms.wire import Groups

router = APIRouter(tags=["transforms"])

# A body of this size takes some two milliseconds. Handing it to a thread would cost a tenth of that and gain nothing,
# for parsing holds the interpreter's lock; a body of many megabytes would keep every other request waiting meanwhile.
SMALL = 512 * 1024


RewardsBody = Annotated[Body, Depends(body_in(JSON, npy.MEDIA_TYPE))]


@router.post(
    "/v1/transforms",
    summary="Credits for groups of rewards",
    openapi_extra=schemas.REQUEST_BODY,
    responses={200: {"model": schemas.TransformResponse, "content": schemas.ANSWERS}},
)
async def transform_rewards(request: Request, caller: Reader, body: RewardsBody) -> Response:
    """Each reward's credit, to stand in place of its advantage: nothing may centre credits or scale them by group.

    Unbiased for the gradient of max_g@k (of pass@k where rewards are 0 and 1), or of its weighted sum over several k.

    An array in the npy format (`application/x-npy`) is `(n,)`, one group, or `(groups, n)`, of floats, integers or
    bools; nan = missing. Its options stand in the query, its answer is the credits alone: float64, of the same shape,
    nan where the reward is. `Accept` asks for the other form: JSON for an array, or an array for groups of one size.
    """
    if len(body.content) <= SMALL:
        return _answer(request, body)
    return await run_in_threadpool(_answer, request, body)


def _answer(request: Request, body: Body) -> Response:
    groups, options, shape = _read(request, body)
    result = service.credit(groups, options)
    media_type = _media_type_of_answer(request, body)
    answer = (
        npy.written(groups, result.credits, shape) if media_type == npy.MEDIA_TYPE else _json(groups, options, result)
    )
    return Response(answer, media_type=media_type)


def _read(request: Request, body: Body) -> tuple[Groups, TransformOptions, tuple[int, ...] | None]:
    """The groups, what they are to become, and the shape of the array that they were, if they were one."""
    if body.media_type == npy.MEDIA_TYPE:
        options, rewards = query.options_in(request.query_params), npy.rewards(body.content)
        return npy.groups_of(rewards), options, rewards.shape
    fields = wire.json_object(body.content)
    if "rewards" not in fields:
        raise InvalidRequest("rewards are missing.", [("/rewards", "missing")])
    options = wire.options_of(TransformOptions, fields)
    groups = wire.groups_of(fields["rewards"])
    wire.refuse_key_twice(body.content, fields)
    return groups, options, None


def _media_type_of_answer(request: Request, body: Body) -> str:
    """That of the body, unless only the other one is accepted by name."""
    accepted = {each.partition(";")[0].strip().lower() for each in request.headers.get("accept", "").split(",")}
    named = accepted & {JSON, npy.MEDIA_TYPE}
    return named.pop() if len(named) == 1 else body.media_type


def _json(groups: Groups, options: TransformOptions, result: Credits) -> bytes:
    return orjson.dumps(
        {
            "credits": _by_group(result.credits, groups.sizes),
            "max_at_k": result.max_at_k,
            "transform": options.transform,
            "k": options.k,
            "scale": options.scale,
        },
        option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS,  # nan is written null
    )


def _by_group(credits: NDArray[np.float64], sizes: NDArray[np.int64]) -> NDArray[np.float64] | list[list[float]]:
    if (sizes == sizes[0]).all():
        return credits.reshape(len(sizes), sizes[0])
    values, ends = credits.tolist(), [0, *np.cumsum(sizes).tolist()]
    return [values[start:end] for start, end in pairwise(ends)]
