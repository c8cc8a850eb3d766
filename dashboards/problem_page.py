"""A problem of an evaluation: the verdicts on its completions as a strip, and one completion in full.

Texts are hostile: they stand as text between tags, never as markup, and long ones are folded and in the end cut.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from dashboards.pages import ProblemRow, rendered, with_query

FOLDED_FROM = 6_000  # characters
MOST_SHOWN = 200_000
SIGNS = {"passed": "✓", "failed": "✗", "scored": "•", "unknown": "?"}


@dataclass(frozen=True)
class Mark:
    """What the verifier in use says of a completion, for the strip."""

    index: int
    verdict: Literal["passed", "failed", "scored", "unknown"]
    words: str

    @property
    def sign(self) -> str:
        """The verdict as a sign, so that no reader needs the colour."""
        return SIGNS[self.verdict]


@dataclass(frozen=True)
class Verdict:
    """What a verifier said of the completion that is shown."""

    verifier: str
    status: str
    passed: bool | None
    reward: float | None
    answer: str | None
    detail: str | None
    """JSON."""


@dataclass(frozen=True)
class ShownCompletion:
    """The completion that is shown."""

    index: int
    text: str | None
    """None where only its hash was kept, or nothing."""
    facts: tuple[tuple[str, str], ...]
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class Folded:
    """A text in the parts that a reader is shown."""

    head: str
    rest: str
    cut: int
    """Characters that are not shown at all."""


@dataclass(frozen=True)
class ProblemPage:
    """A problem, the completions about the one that is shown, and that one."""

    url: str
    """This page's path, without a query."""
    evaluation_url: str
    evaluation: str
    run: str
    run_url: str
    step: int
    problem_set: str
    problem: str
    row: ProblemRow | None
    """Its counts; None where no verifier is in use."""
    metric: str
    ks: tuple[int, ...]
    verifiers: tuple[str, ...]
    verifier: str | None
    marks: tuple[Mark, ...]
    at: int | None
    """Which of the marks is that of the completion shown; None where there is none."""
    more_before: bool
    """Whether there are completions before the first mark, or after the last."""
    more_after: bool
    completion: ShownCompletion | None
    options: Mapping[str, Mapping[str, object]] | None = None  # what verifiers were told beside their defaults

    @property
    def view(self) -> dict[str, str]:
        """What the reader chose, as the query of the URL has it, but for the completion."""
        verifier = self.verifier if len(self.verifiers) > 1 else None
        return {"problem": self.problem} | ({"verifier": verifier} if verifier else {})

    def link(self, index: int | None = None, **changes: str | None) -> str:
        """The URL of this page at a completion, as it stands but for the changes."""
        return with_query(self.url, self.view | changes | {"index": None if index is None else str(index)})

    @property
    def back(self) -> str:
        """The evaluation's page under the same verifier."""
        return with_query(self.evaluation_url, {"verifier": self.view.get("verifier")})

    @property
    def previous(self) -> str | None:
        """The URL of the completion before the one shown."""
        return None if not self.at else self.link(self.marks[self.at - 1].index)

    @property
    def next(self) -> str | None:
        """The URL of the completion after the one shown."""
        last = self.at is None or self.at + 1 == len(self.marks)
        return None if last or self.at is None else self.link(self.marks[self.at + 1].index)

    @property
    def as_json(self) -> str:
        """The API's address of all completions of the problem."""
        return with_query(f"/v1/evaluations/{self.evaluation}/completions", {"problem": self.problem})


def render_problem(page: ProblemPage) -> str:
    """A problem: its counts, its strip of verdicts and one completion."""
    text = page.completion.text if page.completion else None
    return rendered("problem.html", page=page, text=None if text is None else folded(text))


def folded(text: str) -> Folded:
    """The text as it is shown: at once where it is short, else up to the end of a line and the rest on demand."""
    if len(text) <= FOLDED_FROM:
        return Folded(text, "", 0)
    line_end = text.rfind("\n", FOLDED_FROM // 2, FOLDED_FROM) + 1
    fold = line_end or FOLDED_FROM
    return Folded(text[:fold], text[fold:MOST_SHOWN], max(0, len(text) - MOST_SHOWN))
