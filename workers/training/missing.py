"""Rewards that are missing, where the verifier says nothing of a completion: told in the log, or the end of all."""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from accelerate.utils import gather_object

from workers.training.plans import UnsuitableRewards
from workers.training.rewards import Rewards

PATIENCE: Final = 10  # steps in a row without any reward, where there were some before
AGAIN: Final = 100  # steps after which the log says once more what it said
MOST_TOLD: Final = 20  # reasons: a verifier may give each completion one of its own
LONGEST: Final = 500  # characters of a reason


class MissingRewards:
    """What is missing of the rewards of each step, and why."""

    def __init__(self, rewards: Rewards, say: Callable[[str], None]) -> None:
        self._rewards, self._say = rewards, say
        self._silent: int | None = None  # steps in a row; None until a step was made
        self._told: dict[str, int] = {}  # reason to step

    def check(self, step: int, rewards: Any) -> None:
        """Tell what is missing; UnsuitableRewards where nothing was there for too long. Every process must ask.

        Args:
          rewards: of all processes, nan where missing.
        """
        missing, completions = int(rewards.isnan().sum()), rewards.numel()
        if self._silent is None:
            # Until there was a reward, a step without any is the last; who goes on from a later step has had some.
            self._silent = PATIENCE - 1 if step == 1 else 0
        self._silent = self._silent + 1 if missing == completions else 0
        if missing == 0:
            return
        reasons = Counter(gather_object(self._rewards.unsaid))
        if self._silent == PATIENCE:
            raise nothing_said(self._rewards.verifier.full_name, reasons, f"{completions} completions of step {step}")
        [(reason, times)] = reasons.most_common(1)
        if step - self._told.get(reason, -AGAIN) < AGAIN or (len(self._told) == MOST_TOLD and reason not in self._told):
            return
        self._told[reason] = step
        why = f"{self._rewards.verifier.full_name} says of {times}: {reason[:LONGEST]}"
        self._say(f"step {step}: {missing} of {completions} rewards are missing; {why}")


def nothing_said(verifier: str, reasons: Counter[str], completions: str) -> UnsuitableRewards:
    """What ends a training where the verifier says nothing of any of the completions."""
    [(reason, times)] = reasons.most_common(1)
    return UnsuitableRewards(
        f"There is nothing to learn from: {verifier} has a verdict on none of the {completions}. Of {times} it says: "
        f"{reason[:LONGEST]}"
    )
