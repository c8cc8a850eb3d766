"""The unbiased estimate of what a selector gets: the reward of the completion that a reward model scores best."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpo import inputs
from pkpo.weights import LIFT, order_weights, range_exponents


def best_of_k(scores: ArrayLike, rewards: ArrayLike, k: int, mask: ArrayLike | None = None) -> NDArray[np.float64]:
    """Unbiased estimate of the mean reward of the best-scored of k: sum_i C(i - 1, k - 1) / C(n, k) * r_(i).

    r_(i) is the reward of the completion whose score is the i-th lowest. Of several with the best score one is drawn at
    random: they share. With the rewards as scores this is max_at_k, and where all scores are equal the mean reward.

        >>> float(pkpo.best_of_k(scores=[0.1, 0.9, 0.4, 0.4], rewards=[0, 1, 0, 1], k=2))
        0.75

    Args:
      scores: of the verifier or reward model that selects, shape (..., n), bool, int or float.
      rewards: what the selected completion is worth, of the same shape.
      k: attempts allowed, 1 <= k <= n.
      mask: booleans that broadcast to rewards, True for a real completion; what is masked is as if it were not there.
    Returns:
      Estimates within the range of each group's rewards, shape (...), each within 8 ulp of max|r|.
    Raises:
      ValueError: scores and rewards of different shapes, or what max_at_k refuses, in scores and in rewards.

    arXiv:2505.15201v4, Eq. (12) to (14), with another order of the completions.
    """
    values, valid = inputs.rewards(rewards, mask)
    ranks, _ = inputs.rewards(scores, mask, "scores")
    k = inputs.attempts(k)
    if ranks.shape != values.shape:
        raise ValueError(f"scores and rewards must have one shape; got {ranks.shape} and {values.shape}")
    inputs.check_sizes("best_of_k", k, f"k={k}", values.shape, valid)
    shape, n = values.shape[:-1], values.shape[-1]
    values, ranks = values.reshape(-1, n), ranks.reshape(-1, n)
    estimates = np.empty(len(values))
    if valid is None:
        estimates[:] = _selected(ranks, values, k)
    else:
        for groups in inputs.by_size(values, valid.reshape(values.shape)):
            chosen = ranks[groups.rows][groups.valid].reshape(groups.values.shape)
            estimates[groups.rows] = _selected(chosen, groups.values, k)
    shaped: NDArray[np.float64] = estimates.reshape(shape)[()]
    return shaped


def _selected(scores: NDArray[np.float64], rewards: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """best_of_k of groups of shape (P, n): shape (P,)."""
    # Rewards break ties among scores, so that the order of the completions does not show in the last bit.
    order = np.lexsort((rewards, scores), axis=-1)
    ranked, values = (np.take_along_axis(each, order, axis=1) for each in (scores, rewards))
    span = np.stack([rewards.min(axis=1), rewards.max(axis=1)], axis=1)
    exponents = range_exponents(span)
    factor: float | NDArray[np.float64] = 2.0**-LIFT
    if exponents is not None:
        values = np.ldexp(values, exponents)
        factor = np.ldexp(1.0, -LIFT - exponents[:, 0])
    sums: NDArray[np.float64] = (_mean_of_ties(ranked, values) * order_weights(values.shape[1], k)).sum(axis=1)
    return np.clip(sums * factor, span[:, 0], span[:, 1])


def _mean_of_ties(ranked: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values of shape (P, n), each replaced by the mean of those whose ranked score is equal."""
    first = np.ones(ranked.shape, dtype=np.bool_)
    first[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    if first.all():
        return values
    starts = np.flatnonzero(first)
    sizes = np.diff(starts, append=first.size)
    lowest = values.ravel()[starts]
    above = np.add.reduceat(values.ravel() - np.repeat(lowest, sizes), starts)  # exactly 0 where all are equal
    return np.repeat(lowest + above / sizes, sizes).reshape(values.shape)
