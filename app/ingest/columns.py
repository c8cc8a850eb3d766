"""The completions of one request by column, whichever form they came in."""

from collections.abc import Sequence
from typing import NamedTuple, Self

from app.errors import InvalidRequest
from app.ingest.schemas import MOST_VERDICTS_OF_A_REQUEST, NewCompletion
from app.ingest.verdicts import Verdict


class CompletionColumns(NamedTuple):
    """Completion i is the i-th entry of each; every value keeps the rules of `NewCompletion`."""

    problem: Sequence[str]
    sample_index: Sequence[int]
    text: Sequence[str | None]
    finish_reason: Sequence[str | None]
    prompt_tokens: Sequence[int | None]
    completion_tokens: Sequence[int | None]
    logprob: Sequence[float | None]
    seed: Sequence[int | None]
    verifications: Sequence[Sequence[Verdict]]

    @classmethod
    def of(cls, completions: Sequence[NewCompletion]) -> Self:
        """Those of a list; InvalidRequest where they have more verdicts than a request may."""
        verifications = [given.get("verifications", ()) for given in completions]
        if (count := sum(map(len, verifications))) > MOST_VERDICTS_OF_A_REQUEST:
            sentence = f"The body has {count} verdicts; a request takes {MOST_VERDICTS_OF_A_REQUEST} at most."
            raise InvalidRequest(sentence, [("/completions", "too many verdicts")])
        return cls(
            [given["problem"] for given in completions],
            [given["sample_index"] for given in completions],
            [given.get("text") for given in completions],
            [given.get("finish_reason") for given in completions],
            [given.get("prompt_tokens") for given in completions],
            [given.get("completion_tokens") for given in completions],
            [given.get("logprob") for given in completions],
            [given.get("seed") for given in completions],
            verifications,
        )
