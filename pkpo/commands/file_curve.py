"""The curve of a results file: which problems and completions enter it, by metric and by what missing verdicts are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from pkpo.answers import AnswerMetric
from pkpo.commands.file_answers import answers_of
from pkpo.curves import CountMetric, PassAtKCurve, RewardMetric, ShareMetric
from pkpo.majority import Ties
from pkpo.readers import ProblemVerdicts, ResultsFile, Verdicts
from pkpo.readers.rows import shown

Metric = CountMetric | ShareMetric | RewardMetric | AnswerMetric
Missing = Literal["error", "drop", "fail"]


@dataclass(frozen=True)
class FileCurve:
    """The curve of a results file, and what else is to be said about it."""

    file: ResultsFile
    verdicts: Verdicts
    curve: PassAtKCurve
    n: dict[str, int]  # completions that each problem of the curve brought to it
    missing: Missing
    completions_missing: int  # completions of the file without a verdict
    left_out: list[str]  # problems that `drop` took out

    @property
    def fewest(self) -> list[str]:
        """The problems whose n ends the curve, where others have more."""
        if self.curve.n_min == self.curve.n_max:
            return []
        return [name for name, n in self.n.items() if n == self.curve.n_min]


def file_curve(
    file: ResultsFile,
    ks: Sequence[int] | None = None,
    *,
    metric: Metric | None = None,
    tau: float | None = None,
    ties: Ties = "share",
    missing: Missing = "error",
    fail_reward: float | None = None,
    level: float = 0.95,
) -> FileCurve:
    """The curve of all problems of `file`, or under `drop` of those with max(ks) judged completions, or with any.

    Args:
      ks: None for the powers of two up to the smallest n, and that n.
      metric: None for pass_at_k, or max_at_k where the file has rewards only.
      tau: the share of attempts that have to pass, for g_pass_at_k alone.
      ties: what a tied vote is worth, for maj_at_k.
      missing: what a completion without a verdict is: a reason for a ValueError, one completion less, or a failed one.
      fail_reward: the reward of a failed one, for metrics of rewards under `fail`.
    Raises:
      ReadError: the file is unsound.
      ValueError: no verdicts or answers of the kind that `metric` takes, missing ones under `error`, or a k beyond the
        smallest n.
    """
    verdicts = file.verdicts()
    metric = metric or ("pass_at_k" if verdicts.judged else "max_at_k")
    of_counts = metric in get_args(CountMetric) + get_args(ShareMetric)
    of_passes = of_counts or metric == "maj_at_k"
    _refuse_without_verdicts(verdicts, metric, of_passes)
    known = {name: each.judged if of_passes else len(each.rewards) for name, each in verdicts.problems.items()}
    n = _used(verdicts, known, missing, max(ks) if ks else None)
    if ks:
        _refuse_beyond(max(ks), n)
    problems = [verdicts.problems[name] for name in n]
    if of_counts:
        counts = list(n.values()), [problem.passed for problem in problems]
        curve = PassAtKCurve.from_counts(*counts, ks, metric=cast(CountMetric, metric), tau=tau, level=level)
    elif metric in get_args(AnswerMetric):
        of_answers = cast(AnswerMetric, metric)
        answers, correct = answers_of(file, of_answers, n, fill=missing == "fail")
        curve = PassAtKCurve.from_answers(answers, correct, ks, metric=of_answers, ties=ties, level=level)
    else:
        rewards = [_rewards(problem, n[name], fail_reward) for name, problem in zip(n, problems, strict=True)]
        curve = PassAtKCurve.from_rewards(rewards, ks, metric=cast(RewardMetric, metric), level=level)
    left_out = [name for name in verdicts.problems if name not in n]
    return FileCurve(file, verdicts, curve, n, missing, verdicts.completions - sum(known.values()), left_out)


def _refuse_without_verdicts(verdicts: Verdicts, metric: str, of_passes: bool) -> None:
    if not verdicts.judged and not verdicts.given_rewards:
        raise ValueError(
            "no verdicts in it, so there is no curve; `pkpo import` it and verify its completions, "
            "or give a file that says what passed"
        )
    if not of_passes and not any(problem.rewards for problem in verdicts.problems.values()):
        raise ValueError(f"{metric} needs rewards, and it says only how many completions passed: take pass_at_k")
    if of_passes and not verdicts.judged:
        raise ValueError(
            f"{metric} needs passed, and it has rewards only, for which pkpo guesses no threshold; "
            "--metric max_at_k is the expected best reward among k"
        )


def _used(verdicts: Verdicts, known: dict[str, int], missing: Missing, largest_k: int | None) -> dict[str, int]:
    """The n of each problem in the curve, of which `known` completions have a verdict."""
    completions = {name: problem.completions for name, problem in verdicts.problems.items()}
    if missing == "fail":
        return completions
    if missing == "drop":
        needed = largest_k or 1  # as over REST: where no k is asked for, each problem with a verdict stays
        if max(known.values()) < needed:
            raise ValueError(
                f"no problem has {needed} judged completions; the most that one has is {max(known.values())}"
            )
        return {name: n for name, n in known.items() if n >= needed}
    if known != completions:
        lacking = [name for name, n in known.items() if n < completions[name]]
        total, missed = sum(completions.values()), sum(completions.values()) - sum(known.values())
        raise ValueError(
            f"{missed:,} of {total:,} completions have no verdict, in {len(lacking):,} of {len(known):,} problems, "
            f"{shown(lacking[0])} first; --missing drop leaves out problems with fewer than max(k) judged completions, "
            "--missing fail takes missing ones as failed"
        )
    return known


def _refuse_beyond(k: int, n: dict[str, int]) -> None:
    fewest = min(n, key=n.__getitem__)
    if k > n[fewest]:
        raise ValueError(
            f"k={k} needs {k} completions of every problem, and problem {shown(fewest)} has {n[fewest]}; "
            "beyond n there is no unbiased estimate"
        )


def _rewards(problem: ProblemVerdicts, n: int, fail_reward: float | None) -> list[float]:
    lacking = n - len(problem.rewards)
    if not lacking:
        return problem.rewards
    if fail_reward is None:
        raise ValueError("--missing fail needs --fail-reward here: rewards have no failed value of their own")
    return problem.rewards + [fail_reward] * lacking
