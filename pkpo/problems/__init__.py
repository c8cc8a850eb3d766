"""Problem sets of other tools: files, datasets of the Hugging Face hub, and what reasoning-gym makes.

Each format is a module with `NAME`, `DESCRIPTION`, `recognises(record)` and `problems(record)`; `FORMATS` is their
order. docs/problem-sets.md says what each puts into answer, tests and metadata.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from pkpo.problems import arc, competition_math, files, generic, gsm8k, hub, human_eval, mbpp, procedural
from pkpo.problems.naming import without_repeats
from pkpo.problems.problem import Problem, ProblemsError, Record
from pkpo.problems.split import parts_of
from pkpo.readers.rows import shown

__all__ = [
    "FORMATS",
    "Found",
    "Problem",
    "ProblemsError",
    "from_files",
    "from_hub",
    "from_reasoning_gym",
    "parts_of",
]

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Format(Protocol):
    """What a module of this package offers to be a format."""

    NAME: str  # the word for --format
    DESCRIPTION: str  # what was recognised

    def recognises(self, record: Record) -> bool:
        """Whether a record is of this format."""

    def problems(self, record: Record) -> Iterator[Problem]:
        """The problems of a record; ProblemsError where it is unsound."""


# The first that recognises a record reads all of them, so the particular stands before the generic.
FORMATS: tuple[Format, ...] = (human_eval, mbpp, gsm8k, competition_math, arc, generic)


class Found(NamedTuple):
    """Problems, made as they are asked for, and what they were recognised as."""

    description: str
    problems: Iterator[Problem]


def from_files(
    paths: Sequence[str | os.PathLike[str]], format: str | None = None, named: Mapping[str, str] = NOTHING
) -> Found:
    """The problems of files and folders, read as `format`, or as what their first record shows.

    With `named`, which says in which field the problem, prompt, answer, tests or metadata are, they are read as records
    of no particular source.

    Raises:
      OSError: a file cannot be opened.
      ProblemsError: no format recognises them, or a record is unsound; also while they are iterated over.
    """
    return _found(chain.from_iterable(map(files.records, paths)), ", ".join(map(str, paths)), format, named)


def from_hub(
    name: str,
    revision: str = "main",
    subset: str | None = None,
    split: str | None = None,
    format: str | None = None,
    named: Mapping[str, str] = NOTHING,
) -> Found:
    """The problems of a dataset on the Hugging Face hub, or of a folder with a copy of one, read as files are.

    Where they come from the hub, `metadata["hub"]` says so.
    """
    found = _found(hub.records(name, revision, subset, split), name, format, named)
    if os.path.isdir(name):
        return found
    source = {"name": name, "revision": revision, "subset": subset, "split": split}
    return found._replace(
        problems=(replace(each, metadata={**each.metadata, "hub": source}) for each in found.problems)
    )


def from_reasoning_gym(task: str, size: int, seed: int, config: Mapping[str, Any] = NOTHING) -> Found:
    """`size` problems that reasoning-gym makes of a task by configuration and seed."""
    return Found(f"{task} of reasoning-gym, seed {seed}", procedural.problems(task, size, seed, config))


def _found(records: Iterator[Record], source: str, format: str | None, named: Mapping[str, str]) -> Found:
    first = next(records, None)
    if first is None:
        raise ProblemsError(f"{source}: no problems in it")
    chosen = _format_of(first, format, named)
    read: Callable[[Record], Iterable[Problem]] = partial(generic.problems, named=named) if named else chosen.problems
    every = chain.from_iterable(map(read, chain([first], records)))
    return Found(chosen.DESCRIPTION, without_repeats(every))


def _format_of(first: Record, format: str | None, named: Mapping[str, str]) -> Format:
    names = ", ".join(each.NAME for each in FORMATS)
    if format not in (None, *(each.NAME for each in FORMATS)):
        raise ProblemsError(f"no format {shown(format)}; there are {names}")
    if named and format not in (None, generic.NAME):
        raise ProblemsError(f"the format {format} has fields of its own; they are named for {generic.NAME} only")
    if named:
        return generic
    for each in FORMATS:
        if format == each.NAME or (format is None and each.recognises(first)):
            return each
    there = ", ".join(map(shown, first.fields)) or "none"
    raise first.error(
        f"a record with the fields {there} is of none of the formats {names}; --prompt FIELD, --answer FIELD and "
        "--tests FIELD say what is where"
    )
