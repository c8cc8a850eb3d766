"""The published methods, a function each."""

import numpy as np
from numpy.typing import ArrayLike

from pkpo import inputs
from pkpo.baselines.groups import Floats, by_sets, credited, deviations, over_std
from pkpo.estimators import fail_at_k, pass_at_k
from pkpo.transforms import Scale, smallest_n, transform

ENTROPY_COEFFICIENTS = (0.001, 0.005, 0.01, 0.05, 0.1)  # arXiv:2505.15201v4, section 5.2


def reinforce(g: ArrayLike, *, mask: ArrayLike | None = None, scale: Scale = "sum") -> Floats:
    """g_i: no baseline, unbiased for pass@1 (the mean reward), of the largest variance. Any n.

    Arguments and errors are those of transforms.transform. Williams (1992).
    """
    return credited("reinforce", g, mask, scale, 1, np.copy)


def rloo(g: ArrayLike, *, mask: ArrayLike | None = None, scale: Scale = "sum") -> Floats:
    """g_i less the mean of the others: unbiased for pass@1 (the mean reward). n >= 2.

    Arguments and errors are those of transforms.transform. Kool et al. (2019); arXiv:2402.14740; arXiv:2505.15201v4,
    Eq. (26).
    """
    return credited("rloo", g, mask, scale, 2, lambda g: transform("centered", g, 1, scale="mean"))


def dr_grpo(g: ArrayLike, *, mask: ArrayLike | None = None, scale: Scale = "sum") -> Floats:
    """g_i less the mean of the group: 1 - 1/n times the gradient of pass@1, the same for every problem. n >= 2.

    Arguments and errors are those of transforms.transform. arXiv:2503.20783.
    """
    return credited("dr_grpo", g, mask, scale, 2, deviations)


def grpo(g: ArrayLike, *, mask: ArrayLike | None = None, scale: Scale = "sum") -> Floats:
    """(g_i - mean) / standard deviation: problems near p = 0 and 1 count for more, about 1 / sqrt(p (1 - p)). n >= 2.

    Biased for pass@1 by a factor that differs between problems: for binary rewards and large n it maximises
    2 arcsin(sqrt(p)). Groups of equal rewards get 0. Arguments and errors are those of transforms.transform.
    arXiv:2402.03300.
    """
    return credited("grpo", g, mask, scale, 2, lambda g: over_std(deviations(g), g))


def tang(g: ArrayLike, *, mask: ArrayLike | None = None, scale: Scale = "sum") -> Floats:
    """max(g) - max(g without i): the group's k is n, unbiased for pass@n. n >= 2.

    Only the best is paid, what it is above the second best; ties at the top get 0. It is sloo_minus_one at k = n.
    Arguments and errors are those of transforms.transform. arXiv:2503.19595.
    """
    return credited("tang", g, mask, scale, 2, lambda g: transform("sloo_minus_one", g, g.shape[1]), published="sum")


def tang_partitioned(g: ArrayLike, k: int, *, mask: ArrayLike | None = None, scale: Scale = "sum") -> Floats:
    """tang in each of n / k sets of k, averaged over the sets: unbiased for pass@k, 2 <= k, n a multiple of k.

    Sets are taken in the order of the completions. Of more variance than sloo_minus_one, which averages over all
    subsets. Arguments and errors are those of transforms.transform. arXiv:2503.19595; arXiv:2505.15201v4, Figure 4
    ("loo minus one partitioned").
    """
    if inputs.attempts(k) < 2:
        raise ValueError(f"tang_partitioned needs k of at least 2, sets with a second best; got k={k}")

    def credits(sets: Floats) -> Floats:
        return np.asarray(transform("sloo_minus_one", sets, k) / sets.shape[1])

    return credited(
        "tang_partitioned", g, mask, scale, k, by_sets("tang_partitioned", k, credits), k=k, published="sum"
    )


def naive_partition(g: ArrayLike, k: int, *, mask: ArrayLike | None = None, scale: Scale = "sum") -> Floats:
    """Every member of a set of k gets the best reward of its set: unbiased for pass@k, n a multiple of k.

    Sets are taken in the order of the completions. Arguments and errors are those of transforms.transform.
    arXiv:2505.15201v4, Figure 4 ("naive partitioned no baseline").
    """

    def credits(sets: Floats) -> Floats:
        return np.repeat(sets.max(axis=2, keepdims=True) / sets.shape[1], k, axis=2)

    return credited("naive_partition", g, mask, scale, k, by_sets("naive_partition", k, credits), k=k, published="sum")


def naive_partition_baselined(g: ArrayLike, k: int, *, mask: ArrayLike | None = None, scale: Scale = "sum") -> Floats:
    """naive_partition less the mean best of the other sets: unbiased for pass@k, n a multiple of k and n >= 2k.

    Arguments and errors are those of transforms.transform. arXiv:2505.15201v4, Figure 4 ("naive partitioned
    baselined").
    """
    name = "naive_partition_baselined"

    def credits(sets: Floats) -> Floats:
        above_others = transform("centered", sets.max(axis=2), 1)  # over the sets, divided by their number
        return np.repeat(above_others[:, :, None], k, axis=2)

    return credited(name, g, mask, scale, 2 * inputs.attempts(k), by_sets(name, k, credits), k=k, published="sum")


