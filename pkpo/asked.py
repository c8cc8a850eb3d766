"""What a call of a transform asks for, as NumPy and torch both read it: weighted parts, and the groups they need."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pkpo import inputs, l_statistics
from pkpo.credits import Name, Parts
from pkpo.names import NAMES, parsed
from pkpo.schedules.base import mixture

Attempts = float | Mapping[int, float]
Weights = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Asked:
    """A sum of transforms at several k, each with its weight."""

    name: str
    parts: Parts
    at: str  # its largest k, in words
    needed: int  # rewards in a group
    binary: bool = False  # whether a reward must be 0 or 1

    @property
    def hint(self) -> str:
        """What to do about a group that is too small."""
        if self.name in ("sloo", "centered"):
            return "; sloo_minus_one allows k = n"
        return "; lam = 0 allows k = n" if self.name == "mixed" else ""

    def check_size(self, label: object, n: int) -> None:
        """ValueError where the labelled group of n rewards is too small."""
        if n < self.needed:
            least = f"at least {self.needed} rewards per group"
            raise ValueError(f"{self.name} at {self.at} needs {least}; group {label!r} has n={n}{self.hint}")


def named(name: str, k: Attempts) -> Asked:
    """The transform of that name at k, at the mixture of two that a fractional k is, or at several k by weight.

    "mixed(0.25)" is mixed with lam = 0.25; "top_mean(2)", "cvar(0.5)" and "median" are the L-statistics with the
    weights that pkpo.l_statistics gives at each k.
    """
    transform, argument = parsed(name)
    if transform in NAMES:
        # Of passes and failures plugin is alpha_loo: its baseline is then c / (n - 1) times alpha.
        part = "plugin" if transform == "alpha_loo" else transform
        parts = tuple((part, attempts, weight) for attempts, weight in weights_of(k))
        return _asked(transform, parts, binary=transform == "alpha_loo")
    if transform == "mixed":
        assert argument is not None
        return mixed(k, argument)
    if transform == "history":
        raise ValueError(f"{name} needs the past of a training, which trainers keep; pkpo.history takes a baseline")
    given = () if argument is None else (argument,)
    of_ranks = _OF_RANKS[transform]
    return _asked(name, tuple((of_ranks(attempts, *given), attempts, weight) for attempts, weight in weights_of(k)))


_OF_RANKS: Mapping[str, Callable[..., l_statistics.Weights]] = {
    "top_mean": l_statistics.top_mean,
    "cvar": l_statistics.cvar,
    "median": l_statistics.median,
}


def mixed(k: Attempts, lam: float) -> Asked:
    """lam times centered and 1 - lam times sloo_minus_one, without the one that has no weight."""
    share = inputs.finite("lam", lam)
    both = (("centered", share), ("sloo_minus_one", 1 - share))
    weights = weights_of(k)
    return _asked(
        "mixed", tuple((name, attempts, weight * part) for attempts, weight in weights for name, part in both if part)
    )


def history(k: Attempts) -> Asked:
    """s at k, to be taken of rewards less the baseline: what is taken off all rewards takes k / n of it off s."""
    return _asked("history", tuple(("s", attempts, weight) for attempts, weight in weights_of(k)))


def l_statistic(k: int, weights: Iterable[float]) -> Asked:
    """The L-statistic with these k weights, that of the lowest first."""
    attempts = inputs.attempts(k)
    if not isinstance(weights, Iterable):
        raise ValueError(f"weights must be k={attempts} numbers, one for each rank; got {weights!r}")
    v = tuple(inputs.finite("a weight", each) for each in weights)
    if len(v) != attempts:
        raise ValueError(f"weights must be k={attempts} numbers, one for each rank; got {len(v)}")
    return _asked("l_statistic", ((v, attempts, 1.0),))


def weights_of(k: Attempts) -> Weights:
    """(k, weight) in ascending k: for a whole k alone weight 1, for a fractional one its floor and its ceiling."""
    if not isinstance(k, Mapping):
        return tuple(mixture(k).items())
    if not k:
        raise ValueError("k must name at least one number of attempts; got an empty mapping")
    return tuple(sorted((inputs.attempts(each), inputs.finite("a weight of k", weight)) for each, weight in k.items()))


def _asked(name: str, parts: Parts, binary: bool = False) -> Asked:
    largest = max(k for _, k, _ in parts)
    return Asked(name, parts, f"k={largest}", max(_smallest_n(part, k) for part, k, _ in parts), binary)


def _smallest_n(name: Name, k: int) -> int:
    if name in ("sloo", "centered"):
        return k + 1
    return k if name == "s" else max(k, 2)
