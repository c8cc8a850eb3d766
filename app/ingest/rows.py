"""The rows of one request against each other, and against what is stored under their keys."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, Protocol, TypeVar


class Content(Protocol):
    """What a row says under its key."""

    def as_stored(self) -> tuple[object, ...]:
        """The same as a query gives it back."""


K = TypeVar("K")
C = TypeVar("C", bound=Content)


@dataclass(frozen=True)
class Rows(Generic[K, C]):
    """Rows of one request: under which key each says what, and where in the request it stands."""

    keys: Sequence[K]
    contents: Sequence[C]
    pointers: Callable[[], Sequence[str]]  # of all rows: asked for when one is to be told

    @cached_property
    def by_key(self) -> dict[K, C]:
        """What the request says of each key; the same row again is no other row."""
        return dict(zip(self.keys, self.contents, strict=True))

    def contradictions(self) -> list[tuple[str, str]]:
        """The rows that say another thing of a key than the first with this key."""
        if len(self.by_key) == len(self.keys):
            return []
        first: dict[K, int] = {}
        firsts = [first.setdefault(key, row) for row, key in enumerate(self.keys)]
        differing = [row for row, at in enumerate(firsts) if self.contents[row] != self.contents[at]]
        pointers = self.pointers() if differing else ()
        return [(pointers[row], f"contradicts {pointers[firsts[row]]}") for row in differing]

    def pointers_of(self, keys: Collection[K]) -> list[str]:
        """Where the first row of each of these keys stands."""
        if not keys:
            return []
        first = dict(zip(reversed(self.keys), reversed(self.pointers()), strict=True))
        return [first[key] for key in keys]

    def differing(self, stored: Mapping[K, tuple[object, ...]]) -> list[K]:
        """The keys under which something else is stored."""
        return [key for key, row in self.by_key.items() if key in stored and row.as_stored() != stored[key]]

    def without(self, stored: Mapping[K, object]) -> dict[K, C]:
        """What the request says of keys under which nothing is stored."""
        return {key: content for key, content in self.by_key.items() if key not in stored}


def pointers(member: str, count: int) -> list[str]:
    """Where the entries of a member of the request stand."""
    return [f"/{member}/{row}" for row in range(count)]
