"""What a call of a transform asks for, as NumPy and torch both read it: weighted parts, and the groups they need."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pkpo import inputs
from pkpo.credits import Name, Parts
from pkpo.schedules.base import mixture

Attempts = float | Mapping[int, float]
Weights = tuple[tuple[int, float], ...]

NAMES = ("s", "sloo", "sloo_minus_one", "centered", "plugin", "alpha_loo")


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
    """The named transform at k, at the mixture of two that a fractional k is, or at several k by weight.

    "mixed(0.25)" is mixed with lam = 0.25, for those who can hand on a name alone.
    """
    if str(name).startswith("mixed(") and name.endswith(")"):
        return mixed(k, _lam_in(name))
    if name not in NAMES:
        raise ValueError(f"transform must be one of {', '.join(NAMES)}, or mixed(lam) as mixed(0.25); got {name!r}")
    # Of passes and failures plugin is alpha_loo: its baseline is then c / (n - 1) times alpha.
    part = "plugin" if name == "alpha_loo" else name
    parts = tuple((part, attempts, weight) for attempts, weight in _weights(k))
    return _asked(name, parts, binary=name == "alpha_loo")


def mixed(k: Attempts, lam: float) -> Asked:
    """lam times centered and 1 - lam times sloo_minus_one, without the one that has no weight."""
    share = inputs.finite("lam", lam)
    both = (("centered", share), ("sloo_minus_one", 1 - share))
    weights = _weights(k)
    return _asked(
        "mixed", tuple((name, attempts, weight * part) for attempts, weight in weights for name, part in both if part)
    )


def history(k: Attempts) -> Asked:
    """s at k, to be taken of rewards less the baseline: what is taken off all rewards takes k / n of it off s."""
    return _asked("history", tuple(("s", attempts, weight) for attempts, weight in _weights(k)))


def l_statistic(k: int, weights: Iterable[float]) -> Asked:
    """The L-statistic with these k weights, that of the lowest first."""
    attempts = inputs.attempts(k)
    if not isinstance(weights, Iterable):
        raise ValueError(f"weights must be k={attempts} numbers, one for each rank; got {weights!r}")
    v = tuple(inputs.finite("a weight", each) for each in weights)
    if len(v) != attempts:
        raise ValueError(f"weights must be k={attempts} numbers, one for each rank; got {len(v)}")
    return _asked("l_statistic", ((v, attempts, 1.0),))


def weights_of(name: str, k: Attempts) -> Weights:
    """(k, weight) in ascending k: for a whole k alone weight 1, for a fractional one its floor and its ceiling."""
    if name not in NAMES:
        raise ValueError(f"transform must be one of {', '.join(NAMES)}; got {name!r}")
    return _weights(k)


def _weights(k: Attempts) -> Weights:
    if not isinstance(k, Mapping):
        return tuple(mixture(k).items())
    if not k:
        raise ValueError("k must name at least one number of attempts; got an empty mapping")
    return tuple(sorted((inputs.attempts(each), inputs.finite("a weight of k", weight)) for each, weight in k.items()))


def _lam_in(name: str) -> float:
    try:
        return float(name[len("mixed(") : -1])
    except ValueError:
        raise ValueError(f"lam of mixed must be a number, as in mixed(0.25); got {name!r}") from None


def _asked(name: str, parts: Parts, binary: bool = False) -> Asked:
    largest = max(k for _, k, _ in parts)
    return Asked(name, parts, f"k={largest}", max(_smallest_n(part, k) for part, k, _ in parts), binary)


def _smallest_n(name: Name, k: int) -> int:
    if name in ("sloo", "centered"):
        return k + 1
    return k if name == "s" else max(k, 2)
