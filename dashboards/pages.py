"""Pages: a frozen dataclass of plain values comes in, HTML goes out.

What a page shows is in its dataclass and nowhere else; what the reader chose is in its URL, so a view can be shared.
All text is escaped by the templates, in element content and attributes alike; no name becomes markup, script or style.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias
from urllib.parse import urlencode

import jinja2
import plotly.graph_objects as go
from markupsafe import Markup, escape

from dashboards import numerals
from dashboards.assets import asset_url
from dashboards.figures import curve_figure, solve_rate_histogram
from dashboards.reference import operations
from dashboards.verifier_options import in_words
from dashboards.workers_note import NOBODY, WorkersNote
from pkpo.curves import PassAtKCurve

# plotly writes style attributes and elements; nothing else on these pages is inline, and no script is made from text.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

MissingPolicy: TypeAlias = Literal["error", "drop", "fail"]
Sort: TypeAlias = Literal[
    "problem", "-problem", "n", "-n", "missing", "-missing", "solve_rate", "-solve_rate", "mean_reward", "-mean_reward"
]


@dataclass(frozen=True)
class CompletionsMissing:
    """No number yet: some of the expected completions are absent, or nobody could say whether they passed."""

    expected: int
    absent: int
    """Completions that were never sent."""
    unverified: int
    """Completions that are stored without a verdict of this verifier."""
    infrastructure_errors: int
    """Completions whose verification broke down, which says nothing about them."""
    problems: int
    """Problems with at least one missing completion."""

    @property
    def missing(self) -> int:
        """All of them together."""
        return self.absent + self.unverified + self.infrastructure_errors


@dataclass(frozen=True)
class NoVerdict:
    """No number yet: completions are stored, but no verifier has looked at any."""

    completions: int


@dataclass(frozen=True)
class VerifierNeeded:
    """No number yet: several verifiers have looked, and the reader has not chosen one."""

    verifiers: tuple[str, ...]


@dataclass(frozen=True)
class TooMuchWork:
    """No number: it would take more time or memory than the service gives to one reader."""

    reason: str
    """How much more, a sentence."""


Outcome: TypeAlias = PassAtKCurve | CompletionsMissing | NoVerdict | VerifierNeeded | TooMuchWork


@dataclass(frozen=True)
class Latest:
    """The latest evaluation of a run's latest checkpoint. Of a curve the points at 1, n and, where n allows, 8"""

    url: str
    step: int
    problem_set: str
    created: datetime
    outcome: Outcome
    bias: str | None = None
    """Why the curve is not unbiased, a sentence; None where it is."""


@dataclass(frozen=True)
class RunRow:
    """A run in the list, and its latest evaluation if it has one."""

    url: str
    run: str
    latest: Latest | None


@dataclass(frozen=True)
class HomePage:
    """Runs, latest first. `filter` and `cursor` are the query of the request, `next_cursor` that of the next page."""

    server: str
    """This server's own address as its reader sees it, such as http://127.0.0.1:8000."""
    runs: tuple[RunRow, ...]
    filter: str = ""
    cursor: str | None = None
    next_cursor: str | None = None
    running: int = 0
    """Jobs that run now."""
    workers: WorkersNote = NOBODY
    demo_minutes: int | None = None
    """About how long the demo takes, where nobody has begun it and there is nothing else yet."""
    has_demo: bool = False


@dataclass(frozen=True)
class ProblemRow:
    """One problem of an evaluation under the chosen verifier."""

    problem: str
    n: int
    """Completions with a result."""
    c: int | None
    """Completions that passed; None where the verifier gives rewards only."""
    mean_reward: float
    """Over the completions with a reward; nan where there is none."""
    missing: int
    estimates: tuple[float, ...]
    """The metric at each k of the table; nan where n < k."""

    @property
    def solve_rate(self) -> float:
        """c/n, unknown without completions."""
        return self.c / self.n if self.c is not None and self.n else float("nan")


@dataclass(frozen=True)
class ProblemTable:
    """A page of an evaluation's problems; `sort`, `filter` and `cursor` are the query of the request."""

    rows: tuple[ProblemRow, ...]
    matching: int
    """Problems that match the filter, on all pages."""
    metric: str
    ks: tuple[int, ...]
    sort: Sort = "problem"
    filter: str = ""
    cursor: str | None = None
    next_cursor: str | None = None


