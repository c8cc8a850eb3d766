"""What a training loop logs: never waited for, and kept on disk while the server is away."""

import os
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpo.asked import weights_of
from pkpo.client.groups import (
    MOST_INT4,
    Groups,
    GroupsEntry,
    K,
    MetricsEntry,
    Rewards,
    Short,
    metric_values,
    place,
    problem_names,
    run_name,
    texts,
    whole,
)
from pkpo.client.log import Entry, Log, LogStatus
from pkpo.client.service import Service
from pkpo.transforms import Scale


class TrainingCalls(Service):
    """The log of a training loop. Its first entry makes a folder in the spool: OSError where that cannot be."""

    _log: Log | None

    def __init__(self, spool: Path, spool_limit: int) -> None:
        self._spool = spool
        self._spool_limit = spool_limit
        self._start_anew()
        _logging.add(self)

    def log_groups(
        self,
        run: str,
        step: int,
        rewards: Rewards,
        *,
        k: K,
        problems: Sequence[str],
        transform: str = "sloo_minus_one",
        scale: Scale = "sum",
        short: Short = "error",
        completions: Sequence[Sequence[str]] | None = None,
        segment: int | None = None,
        first_group: int | None = None,
    ) -> NDArray[np.float64]:
        """The credits of a step's rewards, computed here at once; the groups are logged in the background.

        Whatever the server does, this neither waits nor raises; flush and close say what became of the log.

        Args:
          run, step: of the training; the run is made where there is none.
          rewards: an array or tensor (P, N) with nan for a missing one; or P lists of any lengths, with nan or None.
          k: attempts that the objective allows, or the weight of each of several.
          problems: the name of each group's problem.
          transform, scale: as in pkpo.transform.
          short: "zero" gives groups with too few rewards credits of 0, in place of an error.
          completions: the text of each completion, in a list for each group.
          segment: which life of the run; by default the service opens a new one when a resumed run repeats steps.
          first_group: the place of the first group in the step. By default it follows what this client has logged at
            this step; ranks that log parts of one step name a place each, as rank * groups.
        Returns:
          Credits as float64, shape (P, N) with N the longest group, 0 where there is no reward.
        Raises:
          ValueError: arguments that cannot be right, and what pkpo.transform raises.
        """
        groups = Groups.of(rewards)
        weights = dict(weights_of(k))
        names, where = problem_names(problems, len(groups.sizes)), place(step, segment)
        written = None if completions is None else texts(completions, groups)
        credits = groups.credits(transform, k, scale, short)
        attempts = weights if isinstance(k, Mapping) or len(weights) > 1 else int(k)  # several for a fractional k
        common = {**where, "k": attempts, "transform": transform, "scale": scale}
        path = f"/v1/runs/{run_name(run)}/groups"
        if first_group is None:
            first = self._place_of_next(run, where, len(names))
        else:
            first = whole("first_group", first_group, MOST_INT4 - len(names))
        # A loop may well go on to change both arrays in place.
        kept = Groups(groups.values.copy(), groups.valid, groups.sizes)
        self._put(GroupsEntry(path, kept, credits.copy(), common, first, names, written))
        return credits[0] if groups.alone else credits

    def log_metrics(self, run: str, step: int, metrics: Mapping[str, Any], *, segment: int | None = None) -> None:
        """Log numbers by name, such as the loss, in the background as the groups are; nan and inf are numbers."""
        path = f"/v1/runs/{run_name(run)}/metrics"
        self._put(MetricsEntry(path, place(step, segment), metric_values(metrics)))

    def flush(self, timeout: float = 30.0) -> bool:
        """Try now to send what was logged; returns whether nothing waits any more, after `timeout` seconds at most."""
        give_up = time.monotonic() + timeout
        newest_first = reversed(self._logs())  # what a closed one has not sent nobody sends
        return all(log.flush(max(give_up - time.monotonic(), 0.0)) for log in newest_first)

    def log_status(self) -> LogStatus:
        """What became of what this client has logged, in requests; after close too."""
        return sum((log.status() for log in self._logs()), LogStatus())

    def _close_log(self, timeout: float) -> None:
        with self._lock:
            log, self._log = self._log, None
            self._closed += [log] if log else []
        if log is not None:
            log.close(timeout)

    def _logs(self) -> list[Log]:
        with self._lock:
            return self._closed + ([self._log] if self._log else [])

    def _put(self, entry: Entry) -> None:
        with self._lock:
            if self._log is None:
                self._log = Log(self._connection, self._spool, self._spool_limit)
            self._log.put(entry)

    def _place_of_next(self, run: str, where: Mapping[str, int], groups: int) -> int:
        with self._lock:
            of, first = self._places.get(run, (where, 0))
            first = first if of == where else 0  # of another step
            self._places[run] = (where, first + groups)
            return first

    def _start_anew(self) -> None:
        """Without a log: in a process forked off the parent has it, with its threads."""
        self._lock = threading.Lock()
        self._places: dict[str, tuple[Mapping[str, int], int]] = {}
        self._log = None
        self._closed: list[Log] = []


_logging: "weakref.WeakSet[TrainingCalls]" = weakref.WeakSet()


def _after_fork() -> None:
    for client in list(_logging):
        client._start_anew()


os.register_at_fork(after_in_child=_after_fork)
