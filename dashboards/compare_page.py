"""Two evaluations of one problem set beside each other, and two runs: what changed, and what the intervals support."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan

from dashboards.compare_figures import curves_figure, difference_figure
from dashboards.figures import CheckpointCurve
from dashboards.numerals import DASH, MINUS, estimate, is_rate, metric_name, percent
from dashboards.pages import MissingPolicy, rendered, with_query
from dashboards.training_log import TrainingLog
from dashboards.training_page import lives_notes, training_part
from pkpo.comparisons import Comparison, Difference
from pkpo.curves import PassAtKCurve

MOST_NAMES = 200  # of problems on the page; the API has all


@dataclass(frozen=True)
class Side:
    """One of the two evaluations."""

    evaluation: str
    """Its id in the API."""
    url: str
    run: str
    run_url: str
    step: int
    sampling: str
    model: str | None


@dataclass(frozen=True)
class Choice:
    """An evaluation to choose."""

    evaluation: str
    run: str
    step: int
    problem_set: str
    sampling: str


@dataclass(frozen=True)
class Changed:
    """What changed from a to b."""

    found: Comparison
    a: PassAtKCurve
    b: PassAtKCurve
    newly_solved: tuple[str, ...] | None
    forgotten: tuple[str, ...] | None
    problems_total: int
    verifier: str
    unbiased: bool = True


@dataclass(frozen=True)
class ComparePage:
    """Two evaluations; without one of them, what there is to choose from."""

    a: Side | None
    b: Side | None
    outcome: Changed | str | None
    """The comparison, or in a sentence why there is none; None where nothing was asked yet."""
    choices: tuple[Choice, ...]
    more: bool
    """Whether there are further evaluations, which a filter would find."""
    problem_set: str | None = None
    filter: str = ""
    verifiers: tuple[str, ...] = ()
    """To choose from, where there are several."""
    verifier: str | None = None
    missing: MissingPolicy = "error"
    offers_missing: bool = False
    """Whether the refusal is of missing completions."""
    further_ks: tuple[int, ...] = ()
    runs: tuple[str, ...] = ()
    """To choose two from, while no evaluations are chosen."""
    options: Mapping[str, Mapping[str, object]] | None = None  # what verifiers were told beside their defaults

    @property
    def view(self) -> dict[str, str]:
        """What the reader chose, as the query of the URL has it."""
        choices = {
            "a": self.a.evaluation if self.a else None,
            "b": self.b.evaluation if self.b else None,
            "verifier": self.verifier,
            "missing": self.missing if self.missing != "error" else None,
            "k": ",".join(map(str, self.further_ks)),
            "filter": self.filter,
        }
        return {name: value for name, value in choices.items() if value}

    def link(self, **changes: str | None) -> str:
        """The URL of this page as it stands but for the changes."""
        return with_query("/compare", self.view | changes)

    def problem(self, side: Side, name: str) -> str:
        """The URL of a problem's completions in one of the two."""
        verifier = self.outcome.verifier if isinstance(self.outcome, Changed) else None
        return with_query(f"{side.url}/problem", {"problem": name, "verifier": verifier})


@dataclass(frozen=True)
class ComparedRun:
    """One of two runs: what it has logged, and the curves of its checkpoints."""

    run: str
    url: str
    training: TrainingLog | None
    checkpoints: tuple[tuple[int, PassAtKCurve], ...]


@dataclass(frozen=True)
class CompareRunsPage:
    """Two runs side by side; without both, the form that asks for them."""

    runs: tuple[ComparedRun, ...]
    problem_set: str | None = None
    known: tuple[str, ...] = ()
    """Names of runs to choose from."""
    typed: tuple[str, ...] = ()
    """The names that were asked for."""
    unknown: tuple[str, ...] = ()
    """Those of them that are of no run."""


