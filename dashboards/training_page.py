"""What a run's training says of itself, as parts of a page: warnings, figures, and a list of every other metric."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan

import plotly.graph_objects as go

from dashboards.figures import CheckpointCurve
from dashboards.numerals import DASH, count
from dashboards.training_alerts import Alert, alerts
from dashboards.training_figures import Line, phases_figure, series_figure, style_of, trajectory_figure
from dashboards.training_log import PHASES, Series, TrainingLog

MOST_LINES = 6
LOW_K, HIGH_K = 1, 16  # both ends of the curve
SPARK_WIDTH, SPARK_HEIGHT = 120.0, 22.0
LISTED = ("learning_rate", "loss", "kl", "tokens", "mean_abs_credit")


@dataclass(frozen=True)
class Panel:
    """A figure of the training, with what it needs said."""

    id: str
    title: str
    figure: go.Figure
    note: str = ""


@dataclass(frozen=True)
class MetricRow:
    """A metric of the list: where it stands, and its course as the points of a line in a small drawing."""

    name: str
    last: str
    low: str
    high: str
    course: str


@dataclass(frozen=True)
class TrainingPart:
    """The training of one run, or of two side by side."""

    logs: tuple[TrainingLog, ...]
    panels: tuple[Panel, ...]
    alerts: tuple[tuple[Alert, ...], ...]
    """Of each run."""
    rows: tuple[MetricRow, ...]
    """Of one run."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Steps behind each point, where points stand for several that logged something."""
        return tuple(sorted({log.width for log in self.logs if _together(log)}))


def _together(log: TrainingLog) -> bool:
    return any(point.steps > 1 for series in (*log.known.values(), *log.others) for point in series.points)


def training_part(
    logs: Sequence[TrainingLog | None], held_out: Sequence[Sequence[CheckpointCurve]] = ()
) -> TrainingPart | None:
    """What the runs have logged, and the path of their held-out checkpoints; None where there is neither."""
    panels = [panel for panel in (_trajectory(held_out), *_of_logs(logs)) if panel]
    some = tuple(log for log in logs if log)
    rows = _rows(some[0]) if len(logs) == 1 and some else ()
    if not panels and not rows:
        return None
    return TrainingPart(some, tuple(panels), tuple(alerts(log) if log else () for log in logs), rows)


def _of_logs(logs: Sequence[TrainingLog | None]) -> list[Panel | None]:
    return [
        _passes(logs),
        _metric(logs, "cumulative_solve_rate", "Cumulative solve rate", _solved_note, rate=True),
        _metric(logs, "entropy", "Entropy", log_scale=True),
        _metric(logs, "k", "k in force", steps=True),
        _rewards(logs),
        _metric(logs, "zero_signal_share", "Groups without signal", _silent_note, rate=True),
        _metric(logs, "grad_norm", "Gradient norm", log_scale=True),
        _phases(logs),
    ]


def _trajectory(held_out: Sequence[Sequence[CheckpointCurve]]) -> Panel | None:
    """pass@1 against pass@16, or against the largest k that all checkpoints have."""
    curves = [each.curve for run in held_out for each in run]
    if not any(len(run) > 1 for run in held_out) or any(curve.metric != "pass_at_k" for curve in curves):
        return None
    ks = set.intersection(*({point.k for point in curve.points} for curve in curves))
    high = max((k for k in ks if LOW_K < k <= HIGH_K), default=None)
    if LOW_K not in ks or high is None:
        return None
    return Panel(
        "trajectory",
        f"Held-out pass@{LOW_K} against pass@{high}",
        trajectory_figure(held_out, LOW_K, high),
        "An arrow leads from each checkpoint to the next. To the right more is solved at the first attempt; upwards "
        f"more is solved at all within {high}. Training that only sharpens goes right and down.",
    )


def _passes(logs: Sequence[TrainingLog | None]) -> Panel | None:
    """pass@k of the training problems, a line for each k; of two runs both ends of the curve, a colour for each."""
    metric = next((name for name in ("pass", "max") if any(log and log.passes(name) for log in logs)), None)
    if metric is None:
        return None
    found = [log.passes(metric) if log else {} for log in logs]
    title = f"{metric}@k of training problems"
    if len(logs) == 1:
        lines = [Line(f"{metric}@{k}", found[0][k], *style_of(i)) for i, k in enumerate(_some_ks(list(found[0])))]
    else:
        ks = sorted(set.intersection(*(set(each) for each in found if each)))
        ends = ks[:1] + ks[1:][-1:]
        lines = [
            Line(f"{'AB'[run]} {metric}@{k}", series[k], run, ("solid", "dotted")[i])
            for run, series in enumerate(found)
            if series
            for i, k in enumerate(ends)
        ]
    if not lines:
        return None
    estimated = any(line.series.from_groups for line in lines)
    note = "Estimated from the logged groups, over those of the last 50 steps." if estimated else ""
    return Panel("passes", title, series_figure(lines, f"{metric}@k", rate=metric == "pass"), note)


