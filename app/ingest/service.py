"""Completions and verdicts written, each exactly once, with the statistics that curves are drawn from.

Writers of the same problems take turns (`queries.lock_problems`). So what is stored is known before anything is
written, and a COPY of what is new cannot meet a row that is there: no savepoint, no staging table.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy.orm import Session

from app.ingest import queries
from app.ingest.columns import CompletionColumns
from app.ingest.errors import CountsOnly, ProblemSetClosed, RowsConflict, RowsContradict, UnknownCompletions
from app.ingest.queries import Author, CompletionContent, Key, VerdictContent, VerdictKey
from app.ingest.rows import Rows, pointers
from app.ingest.schemas import CompletionsRecorded, VerificationsRecorded
from app.ingest.verdicts import NewVerification, Verdict, versioned_name
from app.models import Evaluation

SILENT: Final = "infrastructure_error"  # says nothing of a completion


class Kept(NamedTuple):
    """What became of the rows of a job, which never conflict: the first that was written stays."""

    accepted: int
    replayed: int
    differing: int  # stored with another content, and left as they were


def record_completions(session: Session, evaluation: Evaluation, completions: CompletionColumns) -> CompletionsRecorded:
    """How many completions were new and how many were stored already, with their verdicts.

    A stored completion is never changed. Sent again with the same content it counts as replayed, and a verdict of a
    verifier that has none on it is added; RowsConflict where its content, or a stored verdict, is another.
    """
    rows, verdicts = _rows_of_completions(session, evaluation, completions)
    held = queries.lock_problems(session, evaluation.id, {problem_id for problem_id, _ in rows.by_key})
    stored = queries.stored_completions(session, evaluation.id, [key for key in rows.by_key if held[key[0]]])
    judged = queries.stored_verdicts(session, evaluation.id, {key[:2] for key in verdicts.by_key} & stored.keys())
    conflicts = [(at, "stored with another content") for at in rows.pointers_of(rows.differing(stored))]
    conflicts += [(at, "stored with another verdict") for at in verdicts.pointers_of(verdicts.differing(judged))]
    if conflicts:
        raise RowsConflict(conflicts)
    new = rows.without(stored)
    queries.add_completions(session, evaluation.id, new)
    queries.add_verdicts(session, evaluation.id, verdicts.without(judged))
    return CompletionsRecorded(accepted=len(new), replayed=len(rows.keys) - len(new))


def record_absent_completions(
    session: Session, evaluation: Evaluation, completions: CompletionColumns, author: Author
) -> Kept:
    """How many completions of a job were new, and how many were stored already, with the same content or another.

    Asked again, a model need not repeat a text, so what a job finds stored is right. A verdict is added where there is
    none, unless it is on a text that is not the stored one.
    """
    rows, verdicts = _rows_of_completions(session, evaluation, completions)
    held = queries.lock_problems(session, evaluation.id, {problem_id for problem_id, _ in rows.by_key})
    stored = queries.stored_completions(session, evaluation.id, [key for key in rows.by_key if held[key[0]]])
    judged = queries.stored_verdicts(session, evaluation.id, {key[:2] for key in verdicts.by_key} & stored.keys())
    differing = set(rows.differing(stored))
    new = rows.without(stored)
    queries.add_completions(session, evaluation.id, new, author)
    added = {key: said for key, said in verdicts.without(judged).items() if key[:2] not in differing}
    queries.add_verdicts(session, evaluation.id, added, author)
    return Kept(len(new), len(rows.keys) - len(new) - len(differing), len(differing))


def record_verifications(
    session: Session, evaluation: Evaluation, verifications: Sequence[NewVerification]
) -> VerificationsRecorded:
    """How many verdicts on stored completions were added, took the place of another, or were stored already."""
    verdicts = _rows_of_verifications(session, evaluation, verifications)
    queries.lock_problems(session, evaluation.id, {problem_id for problem_id, *_ in verdicts.by_key})
    judged_keys = {key[:2] for key in verdicts.by_key}
    completions = queries.stored_completions(session, evaluation.id, judged_keys)
    if unknown := [key for key in verdicts.by_key if key[:2] not in completions]:
        raise UnknownCompletions(verdicts.pointers_of(unknown))
    judged = queries.stored_verdicts(session, evaluation.id, judged_keys)
    replaced = verdicts.differing(judged)
    added = verdicts.without(judged)
    queries.move_to_history(session, evaluation.id, replaced)
    queries.add_verdicts(session, evaluation.id, added | {key: verdicts.by_key[key] for key in replaced})
    unchanged = len(verifications) - len(added) - len(replaced)
    return VerificationsRecorded(added=len(added), replaced=len(replaced), unchanged=unchanged)


def record_absent_verdicts(
    session: Session, evaluation: Evaluation, verifications: Sequence[NewVerification], author: Author
) -> Kept:
    """How many verdicts of a job were new, and how many the verifier had given already, the same or others.

    A new one takes the place of an infrastructure error, which says nothing of the completion.
    """
    verdicts = _rows_of_verifications(session, evaluation, verifications)
    queries.lock_problems(session, evaluation.id, {problem_id for problem_id, *_ in verdicts.by_key})
    judged = queries.stored_verdicts(session, evaluation.id, {key[:2] for key in verdicts.by_key})
    silent = [key for key in verdicts.by_key if key in judged and VerdictContent(*judged[key]).status == SILENT]
    queries.move_to_history(session, evaluation.id, silent)
    new = verdicts.without(judged) | {key: verdicts.by_key[key] for key in silent}
    queries.add_verdicts(session, evaluation.id, new, author)
    differing = len([key for key in verdicts.differing(judged) if key not in new])
    return Kept(len(new), len(verifications) - len(new) - differing, differing)


def _rows_of_completions(
    session: Session, evaluation: Evaluation, completions: CompletionColumns
) -> tuple[Rows[Key, CompletionContent], Rows[VerdictKey, VerdictContent]]:
    """The completions and the verdicts of a request; RowsContradict where two of them do."""
    _refuse_counts_only(evaluation)
    problems, sample_indexes, *contents, verifications = completions
    verifier_ids = ids_of_verifiers(session, evaluation, {each.verifier for said in verifications for each in said})
    problem_ids = ids_of_problems(session, evaluation, problems, "completions")
    keys = [*zip(map(problem_ids.__getitem__, problems), sample_indexes, strict=True)]
    rows = Rows(keys, [*map(CompletionContent, *contents)], partial(pointers, "completions", len(keys)))
    verdicts = Rows(
        [(*key, verifier_ids[each.verifier]) for key, said in zip(keys, verifications, strict=True) for each in said],
        [_content(each) for said in verifications for each in said],
        partial(_pointers_of_verdicts, verifications),
    )
    if contradictions := rows.contradictions() + verdicts.contradictions():
        raise RowsContradict(contradictions)
    return rows, verdicts


def _pointers_of_verdicts(verifications: Sequence[Sequence[Verdict]]) -> list[str]:
    return [
        f"/completions/{row}/verifications/{nth}" for row, said in enumerate(verifications) for nth in range(len(said))
    ]


def _rows_of_verifications(
    session: Session, evaluation: Evaluation, verifications: Sequence[NewVerification]
) -> Rows[VerdictKey, VerdictContent]:
    _refuse_counts_only(evaluation)
    problems = {given.problem for given in verifications}
    problem_ids = queries.problem_ids(session, evaluation.problem_set_id, problems)
    places = partial(pointers, "verifications", len(verifications))
    if problem_ids.keys() != problems:
        found = zip(places(), verifications, strict=True)
        raise UnknownCompletions([at for at, given in found if given.problem not in problem_ids])
    verifier_ids = ids_of_verifiers(session, evaluation, {given.verdict.verifier for given in verifications})
    keys = [(problem_ids[problem], index, verifier_ids[verdict.verifier]) for problem, index, verdict in verifications]
    rows = Rows(keys, [_content(given.verdict) for given in verifications], places)
    if contradictions := rows.contradictions():
        raise RowsContradict(contradictions)
    return rows


def _content(verdict: Verdict) -> VerdictContent:
    return VerdictContent(*verdict[1:])


def _refuse_counts_only(evaluation: Evaluation) -> None:
    if evaluation.counts_only:
        raise CountsOnly


def ids_of_verifiers(session: Session, evaluation: Evaluation, full_names: Iterable[str]) -> dict[str, int]:
    """The ids of the verifiers, made where there are none."""
    versioned = {full_name: versioned_name(full_name) for full_name in full_names}
    ids = queries.verifier_ids(session, evaluation.project_id, set(versioned.values()))
    return {full_name: ids[name] for full_name, name in versioned.items()}


def ids_of_problems(session: Session, evaluation: Evaluation, names: Sequence[str], member: str) -> dict[str, int]:
    """The ids of the problems, added to the set where it is open.

    ProblemSetClosed where it is not, with pointers into this member of the request, which names one in each entry.
    """
    known = queries.problem_ids(session, evaluation.problem_set_id, set(names))
    if unknown := set(names) - known.keys():
        known |= queries.add_problems(session, evaluation.problem_set_id, unknown)
    if refused := set(names) - known.keys():
        raise ProblemSetClosed([f"/{member}/{index}/problem" for index, name in enumerate(names) if name in refused])
    return known