@dataclass(frozen=True)
class SolveCounts:
    """Completions with a verdict and those that passed, one entry per problem that has any."""

    n: tuple[int, ...]
    c: tuple[int, ...]

    @property
    def none_passed(self) -> int:
        """Problems that no completion solved."""
        return sum(passed == 0 for passed in self.c)

    @property
    def all_passed(self) -> int:
        """Problems that every completion solved."""
        return sum(passed == drawn for drawn, passed in zip(self.n, self.c, strict=True))


@dataclass(frozen=True)
class Neighbour:
    """The evaluation on the same problem set at the run's checkpoint before or after."""

    url: str
    step: int


@dataclass(frozen=True)
class JobAtWork:
    """A job that waits to write into an evaluation, or does."""

    url: str
    doing: str
    progress: str
    """How far it is, in words; nothing while it waits."""
    share: float | None


@dataclass(frozen=True)
class EvaluationPage:
    """One checkpoint on one problem set with one sampling configuration."""

    url: str
    """This page's path, without a query."""
    server: str
    evaluation: str
    """Its id in the API."""
    run: str
    step: int
    problem_set: str
    model: str | None
    sampling: Mapping[str, object]
    created: datetime
    completions: int
    counts_only: bool  # only n and c of each problem are known
    problems_total: int
    verifiers: tuple[str, ...]
    verifier: str | None
    """The one in use: the reader's choice, or the only one."""
    missing: MissingPolicy
    outcome: Outcome
    bias: str | None
    """Why the curve is not unbiased, a sentence; None where it is."""
    solved: SolveCounts | None
    """None where the verifier gives rewards only."""
    problems: ProblemTable | None
    """None where no verifier is in use, so that there is nothing to say of any problem."""
    further_ks: tuple[int, ...] = ()
    """The k that the reader asked for beside the usual ones."""
    refused_ks: tuple[int, ...] = ()
    """Those asked for in vain, the largest being larger than n."""
    run_url: str = "/"
    options: Mapping[str, Mapping[str, object]] | None = None  # what verifiers were told beside their defaults
    earlier: Neighbour | None = None
    later: Neighbour | None = None
    at_work: tuple[JobAtWork, ...] = ()
    running: int = 0
    """Jobs that run now, on whatever evaluation."""
    model_is_gone: bool = False  # it was a checkpoint of ours that is not on disk any more

    @property
    def view(self) -> dict[str, str]:
        """What the reader chose, as the query of the URL has it; of the problems the first page."""
        table = self.problems
        choices = {
            "verifier": self.verifier if len(self.verifiers) > 1 else None,
            "missing": self.missing if self.missing != "error" else None,
            "k": ",".join(map(str, self.further_ks)),
            "sort": table.sort if table and table.sort != "problem" else None,
            "filter": table.filter if table else None,
        }
        return {name: value for name, value in choices.items() if value}

    def link(self, **changes: str | None) -> str:
        """The URL of this page as it stands but for the changes."""
        return with_query(self.url, self.view | changes)

    def problem(self, name: str) -> str:
        """The URL of a problem's completions under the same verifier."""
        return with_query(f"{self.url}/problem", {"problem": name, "verifier": self.view.get("verifier")})

    def file(self, name: str, *choices: str) -> str:
        """The URL of a file of this evaluation's numbers, which depends on these of the reader's choices."""
        return with_query(f"{self.url}/{name}", {key: self.view[key] for key in choices if key in self.view})


@dataclass(frozen=True)
class ErrorPage:
    """What went wrong, in the words of the error itself."""

    status: int
    title: str
    detail: str
    errors: tuple[tuple[str, str], ...] = ()
    """What is wrong where in the request: (place, words)."""


@dataclass(frozen=True)
class ReferencePage:
    """The API, as its OpenAPI document describes it."""

    server: str
    openapi: Mapping[str, Any]


def rendered(template: str, **values: object) -> str:
    """The HTML that a template makes of the values."""
    return _environment.get_template(template).render(values)


