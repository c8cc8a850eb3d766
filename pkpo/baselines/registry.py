"""Which baselines there are, what each claims, and what holds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Literal

from numpy.typing import ArrayLike

from pkpo.baselines import methods, shaping
from pkpo.baselines.groups import Floats
from pkpo.transforms import Scale

# "MaxRL" is the sum over j = 1..n of pass@j / j.
Objective = Literal["pass@1", "pass@k", "pass@n", "MaxRL"]


@dataclass(frozen=True)
class Baseline:
    """A method, and what is known of its expectation. Of unbiased_for and biased exactly one is there."""

    credits: Callable[..., Floats]  # (g, k, *, mask, scale) where it claims pass@k, else (g, *, mask, scale)
    claims: Objective  # what its factor is measured against
    source: str
    unbiased_for: str | None = None
    biased: str | None = None  # its factor, or what it optimises instead
    binary: bool = False  # refuses rewards other than 0 and 1
    ordered: bool = False  # credits depend on the order of the completions


_PKPO, _TANG, _NOTE = "arXiv:2505.15201v4, Figure 4", "arXiv:2503.19595", 'the note "Optimizing Pass@K Directly"'

BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {
        "reinforce": Baseline(methods.reinforce, "pass@1", "Williams (1992)", unbiased_for="pass@1"),
        "rloo": Baseline(methods.rloo, "pass@1", "arXiv:2402.14740", unbiased_for="pass@1"),
        "dr_grpo": Baseline(methods.dr_grpo, "pass@1", "arXiv:2503.20783", biased="factor 1 - 1/n, the same for all p"),
        "grpo": Baseline(
            methods.grpo, "pass@1", "arXiv:2402.03300", biased="2 arcsin(sqrt(p)) for large n: weighs p near 0 and 1"
        ),
        "tang": Baseline(methods.tang, "pass@n", _TANG, unbiased_for="pass@n"),
        "tang_partitioned": Baseline(
            methods.tang_partitioned, "pass@k", f"{_TANG}; {_PKPO}", unbiased_for="pass@k", ordered=True
        ),
        "naive_partition": Baseline(methods.naive_partition, "pass@k", _PKPO, unbiased_for="pass@k", ordered=True),
        "naive_partition_baselined": Baseline(
            methods.naive_partition_baselined, "pass@k", _PKPO, unbiased_for="pass@k", ordered=True
        ),
        "chen": Baseline(
            methods.chen,
            "pass@k",
            "arXiv:2508.10751",
            biased="centred and divided by the deviation of pass@k: weighs problems by p; zero at k = n",
            binary=True,
        ),
        "chen_without_std": Baseline(
            partial(methods.chen, std=False), "pass@k", "arXiv:2508.10751", biased="factor (1 - k/n) / k", binary=True
        ),
        "grpo_passk": Baseline(
            methods.grpo_passk, "pass@n", "verl, after arXiv:2503.19595", biased="factor 1/sqrt(n), binary rewards only"
        ),
        "grpo_passk_without_std": Baseline(
            partial(methods.grpo_passk, std=False), "pass@n", "verl, after arXiv:2503.19595", biased="factor 1/n"
        ),
        "best_of_n_mean": Baseline(
            methods.best_of_n_mean, "pass@n", "practice", biased="sum over j = 2..n of pass@j / j, by n"
        ),
        "maxrl": Baseline(
            methods.maxrl, "MaxRL", "arXiv:2602.02710", biased="the same sum to n - 1 instead of n", binary=True
        ),
        "pass_k_grpo": Baseline(
            shaping.pass_k_grpo, "pass@k", _NOTE, biased="K B(p; 1/2, K - 1/2) for large n", binary=True
        ),
        "pass_k_grpo_without_std": Baseline(
            partial(shaping.pass_k_grpo, std=False),
            "pass@k",
            _NOTE,
            biased="alpha of an estimated p is too large on average, and depends on the completion it weighs",
            binary=True,
        ),
        "surrogate": Baseline(
            partial(shaping.pass_k_grpo, std=False, weight="surrogate"),
            "pass@k",
            _NOTE,
            biased="log pass@k for large n",
            binary=True,
        ),
        "mean_centered_s": Baseline(
            partial(methods.mean_centered, name="s"), "pass@k", "practice", biased="factor 1 - k/n: zero at k = n"
        ),
        "mean_centered_sloo_minus_one": Baseline(
            partial(methods.mean_centered, name="sloo_minus_one"),
            "pass@k",
            "practice",
            biased="pass@k - (k/n) (pass@k - pass@(k-1)) for k >= 2",
        ),
    }
)


def baseline(
    name: str, g: ArrayLike, k: int | None = None, *, mask: ArrayLike | None = None, scale: Scale = "sum"
) -> Floats:
    """Credits of the named baseline, shape (..., n): transforms.transform for BASELINES.

    k is for baselines that claim pass@k; the others have an objective of their own.

    Raises:
      ValueError: an unknown name, a k that is missing or would be ignored, or what the baseline itself refuses.
    """
    if name not in BASELINES:
        raise ValueError(f"baseline must be one of {', '.join(BASELINES)}; got {name!r}")
    found = BASELINES[name]
    if found.claims == "pass@k":
        if k is None:
            raise ValueError(f"{name} needs k, the attempts that its objective allows")
        return found.credits(g, k, mask=mask, scale=scale)
    if k is not None:
        raise ValueError(f"{name} takes no k, its objective is {found.claims}; got k={k}")
    return found.credits(g, mask=mask, scale=scale)
