"""A number of slots, for as many completions at a time."""

import contextlib
import queue
import socket
from collections.abc import Iterator
from types import TracebackType

from workers.sandbox.bubblewrap import NotOffered
from workers.sandbox.program import Limits, Program, Verdict
from workers.sandbox.slot import Slot

# Beyond Debian's users, below the dynamic ones of systemd (61184): two of them for each slot of each worker of a
# machine.
FIRST_UID, LAST_UID = 60_600, 61_180


class Sandboxes:
    """Grades completions, from any number of threads, `slots` of them at a time.

    Each slot is a pair of warm sandboxes, which a completion leaves as it found them; `warm=False` starts a pair for
    each completion.
    """

    def __init__(self, slots: int = 2, limits: Limits | None = None, *, warm: bool = True) -> None:
        """Starts the sandboxes.

        Raises:
          ValueError: slots < 1.
          NotOffered: no sandbox can be made here.
        """
        if slots < 1:
            raise ValueError(f"slots = {slots}; at least 1 is needed")
        self.limits = limits or Limits()
        self._claims = contextlib.ExitStack()
        self._free: queue.SimpleQueue[Slot | int] = queue.SimpleQueue()
        self._slots: list[Slot] = []
        try:
            for _ in range(slots):
                uid = self._claims.enter_context(_claimed_uid())
                if warm:
                    self._slots.append(Slot(uid, self.limits, warm=True))
                else:
                    self._free.put(uid)
            for slot in self._slots:
                slot.wait_until_ready()
                self._free.put(slot)
        except NotOffered:
            self.close()
            raise

    def grade(self, program: Program) -> Verdict:
        """The verdict on a completion, when a slot is free for it.

        Raises:
          NotOffered: a sandbox broke, and a new one could not be made.
          ValueError: the program is larger than 4 MiB.
        """
        place = self._free.get()
        try:
            if isinstance(place, Slot):
                return place.grade(program)
            with Slot(place, self.limits, warm=False) as slot:
                return slot.grade(program)
        finally:
            self._free.put(place)

    def close(self) -> None:
        """Ends all sandboxes; returns when no process of them is left. No thread may be grading."""
        for slot in self._slots:
            slot.close()
        self._claims.close()

    def __enter__(self) -> "Sandboxes":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


@contextlib.contextmanager
def _claimed_uid() -> Iterator[int]:
    """The first of two user ids that no other slot of this machine has: the kernel counts processes by user.

    A name of a socket without a file is the claim, which ends with this process, however that ends.

    Raises:
      NotOffered: all are taken.
    """
    for uid in range(FIRST_UID, LAST_UID, 2):
        with socket.socket(socket.AF_UNIX) as claim:
            try:
                claim.bind(f"\0pkpo-sandbox-{uid}")
            except OSError:
                continue
            yield uid
            return
    raise NotOffered(f"all {(LAST_UID - FIRST_UID) // 2} slots of this machine are taken")
