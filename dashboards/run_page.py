"""A run: the metric over its checkpoints, a line for each k, and the checkpoints with their numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import cycle
from typing import Literal

from dashboards.figures import DASHES, CheckpointCurve, run_figure
from dashboards.numerals import count
from dashboards.pages import MissingPolicy, rendered, setting, with_query
from dashboards.training_log import TrainingLog
from dashboards.training_page import lives_notes, training_part
from pkpo.curves import PassAtKCurve

USUAL_KS: tuple[int | None, ...] = (1, 8, None)


@dataclass(frozen=True)
class SolvedChange:
    """What an evaluation newly solves and forgets against that of the checkpoint before."""

    newly_solved: int
    forgotten: int
    url: str
    """Of the page that compares both."""


@dataclass(frozen=True)
class CheckpointRow:
    """An evaluation of one of the run's checkpoints."""

    url: str
    step: int
    sampling: Mapping[str, object]
    outcome: PassAtKCurve | str
    """The curve, or in a few words why there is none."""
    created: datetime
    bias: str | None = None
    """Why the curve is not unbiased, a sentence; None where it is."""
    evaluation: str = ""
    """Its id in the API."""
    change: SolvedChange | None = None


@dataclass(frozen=True)
class WeightsRow:
    """A checkpoint of the run, and what of it lies on disk."""

    step: int
    part: Literal["all", "weights"] | None = None
    """All of it, so that a training can go on from it, its weights alone, or nothing any more."""
    folder: str = ""
    bytes: int = 0


@dataclass(frozen=True)
class RunJob:
    """The job that trained the run last, or is to."""

    url: str
    state: str
    done: int
    """Steps, of all its runs."""
    total: int | None
    runs: int
    """That it trains, one for each seed."""
    error: str | None = None
    stopping: bool = False
    """Whether it was asked to stop, and has not yet."""
    waits_in_vain: bool = False
    """Whether it is queued, and no worker is there that could take it."""

    @property
    def name(self) -> str:
        """The first digits of its id."""
        return self.url.rpartition("/")[2][:8]

    @property
    def progress(self) -> str:
        """How far it came: step 82 of 150; nothing of what made no step."""
        if not self.done or self.state == "queued":
            return ""
        of = f" of {count(self.total)}" if self.total else ""
        if self.runs == 1:
            return f"step {count(self.done)}{of}"
        return f"{count(self.done)}{of} steps of its {count(self.runs)} runs"


@dataclass(frozen=True)
class RunPage:
    """A run on one problem set, a page of its evaluations by step."""

    url: str
    """This page's path, without a query."""
    run: str
    server: str
    rows: tuple[CheckpointRow, ...]
    problem_sets: tuple[str, ...]
    problem_set: str | None
    """The one shown; None where the run has no evaluation."""
    checkpoints: int
    """Of the run, on all problem sets."""
    verifiers: tuple[str, ...] = ()
    verifier: str | None = None
    """The reader's choice."""
    missing: MissingPolicy = "error"
    further_ks: tuple[int, ...] = ()
    """The k that the reader asked for in place of the usual ones."""
    cursor: str | None = None
    next_cursor: str | None = None
    training: TrainingLog | None = None
    options: Mapping[str, Mapping[str, object]] | None = None  # what verifiers were told beside their defaults
    weights: tuple[WeightsRow, ...] = ()
    """The latest checkpoints; none where the run has nothing on a disk that this service sees."""
    like: str | None = None
    """Where the form of a training job is filled in as for this run."""
    others: tuple[str, ...] = ()
    """Runs to put beside it."""
    job: RunJob | None = None
    """None where no job of the service trained it."""

    @property
    def on_disk(self) -> tuple[WeightsRow, ...]:
        """The checkpoints of which something is there."""
        return tuple(each for each in self.weights if each.part)

    @property
    def ks(self) -> tuple[int | None, ...]:
        """The k of the lines and columns; None is each evaluation's own n."""
        return self.further_ks or USUAL_KS

    @property
    def view(self) -> dict[str, str]:
        """What the reader chose, as the query of the URL has it; the first page of checkpoints."""
        choices = {
            "problem_set": self.problem_set if len(self.problem_sets) > 1 else None,
            "verifier": self.verifier,
            "missing": self.missing if self.missing != "error" else None,
            "k": ",".join(map(str, self.further_ks)),
        }
        return {name: value for name, value in choices.items() if value}

    def link(self, **changes: str | None) -> str:
        """The URL of this page as it stands but for the changes."""
        return with_query(self.url, self.view | changes)

    @property
    def file(self) -> str:
        """The URL of the numbers that this page shows."""
        return with_query(f"{self.url}/curves.csv", self.view | {"cursor": self.cursor})


def render_run(page: RunPage) -> str:
    """A run: its figure, and its checkpoints as a table."""
    curves = [(row, row.outcome) for row in page.rows if isinstance(row.outcome, PassAtKCurve)]
    # Where the verifiers of some checkpoints give rewards and of others verdicts, one axis cannot hold both.
    metric = curves[-1][1].metric if curves else None
    samplings = _samplings(page.rows)
    drawn = [
        CheckpointCurve(row.step, curve, list(samplings).index(_written(row)) if samplings else 0)
        for row, curve in curves
        if curve.metric == metric
    ]
    largest_n = max((each.curve.n_min for each in drawn), default=0)
    lines = [k for k in _distinct(page.ks, drawn) if k is None or k <= largest_n]
    return rendered(
        "run.html",
        page=page,
        figure=run_figure(drawn, lines) if drawn and lines else None,
        beyond=[k for k in page.further_ks if drawn and k > largest_n],
        largest_n=largest_n,
        metric=metric or "pass_at_k",
        level=curves[-1][1].level if curves else None,
        some_missing=any(isinstance(row.outcome, str) for row in page.rows),
        training=training_part([page.training], [_of_latest_sampling(drawn)]),
        lives=lives_notes(page.training) if page.training else [],
        comparable=[row for row in page.rows if row.evaluation and isinstance(row.outcome, PassAtKCurve)],
        samplings=list(zip(cycle(DASHES), _differing(list(samplings.values())), strict=False)),
    )


def _of_latest_sampling(drawn: Sequence[CheckpointCurve]) -> list[CheckpointCurve]:
    """The checkpoints in one line: those with the sampling of the last one."""
    return [each for each in drawn if each.sampling == drawn[-1].sampling]


def _written(row: CheckpointRow) -> str:
    return setting(row.sampling)


def _samplings(rows: tuple[CheckpointRow, ...]) -> dict[str, Mapping[str, object]]:
    """The samplings as they are written, where a step has several and so no one line can go through all; else none.

    A sampling that differs at every step, by its seed for instance, is one line.
    """
    if len({row.step for row in rows}) == len(rows):
        return {}
    return dict(sorted({_written(row): row.sampling for row in rows}.items()))


def _differing(samplings: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """Of each sampling the settings that are not the same in all."""
    first = samplings[0] if samplings else {}
    same = {name for name in first if all(name in each and each[name] == first[name] for each in samplings)}
    return [{name: value for name, value in each.items() if name not in same} for each in samplings]


def _distinct(ks: tuple[int | None, ...], drawn: list[CheckpointCurve]) -> list[int | None]:
    """The k without that of n where every checkpoint's n is another of them: two lines would lie on each other."""
    others = {k for k in ks if k is not None}
    return [k for k in ks if k is not None or any(each.curve.n_min not in others for each in drawn)]
