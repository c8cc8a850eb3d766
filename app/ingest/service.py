"""Completions and verdicts written, each exactly once, with the statistics that curves are drawn from.

Writers of the same problems take turns (`queries.lock_problems`). So what is stored is known before anything is
written, and a COPY of what is new cannot meet a row that is there: no savepoint, no staging table.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy.orm import Session

from app.ingest import queries
from app.ingest.errors import CountsOnly, ProblemSetClosed, RowsConflict, RowsContradict, UnknownCompletions
from app.ingest.queries import CompletionRow, Key, VerdictKey, VerdictRow
from app.ingest.schemas import CompletionsRecorded, NewCompletion, VerificationsRecorded
from app.ingest.verdicts import NewVerification, Verdict, versioned_name
from app.models import Evaluation

K = TypeVar("K", Key, VerdictKey)
R = TypeVar("R", CompletionRow, VerdictRow)


@dataclass(frozen=True)
class _Batch:
    """The rows of one request by their keys, and where in the request each stands."""

    completions: dict[Key, CompletionRow] = field(default_factory=dict)
    verdicts: dict[VerdictKey, VerdictRow] = field(default_factory=dict)
    pointers: dict[Key | VerdictKey, str] = field(default_factory=dict)
    contradictions: list[tuple[str, str]] = field(default_factory=list)

    def add(self, rows: dict[K, R], key: K, row: R, pointer: str) -> None:
        """Take up a row; the same one again is no other row, another one under its key is a contradiction."""
        first = rows.setdefault(key, row)
        if first is row:
            self.pointers[key] = pointer
        elif first != row:
            self.contradictions.append((pointer, f"contradicts {self.pointers[key]}"))


def record_completions(
    session: Session, evaluation: Evaluation, completions: Sequence[NewCompletion]
) -> CompletionsRecorded:
    """How many completions were new and how many were stored already, with their verdicts.

    A stored completion is never changed. Sent again with the same content it counts as replayed, and a verdict of a
    verifier that has none on it is added; RowsConflict where its content, or a stored verdict, is another.
    """
    batch = _batch_of_completions(session, evaluation, completions)
    held = queries.lock_problems(session, evaluation.id, {problem_id for problem_id, _ in batch.completions})
    stored = queries.stored_completions(session, evaluation.id, [key for key in batch.completions if held[key[0]]])
    judged = queries.stored_verdicts(session, evaluation.id, {key[:2] for key in batch.verdicts} & stored.keys())
    conflicts = [(batch.pointers[key], "stored with another content") for key in _differing(stored, batch.completions)]
    conflicts += [(batch.pointers[key], "stored with another verdict") for key in _differing(judged, batch.verdicts)]
    if conflicts:
        raise RowsConflict(conflicts)
    new = [row for key, row in batch.completions.items() if key not in stored]
    queries.add_completions(session, new)
    queries.add_verdicts(session, [row for key, row in batch.verdicts.items() if key not in judged])
    return CompletionsRecorded(accepted=len(new), replayed=len(completions) - len(new))


def record_verifications(
    session: Session, evaluation: Evaluation, verifications: Sequence[NewVerification]
) -> VerificationsRecorded:
    """How many verdicts on stored completions were added, took the place of another, or were stored already."""
    batch = _batch_of_verifications(session, evaluation, verifications)
    queries.lock_problems(session, evaluation.id, {problem_id for problem_id, *_ in batch.verdicts})
    judged_keys = {key[:2] for key in batch.verdicts}
    completions = queries.stored_completions(session, evaluation.id, judged_keys)
    if unknown := [batch.pointers[key] for key in batch.verdicts if key[:2] not in completions]:
        raise UnknownCompletions(unknown)
    judged = queries.stored_verdicts(session, evaluation.id, judged_keys)
    replaced = _differing(judged, batch.verdicts)
    added = [key for key in batch.verdicts if key not in judged]
    queries.move_to_history(session, evaluation.id, replaced)
    queries.add_verdicts(session, [batch.verdicts[key] for key in (*added, *replaced)])
    unchanged = len(verifications) - len(added) - len(replaced)
    return VerificationsRecorded(added=len(added), replaced=len(replaced), unchanged=unchanged)


def _differing(stored: Mapping[K, tuple[object, ...]], rows: Mapping[K, R]) -> list[K]:
    """The keys under which something else is stored than the rows say: they end in what is stored."""
    return [key for key, row in rows.items() if (content := stored.get(key)) and row[-len(content) :] != content]


def _batch_of_completions(session: Session, evaluation: Evaluation, completions: Sequence[NewCompletion]) -> _Batch:
    _refuse_counts_only(evaluation)
    verifiers = {verdict.verifier for given in completions for verdict in given.get("verifications", ())}
    verifier_ids = _verifier_ids(session, evaluation, verifiers)
    problem_ids = _problem_ids(session, evaluation, [given["problem"] for given in completions])
    batch = _Batch()
    for index, given in enumerate(completions):
        problem_id, sample_index = key = problem_ids[given["problem"]], given["sample_index"]
        pointer = f"/completions/{index}"
        batch.add(batch.completions, key, _completion_row(evaluation.id, key, given), pointer)
        for nth, verdict in enumerate(given.get("verifications", ())):
            verdict_key = (problem_id, sample_index, verifier_ids[verdict.verifier])
            row = _verdict_row(evaluation.id, verdict_key, verdict)
            batch.add(batch.verdicts, verdict_key, row, f"{pointer}/verifications/{nth}")
    if batch.contradictions:
        raise RowsContradict(batch.contradictions)
    return batch


def _batch_of_verifications(
    session: Session, evaluation: Evaluation, verifications: Sequence[NewVerification]
) -> _Batch:
    _refuse_counts_only(evaluation)
    problems = {given.problem for given in verifications}
    problem_ids = queries.problem_ids(session, evaluation.problem_set_id, problems)
    pointers = [f"/verifications/{index}" for index in range(len(verifications))]
    if problem_ids.keys() != problems:
        unknown = [at for at, given in zip(pointers, verifications, strict=True) if given.problem not in problem_ids]
        raise UnknownCompletions(unknown)
    verifier_ids = _verifier_ids(session, evaluation, {given.verdict.verifier for given in verifications})
    batch = _Batch()
    for at, (problem, sample_index, verdict) in zip(pointers, verifications, strict=True):
        key = (problem_ids[problem], sample_index, verifier_ids[verdict.verifier])
        batch.add(batch.verdicts, key, _verdict_row(evaluation.id, key, verdict), at)
    if batch.contradictions:
        raise RowsContradict(batch.contradictions)
    return batch


def _completion_row(evaluation_id: int, key: Key, given: NewCompletion) -> CompletionRow:
    text = given.get("text")
    return CompletionRow(
        evaluation_id,
        *key,
        text,
        None if text is None else hashlib.sha256(text.encode()).digest(),
        given.get("finish_reason"),
        given.get("prompt_tokens"),
        given.get("completion_tokens"),
        given.get("logprob"),
        given.get("seed"),
    )


def _verdict_row(evaluation_id: int, key: VerdictKey, verdict: Verdict) -> VerdictRow:
    return VerdictRow(
        evaluation_id, *key, verdict.reward, verdict.passed, verdict.status, verdict.answer, verdict.detail
    )


def _refuse_counts_only(evaluation: Evaluation) -> None:
    if evaluation.counts_only:
        raise CountsOnly


def _verifier_ids(session: Session, evaluation: Evaluation, full_names: Iterable[str]) -> dict[str, int]:
    versioned = {full_name: versioned_name(full_name) for full_name in full_names}
    ids = queries.verifier_ids(session, evaluation.project_id, set(versioned.values()))
    return {full_name: ids[name] for full_name, name in versioned.items()}


def _problem_ids(session: Session, evaluation: Evaluation, names: Sequence[str]) -> dict[str, int]:
    """The ids of the problems, added to the set where it is open; ProblemSetClosed where it is not."""
    known = queries.problem_ids(session, evaluation.problem_set_id, set(names))
    if unknown := set(names) - known.keys():
        known |= queries.add_problems(session, evaluation.problem_set_id, unknown)
    if refused := set(names) - known.keys():
        raise ProblemSetClosed([f"/completions/{index}/problem" for index, name in enumerate(names) if name in refused])
    return known
