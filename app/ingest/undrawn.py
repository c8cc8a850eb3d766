"""The completions of an evaluation that are still to be drawn, with what they are drawn from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.models import Evaluation

# Unlike `…/missing`: with the prompts, and with the first problems whether they are finished or not.
UNDRAWN: Final = text(
    "SELECT chosen.name, chosen.prompt, there.indexes"
    " FROM (SELECT id, name, prompt FROM problems WHERE problem_set_id = :set_id ORDER BY id LIMIT :limit) AS chosen"
    " CROSS JOIN LATERAL (SELECT coalesce(array_agg(sample_index), '{}') AS indexes FROM completions"
    " WHERE evaluation_id = :evaluation_id AND problem_id = chosen.id AND sample_index < :n) AS there"
    " ORDER BY chosen.id"
)


@dataclass(frozen=True)
class Undrawn:
    """A problem, and the indexes of the completions that it lacks; of many problems none."""

    problem: str
    prompt: str | None
    sample_indexes: Sequence[int]


def undrawn(session: Session, evaluation: Evaluation, n: int, limit: int | None) -> list[Undrawn]:
    """What each of the first `limit` problems of the set, in the order in which they came to it, lacks of n."""
    wanted = {"set_id": evaluation.problem_set_id, "evaluation_id": evaluation.id, "n": n, "limit": limit}
    return [
        Undrawn(name, prompt, sorted(set(range(n)).difference(there)))
        for name, prompt, there in session.execute(UNDRAWN, wanted)
    ]