def _some_ks(ks: Sequence[int]) -> Sequence[int]:
    """As many as eyes can tell apart, both ends among them."""
    if len(ks) <= MOST_LINES:
        return ks
    places = {round(i * (len(ks) - 1) / (MOST_LINES - 1)) for i in range(MOST_LINES)}
    return [ks[i] for i in sorted(places)]


def _metric(
    logs: Sequence[TrainingLog | None],
    name: str,
    title: str,
    note: Callable[[Sequence[Series]], str] = lambda series: "",
    *,
    rate: bool = False,
    steps: bool = False,
    log_scale: bool = False,
) -> Panel | None:
    lines = _lines(logs, name)
    if not lines:
        return None
    figure = series_figure(lines, title.lower() if name != "k" else "k", rate=rate, steps=steps, log_scale=log_scale)
    return Panel(name, title, figure, note([line.series for line in lines]))


def _lines(logs: Sequence[TrainingLog | None], name: str) -> list[Line]:
    named = [(place, log.known[name]) for place, log in enumerate(logs) if log and name in log.known]
    shown = [(place, series) for place, series in named if series.points]
    return [Line("AB"[place] if len(logs) > 1 else name, series, place) for place, series in shown]


def _rewards(logs: Sequence[TrainingLog | None]) -> Panel | None:
    lines = _lines(logs, "reward/mean")
    if not lines:
        return None
    spread = logs[0].known.get("reward/std") if len(logs) == 1 and logs[0] else None
    note = "The band is one deviation of the rewards within a step on either side." if spread else ""
    return Panel("reward", "Reward", series_figure(lines, "mean reward", spread=spread), note)


def _phases(logs: Sequence[TrainingLog | None]) -> Panel | None:
    """Where the time of a step goes; of two runs it is not shown, for they may have had other machines."""
    if len(logs) != 1 or logs[0] is None:
        return None
    known = logs[0].known
    found = [phase for phase in PHASES if f"seconds/{phase}" in known]
    lines = [Line(phase, known[f"seconds/{phase}"], *style_of(i)) for i, phase in enumerate(found)]
    return Panel("seconds", "Seconds of a step", phases_figure(lines)) if lines else None


def _solved_note(series: Sequence[Series]) -> str:
    if any(each.from_groups for each in series):
        return "Of the training problems met so far, those that some completion has solved; from the logged groups."
    return "Of the training problems, those that some completion has solved so far."


def _silent_note(series: Sequence[Series]) -> str:
    return "The share of groups whose credits are all 0, so that they teach nothing."


def _rows(log: TrainingLog) -> tuple[MetricRow, ...]:
    """Every metric that has no figure."""
    drawn = [log.known[name] for name in LISTED if name in log.known]
    drawn += log.passes("max").values() if log.passes() else ()
    return tuple(_row(series) for series in (*drawn, *log.others))


def _row(series: Series) -> MetricRow:
    points = series.finite
    last = series.points[-1] if series.points else None
    return MetricRow(
        series.name,
        _written(last.mean) if last else DASH,
        _written(min((point.low for point in points), default=float("nan"))),
        _written(max((point.high for point in points), default=float("nan"))),
        _course(series),
    )


def _written(value: float) -> str:
    return DASH if isnan(value) else f"{value:.4g}".replace("-", "−")


def _course(series: Series) -> str:
    """The points of a polyline, left to right by step; nothing for a series without two values."""
    points = series.finite
    if len(points) < 2:
        return ""
    first, last = points[0].step, points[-1].step
    values = [point.mean for point in points]
    low = min(values)
    height = (max(values) - low) or 1.0
    return " ".join(
        f"{SPARK_WIDTH * (point.step - first) / (last - first):.1f},"
        f"{1 + (SPARK_HEIGHT - 2) * (1 - (point.mean - low) / height):.1f}"
        for point in points
    )


def lives_notes(log: TrainingLog) -> list[str]:
    """What a resumed run logged twice, a sentence for each segment that was taken over."""
    after: Mapping[int, int] = {life.first_step: life.segment for life in reversed(log.lives)}
    return [
        f"Segment {life.segment} was taken over at step {count(life.until)} by segment {after[life.until]}: "
        + (
            f"what it logged from there to step {count(life.last_step)} was given up, and is dashed."
            if life.last_step >= life.until
            else "the run was resumed."
        )
        for life in log.lives
        if life.until is not None
    ]
