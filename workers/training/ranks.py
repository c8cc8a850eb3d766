"""The processes of a training on one machine: the first one keeps and writes, and all decide alike."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object

PATIENCE: Final = timedelta(days=1)  # that the others wait while the first evaluates
T = TypeVar("T")


class DoesNotDivide(ValueError):
    """Completions that the processes cannot share alike; the sentence says how many."""


def _processes() -> Any:
    return PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)


def is_first() -> bool:
    """Whether this process is the one that keeps and writes."""
    return bool(_processes().is_main_process)


def count() -> int:
    """How many there are."""
    return int(_processes().num_processes)


def of_first(make: Callable[[], T]) -> T:
    """What the function gives in the first process, in all of them. Where it raises there, the others are ended."""
    found = [make() if is_first() else None]
    if count() > 1:
        broadcast_object_list(found)
    return found[0]  # type: ignore[return-value]  # by now it is the first one's


def of_any(flag: bool) -> bool:
    """Whether the flag is set in one of them."""
    return any(gather_object([flag]))


def accumulated(of_a_step: int, micro_batch: int) -> int:
    """How often a process computes the gradient of a micro-batch in a step; DoesNotDivide where that is no number."""
    processes = count()
    if of_a_step % (micro_batch * processes):
        raise DoesNotDivide(
            f"The {of_a_step} completions of a step cannot be shared by {processes} processes in parts of "
            f"micro_batch = {micro_batch}: choose one of which {processes} divide n * problems_per_step"
        )
    return int(of_a_step // (micro_batch * processes))
