"""A number of slots, for as many completions at a time."""

import queue
from types import TracebackType

from workers.sandbox.bubblewrap import NotOffered
from workers.sandbox.program import Limits, Program, Verdict
from workers.sandbox.slot import Slot

FIRST_UID = 61_000  # beyond Debian's users, below the dynamic ones of systemd and the 65534 of nobody


class Sandboxes:
    """Grades completions, from any number of threads, `slots` of them at a time.

    Each slot is a pair of warm sandboxes, which a completion leaves as it found them; `warm=False` starts a pair for
    each completion.
    """

    def __init__(
        self, slots: int = 2, limits: Limits | None = None, *, warm: bool = True, first_uid: int = FIRST_UID
    ) -> None:
        """Starts the sandboxes.

        Args:
          first_uid: as root, slot i runs as the users first_uid + 2i and first_uid + 2i + 1; workers that share a
          machine
            need ranges of their own, because the limit on processes is counted by user.
        Raises:
          ValueError: slots < 1.
          NotOffered: no sandbox can be made here.
        """
        if slots < 1:
            raise ValueError(f"slots = {slots}; at least 1 is needed")
        self.limits = limits or Limits()
        self._warm, self._uids = warm, [first_uid + 2 * index for index in range(slots)]
        self._free: queue.SimpleQueue[Slot | int] = queue.SimpleQueue()
        self._slots: list[Slot] = []
        if warm:
            self._slots = [Slot(uid, self.limits, warm=True) for uid in self._uids]
            try:
                for slot in self._slots:
                    slot.wait_until_ready()
                    self._free.put(slot)
            except NotOffered:
                self.close()
                raise
        else:
            for uid in self._uids:
                self._free.put(uid)

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

    def __enter__(self) -> "Sandboxes":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
