"""Results files over HTTP: the library's client, with an import's patience and its words."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from app.imports.bar import counting
from app.imports.names import stored_name
from app.imports.numbering import Numbering
from pkpo.client.answers import Sent
from pkpo.client.batches import encoded
from pkpo.client.connection import Call, Connection
from pkpo.client.errors import ClientError, NoAnswer, ServiceError
from pkpo.client.evaluations import EvaluationCalls
from pkpo.commands.errors import CommandError
from pkpo.readers import CompletionRow, ResultsFile

TIMEOUT = 60.0
PATIENCE = 120.0  # seconds to wait for a server that is away, before giving up
ANOTHER = "Another checkpoint or model? Then give it a --step or --run of its own."
CONFLICTS = ("completions-conflict", "counts-conflict", "counts-only", "not-counts-only")


class Sender(EvaluationCalls):
    """A connection to a server, kept, with patience for one that is restarting."""

    def __init__(self, url: str | None) -> None:
        """A sender to the server given, else to that of PKPO_URL. CommandError where nobody is there."""
        try:
            self._connection = Connection(url, None, TIMEOUT, PATIENCE)
            self._connection.send(Call("GET", "/healthz"), deadline=0)
        except (ValueError, NoAnswer) as error:
            raise CommandError(str(error)) from error
        except ServiceError:
            pass  # it is there, if busy

    def __enter__(self) -> Self:
        """The sender itself, to be closed at the end."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the connection."""
        self._connection.close()

    def address(self, path: str) -> str:
        """Where a person finds this path."""
        return self._connection.url + path

    def send(self, evaluation_id: str, files: Sequence[ResultsFile], numbering: Numbering, verifier: str) -> Sent:
        """Post every completion of the files; returns how many were new and how many were there."""
        with counting("sending", numbering.total) as advance, _in_a_sentence():
            completions = completions_of(files, numbering.shifts, verifier)
            return self.log_completions(evaluation_id, completions, progress=advance)

    def post(self, path: str, body: object) -> dict[str, Any]:
        """The answer to a JSON body; CommandError with the server's sentence when it refuses."""
        with _in_a_sentence():
            return self._post(path, encoded(body, "the request"))

    def get(self, path: str) -> dict[str, Any]:
        """The JSON at a path: what was asked for, or a problem that says why not."""
        with _in_a_sentence():
            try:
                return self._get(path, {})
            except ServiceError as error:
                if not error.type:
                    raise
                return dict(error.problem)


@contextmanager
def _in_a_sentence() -> Iterator[None]:
    try:
        yield
    except NoAnswer as error:
        raise CommandError(f"{error}\nWhat was acknowledged is stored: repeat the import then.") from error
    except ClientError as error:
        conflict = isinstance(error, ServiceError) and error.type in CONFLICTS
        raise CommandError(f"{error}\n{ANOTHER}" if conflict else str(error)) from error


def completions_of(
    files: Sequence[ResultsFile], shifts: Sequence[dict[str, int]], verifier: str
) -> Iterator[dict[str, object]]:
    """The completions of the files as a request has them, each with its verdicts."""
    for file, shift in zip(files, shifts, strict=True):
        graders = file.by_verifier()
        names = [_name(verifier, each.verifier) for each in graders]
        for rows in zip(*(each.rows() for each in graders), strict=True):
            yield _completion(rows, shift.get(rows[0].problem, 0), names)


def _name(verifier: str, part: str | None) -> str:
    """The name under which a verdict is sent: evalplus@2 for all, or evalplus-base@2 for base in a file of several."""
    name, at, version = verifier.partition("@")
    return f"{name}{f'-{part}' if part else ''}{at}{version}"


def _completion(rows: Sequence[CompletionRow], shift: int, verifiers: Sequence[str]) -> dict[str, object]:
    """One completion, which `rows` show as each of `verifiers` has judged it."""
    row = rows[0]
    completion: dict[str, object] = {"problem": stored_name(row.problem), "sample_index": row.sample_index + shift}
    if row.text is not None:
        completion["text"] = row.text
    verdicts = [{"verifier": name, **_said(row)} for name, row in zip(verifiers, rows, strict=True)]
    if given := [verdict for verdict in verdicts if verdict.keys() - {"verifier", "answer"}]:
        completion["verifications"] = given
    return completion


def _said(row: CompletionRow) -> dict[str, object]:
    verdict = {"reward": row.reward, "passed": row.passed, "status": row.status, "answer": row.answer}
    return {name: value for name, value in verdict.items() if value is not None}