def render_compare(page: ComparePage) -> str:
    """Two evaluations and the difference between them, or the form to choose them."""
    changed = page.outcome if isinstance(page.outcome, Changed) else None
    return rendered(
        "compare.html",
        page=page,
        changed=changed,
        curves=curves_figure({"a": changed.a, "b": changed.b}) if changed else None,
        differences=difference_figure(changed.found) if changed else None,
        sentence=verdict(changed.found) if changed else None,
        caption=caption(changed.found) if changed else None,
        rows=[(point, at_k(changed.a, point.k), at_k(changed.b, point.k)) for point in changed.found.points]
        if changed
        else [],
        most_names=MOST_NAMES,
        signed=signed,
        difference_interval=difference_interval,
    )


def render_compare_runs(page: CompareRunsPage) -> str:
    """Two runs: what they logged in the same figures, and the path of their held-out checkpoints."""
    held_out = [[CheckpointCurve(step, curve) for step, curve in run.checkpoints] for run in page.runs]
    return rendered(
        "compare_runs.html",
        page=page,
        training=training_part([run.training for run in page.runs], held_out) if len(page.runs) > 1 else None,
        notes=[(name, note) for name, run in zip("AB", page.runs, strict=False) for note in _notes(run)],
    )


def _notes(run: ComparedRun) -> list[str]:
    return lives_notes(run.training) if run.training else []


def at_k(curve: PassAtKCurve, k: int) -> str:
    """The value of a curve at k as the pages write it."""
    return estimate(next(point.value for point in curve.points if point.k == k), curve.metric)


def signed(value: float, metric: str) -> str:
    """A difference with its sign: of rates three decimals, as rates have."""
    if isnan(value):
        return DASH
    text = f"{value:+.3f}" if is_rate(metric) else f"{value:+.4g}"
    return text.replace("-", MINUS)


def difference_interval(point: Difference, metric: str) -> str:
    """`[low, high]` with signs, or nothing where no interval is known."""
    if isnan(point.low) or isnan(point.high):
        return ""
    return f"[{signed(point.low, metric)}, {signed(point.high, metric)}]"


def verdict(found: Comparison, b: str = "b") -> str:
    """What the intervals support at each k of what `b` names, in a sentence, and nothing beyond it."""
    if found.problems_used < 2:
        return "One problem says nothing about the spread between problems: no difference can be told from zero."
    higher = [point for point in found.points if point.low > 0]
    lower = [point for point in found.points if point.high < 0]
    level = [point for point in found.points if point.low <= 0 <= point.high]
    unknown = [point for point in found.points if isnan(point.low) or isnan(point.high)]
    parts = [
        f"{b} is {word} at {_listed(points, found.metric)}"
        for word, points in (("higher", higher), ("lower", lower))
        if points
    ]
    if level:
        ks = _ks(level)
        told = "no difference can be told from zero" if not parts else "the difference cannot be told from zero"
        parts.append(f"at {ks} {told}")
    if unknown:
        parts.append(f"at {_ks(unknown)} no interval is known")
    text = "; ".join(parts)
    return f"{text[0].upper() if not parts[0].startswith(f'{b} is') else text[0]}{text[1:]}."


def _listed(points: Sequence[Difference], metric: str) -> str:
    """`k=8 by 0.04 [0.01, 0.07]`, and so on, of several k."""
    return _joined([f"k={p.k} by {_size(p, metric)}" for p in points])


def _size(point: Difference, metric: str) -> str:
    low, high = sorted((abs(point.low), abs(point.high)))
    written = (f"{abs(point.difference):.3f}", f"{low:.3f}", f"{high:.3f}")
    if not is_rate(metric):
        written = (f"{abs(point.difference):.4g}", f"{low:.4g}", f"{high:.4g}")
    return f"{written[0]} [{written[1]}, {written[2]}]"


def _ks(points: Sequence[Difference]) -> str:
    return _joined([f"k={point.k}" for point in points])


def _joined(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def caption(found: Comparison) -> str:
    """What the bars and the p-values are."""
    seed = "" if found.seed is None else f", seed {found.seed}"
    return (
        f"{percent(found.level)} interval of the mean over problems of b {MINUS} a, problems taken as a sample. "
        f"p by {found.test}{seed}; corrected: for having looked at every {metric_name(found.metric)} here."
    )
