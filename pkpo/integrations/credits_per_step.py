"""What any trainer needs of pkpo at each step: credits for its groups, what to log of them, and the next step's k."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pkpo.curves import default_ks
from pkpo.estimators import max_at_ks
from pkpo.inputs import whole
from pkpo.integrations.past import Past
from pkpo.names import parsed
from pkpo.schedules import Observed, Schedule, State, mixture
from pkpo.transforms import SCALES, Scale, history, smallest_n, transform, unit_rms

Short = Literal["zero", "error"]


@dataclass(frozen=True)
class StepCredits:
    """The credits of one training step and its figures, both over the groups of all processes.

    credits: shape (P, n), 0 where the reward is missing or the group too short.
    metrics: name to number; a metric that the step's groups do not define is not there.
    """

    credits: NDArray[np.float64]
    metrics: dict[str, float]


def check_settings(
    schedule: Schedule,
    transform: str = "sloo_minus_one",
    scale: Scale = "mean",
    short: Short = "zero",
    k_eval: Sequence[int] = (),
    name_of_scale: str = "scale",
) -> Past | None:
    """The empty past that the transform asks for, None where it asks for none.

    Raises:
      ValueError: a setting of CreditPlan that groups of no size could use, scale by the name that the caller gives it.
    """
    if not isinstance(schedule, Schedule):
        raise ValueError(f"schedule must be one of pkpo.schedules, where from_spec makes one of k; got {schedule!r}")
    if scale not in SCALES:
        raise ValueError(f"{name_of_scale} must be one of {', '.join(SCALES)}; got {scale!r}")
    if short not in ("zero", "error"):
        raise ValueError(f"short must be zero or error; got {short!r}")
    if not isinstance(k_eval, Collection):
        raise ValueError(f"k_eval must be a list of numbers of attempts; got {k_eval!r}")
    for k in k_eval:
        whole("k_eval", k)
    method, largest = parsed(transform), math.ceil(schedule.largest)
    for k in (largest, math.floor(schedule.smallest)):  # top_mean(m) needs k of at least m
        _needed(transform, k)
    if method.transform != "history":
        return None
    assert method.argument is not None
    return Past(method.argument, largest)


@dataclass
class CreditPlan:
    """How a training run makes credits of rewards, and where its schedule of k stands.

    n: completions of a group.
    schedule: k over the steps; pkpo.schedules.from_spec makes one of 8, of weights, or of a specification.
    transform, scale: as for pkpo.transform; "history(0.5)" is pkpo.history with a moving average, of that decay, of the
      problem's max_g@k in earlier steps for a baseline.
    short: what a group with fewer rewards than the transform needs at k does: "zero" gives it no credit and counts it,
      "error" raises.
    k_eval: the k that are logged.
    problems: problems of the training set, where the schedule watches the cumulative solve rate.

    Raises:
      ValueError: a setting that no step could use, before the first step is sampled.
    """

    n: int
    schedule: Schedule
    transform: str = "sloo_minus_one"
    scale: Scale = "mean"
    short: Short = "zero"
    k_eval: Sequence[int] = ()
    problems: int | None = None
    state: State = field(init=False)
    observed: Observed = field(init=False, default=None)  # in the step that the state stands at
    solved: set[str] = field(init=False, default_factory=set)
    past: Past | None = field(init=False, default=None)  # of history
    _drawn: list[tuple[NDArray[np.float64], Sequence[str]]] = field(init=False, default_factory=list)  # in that step

    def __post_init__(self) -> None:
        self.past = check_settings(self.schedule, self.transform, self.scale, self.short, self.k_eval)
        self.k_eval = tuple(self.k_eval) or default_ks(self.n)
        self.state = self.schedule.start()
        largest = math.ceil(self.schedule.largest)
        needed = _needed(self.transform, largest)
        if self.n < needed:
            raise ValueError(
                f"{self.transform} at k={largest} needs groups of at least {needed} completions; got {self.n}"
            )
        if max(self.k_eval) > self.n:
            raise ValueError(f"k_eval must be at most the completions of a group, {self.n}; got {max(self.k_eval)}")
        if self.schedule.observes == "cumulative_solve_rate" and not self.problems:
            raise ValueError("a schedule that watches the cumulative solve rate needs a training set of known length")

    def train(self, rewards: NDArray[np.float64], problems: Sequence[str], step: int) -> StepCredits:
        """The credits of the groups drawn for an optimizer step, and what the schedule observes of them.

        Args:
          rewards: shape (P, n), nan where a reward is missing: it then has no credit and its group has one fewer.
          problems: the names of the P problems, for schedules that know them apart.
          step: optimizer steps done before this one.
        Raises:
          ValueError: what pkpo.transform refuses; a short group with short="error"; rewards other than 0 and 1 for a
            schedule that watches solve rates.
        """
        if self.state["step"] < step:
            self._drawn = []
        while self.state["step"] < step:  # more than once where steps learned from the same completions
            self.state, self.observed = self.schedule.after(self.state, self.observed), None
            if self.past is not None:
                self.past.advance()
        each = [mixture(self.schedule.k(self.state, problem)) for problem in problems]
        self._drawn.append((rewards, problems))  # more than one where completions are drawn several times for a step
        drawn, of_problems = zip(*self._drawn, strict=True)
        of_step, names = np.concatenate(drawn), list(chain(*of_problems))
        self.observed = self._observed(of_step, names)
        if self.past is not None:
            self.past.draw(of_step, names)
        return self._credited(rewards, each, problems, self.short, self.k_eval)

    def evaluate(self, rewards: NDArray[np.float64], problems: Sequence[str]) -> StepCredits:
        """As train, for groups that are not learned from: of any size, and the schedule stays."""
        each = [mixture(self.schedule.k(self.state, problem)) for problem in problems]
        ks = [k for k in self.k_eval if k <= rewards.shape[1]]
        return self._credited(rewards, each, problems, "zero", ks)

    def _credited(
        self,
        rewards: NDArray[np.float64],
        each: Sequence[Mapping[int, float]],
        problems: Sequence[str],
        short: Short,
        k_eval: Sequence[int],
    ) -> StepCredits:
        known = None if self.past is None else self.past.baselines(problems)
        return step_credits(rewards, each, self.transform, self.scale, short, k_eval, known)

    def saved(self) -> State:
        """What JSON can hold of where the plan stands."""
        now = {"state": self.state, "observed": self.observed, "solved": sorted(self.solved)}
        past = {} if self.past is None else {"past": self.past.saved()}
        return {"schedule": repr(self.schedule), **now, **past}

    def resume(self, saved: State) -> None:
        """Go on from what saved() gave; one with another transform has no past, and history then begins here.

        Raises:
          ValueError: it is of another schedule.
        """
        if saved["schedule"] != repr(self.schedule):
            raise ValueError(f"the checkpoint's schedule of k is {saved['schedule']}; this run's is {self.schedule!r}")
        self.state, self.observed, self.solved = saved["state"], saved["observed"], set(saved["solved"])
        if self.past is not None and "past" in saved:
            self.past.resume(saved["past"])

    def _observed(self, rewards: NDArray[np.float64], problems: Sequence[str]) -> Observed:
        watched = self.schedule.observes
        if watched is None:
            return None
        valid = ~np.isnan(rewards)
        if watched == "pass_at_k":
            k = math.ceil(self.schedule.largest)
            return _mean_estimates(rewards, valid, [k]).get(f"max@{k}")
        if not np.isin(rewards[valid], (0.0, 1.0)).all():
            raise ValueError(f"a schedule that observes {watched} needs rewards of 0 and 1")
        if watched == "cumulative_solve_rate":
            self.solved |= {problem for problem, group in zip(problems, rewards, strict=True) if (group == 1).any()}
            return len(self.solved) / (self.problems or 1)
        rates = {
            problem: float(group[there].mean())
            for problem, group, there in zip(problems, rewards, valid, strict=True)
            if there.any()
        }
        return rates if watched == "solve_rates" else math.fsum(rates.values()) / len(rates) if rates else None


def step_credits(
    rewards: NDArray[np.float64],
    ks: Sequence[Mapping[int, float]],
    name: str = "sloo_minus_one",
    scale: Scale = "mean",
    short: Short = "zero",
    k_eval: Sequence[int] | None = None,
    baselines: NDArray[np.float64] | None = None,
) -> StepCredits:
    """Credits of one step's groups, and pass@k or max_g@k at each k_eval as the policy stands at this step.

    Args:
      rewards: shape (P, n), nan where a reward is missing.
      ks: the weights of k for each group.
      name, scale: as for pkpo.transform; short: as for CreditPlan.
      k_eval: the k that are logged, default_ks(n) unless given.
      baselines: of history, for each group and k = 1, 2, ..., shape (P, largest k).
    Raises:
      ValueError: what pkpo.transform refuses; with short="error" a short group too.
    """
    valid = ~np.isnan(rewards)
    needed = np.array([_needed(name, max(k)) for k in ks])
    enough = valid.sum(axis=1) >= needed
    credits = np.zeros(rewards.shape)
    for k in {tuple(each.items()): each for each in ks}.values():
        groups = np.array([each == k for each in ks])
        if short == "zero":
            groups &= enough
        if groups.any():
            # The rms is over every completion that has a reward: short groups count as the zeros that they are.
            per_group: Scale = "sum" if scale == "rms" else scale
            known = None if baselines is None else baselines[groups]
            credits[groups] = _credits(name, rewards[groups], k, valid[groups], per_group, known)
    if scale == "rms":
        credits = unit_rms(credits, valid)
    return StepCredits(credits, _metrics(rewards, valid, enough, credits, ks, k_eval or default_ks(rewards.shape[1])))


def _credits(
    name: str,
    g: NDArray[np.float64],
    k: Mapping[int, float],
    mask: NDArray[np.bool_],
    scale: Scale,
    baselines: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    if baselines is None:
        return transform(name, g, k, mask=mask, scale=scale)
    credits = np.zeros(g.shape)
    for attempts, weight in k.items():  # each has a baseline of its own
        credits += weight * history(g, attempts, baselines[:, attempts - 1], mask=mask, scale=scale)
    return credits


def _needed(name: str, k: int) -> int:
    """The smallest group that has credits at k; history is s less its baseline."""
    return smallest_n("s" if parsed(name).transform == "history" else name, k)


def _metrics(
    rewards: NDArray[np.float64],
    valid: NDArray[np.bool_],
    enough: NDArray[np.bool_],
    credits: NDArray[np.float64],
    ks: Sequence[Mapping[int, float]],
    k_eval: Sequence[int],
) -> dict[str, float]:
    of_valid = np.abs(credits[valid])
    return {
        "k": math.fsum(map(_mean_k, ks)) / len(ks),
        "groups": float(len(rewards)),
        "missing_rewards": float((~valid).sum()),
        "short_groups": float((~enough).sum()),
        "zero_signal_groups": float((credits == 0).all(axis=1).mean()),
        "mean_abs_credit": float(of_valid.mean()) if of_valid.size else 0.0,
        **_mean_estimates(rewards, valid, k_eval),
    }


def _mean_k(weights: Mapping[int, float]) -> float:
    total = math.fsum(map(abs, weights.values()))
    return math.fsum(k * abs(weight) for k, weight in weights.items()) / total if total else 0.0


def _mean_estimates(rewards: NDArray[np.float64], valid: NDArray[np.bool_], k_eval: Sequence[int]) -> dict[str, float]:
    """The mean of max_g@k at each k over the groups that allow the largest, so over one set of groups for every k."""
    whole = valid.sum(axis=1) >= max(k_eval)
    if not whole.any():
        return {}
    estimates = max_at_ks(np.where(valid, rewards, 0.0)[whole], k_eval, valid[whole])
    means = {k: math.fsum(each.tolist()) / len(each) for k, each in zip(k_eval, estimates.T, strict=True)}
    figures = {f"max@{k}": mean for k, mean in means.items()}
    if np.isin(rewards[valid], (0.0, 1.0)).all():
        figures |= {f"pass@{k}": mean for k, mean in means.items()}
    return figures | {"groups_estimated": float(whole.sum())}
