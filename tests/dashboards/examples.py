"""Pages with values like those of real evaluations, for the tests to vary."""

from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

from dashboards.pages import EvaluationPage, Latest, Outcome, ProblemRow, ProblemTable, RunRow, SolveCounts
from pkpo.curves import PassAtKCurve
from pkpo.estimators import pass_at_k

SERVER = "http://127.0.0.1:8000"
EVALUATION = "0d6c1a1e-54fb-4a59-a4f2-0b7a8d4e9a11"
N = (10, 10, 10, 10, 10)
C = (0, 3, 7, 10, 0)
WHEN = datetime(2026, 3, 1, 14, 2, tzinfo=UTC)


def run_row(run: str, outcome: Outcome, bias: str | None = None) -> RunRow:
    return RunRow(
        f"/runs/{run}", run, Latest(f"/evaluations/{EVALUATION}", 40, "cruxeval-output@1", WHEN, outcome, bias)
    )


def problem_rows(n: tuple[int, ...] = N, c: tuple[int, ...] = C) -> tuple[ProblemRow, ...]:
    estimates = pass_at_k(n, c, 2)
    return tuple(ProblemRow(f"sample_{i}", n[i], c[i], c[i] / n[i], 0, (float(estimates[i]),)) for i in range(len(n)))


def evaluation_page(**changes: Any) -> EvaluationPage:
    page = EvaluationPage(
        url=f"/evaluations/{EVALUATION}",
        server=SERVER,
        evaluation=EVALUATION,
        run="codellama-7b",
        step=40,
        problem_set="cruxeval-output@1",
        model="codellama/CodeLlama-7b-hf",
        sampling={"temperature": 0.2, "stop": ["</answer>"]},
        created=WHEN,
        counts_only=False,
        completions=50,
        problems_total=5,
        verifiers=("exact@1",),
        verifier="exact@1",
        missing="error",
        outcome=PassAtKCurve.from_counts(N, C),
        bias=None,
        solved=SolveCounts(N, C),
        problems=ProblemTable(problem_rows(), 5, "pass_at_k", (2,)),
    )
    return replace(page, **changes)


class Page(HTMLParser):
    """What a browser would make of a page: its elements in order, and the text that a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._text: list[str] = []
        self._scripts: list[str] = []
        self._inside = ""
        self.feed(html)
        self.close()
        self.text = " ".join(" ".join(self._text).split())

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """Elements with the names of their attributes, without any value."""
        return [(tag, tuple(attributes)) for tag, attributes in self.elements]

    @property
    def data(self) -> list[str]:
        """The content of the script elements that hold data."""
        return [script for script in self._scripts if script.strip()]

    def values(self, attribute: str) -> list[str]:
        """Every value of an attribute, in order."""
        return [attributes[attribute] or "" for _, attributes in self.elements if attribute in attributes]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self._scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self._scripts[-1] += data
        else:
            self._text.append(data)
