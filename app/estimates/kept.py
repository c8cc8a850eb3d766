"""What was read of evaluations and drawn of them, kept in this process for as long as it holds.

A key begins with `statistics_version`, which every change of an evaluation's counts replaces in its own transaction.
The version is read before the counts: what is kept under it is never older, and once the counts change nobody reads
that version again. A problem that is new in the set changes curves and no count, so their keys hold how many there are.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

from sqlalchemy.orm import Session

from app.estimates import queries
from app.estimates.curves import Design, EvaluationCurve, Statistics
from app.estimates.schemas import CurveQuery
from app.models import Evaluation
from pkpo.byte_cache import ByteCache

T = TypeVar("T")

MOST_BYTES: Final = 64 * 1024 * 1024
# Measured, and rounded up.
BYTES_OF_ENTRY: Final = 2_000
BYTES_OF_POINT: Final = 300


CACHE: Final[ByteCache[Any]] = ByteCache(MOST_BYTES)

State = tuple[UUID, int]  # the version of an evaluation's statistics, and the problems of its set


def states(session: Session, evaluations: Iterable[Evaluation]) -> dict[int, State]:
    """What the curves of each evaluation depend on, by its id. To be asked before its counts are."""
    found = list(evaluations)
    problems = queries.problem_counts(session, {each.problem_set_id for each in found})
    return {each.id: (each.statistics_version, problems[each.problem_set_id]) for each in found}


def verifiers(session: Session, evaluations: Sequence[Evaluation]) -> dict[int, dict[str, int]]:
    """The verifiers that have graded each evaluation: ids by `name@version`, in that order."""

    def read(ids: Sequence[int]) -> dict[int, dict[str, int]]:
        return queries.verifiers(session, ids)

    keys = {each.id: ("verifiers", each.statistics_version) for each in evaluations}
    return _each(keys, read, lambda names: BYTES_OF_ENTRY + 500 * len(names))


def counts(session: Session, verifier_ids: Mapping[int, int], states: Mapping[int, State]) -> dict[int, Statistics]:
    """The counts of each evaluation (a key) under its verifier (the value), without rewards."""

    def read(ids: Sequence[int]) -> dict[int, Statistics]:
        return queries.statistics(session, {each: verifier_ids[each] for each in ids}, rewards=False)

    keys = {each: ("counts", *states[each], verifier_id) for each, verifier_id in verifier_ids.items()}
    return _each(keys, read, lambda found: BYTES_OF_ENTRY + found.bytes)


def _each(
    keys: Mapping[int, Hashable], read: Callable[[Sequence[int]], Mapping[int, T]], size: Callable[[T], int]
) -> dict[int, T]:
    """The value of each evaluation, those that are not kept from one reading."""
    kept = {each: CACHE.find(key) for each, key in keys.items()}
    if absent := [each for each, value in kept.items() if value is None]:
        for each, value in read(absent).items():
            CACHE.keep(keys[each], value, size(value))
            kept[each] = value
    return {each: value for each, value in kept.items() if value is not None}


def curve_key(state: State, design: Design, query: CurveQuery) -> Hashable:
    """What the curve is kept under."""
    ks = None if query.k is None else tuple(query.k)
    return ("curve", *state, design, query.metric, ks, query.level, query.verifier, query.missing, query.fail_reward)


def keep_curve(key: Hashable, curve: EvaluationCurve) -> None:
    """Keep a curve. Why there is none is not kept: it is found from the counts, which are."""
    CACHE.keep(key, curve, BYTES_OF_ENTRY + BYTES_OF_POINT * len(curve.curve.points))
