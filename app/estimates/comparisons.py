"""Two evaluations of one problem set: what changed from a to b, problem by problem."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from app.errors import AppError
from app.estimates import kept, queries
from app.estimates.curves import (
    Design,
    Graded,
    Statistics,
    graded_problems,
    is_unbiased,
    laid_out,
    refuse_k_beyond_n,
)
from app.estimates.errors import KExceedsN, NoVerdict, OtherProblems, OtherVerifiers, RewardsTooLarge
from app.estimates.schemas import REWARD_METRICS, ComparisonQuery
from app.estimates.service import chosen_verifier, design_of, evaluation
from app.models import Evaluation
from pkpo.comparisons import Comparison
from pkpo.curves import CountMetric, PassAtKCurve, RewardMetric, default_ks

SEED: Final = 0  # of the signs that the test draws, so that the same data has the same p-values
BYTES_OF_NAME: Final = 600


@dataclass(frozen=True)
class EvaluationComparison:
    """What changed from a to b, and what it is the comparison of."""

    found: Comparison
    a: PassAtKCurve  # over the problems that both allow, as b
    b: PassAtKCurve
    newly_solved: tuple[str, ...] | None  # in the order of the set; None for rewards
    forgotten: tuple[str, ...] | None
    problems_total: int
    unbiased: bool
    verifier: str
    query: ComparisonQuery


def comparison(session: Session, project_id: int, query: ComparisonQuery) -> EvaluationComparison:
    """The comparison of two evaluations; an AppError says why there is none."""
    sides = {"a": evaluation(session, project_id, query.a), "b": evaluation(session, project_id, query.b)}
    if sides["a"].problem_set_id != sides["b"].problem_set_id:
        raise OtherProblems
    states = kept.states(session, sides.values())
    key = _key([states[each.id] for each in sides.values()], [design_of(each) for each in sides.values()], query)
    found: EvaluationComparison | None = kept.CACHE.find(key)
    if found is None:
        found = _compared(session, sides, states, query)
        kept.CACHE.keep(key, found, _bytes(found))
    return replace(found, query=query)


@dataclass(frozen=True)
class SolvedChange:
    """How many problems b newly solves and forgets, of those that have completions with a result in both."""

    newly_solved: int
    forgotten: int


def solved_changes(
    session: Session, pairs: Sequence[tuple[Evaluation, Evaluation]], verifiers: Mapping[int, str]
) -> list[SolvedChange]:
    """The change of each pair (a, b) on one problem set, under the verifier that each evaluation (by id) has."""
    evaluations = list({each.id: each for pair in pairs for each in pair}.values())
    states, graders = kept.states(session, evaluations), kept.verifiers(session, evaluations)
    counts = kept.counts(session, {each.id: graders[each.id][verifiers[each.id]] for each in evaluations}, states)
    return [_change(counts[a.id], counts[b.id]) for a, b in pairs]


def _change(a: Statistics, b: Statistics) -> SolvedChange:
    _, in_a, in_b = np.intersect1d(a.problem_ids, b.problem_ids, assume_unique=True, return_indices=True)
    drawn = (a.n[in_a] > 0) & (b.n[in_b] > 0)
    never_a, never_b = a.c[in_a] == 0, b.c[in_b] == 0
    return SolvedChange(
        int(np.count_nonzero(drawn & never_a & ~never_b)), int(np.count_nonzero(drawn & ~never_a & never_b))
    )


def _key(states: Sequence[kept.State], designs: Sequence[Design], query: ComparisonQuery) -> tuple[object, ...]:
    ks = None if query.k is None else tuple(query.k)
    asked = (query.metric, ks, query.level, query.verifier, query.missing, query.fail_reward)
    return ("comparison", *states, *designs, *asked)


def _bytes(found: EvaluationComparison) -> int:
    names = len(found.newly_solved or ()) + len(found.forgotten or ())
    return 3 * (kept.BYTES_OF_ENTRY + kept.BYTES_OF_POINT * len(found.found.points)) + BYTES_OF_NAME * names


def _compared(
    session: Session, sides: Mapping[str, Evaluation], states: Mapping[int, kept.State], query: ComparisonQuery
) -> EvaluationComparison:
    graders = kept.verifiers(session, list(sides.values()))
    for side, each in sides.items():
        if not graders[each.id]:
            raise of_side(side, NoVerdict(queries.completions(session, [each.id])[each.id]))
    verifier = _common_verifier([graders[each.id] for each in sides.values()], query.verifier)
    statistics = {side: _statistics(session, each, states, verifier, query) for side, each in sides.items()}
    graded = _both(
        {side: _graded(side, statistics[side], each, verifier, query) for side, each in sides.items()}, query
    )
    found, a, b = _by_rewards(graded, query) if query.metric in REWARD_METRICS else _by_counts(graded, query)
    ids = [*(found.newly_solved or ()), *(found.forgotten or ())]
    names = queries.names_of(session, [cast(int, each) for each in ids])
    solved, forgotten = (
        None if changed is None else tuple(names[cast(int, each)] for each in changed)
        for changed in (found.newly_solved, found.forgotten)
    )
    unbiased = all(is_unbiased(statistics[side], design_of(each)) for side, each in sides.items())
    return EvaluationComparison(found, a, b, solved, forgotten, len(statistics["a"].n), unbiased, verifier, query)


def _common_verifier(graders: Sequence[Mapping[str, int]], wanted: str | None) -> str:
    """The full name of the verifier whose verdicts are compared: the one wanted, else the only one of both."""
    of_both = [name for name in graders[0] if name in graders[1]]
    if not of_both:
        raise OtherVerifiers([list(each) for each in graders])
    chosen = chosen_verifier(of_both, wanted)
    if isinstance(chosen, AppError):
        raise chosen
    return chosen


def _statistics(
    session: Session, each: Evaluation, states: Mapping[int, kept.State], verifier: str, query: ComparisonQuery
) -> Statistics:
    verifier_ids = {each.id: kept.verifiers(session, [each])[each.id][verifier]}
    if query.metric in REWARD_METRICS:
        found = queries.statistics(session, verifier_ids, rewards=True)
    else:
        found = kept.counts(session, verifier_ids, states)
    return found[each.id].drawn_as(design_of(each))


def _graded(side: str, statistics: Statistics, each: Evaluation, verifier: str, query: ComparisonQuery) -> Graded:
    try:
        return graded_problems(statistics, design_of(each), verifier, query)
    except AppError as refusal:
        raise of_side(side, refusal) from refusal


def of_side(side: str, refusal: AppError) -> AppError:
    """The refusal of one of the two evaluations, which says of which."""
    refusal.args = (f"Evaluation {side}: {refusal}",)
    refusal.errors = [(f"query/{side}", refusal.type), *refusal.errors]
    return refusal


def _both(graded: Mapping[str, Graded], query: ComparisonQuery) -> tuple[Graded, Graded]:
    """The problems that both allow: one set of problems for both evaluations and every k."""
    a, b = graded["a"], graded["b"]
    _, in_a, in_b = np.intersect1d(a.problem_ids, b.problem_ids, assume_unique=True, return_indices=True)
    if not len(in_a):
        raise KExceedsN(query.metric, max(query.k) if query.k else 1, 0)
    a, b = _at(a, in_a), _at(b, in_b)
    refuse_k_beyond_n(query, int(min(a.n.min(), b.n.min())))
    return a, b


def _at(graded: Graded, places: NDArray[np.intp]) -> Graded:
    rewards = None if graded.rewards is None else [graded.rewards[i] for i in places.tolist()]
    return replace(
        graded,
        problem_ids=graded.problem_ids[places],
        n=graded.n[places],
        c=graded.c[places],
        rewards=rewards,
    )


def _ks(a: Graded, b: Graded, query: ComparisonQuery) -> list[int]:
    return sorted(set(query.k or default_ks(int(min(a.n.min(), b.n.min())))))


def _by_counts(graded: tuple[Graded, Graded], query: ComparisonQuery) -> tuple[Comparison, PassAtKCurve, PassAtKCurve]:
    a, b = graded
    ks, metric = _ks(a, b, query), cast(CountMetric, query.metric)
    found = Comparison.from_counts(
        a.n, a.c, b.n, b.c, ks, problems=a.problem_ids.tolist(), metric=metric, level=query.level, seed=SEED
    )
    drawn = [PassAtKCurve.from_counts(each.n, each.c, ks, metric=metric, level=query.level) for each in graded]
    return found, drawn[0], drawn[1]


def _by_rewards(graded: tuple[Graded, Graded], query: ComparisonQuery) -> tuple[Comparison, PassAtKCurve, PassAtKCurve]:
    ks, metric = _ks(*graded, query), cast(RewardMetric, query.metric)
    (a, mask_a), (b, mask_b) = (laid_out(each, len(ks)) for each in graded)
    with np.errstate(over="ignore"):
        if not np.isfinite(np.abs(a).max() + np.abs(b).max()):
            raise RewardsTooLarge
    found = Comparison.from_rewards(a, b, ks, mask_a=mask_a, mask_b=mask_b, metric=metric, level=query.level, seed=SEED)
    drawn = [
        PassAtKCurve.from_rewards(rewards, ks, metric=metric, mask=mask, level=query.level)
        for rewards, mask in ((a, mask_a), (b, mask_b))
    ]
    return found, drawn[0], drawn[1]
