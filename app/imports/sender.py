"""Completions of results files over HTTP, in batches, again and again until each is acknowledged."""

import os
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import httpx
import orjson

from app.imports.bar import counting
from app.imports.numbering import Numbering
from pkpo.commands.errors import CommandError
from pkpo.readers import CompletionRow, ResultsFile

BATCH_ROWS = 2_000
BATCH_BYTES = 8 * 2**20  # the server takes 25 MiB
PATIENCE = 120.0  # seconds to wait for a server that is away, before giving up
LONGEST_PAUSE = 10.0


@dataclass
class Recorded:
    """What the server said of all that was sent."""

    accepted: int = 0
    replayed: int = 0

    def add(self, answer: Mapping[str, int]) -> None:
        """Take up what it said of one request."""
        self.accepted += answer["accepted"]
        self.replayed += answer["replayed"]


class Sender:
    """A connection to a server, kept, with patience for one that is restarting."""

    def __init__(self, url: str, api_key: str | None) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=60.0)
        self._answered = False

    @classmethod
    def from_environment(cls, url: str | None) -> Self:
        """A sender to the server given, else to that of PKPO_URL, with the key of PKPO_API_KEY."""
        address = url or os.environ.get("PKPO_URL") or "http://127.0.0.1:8000"
        if not address.startswith(("http://", "https://")):
            raise CommandError(f"The server's address must begin with http:// or https://, not {address!r}")
        return cls(address.rstrip("/"), os.environ.get("PKPO_API_KEY"))

    def __enter__(self) -> Self:
        """The sender itself, to be closed at the end."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the connection."""
        self._client.close()

    def address(self, path: str) -> str:
        """Where a person finds this path."""
        return f"{self._client.base_url}".rstrip("/") + path

    def send(self, evaluation_id: str, files: Sequence[ResultsFile], numbering: Numbering, verifier: str) -> Recorded:
        """Post every completion of the files; returns how many were new and how many were there."""
        recorded = Recorded()
        with counting("sending", numbering.total) as advance:
            for batch in _batches(files, numbering.shifts, verifier):
                body = b'{"completions":[' + b",".join(batch) + b"]}"
                answer = self._post(f"/v1/evaluations/{evaluation_id}/completions", body)
                recorded.add(answer)
                advance(len(batch))
        return recorded

    def post(self, path: str, body: object) -> dict[str, Any]:
        """The answer to a JSON body; CommandError with the server's sentence when it refuses."""
        return self._post(path, orjson.dumps(body))

    def get(self, path: str) -> dict[str, Any]:
        """The JSON at a path: what was asked for, or a problem that says why not."""
        answer: dict[str, Any] = self._request("GET", path).json()
        return answer

    def _post(self, path: str, body: bytes) -> dict[str, Any]:
        response = self._request("POST", path, content=body, headers={"Content-Type": "application/json"})
        if response.is_error:
            raise CommandError(_refusal(response))
        answer: dict[str, Any] = response.json()
        return answer

    def _request(self, method: str, path: str, **how: Any) -> httpx.Response:
        """The first answer other than "come back later". Any request here may be sent again: rows have natural keys."""
        give_up, pause, waited = time.monotonic() + PATIENCE, 0.25, False
        while True:
            try:
                response = self._client.request(method, path, **how)
                self._answered = True
                if response.status_code not in (429, 503) or time.monotonic() > give_up:
                    return response
                reason, wait = f"is busy ({response.status_code})", _seconds(response.headers.get("Retry-After"), pause)
            except httpx.TransportError as error:
                if not self._answered or time.monotonic() > give_up:
                    raise CommandError(self._absence(error)) from error
                reason, wait = "is away", pause
            if not waited:
                print(f"The server {reason}; trying again for {PATIENCE:.0f} seconds.", file=sys.stderr)
            waited = True
            time.sleep(wait * random.uniform(0.8, 1.2))
            pause = min(2 * pause, LONGEST_PAUSE)

    def _absence(self, error: httpx.TransportError) -> str:
        what = f"No answer from {self._client.base_url} ({error})."
        if self._answered:
            return f"{what} What was acknowledged is stored: repeat the import when the server is back."
        return f"{what} Is the server running (`pkpo serve`)? --url or PKPO_URL name another one."


def _seconds(header: str | None, otherwise: float) -> float:
    return min(float(header), LONGEST_PAUSE) if header and header.isdecimal() else otherwise


def _refusal(response: httpx.Response) -> str:
    """The server's own sentence, with the first places it names."""
    if response.headers.get("content-type") != "application/problem+json":
        return f"{response.request.url} answered {response.status_code}: is that a pkpo server?"
    problem = response.json()
    places = [f"  {error['pointer']}: {error['code']}" for error in problem.get("errors", [])[:5]]
    another = ["Another checkpoint or model? Then give it a --step or --run of its own."]
    hints = dict.fromkeys(("completions-conflict", "counts-conflict", "counts-only", "not-counts-only"), another)
    return "\n".join([problem["detail"], *places, *hints.get(problem["type"], ())])


def _batches(files: Sequence[ResultsFile], shifts: Sequence[dict[str, int]], verifier: str) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for file, shift in zip(files, shifts, strict=True):
        graders = file.by_verifier()
        names = [_name(verifier, each.verifier) for each in graders]
        for rows in zip(*(each.rows() for each in graders), strict=True):
            encoded = orjson.dumps(_completion(rows, shift.get(rows[0].problem, 0), names))
            if batch and (len(batch) == BATCH_ROWS or size + len(encoded) > BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(encoded)
            size += len(encoded)
    if batch:
        yield batch


def _name(verifier: str, part: str | None) -> str:
    """The name under which a verdict is sent: evalplus@2 for all, or evalplus-base@2 for base in a file of several."""
    name, at, version = verifier.partition("@")
    return f"{name}{f'-{part}' if part else ''}{at}{version}"


def _completion(rows: Sequence[CompletionRow], shift: int, verifiers: Sequence[str]) -> dict[str, object]:
    """One completion, which `rows` show as each of `verifiers` has judged it."""
    row = rows[0]
    completion: dict[str, object] = {"problem": row.problem, "sample_index": row.sample_index + shift}
    if row.text is not None:
        completion["text"] = row.text
    verdicts = [{"verifier": name, **_said(row)} for name, row in zip(verifiers, rows, strict=True)]
    if given := [verdict for verdict in verdicts if verdict.keys() - {"verifier", "answer"}]:
        completion["verifications"] = given
    return completion


def _said(row: CompletionRow) -> dict[str, object]:
    verdict = {"reward": row.reward, "passed": row.passed, "status": row.status, "answer": row.answer}
    return {name: value for name, value in verdict.items() if value is not None}
