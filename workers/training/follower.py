"""Who keeps what a training tells."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any

from workers.training.checkpoints import Checkpoint
from workers.training.models import Policy
from workers.training.records import StepRecord


class Follower(ABC):
    """Who keeps what a training tells, and says when it is to stop."""

    @abstractmethod
    def begins(self, step: int) -> None:
        """So many steps were made before, and need not be made again."""

    @abstractmethod
    def recorded(self, record: StepRecord) -> None:
        """A step was made."""

    @abstractmethod
    def commit(self, step: int) -> AbstractContextManager[Any]:
        """What the checkpoint of a step comes into being within; it raises where it may not."""

    @abstractmethod
    def evaluate(self, checkpoint: Checkpoint, policy: Policy) -> float | None:
        """Evaluate the policy of a checkpoint, or what is missing of that; how good it is, where that is known."""

    @abstractmethod
    def stops(self) -> bool:
        """Whether to stop after this step, with a checkpoint to go on from."""

    @abstractmethod
    def say(self, line: str) -> None:
        """A line of the log."""


class Silent(Follower):
    """Of the processes that are not the first."""

    def begins(self, step: int) -> None:
        """Nothing."""

    def recorded(self, record: StepRecord) -> None:
        """Nothing."""

    def commit(self, step: int) -> AbstractContextManager[Any]:
        """Nothing."""
        raise AssertionError("the first process writes")

    def evaluate(self, checkpoint: Checkpoint, policy: Policy) -> float | None:
        """Nothing."""
        raise AssertionError("the first process evaluates")

    def stops(self) -> bool:
        """No: the first one asks for it."""
        return False

    def say(self, line: str) -> None:
        """Nothing."""
