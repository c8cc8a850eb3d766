"""What a curve needs of a results file: how many completions of each problem were judged and passed; the rewards."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from pkpo.readers.rows import Completions


@dataclass(slots=True)
class ProblemVerdicts:
    """The verdicts on one problem's completions."""

    completions: int = 0
    judged: int = 0  # completions with `passed`
    passed: int = 0
    rewards: list[float] = field(default_factory=list)  # those there are; passed alone is reward 1 or 0


@dataclass(frozen=True)
class Verdicts:
    """The verdicts of a file by problem, in the file's order."""

    problems: dict[str, ProblemVerdicts]
    given_rewards: int  # completions whose reward the file states, and does not leave to `passed`

    @property
    def completions(self) -> int:
        """The number of completions, judged or not."""
        return sum(problem.completions for problem in self.problems.values())

    @property
    def judged(self) -> int:
        """The number of completions with `passed`."""
        return sum(problem.judged for problem in self.problems.values())

    @property
    def passed(self) -> int:
        """The number of completions that passed."""
        return sum(problem.passed for problem in self.problems.values())


def verdicts_of(batches: Iterable[Completions]) -> Verdicts:
    """The verdicts of these completions, folded in one pass."""
    problems: dict[str, ProblemVerdicts] = {}
    given_rewards = 0
    for batch in batches:
        # Equal verdicts are counted first: a problem's come together, and Counter runs in C.
        verdicts = Counter(zip(batch.problem, batch.passed, batch.reward, strict=True))
        for (name, passed, reward), count in verdicts.items():
            problem = problems.get(name)
            if problem is None:
                problem = problems[name] = ProblemVerdicts()
            problem.completions += count
            if passed is not None:
                problem.judged += count
                problem.passed += passed * count
            if reward is not None:
                given_rewards += count
                problem.rewards += [reward] * count
            elif passed is not None:
                problem.rewards += [float(passed)] * count
    return Verdicts(problems, given_rewards)
