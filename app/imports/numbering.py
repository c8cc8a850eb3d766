"""What is known of results files once they have been read to their end, before anything is sent."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import orjson

from app.imports.bar import counting
from pkpo.readers import Completions, ReadError, ResultsFile

LARGEST_ROW = 25 * 2**20 - 2**10  # bytes; the server takes requests of 25 MiB
LARGEST_ESCAPE = 6  # bytes that JSON may need for a character


@dataclass(frozen=True)
class Numbering:
    """How many completions each problem has, and by how much each file's sample indexes are moved, per problem."""

    counts: Counter[str]
    shifts: Sequence[dict[str, int]]

    @property
    def total(self) -> int:
        """The completions of all files."""
        return self.counts.total()

    @classmethod
    def of(cls, files: Sequence[ResultsFile]) -> Self:
        """Read every file to its end: whatever is wrong in one is found before anything is sent."""
        counts, shifts, following = Counter[str](), [], dict[str, int]()
        with counting("reading") as advance:
            for file in files:
                first, last = dict[str, int](), dict[str, int]()
                for batch in file.completions():
                    _refuse_unstorable(batch, file)
                    counts.update(batch.problem)
                    for problem, index in zip(batch.problem, batch.sample_index, strict=True):
                        first[problem] = min(index, first.get(problem, index))
                        last[problem] = max(index, last.get(problem, 0))
                    advance(len(batch.problem))
                # A file that starts where an earlier one did holds further completions, not the same ones.
                shift = {
                    problem: following[problem] - at for problem, at in first.items() if at < following.get(problem, 0)
                }
                following |= {name: at + shift.get(name, 0) + 1 for name, at in last.items()}
                shifts.append(shift)
        return cls(counts, shifts)


def _refuse_unstorable(batch: Completions, file: ResultsFile) -> None:
    """Raise ReadError where a server would refuse the completion, or no database could keep it."""
    for column in (batch.problem, batch.text, batch.answer):
        for row, text in enumerate(column):
            if text is not None and (reason := _obstacle(text)):
                where = f"completion {batch.sample_index[row]} of problem {batch.problem[row]!a}"
                raise ReadError(file.name, f"{where} {reason}")


def _obstacle(text: str) -> str | None:
    if "\0" in text or not (text.isascii() or _encodes(text)):
        return "has a NUL or half a surrogate pair in it, which a database cannot store as text"
    if len(text) * LARGEST_ESCAPE > LARGEST_ROW and (size := len(orjson.dumps(text))) > LARGEST_ROW:
        return f"has a text of {size:,} bytes, and the server takes requests of 25 MiB"
    return None


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
