"""A cache that is bounded by bytes: of weights here, of curves in the service."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, Generic, TypeVar

# What an entry costs beside its arrays: array headers, key, links.
_ENTRY = 1024

Kept = TypeVar("Kept")


def _of_arrays(value: Any) -> int:
    return int(value.nbytes) + _ENTRY


class ByteCache(Generic[Kept]):
    """The values used last, as many as fit in a number of bytes; safe to share between threads."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.nbytes = 0
        self._kept: OrderedDict[Hashable, tuple[Kept, int]] = OrderedDict()
        self._lock = Lock()

    def find(self, key: Hashable) -> Kept | None:
        """The value under key; None where none is kept."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def keep(self, key: Hashable, value: Kept, size: int) -> None:
        """Keep a value that takes so many bytes, unless that is more than all may take."""
        with self._lock:
            _, before = self._kept.pop(key, (None, 0))
            self.nbytes -= before
            if size > self.limit:
                return
            self._kept[key] = (value, size)
            self.nbytes += size
            while self.nbytes > self.limit:
                self.nbytes -= self._kept.popitem(last=False)[1][1]

    def get(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """The value under key, made now where none is kept; its size is its nbytes.

        Two threads may both make it; either value serves.
        """
        found = self.find(key)
        if found is None:
            found = make()
            self.keep(key, found, _of_arrays(found))
        return found

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()
            self.nbytes = 0
