"""pass@k, done right: unbiased estimates and reward transforms for evaluation and for training."""

from pkpo.curves import CurvePoint, PassAtKCurve, default_ks, pad
from pkpo.estimators import fail_at_k, max_at_k, max_at_ks, min_at_k, pass_at_k, pass_hat_k
from pkpo.intervals import MeanInterval, mean_interval, student_t
from pkpo.transforms import (
    SCALES,
    TRANSFORMS,
    Scale,
    Transform,
    centered,
    multi_k,
    plugin,
    s,
    sloo,
    sloo_minus_one,
    smallest_n,
    transform,
)

__version__ = "0.1.0"

__all__ = [
    "SCALES",
    "TRANSFORMS",
    "CurvePoint",
    "MeanInterval",
    "PassAtKCurve",
    "Scale",
    "Transform",
    "centered",
    "default_ks",
    "fail_at_k",
    "max_at_k",
    "max_at_ks",
    "mean_interval",
    "min_at_k",
    "multi_k",
    "pad",
    "pass_at_k",
    "pass_hat_k",
    "plugin",
    "s",
    "sloo",
    "sloo_minus_one",
    "smallest_n",
    "student_t",
    "transform",
]
