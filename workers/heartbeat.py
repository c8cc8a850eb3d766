"""The thread that keeps a worker's jobs its own, and takes from others what they let lie."""

import logging
import threading
import time
from dataclasses import dataclass
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from app.jobs import service
from app.jobs.service import Attempt

LONGEST_PAUSE: Final = 2.0  # seconds between two heartbeats: as long may it take to hear of a cancellation
logger = logging.getLogger(__name__)


@dataclass
class Lease:
    """What is known of a job that this worker has."""

    renewed: float  # by the monotonic clock, before the database was asked
    seconds: float
    is_lost: bool = False
    is_cancelled: bool = False

    @property
    def is_over(self) -> bool:
        """Whether somebody else may have the job by now; never later than the database thinks so."""
        return self.is_lost or time.monotonic() - self.renewed > self.seconds


class Heartbeat(threading.Thread):
    """Says that the worker lives and has its jobs. What those do, in processes of their own, cannot prevent it."""

    def __init__(self, sessions: sessionmaker[Session], worker_id: int, seconds: float) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._sessions, self._worker_id, self._seconds = sessions, worker_id, seconds
        self._leases: dict[Attempt, Lease] = {}
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._complained = False

    def keep(self, attempt: Attempt, claimed: float) -> Lease:
        """The lease of a job that was claimed at this time, renewed from now on until `drop`."""
        lease = Lease(claimed, self._seconds)
        with self._lock:
            self._leases[attempt] = lease
        return lease

    def drop(self, attempt: Attempt) -> None:
        """Renew it no longer."""
        with self._lock:
            del self._leases[attempt]

    def stop(self) -> None:
        """Return when the thread has ended."""
        self._end.set()
        self.join()

    def run(self) -> None:
        """Renew, and sweep, until told to stop."""
        pause = min(self._seconds / 5, LONGEST_PAUSE)
        sweep_at = time.monotonic()
        while not self._end.wait(pause):
            try:
                self._renew()
                if time.monotonic() >= sweep_at:
                    self._sweep()
                    sweep_at = time.monotonic() + self._seconds / 4
                self._complained = False
            except SQLAlchemyError as error:
                if not self._complained:
                    logger.warning("the database does not answer: %s", error)
                self._complained = True

    def _renew(self) -> None:
        asked = time.monotonic()
        with self._lock:
            held = dict(self._leases)
        with self._sessions.begin() as session:
            kept = service.renew(session, self._worker_id, held, self._seconds)
        for attempt, lease in held.items():
            lease.is_lost = attempt not in kept
            if not lease.is_lost:
                lease.renewed, lease.is_cancelled = asked, kept[attempt]

    def _sweep(self) -> None:
        with self._sessions.begin() as session:
            service.sweep(session, self._seconds)
