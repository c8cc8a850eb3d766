"""What results files hold, read to their end, as the server takes it: completions, or counts of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, Self

from app.imports.names import stored_name
from app.imports.numbering import Numbering
from app.imports.sender import Sender
from pkpo.client.answers import Sent
from pkpo.client.batches import BATCH_ROWS
from pkpo.commands.errors import CommandError
from pkpo.readers import ProblemVerdicts, ResultsFile, counts


class Shipment(Protocol):
    """Something to send to an evaluation."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """How many completions each problem has."""

    @property
    def description(self) -> str:
        """What there is to send, with its number."""

    def send(self, sender: Sender, evaluation_id: str, verifier: str) -> Sent:
        """Send all of it; returns how much of it was new and how much was there."""


@dataclass(frozen=True)
class CompletionsOfFiles:
    """Completions, one by one."""

    files: Sequence[ResultsFile]
    numbering: Numbering

    @property
    def sizes(self) -> Mapping[str, int]:
        """How many completions each problem has."""
        return self.numbering.counts

    @property
    def description(self) -> str:
        """The number of completions."""
        return f"{self.numbering.total:,} completions"

    def send(self, sender: Sender, evaluation_id: str, verifier: str) -> Sent:
        """Post every completion."""
        return sender.send(evaluation_id, self.files, self.numbering, verifier)


@dataclass(frozen=True)
class CountsOfFiles:
    """How many completions of each problem were judged, and how many passed."""

    problems: Mapping[str, ProblemVerdicts]

    @classmethod
    def of(cls, files: Sequence[ResultsFile]) -> Self:
        """The counts in all of the files; CommandError where two have the same problem."""
        found: dict[str, ProblemVerdicts] = {}
        for file in files:
            problems = file.verdicts().problems
            if twice := found.keys() & problems.keys():
                raise CommandError(f"{file.name}: an earlier file has counts of problem {min(twice)!a} already")
            found |= problems
        return cls(found)

    @property
    def sizes(self) -> Mapping[str, int]:
        """How many completions each problem has."""
        return {name: each.judged for name, each in self.problems.items()}

    @property
    def description(self) -> str:
        """The number of problems."""
        return f"counts of {len(self.problems):,} problems"

    def send(self, sender: Sender, evaluation_id: str, verifier: str) -> Sent:
        """Post the counts of every problem."""
        sent = Sent()
        rows = (
            {"problem": stored_name(name), "n": each.judged, "c": each.passed, "verifier": verifier}
            for name, each in self.problems.items()
        )
        while batch := [*islice(rows, BATCH_ROWS)]:
            answer = sender.post(f"/v1/evaluations/{evaluation_id}/counts", {"counts": batch})
            sent += Sent(answer["accepted"], answer["replayed"])
        return sent


def shipment_of(files: Sequence[ResultsFile]) -> Shipment:
    """What the files hold. CommandError where some have counts and others completions: no evaluation takes both."""
    counted = [file.reader is counts for file in files]
    if all(counted):
        return CountsOfFiles.of(files)
    if any(counted):
        raise CommandError("Files of counts and files of completions make no evaluation together; import them apart")
    return CompletionsOfFiles(files, Numbering.of(files))
