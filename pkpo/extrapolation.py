"""pass@k beyond the completions there are: a model's answer, never an unbiased one, and kept apart for that reason.

No function of n completions is an unbiased estimate of pass@k for k > n (arXiv:2505.15201v4, Corollary 2). What stands
here assumes how solve rates are spread over problems; calibration() says how far off it was where that can be checked.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpo import inputs
from pkpo.beta_binomial import Tables, fit, pass_at_k_of
from pkpo.bootstrap import blocks, enough_draws, generator, tails
from pkpo.curves import ascending_ks, default_ks
from pkpo.estimators import pass_at_k

ExtrapolationModel = Literal["beta-binomial", "power law"]


@dataclass(frozen=True)
class ModelPoint:
    """What a model says of mean pass@k; low and high hold the error of its fit, not that of its form."""

    k: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Extrapolation:
    """Mean pass@k by a model fitted to counts: model-based at every k, whether or not k exceeds n."""

    model: str
    formula: str
    parameters: tuple[float, float]  # a, b of the formula
    points: tuple[ModelPoint, ...]
    level: float
    method: str  # of the interval
    problems: int
    n_max: int  # the most completions that a problem had
    seed: int
    draws: int


@dataclass(frozen=True)
class CalibrationPoint:
    """The prediction from a part of the completions beside the unbiased estimate from all of them."""

    k: int
    predicted: float
    low: float
    high: float
    unbiased: float  # pass_at_k from all n
    error: float  # predicted - unbiased


@dataclass(frozen=True)
class Calibration:
    """How far a model, fitted to fit_n completions of each problem, was off up to the n that there are."""

    model: str
    fit_n: int
    n: int
    points: tuple[CalibrationPoint, ...]
    largest_error: float  # max |error|
    level: float
    problems: int
    seed: int


def extrapolate(
    n: ArrayLike,
    c: ArrayLike,
    k: int | Sequence[int],
    *,
    model: ExtrapolationModel = "beta-binomial",
    level: float = 0.95,
    seed: int = 0,
    draws: int = 1000,
) -> Extrapolation:
    """Mean pass@k at any k by a model of how solve rates are spread: model-based, as wrong as the model is.

    beta-binomial: solve rates are Beta(a, b), fitted by maximum likelihood; pass@k = 1 - B(a, b + k) / B(a, b).
    power law:     -log pass@k = a k^-b, a line through log(-log pass@k) over log k by least squares, at the powers of
                   two up to the smallest n, and there, of the unbiased estimates.

    The interval is the central part of the model's answers for resamples of the problems.

    Args:
      n, c: completions per problem and how many of them passed, shape (P,); one n may stand for all.
      k: one or several, each in [1, 2^53].
      level, seed, draws: of the interval. Cost: draws * P for each of some ten steps of the fit, whatever n is.
    Raises:
      ValueError: counts or k out of range, fewer than two problems, an unknown model, or data from which it cannot be
        fitted: none or all passed; every problem passed always or never; solve rates that vary no more than chance; for
        the power law n below 2, or pass@k of 0 or 1.

    Griffiths (1973), Biometrics 29, for the likelihood; Brown et al. (2024), arXiv:2407.21787, Eq. (2) and (3), for the
    power law; Schaeffer et al. (2025), arXiv:2502.17578, for why such spreads give one.
    """
    totals, passed = _counts(n, c)
    ks, level, rng = ascending_ks(k), inputs.level_of(level), generator(seed)
    draws = enough_draws(draws, level)
    if ks[-1] > _MOST_ATTEMPTS:
        raise ValueError(f"k must be at most 2^53, what float64 counts to; got {ks[-1]}")
    if model not in _FITS:
        raise ValueError(f"model must be one of {', '.join(_FITS)}; got {model!r}")
    formula, refuse, fitted = _FITS[model]
    refuse(totals, passed)
    rows = [rng.integers(len(totals), size=(each, len(totals))) for each in blocks(draws, 4 * len(totals))]
    parameters, values = fitted(totals, passed, np.arange(len(totals))[None], ks)
    resampled = np.concatenate([fitted(totals, passed, chosen, ks)[1] for chosen in rows])
    low, high = tails(resampled, level)
    points = zip(ks, values[0].tolist(), low.tolist(), high.tolist(), strict=True)
    return Extrapolation(
        model=model,
        formula=formula,
        parameters=(float(parameters[0, 0]), float(parameters[0, 1])),
        points=tuple(ModelPoint(*point) for point in points),
        level=level,
        method="percentile bootstrap over problems",
        problems=len(totals),
        n_max=int(totals.max()),
        seed=int(seed),
        draws=draws,
    )


def calibration(
    n: ArrayLike,
    c: ArrayLike,
    fit_n: int,
    *,
    model: ExtrapolationModel = "beta-binomial",
    level: float = 0.95,
    seed: int = 0,
    draws: int = 1000,
) -> Calibration:
    """How well the model, fitted to fit_n completions of each problem, predicts pass@k where it can be estimated.

    fit_n completions of each problem are drawn without replacement; the model fitted to them is set against pass_at_k
    of all completions, at default_ks of the smallest n. A model that is off at k <= n has no claim to k > n; one
    that is right there may still be wrong beyond.

    Args:
      fit_n: completions of each problem for the fit, below the smallest n.
      n, c, model, level, seed, draws: as for extrapolate; the seed also draws the part.
    Raises:
      ValueError: fit_n not in [1, smallest n - 1], or what extrapolate refuses, of the part that was drawn.
    """
    totals, passed = _counts(n, c)
    n_min = int(totals.min())
    fit_n = inputs.whole("fit_n", fit_n)
    if fit_n >= n_min:
        raise ValueError(f"fit_n must be below the smallest n; got fit_n={fit_n}, n={n_min}")
    part = generator(seed).hypergeometric(passed, totals - passed, fit_n)
    ks = default_ks(n_min)
    said = extrapolate(fit_n, part, ks, model=model, level=level, seed=seed, draws=draws)
    points = []
    for point in said.points:
        unbiased = float(pass_at_k(totals, passed, point.k).mean())
        error = point.value - unbiased
        points.append(CalibrationPoint(point.k, point.value, point.low, point.high, unbiased, error))
    largest = max(abs(point.error) for point in points)
    return Calibration(model, fit_n, n_min, tuple(points), largest, said.level, said.problems, int(seed))


_MOST_ATTEMPTS = 2**53

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def _counts(n: ArrayLike, c: ArrayLike) -> tuple[Counts, Counts]:
    totals, passed = (np.atleast_1d(each) for each in inputs.tallies(n, c))
    if totals.ndim != 1 or len(totals) < 2:
        raise ValueError(f"a model of how problems differ needs at least 2 of them; got shape {totals.shape}")
    if totals.min() < 2:
        raise ValueError(f"a model of solve rates needs at least 2 completions of each problem; got n={totals.min()}")
    if not passed.any() or (passed == totals).all():
        raise ValueError(f"{'none' if not passed.any() else 'all'} of the completions passed: no model can be fitted")
    return totals, passed


def _refuse_beta_binomial(n: Counts, c: Counts) -> None:
    tables = Tables.of(n[None], c[None])
    if tables.mixed[0] == 0:
        raise ValueError("every problem passed always or never: the likelihood has no maximum; draw more completions")
    if not tables.overdispersed[0]:
        raise ValueError(
            "the counts vary no more than chance with one solve rate does: there is no Beta distribution to fit;"
            f" with that rate, {tables.shares[0]:.6g}, pass@k is 1 - (1 - rate)^k"
        )


def _beta_binomial(n: Counts, c: Counts, chosen: Counts, ks: Sequence[int]) -> tuple[Floats, Floats]:
    """a and b, shape (R, 2), and pass@k, shape (R, K), of the problems chosen, shape (R, P)."""
    tables = Tables.of(n[chosen], c[chosen])
    # Resamples that have no fit take the limit of the model: one rate for all, or a share of problems always solved.
    share, never_mixed = tables.shares[:, None], tables.mixed == 0
    values = -np.expm1(np.array(ks) * np.log1p(-np.minimum(share, 1 - 2**-53)))
    values[never_mixed] = (c[chosen] > 0).mean(axis=1)[never_mixed, None]
    parameters = np.full((len(chosen), 2), np.nan)
    fits = tables.overdispersed & ~never_mixed
    if fits.any():
        a, b = fit(tables.at(fits))
        parameters[fits], values[fits] = np.stack([a, b], axis=1), pass_at_k_of(a, b, ks)
    return parameters, values


def _refuse_power_law(n: Counts, c: Counts) -> None:
    at = default_ks(int(n.min()))
    if float(pass_at_k(n, c, at[-1]).mean()) == 1:
        raise ValueError(f"pass@{at[-1]} is 1: a power law of -log pass@k has no such point")


def _power_law(n: Counts, c: Counts, chosen: Counts, ks: Sequence[int]) -> tuple[Floats, Floats]:
    """a and b, shape (R, 2), and pass@k, shape (R, K), of the problems chosen, shape (R, P)."""
    at = default_ks(int(n.min()))
    curves = np.stack([pass_at_k(n, c, k)[chosen].mean(axis=1) for k in at], axis=1)
    # Resamples in which none passed, or all at the largest k, take that as their answer.
    values = np.repeat(np.where(curves[:, -1:] < 1, 0.0, 1.0), len(ks), axis=1)
    parameters = np.full((len(chosen), 2), np.nan)
    fits = (curves[:, 0] > 0) & (curves[:, -1] < 1)
    x, y = np.log(at), np.log(-np.log(curves[fits]))
    x_mean, y_mean = x.mean(), y.mean(axis=1)
    slope = ((y - y_mean[:, None]) @ (x - x_mean)) / np.square(x - x_mean).sum()
    a, b = np.exp(y_mean - slope * x_mean), -slope
    parameters[fits] = np.stack([a, b], axis=1)
    values[fits] = np.exp(-a[:, None] * np.array(ks, dtype=np.float64) ** -b[:, None])
    return parameters, values


# Of each model: its formula, what refuses data that it cannot be fitted to, and the fit.
_FITS: Mapping[str, tuple[str, Callable[..., None], Callable[..., tuple[Floats, Floats]]]] = {
    "beta-binomial": ("1 - B(a, b + k) / B(a, b)", _refuse_beta_binomial, _beta_binomial),
    "power law": ("exp(-a k^-b)", _refuse_power_law, _power_law),
}