def render_home(page: HomePage) -> str:
    """The list of runs, or what to do first where there are none."""
    outcomes = [row.latest.outcome for row in page.runs if row.latest]
    levels = {outcome.level for outcome in outcomes if isinstance(outcome, PassAtKCurve)}
    return _environment.get_template("home.html").render(page=page, levels=sorted(levels))


def render_evaluation(page: EvaluationPage) -> str:
    """An evaluation: its curve and points, its solve rates, its problems."""
    curve = page.outcome if isinstance(page.outcome, PassAtKCurve) else None
    return _environment.get_template("evaluation.html").render(
        page=page,
        table=page.problems,
        curve=curve,
        curve_figure=curve_figure(curve) if curve else None,
        histogram=solve_rate_histogram(page.solved.n, page.solved.c) if page.solved and page.solved.n else None,
    )


def render_error(page: ErrorPage) -> str:
    """A page for an error, with the way back."""
    return _environment.get_template("error.html").render(page=page)


def render_reference(page: ReferencePage) -> str:
    """Every call of the API with its fields, an example to type, and what it answers."""
    calls = list(operations(page.openapi, page.server))
    return _environment.get_template("reference.html").render(page=page.openapi["info"], calls=calls)


def with_query(path: str, parameters: Mapping[str, str | None]) -> str:
    """The path with those parameters that have a value."""
    query = urlencode({name: value for name, value in parameters.items() if value})
    return f"{path}?{query}" if query else path


def figure_json(figure: go.Figure) -> Markup:
    """A figure as JSON that may stand inside a script element: nothing in it can end the element or open another."""
    text: str = figure.to_json()
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))  # noqa: S704


def prose(text: str) -> Markup:
    """Paragraphs, code between backticks and links: all that our own descriptions use of Markdown."""
    html = re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text.strip())))
    html = re.sub(r"\[([^]]+)\]\((https://[^)]+)\)", r'<a href="\2">\1</a>', html)
    return Markup("".join(f"<p>{paragraph}</p>" for paragraph in html.split("\n\n")))  # noqa: S704


def setting(value: object) -> str:
    """A sampling parameter as the API writes it, a text without its quotation marks."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def interval_note(curve: PassAtKCurve) -> str:
    """What the interval is, in a sentence that a reader can hold us to."""
    if curve.problems < 2:
        return "One problem says nothing about the spread between problems, so there is no interval."
    assert curve.method == "t", f"no words for the interval {curve.method}"
    bounds = ", within [0, 1]" if numerals.is_rate(curve.metric) else ""
    note = (
        f"The band is the {numerals.percent(curve.level)} interval of the mean over problems, the "
        f"{numerals.count(curve.problems)} problems taken as a sample of their kind: Student t with "
        f"{numerals.count(curve.problems - 1)} degree{'s' * (curve.problems > 2)} of freedom{bounds}."
    )
    if all(point.standard_error > 0 for point in curve.points):
        return note
    return f"{note} Where every problem has the same value it has no width, which is not certainty."


def point_at(curve: PassAtKCurve, k: int) -> object:
    """The curve's point at k, or None where it has none."""
    return next((point for point in curve.points if point.k == k), None)


_environment = jinja2.Environment(
    loader=jinja2.PackageLoader("dashboards"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {
    "count": numerals.count,
    "rate": numerals.rate,
    "reward": numerals.reward,
    "percent": numerals.percent,
    "figure_json": figure_json,
    "prose": prose,
    "setting": setting,
    "size": numerals.size,
    "in_words": in_words,
}
_environment.tests |= {
    "a_curve": lambda outcome: isinstance(outcome, PassAtKCurve),
    "missing_completions": lambda outcome: isinstance(outcome, CompletionsMissing),
    "without_verdict": lambda outcome: isinstance(outcome, NoVerdict),
    "waiting_for_a_verifier": lambda outcome: isinstance(outcome, VerifierNeeded),
}
_environment.globals |= {
    "asset_url": asset_url,
    "duration": numerals.duration,
    "estimate": numerals.estimate,
    "interval": numerals.interval,
    "interval_note": interval_note,
    "metric_name": numerals.metric_name,
    "point_at": point_at,
    "problems": numerals.problems,
    "share": numerals.share,
    "span": numerals.span,
    "with_query": with_query,
}
