"""The methods that PKPO is compared with, each with what it is unbiased for, or what it optimises instead.

Rewards in, credits out, as the transforms: shape (..., n), with mask and scale. A method that is published as
advantages, for a loss that averages over a group, gives these under scale="mean" and 1/n of them under "sum"; one that
is published as a sum over the group (tang and the partitions) gives its own weights under "sum".

BASELINES says of each what it claims, what holds, and where it was published; `pkpo bias` prints the factor of each,
E[gradient estimate] / gradient of what it claims, over n, k and p. Standard deviations have n - 1 in the denominator,
as trainers compute them. There is no epsilon: a group whose deviation is 0 gets credits of exactly 0.

Entropy regularisation is no credit: trainers add -coefficient * entropy of the policy to the loss, token by token.
ENTROPY_COEFFICIENTS are those that the paper tried; entropy_bonus is the same term for whole completions.
"""

from pkpo.baselines.methods import (
    ENTROPY_COEFFICIENTS,
    best_of_n_mean,
    chen,
    dr_grpo,
    entropy_bonus,
    grpo,
    grpo_passk,
    maxrl,
    mean_centered,
    naive_partition,
    naive_partition_baselined,
    reinforce,
    rloo,
    tang,
    tang_partitioned,
)
from pkpo.baselines.registry import BASELINES, Baseline, baseline
from pkpo.baselines.shaping import alpha, counted_solve_rate, moving_solve_rate, pass_k_grpo, surrogate_weight

__all__ = [
    "BASELINES",
    "ENTROPY_COEFFICIENTS",
    "Baseline",
    "alpha",
    "baseline",
    "best_of_n_mean",
    "chen",
    "counted_solve_rate",
    "dr_grpo",
    "entropy_bonus",
    "grpo",
    "grpo_passk",
    "maxrl",
    "mean_centered",
    "moving_solve_rate",
    "naive_partition",
    "naive_partition_baselined",
    "pass_k_grpo",
    "reinforce",
    "rloo",
    "surrogate_weight",
    "tang",
    "tang_partitioned",
]
