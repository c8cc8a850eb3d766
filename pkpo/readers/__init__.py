"""Results files of other tools, recognised by what is in them.

Each format is a module with `NAME`, `DESCRIPTION`, `recognises(head)` and `read(source)`; `READERS` is their order.
Where a format has several verifiers' verdicts on a completion, it has `verifiers(source)` and `read(source, verifier)`.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from pkpo.readers import (
    counts,
    cruxeval,
    csv_table,
    evalplus,
    human_eval,
    human_eval_samples,
    jsonl,
    livecodebench,
    wide,
)
from pkpo.readers.rows import CompletionRow, Completions, ReadError
from pkpo.readers.source import Head, Source
from pkpo.readers.verdicts import ProblemVerdicts, Verdicts, verdicts_of

__all__ = [
    "READERS",
    "CompletionRow",
    "Completions",
    "ProblemVerdicts",
    "ReadError",
    "ResultsFile",
    "UnknownFormat",
    "UnknownVerifier",
    "Verdicts",
    "open_results",
]


class Reader(Protocol):
    """What a module of this package offers to be a format."""

    NAME: str  # the word for --format
    DESCRIPTION: str  # what was recognised

    def recognises(self, head: Head) -> bool:
        """Whether the beginning of a file is of this format."""

    def read(self, source: Source) -> Iterator[Completions]:
        """The completions in the order of the file, no (problem, sample_index) twice; ReadError where it is unsound."""


@runtime_checkable
class ReaderByVerifier(Reader, Protocol):
    """A format with the verdicts of several verifiers, whom it names."""

    def verifiers(self, source: Source) -> tuple[str, ...]:
        """Those that have judged something in the file; ReadError where it is unsound."""

    def read(self, source: Source, verifier: str = ...) -> Iterator[Completions]:
        """The same completions whoever is the verifier, with its verdicts."""


@runtime_checkable
class ReaderOfVerdicts(Reader, Protocol):
    """A format without completions, whose `read` raises ReadError."""

    def verdicts(self, source: Source) -> Verdicts:
        """The verdicts by problem."""


class GenericReader(Reader, Protocol):
    """A format of no particular tool, in which a person may say which field holds what."""

    def read(self, source: Source, named: Mapping[str, str] = ...) -> Iterator[Completions]:
        """The completions, the column `problem` from the field that `named` gives for it, and so on."""


GENERIC: tuple[GenericReader, ...] = (jsonl, csv_table)
# The first that recognises a file reads it, so the particular stands before the generic.
READERS: tuple[Reader, ...] = (
    cruxeval,
    livecodebench,
    evalplus,
    human_eval,
    human_eval_samples,
    wide,
    counts,
    *GENERIC,
)


@dataclass(frozen=True)
class ResultsFile:
    """A file of completions whose format is known."""

    source: Source
    reader: Reader
    read: Callable[[Source], Iterator[Completions]]  # as the reader does, or as it does with what was asked for
    verifier: str | None = None  # whose verdicts these are, where the file names several

    @property
    def name(self) -> str:
        """The path as given, or "standard input"."""
        return self.source.name

    @property
    def format(self) -> str:
        """The name that `--format` takes."""
        return self.reader.NAME

    @property
    def description(self) -> str:
        """What was recognised, in words."""
        verifier = [] if self.verifier is None else [f"verifier {self.verifier}"]
        rows = f"Parquet, read as {self.reader.DESCRIPTION}" if self.source.parquet else self.reader.DESCRIPTION
        return ", ".join([rows, *["gzipped"] * self.source.gzipped, *verifier])

    def by_verifier(self) -> "list[ResultsFile]":
        """The file once for each verifier that it names, with that one's verdicts; itself where it names none.

        ReadError where the file is unsound.
        """
        if self.verifier is not None or not isinstance(self.reader, ReaderByVerifier):
            return [self]
        return [
            replace(self, verifier=verifier, read=partial(self.reader.read, verifier=verifier))
            for verifier in self.reader.verifiers(self.source)
        ] or [self]

    def of(self, verifier: str) -> "ResultsFile":
        """The file with the verdicts of `verifier`; UnknownVerifier where it does not name this one."""
        files = {file.verifier: file for file in self.by_verifier()}
        if verifier not in files:
            names = ", ".join(name for name in files if name is not None)
            raise UnknownVerifier(
                f"{self.name}: no verifier {verifier!r} in it; " + (f"there are {names}" if names else "it names none")
            )
        return files[verifier]

    def completions(self) -> Iterator[Completions]:
        """The completions by column, some hundreds at a time; ReadError where one is unsound, or there is none.

        Each call reads the file anew.
        """
        batches = filter(lambda batch: batch.problem, self.read(self.source))
        first = next(batches, None)
        if first is None:
            raise self.source.error("no completions in it")
        return chain([first], batches)

    def rows(self) -> Iterator[CompletionRow]:
        """The same, one by one."""
        for batch in self.completions():
            yield from map(CompletionRow._make, zip(*batch, strict=True))

    def verdicts(self) -> Verdicts:
        """The verdicts by problem, from one pass over the file; ReadError as for its completions."""
        if not isinstance(self.reader, ReaderOfVerdicts):
            return verdicts_of(self.completions())
        found = self.reader.verdicts(self.source)
        if not found.problems:
            raise self.source.error("no problems in it")
        return found


class UnknownFormat(ValueError):
    """A format asked for by a name that no reader has."""


class UnknownVerifier(ValueError):
    """A verifier asked for by a name that the file does not have."""


def open_results(
    path: str | os.PathLike[str], format: str | None = None, named: Mapping[str, str] = MappingProxyType({})
) -> ResultsFile:
    """The results file at `path` (`-`: standard input), read as `format` or as what its beginning shows.

    With `named`, which says for columns of a generic file in which field they are, it is read as one.

    Raises:
      OSError: the file cannot be opened.
      ReadError: no reader recognises it, or it is empty.
      UnknownFormat: `format` is not the name of a reader, or of none that `named` is for.
    """
    source = Source(path)
    if named:
        for generic in GENERIC:
            if format == generic.NAME or (format is None and generic.recognises(source.head)):
                return ResultsFile(source, generic, partial(generic.read, named=named))
        raise _unread(source, format, GENERIC)
    for reader in READERS:
        if format == reader.NAME or (format is None and reader.recognises(source.head)):
            return ResultsFile(source, reader, reader.read)
    raise _unread(source, format, READERS)


def _unread(source: Source, format: str | None, readers: tuple[Reader, ...]) -> ValueError:
    """Why none of the readers takes this file."""
    names = ", ".join(reader.NAME for reader in readers)
    if format is None:
        return source.error(f"{_beginning(source.head.text)}, which is none of the formats {names}")
    if any(format == reader.NAME for reader in READERS):
        return UnknownFormat(f"the format {format!r} has fields of its own; they are named for {names} only")
    return UnknownFormat(f"no format {format!r}; there are {names}")


def _beginning(text: str) -> str:
    """What an unknown text is, with what would make it readable where that is plain."""
    if text.lstrip().startswith("["):
        return "a JSON array (jq -c '.[]' turns one of objects into JSON Lines)"
    if text.lstrip().startswith("{"):
        return "an indented JSON document"
    return f"begins with {text.strip()[:40]!a}"
