"""Weights for pkpo.l_statistic: what is wanted of k attempts, as a weight for each rank, that of the lowest first."""

from fractions import Fraction

from pkpo import inputs

Weights = tuple[float, ...]


def top_mean(k: int, m: float) -> Weights:
    """The mean of the best m of k attempts: the best alone at m = 1, the mean of all at m = k.

    Args:
      m: in (0, k]; of a fractional m the last member counts in part.
    Raises:
      ValueError: k below 1 or no integer, m out of its range.
    """
    attempts, kept = inputs.attempts(k), inputs.finite("m", m)
    if not 0 < kept <= attempts:
        raise ValueError(f"m must be in (0, k]; got m={m}, k={k}")
    share = Fraction(kept)
    from_the_top = [min(Fraction(1), max(Fraction(0), share - above)) / share for above in range(attempts)]
    return tuple(float(weight) for weight in reversed(from_the_top))


def cvar(k: int, alpha: float) -> Weights:
    """The mean of the worst share alpha of k attempts, their conditional value at risk; alpha in (0, 1].

    Of k attempts, not of the policy: the two meet as k grows. ValueError as for top_mean.
    """
    share = inputs.finite("alpha", alpha)
    if not 0 < share <= 1:
        raise ValueError(f"alpha must be in (0, 1]; got {alpha}")
    return top_mean(k, share * inputs.attempts(k))[::-1]


def median(k: int) -> Weights:
    """The median of k attempts: the middle one, or the mean of the two in the middle. ValueError as for top_mean."""
    attempts = inputs.attempts(k)
    low, high = (attempts - 1) // 2, attempts // 2
    return tuple(((rank == low) + (rank == high)) / 2 for rank in range(attempts))