def chen(g: ArrayLike, k: int, *, std: bool = True, mask: ArrayLike | None = None, scale: Scale = "sum") -> Floats:
    """The advantage of pass@k training: s less its mean, times n / k, over the deviation of pass@k. Binary, n >= k.

    With R = pass_at_k(n, c, k): (1 - R) / sqrt(R (1 - R)) for a pass, and what centres the group for a failure. Biased:
    centring alone multiplies the gradient by 1 - k / n, zero at k = n, and the deviation weighs problems by their
    outcome. Groups with R of 0 or 1 get 0. std=False leaves the deviation out: (1/k) (1 - k/n) times the gradient of
    pass@k, exactly. Arguments and errors are those of transforms.transform, and rewards other than 0 and 1 are refused.
    arXiv:2508.10751, "analytical derivation".
    """

    def advantages(g: Floats) -> Floats:
        n = g.shape[1]
        c = np.count_nonzero(g, axis=1)[:, None]
        failing, passing = fail_at_k(n, c, k), pass_at_k(n, c, k)
        size = np.sqrt(np.divide(failing, passing, out=np.zeros(c.shape), where=c > 0)) if std else failing
        to_failures = -c / np.maximum(n - c, 1)  # what centres the group; size is 0 where nobody failed
        return np.asarray(size * np.where(g == 1, 1.0, to_failures))

    return credited("chen", g, mask, scale, inputs.attempts(k), advantages, k=k, binary=True)


def grpo_passk(g: ArrayLike, *, std: bool = True, mask: ArrayLike | None = None, scale: Scale = "sum") -> Floats:
    """The best reward less the second best, to the best alone, over the standard deviation. k is n >= 2.

    For binary rewards one credit at most is not 0, where exactly one completion passed, and the deviation is then
    1 / sqrt(n): so it is pass@n times the constant 1 / sqrt(n) with std, 1 / n without, which a learning rate absorbs.
    For other rewards std weighs problems by their outcome, another objective. Ties at the top get 0. Arguments and
    errors are those of transforms.transform. verl's advantage estimator of this name, after arXiv:2503.19595.
    """

    def advantages(g: Floats) -> Floats:
        lead = transform("sloo_minus_one", g, g.shape[1])
        return over_std(lead, g) if std else lead

    return credited("grpo_passk", g, mask, scale, 2, advantages)


def best_of_n_mean(g: ArrayLike, *, mask: ArrayLike | None = None, scale: Scale = "sum") -> Floats:
    """The best reward less the mean of the group, to the best alone; ties at the top share it. n >= 2.

    Biased for pass@n: the mean holds the best itself. For binary rewards its gradient is exactly that of
    sum over j = 2..n of pass@j / j, divided by n. Groups of equal rewards get 0. Arguments and errors are those of
    transforms.transform.
    """

    def advantages(g: Floats) -> Floats:
        best = g == g.max(axis=1, keepdims=True)
        return np.where(best, deviations(g) / best.sum(axis=1, keepdims=True), 0.0)

    return credited("best_of_n_mean", g, mask, scale, 2, advantages)


def maxrl(g: ArrayLike, *, mask: ArrayLike | None = None, scale: Scale = "sum") -> Floats:
    """(g_i - mean) / mean: the passes share the gradient equally. Binary, n >= 2; 0 where none passed.

    Claimed for sum over j = 1..n of pass@j / j, the first n terms of the log-likelihood of passing; skipping groups
    without a pass leaves the mean's part behind, and what it is unbiased for is the sum to n - 1. multi_k of the
    transforms with weights 1 / j has the sum to n, for all rewards. Arguments and errors are those of
    transforms.transform, and rewards other than 0 and 1 are refused. arXiv:2602.02710.
    """

    def advantages(g: Floats) -> Floats:
        mean = g.mean(axis=1, keepdims=True)
        return np.asarray(np.divide(g - mean, mean, out=np.zeros_like(g), where=mean > 0))

    return credited("maxrl", g, mask, scale, 2, advantages, binary=True)


def mean_centered(
    g: ArrayLike, k: int, name: str = "s", *, mask: ArrayLike | None = None, scale: Scale = "sum"
) -> Floats:
    """The named transform less the mean of the group: what a trainer makes of credits that it takes for rewards.

    Biased. Of s it leaves 1 - k/n of the gradient, nothing at k = n. Of sloo_minus_one, at k >= 2, it makes the
    gradient of max_g@k - (k/n) (max_g@k - max_g@(k-1)), another objective. Arguments and errors are those of
    transforms.transform.
    """

    def credits(g: Floats) -> Floats:
        whole = transform(name, g, k)
        return np.asarray(whole - whole.mean(axis=1, keepdims=True))

    return credited(f"mean_centered {name}", g, mask, scale, smallest_n(name, k), credits, k=k, published="sum")


def entropy_bonus(
    log_p: ArrayLike, coefficient: float, *, mask: ArrayLike | None = None, scale: Scale = "sum"
) -> Floats:
    """Credits whose gradient is coefficient times that of the policy's entropy, to add to those of the rewards.

    rloo of the rewards -coefficient * log p(x_i), unbiased for -E[log p]: the log-probability of the whole completion,
    where trainers add the entropy of each token to the loss. n >= 2.

    Args:
      log_p: log-probabilities of the completions under the policy, shape (..., n).
      coefficient: a real number, as in ENTROPY_COEFFICIENTS.
    """
    values, valid = inputs.rewards(log_p, mask, "log_p")
    return rloo(-inputs.finite("coefficient", coefficient) * values, mask=valid, scale=scale)
