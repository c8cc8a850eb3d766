"""Completions that a verifier has still to judge, a page at a time."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.ingest.queries import Key, verifier_ids
from app.ingest.verdicts import versioned_name
from app.models import Evaluation

# An infrastructure error says nothing of a completion: it is still to be judged.
_STILL_TO_JUDGE: Final = (
    " WHERE completion.evaluation_id = :evaluation_id AND NOT EXISTS (SELECT FROM verifications AS said"
    " WHERE said.evaluation_id = completion.evaluation_id AND said.problem_id = completion.problem_id"
    " AND said.sample_index = completion.sample_index AND said.verifier_id = :verifier_id"
    " AND said.status <> 'infrastructure_error')"
)
COUNT: Final = text(f"SELECT count(*) FROM completions AS completion{_STILL_TO_JUDGE}")  # noqa: S608 - of constants
PAGE: Final = text(
    "SELECT completion.problem_id, sample_index, text, name, prompt, answer, tests, metadata"  # noqa: S608
    " FROM completions AS completion JOIN problems ON problems.id = completion.problem_id"
    f"{_STILL_TO_JUDGE} AND (completion.problem_id, sample_index) > (:problem_id, :sample_index)"
    " ORDER BY completion.problem_id, sample_index LIMIT :limit"
)
START: Final[Key] = (-1, -1)


class Unjudged(NamedTuple):
    """A completion, and its problem."""

    problem_id: int
    sample_index: int
    text: str | None
    problem: str
    prompt: str | None
    answer: str | None
    tests: Any
    metadata: dict[str, Any]

    @property
    def key(self) -> Key:
        """Where it stands among those of its evaluation."""
        return self.problem_id, self.sample_index


def count_unjudged(session: Session, evaluation: Evaluation, verifier: str) -> int:
    """How many completions the verifier, which is made where there is none, has still to judge."""
    return session.scalar(COUNT, _keys(session, evaluation, verifier)) or 0


def unjudged(session: Session, evaluation: Evaluation, verifier: str, after: Key, limit: int) -> Sequence[Unjudged]:
    """The first `limit` of them that follow the key."""
    page = {"problem_id": after[0], "sample_index": after[1], "limit": limit}
    return [Unjudged(*row) for row in session.execute(PAGE, _keys(session, evaluation, verifier) | page)]


def _keys(session: Session, evaluation: Evaluation, verifier: str) -> dict[str, int]:
    name = versioned_name(verifier)
    verifier_id = verifier_ids(session, evaluation.project_id, {name})[name]
    return {"evaluation_id": evaluation.id, "verifier_id": verifier_id}
