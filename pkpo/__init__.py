"""pass@k, done right: unbiased estimates and reward transforms for evaluation and for training.

To evaluate: pass_at_k(n, c, k) for each problem, from n completions of which c passed, and max_at_k(g, k) from their
rewards g; PassAtKCurve.from_counts(n, c) and PassAtKCurve.from_rewards(g) for their means over problems, with
intervals. To train: sloo_minus_one(g, k) and its relatives turn the rewards of each group, along the last axis, into
credits that replace the advantages; transform says what they all take; pkpo.torch has them for tensors. pad makes an
array and its mask of groups that differ in length.

Each name is imported with its module when it is first asked for: `pkpo --help` and the readers need no NumPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pkpo.answers import distinct_at_k, maj_at_k
    from pkpo.bootstrap import bootstrap_interval, bootstrap_pass_at_k, bootstrap_test, simultaneous_band
    from pkpo.comparisons import Comparison, Difference, SignFlips, sign_flips
    from pkpo.curves import CurvePoint, PassAtKCurve, default_ks, pad
    from pkpo.estimators import (
        fail_at_k,
        g_pass_at_k,
        max_at_k,
        max_at_ks,
        mg_pass_at_k,
        min_at_k,
        pass_at_k,
        pass_hat_k,
    )
    from pkpo.extrapolation import Calibration, CalibrationPoint, Extrapolation, ModelPoint, calibration, extrapolate
    from pkpo.intervals import MeanInterval, fixed_interval, mean_interval, student_t
    from pkpo.planning import Pilot
    from pkpo.proportions import ProblemInterval, pass_at_k_interval
    from pkpo.selection import best_of_k
    from pkpo.solve_rate import cumulative_solve_rate
    from pkpo.strata import curves_by_field, curves_by_reference
    from pkpo.transforms import (
        SCALES,
        TRANSFORMS,
        Scale,
        Transform,
        alpha_loo,
        centered,
        history,
        l_statistic,
        mixed,
        multi_k,
        plugin,
        s,
        sloo,
        sloo_minus_one,
        smallest_n,
        transform,
    )
    from pkpo.variance import max_at_k_variance_estimate, pass_at_k_variance, pass_at_k_variance_estimate

__version__ = "0.1.0"

__all__ = [
    "SCALES",
    "TRANSFORMS",
    "Calibration",
    "CalibrationPoint",
    "Comparison",
    "CurvePoint",
    "Difference",
    "Extrapolation",
    "MeanInterval",
    "ModelPoint",
    "PassAtKCurve",
    "Pilot",
    "ProblemInterval",
    "Scale",
    "SignFlips",
    "Transform",
    "alpha_loo",
    "best_of_k",
    "bootstrap_interval",
    "bootstrap_pass_at_k",
    "bootstrap_test",
    "calibration",
    "centered",
    "cumulative_solve_rate",
    "curves_by_field",
    "curves_by_reference",
    "default_ks",
    "distinct_at_k",
    "extrapolate",
    "fail_at_k",
    "fixed_interval",
    "g_pass_at_k",
    "history",
    "l_statistic",
    "maj_at_k",
    "max_at_k",
    "max_at_k_variance_estimate",
    "max_at_ks",
    "mean_interval",
    "mg_pass_at_k",
    "min_at_k",
    "mixed",
    "multi_k",
    "pad",
    "pass_at_k",
    "pass_at_k_interval",
    "pass_at_k_variance",
    "pass_at_k_variance_estimate",
    "pass_hat_k",
    "plugin",
    "s",
    "sign_flips",
    "simultaneous_band",
    "sloo",
    "sloo_minus_one",
    "smallest_n",
    "student_t",
    "transform",
]

# In the order of asking: what is imported before a name is found costs the start.
_MODULES = (
    "answers",
    "curves",
    "estimators",
    "intervals",
    "selection",
    "solve_rate",
    "transforms",
    "bootstrap",
    "comparisons",
    "extrapolation",
    "planning",
    "proportions",
    "strata",
    "variance",
)
_APART = (
    "baselines",
    "l_statistics",
    "offpolicy",
    "oracle",
    "schedules",
    "toy",
)  # names of theirs are not names of pkpo


def __getattr__(name: str) -> object:
    """The public object of that name, from the module that defines it, or that module itself."""
    if name in _MODULES or name in _APART:
        return import_module(f"{__name__}.{name}")
    if name in __all__:
        for module in _MODULES:
            public = vars(import_module(f"{__name__}.{module}"))
            if name in public:
                return globals().setdefault(name, public[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES, *_APART})
