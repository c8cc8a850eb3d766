"""Estimates from the counts or rewards that a request brings: nothing is stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from app.errors import MOST_ERRORS, InvalidRequest
from app.estimates.curves import FROM_COUNTS, FROM_REWARDS, Counts, padded, refuse_long_work
from app.estimates.errors import KExceedsN
from app.estimates.schemas import REWARD_METRICS, EstimateFields
from app.transforms.wire import groups_of, json_object, options_of, refuse_key_twice
from pkpo.curves import CountMetric, PassAtKCurve, default_ks


@dataclass(frozen=True)
class Estimates:
    """A curve, and the estimates of each problem at its points."""

    curve: PassAtKCurve
    per_problem: tuple[NDArray[np.float64], ...]  # for each point those of all problems, as the request orders them


def estimates(body: bytes) -> Estimates:
    """The estimates that a JSON body asks for; an AppError or RequestValidationError where there are none."""
    fields = json_object(body)
    rewards = fields.get("rewards")
    options = options_of(EstimateFields, fields)
    counted = options.n is not None or options.c is not None
    if counted == (rewards is not None):
        raise InvalidRequest("Give n and c, or rewards.", [("", "counts or rewards")])
    found = _from_counts(options) if counted else _from_rewards(rewards, options)
    refuse_key_twice(body, fields)
    return found


def _from_counts(options: EstimateFields) -> Estimates:
    metric = options.metric or "pass_at_k"
    if metric in REWARD_METRICS:
        raise InvalidRequest(f"{metric} needs rewards.", [("/metric", "needs rewards")])
    n, c = _counts(options)
    ks = _ks(metric, options.k, int(n.min()))
    fewer = np.unique(np.stack([n, n - c if metric == "pass_hat_k" else c]), axis=1)[1]
    # Counts take up to min(c, k) steps at each k, once for every (n, c) that occurs.
    refuse_long_work(sum(int(np.minimum(fewer, k).sum()) + len(n) for k in ks))
    curve = PassAtKCurve.from_counts(n, c, ks, metric=cast(CountMetric, metric), level=options.level)
    return Estimates(curve, tuple(FROM_COUNTS[metric](n, c, point.k) for point in curve.points))


def _counts(options: EstimateFields) -> tuple[Counts, Counts]:
    n, c = np.array(options.n or [], dtype=np.int64), np.array(options.c or [], dtype=np.int64)
    if not len(n) or len(n) != len(c):
        raise InvalidRequest("n and c need one number for each of at least one problem.", [("/c", "as many as n")])
    if len(wrong := np.flatnonzero(c > n)):
        errors = [(f"/c/{i}", f"at most {n[i]}") for i in wrong[:MOST_ERRORS].tolist()]
        raise InvalidRequest("No more completions can have passed than there are.", errors)
    return n, c


def _from_rewards(rewards: object, options: EstimateFields) -> Estimates:
    metric = options.metric or "max_at_k"
    if metric not in REWARD_METRICS:
        raise InvalidRequest(f"{metric} needs n and c.", [("/metric", "needs n and c")])
    groups = groups_of(rewards)
    if np.isnan(groups.rewards).any():
        raise InvalidRequest(
            "Leave missing rewards out: each problem is estimated from those it has.", [("/rewards", "null")]
        )
    ks = _ks(metric, options.k, int(groups.sizes.min()))
    # Rewards are padded to the largest group, in so many places.
    refuse_long_work(max(len(groups.rewards) * len(ks), len(groups.sizes) * int(groups.sizes.max())))
    rows, mask = padded(groups.rewards, groups.sizes)
    curve = PassAtKCurve.from_rewards(rows, ks, metric=metric, mask=mask, level=options.level)
    return Estimates(curve, tuple(FROM_REWARDS[metric](rows, point.k, mask) for point in curve.points))


def _ks(metric: str, wanted: Sequence[int] | None, n_min: int) -> Sequence[int]:
    if n_min < 1:
        raise InvalidRequest("Every problem needs at least one completion.", [("", "a problem has none")])
    if wanted and max(wanted) > n_min:
        raise KExceedsN(metric, max(wanted), n_min, "/k")
    return wanted or default_ks(n_min)
