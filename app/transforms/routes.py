"""Rewards in, credits out: the call that a training loop makes at every step, so nothing stands in its way."""

from itertools import pairwise

import numpy as np
import orjson
from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool
from numpy.typing import NDArray

from app.auth.security import Reader
from app.body import JsonBytes
from app.errors import InvalidRequest
from app.transforms import schemas, service, wire

router = APIRouter(tags=["transforms"])

# A body of this size takes some two milliseconds. Handing it to a thread would cost a tenth of that and gain nothing,
# for parsing holds the interpreter's lock; a body of many megabytes would keep every other request waiting meanwhile.
SMALL = 512 * 1024


@router.post(
    "/v1/transforms",
    summary="Credits for groups of rewards",
    openapi_extra=schemas.REQUEST_BODY,
    responses={200: {"model": schemas.TransformResponse, "content": {"application/json": {"example": schemas.ANSWER}}}},
)
async def transform_rewards(caller: Reader, body: JsonBytes) -> Response:
    """Each reward's credit, to stand in place of its advantage: nothing may centre credits or scale them by group.

    Unbiased for the gradient of max_g@k (of pass@k where rewards are 0 and 1), or of its weighted sum over several k.
    """
    answer = _answer(body) if len(body) <= SMALL else await run_in_threadpool(_answer, body)
    return Response(answer, media_type="application/json")


def _answer(body: bytes) -> bytes:
    fields = wire.json_object(body)
    if "rewards" not in fields:
        raise InvalidRequest("rewards are missing.", [("/rewards", "missing")])
    options = wire.options_of(schemas.TransformOptions, fields)
    groups = wire.groups_of(fields["rewards"])
    wire.refuse_key_twice(body, fields)
    result = service.credit(groups, options)
    return orjson.dumps(
        {
            "credits": _by_group(result.credits, groups.sizes),
            "max_at_k": result.max_at_k,
            "transform": options.transform,
            "k": fields["k"],
            "scale": options.scale,
        },
        option=orjson.OPT_SERIALIZE_NUMPY,  # nan is written null
    )


def _by_group(credits: NDArray[np.float64], sizes: NDArray[np.int64]) -> NDArray[np.float64] | list[list[float]]:
    if (sizes == sizes[0]).all():
        return credits.reshape(len(sizes), sizes[0])
    values, ends = credits.tolist(), [0, *np.cumsum(sizes).tolist()]
    return [values[start:end] for start, end in pairwise(ends)]
