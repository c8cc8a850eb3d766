"""What verifiers hold completions to, and whether the problems of a set have it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from app.errors import InvalidRequest
from app.ingest.verdicts import versioned_name
from app.models import Problem

TO_ADD: Final = "`pkpo problems import` adds what is missing."
# The member of a problem without which a verifier says nothing of its completions.
NEEDED: Final = {"python-tests": "tests"} | dict.fromkeys(
    ("exact-match", "numeric-match", "math-verify", "arc-grid"), "answer"
)


def check_judged(session: Session, set_id: int, verifier: str, options: Mapping[str, Any], pointer: str) -> None:
    """Raise InvalidRequest where no problem of the set has what the verifier, or every term of a sum, needs.

    Of a set without problems nothing is refused: there is nothing to judge.
    """
    members = set()
    if not _has(session, set_id):
        return
    for name, member in _needed(verifier, options):
        members.add(member)
        if not _has(session, set_id, _is_there(member)):
            raise InvalidRequest(
                f"The verifier {name} needs the {member} of a problem, and none of these has any: there would be no "
                f"verdict on any completion. {TO_ADD}",
                [(pointer, f"without {member}")],
            )
    if len(members) > 1 and not _has(session, set_id, *map(_is_there, members)):
        raise InvalidRequest(
            f"The terms of this verifier need the {' and the '.join(sorted(members))} of a problem, and none of these "
            f"has both: there would be no verdict on any completion. {TO_ADD}",
            [(pointer, f"without {' and '.join(sorted(members))}")],
        )


def _needed(verifier: str, options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each verifier that is asked, by its bare name, with the member of a problem that it needs."""
    name, _ = versioned_name(verifier)
    if name in NEEDED:
        yield name, NEEDED[name]
    if name == "weighted":  # its options were found to be right before
        for term in options["terms"]:
            yield from _needed(term["verifier"], term.get("options", {}))


def _is_there(member: str) -> ColumnElement[bool]:
    return func.jsonb_typeof(Problem.tests) != "null" if member == "tests" else Problem.answer.is_not(None)


def _has(session: Session, set_id: int, *conditions: ColumnElement[bool]) -> bool:
    """Whether the set has a problem of which all of this is so."""
    found = select(Problem.id).where(Problem.problem_set_id == set_id, *conditions)
    return bool(session.scalar(select(found.exists())))
