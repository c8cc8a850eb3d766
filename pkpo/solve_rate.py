"""The cumulative solve rate of a training run: the share of its problems that it has solved at least once so far."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpo import inputs


def cumulative_solve_rate(c: ArrayLike, solved: ArrayLike | None = None) -> NDArray[np.float64]:
    """The share of problems of which a completion has passed in this step or in one before, at each step.

    It describes a run: it grows with the completions that were drawn, and is no estimate of what a policy can do.
    Compare it between runs that drew as many completions of the same problems.

        >>> pkpo.cumulative_solve_rate([[3, 0], [0, 0], [0, 1]])
        array([0.5, 0.5, 1. ])

    Args:
      c: completions that passed at each step, integers of at least 0, shape (..., T, P): T steps, P problems of the
        whole set, 0 for one that was not drawn in a step. Booleans say that some passed.
      solved: booleans of shape (..., P), the problems that were solved before the first of these steps: to go on with a
        stream after c, `solved | (c > 0).any(axis=-2)`. None is none of them.
    Returns:
      Shares in [0, 1] that never fall along the steps, shape (..., T).
    Raises:
      ValueError: c that are not integers of at least 0 or have no problems; solved of another type or shape.

    arXiv:2505.15201v4, section 5.2 and Figure 6.
    """
    given = np.asarray(c)
    passed = given if given.dtype == np.bool_ else inputs.tallies(inputs.MOST_COMPLETIONS, c)[1] > 0
    if passed.ndim < 2 or passed.shape[-1] == 0:
        raise ValueError(f"c must have shape (..., T, P) with P at least 1; got shape {passed.shape}")
    so_far = np.logical_or.accumulate(passed, axis=-2)
    if solved is not None:
        before = np.asarray(solved)
        if before.dtype != np.bool_ or before.shape != passed.shape[:-2] + passed.shape[-1:]:
            wanted = passed.shape[:-2] + passed.shape[-1:]
            raise ValueError(f"solved must be booleans of shape {wanted}; got {before.dtype} of shape {before.shape}")
        so_far = so_far | before[..., None, :]
    rates: NDArray[np.float64] = so_far.mean(axis=-1)
    return rates
