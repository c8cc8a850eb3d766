"""The curve of a results file as text: a table for a person, JSON and CSV for a program."""

import csv
import io
import json
import os
import sys
from math import isfinite, isnan

from pkpo.commands.file_curve import FileCurve
from pkpo.readers.rows import shown

PLOT_COLUMNS = 31
GLYPHS = ("·", "├", "─", "┤", "●")
ASCII_GLYPHS = (".", "[", "-", "]", "o")
BOLD, DIM, RESET = "\033[1m", "\033[2m", "\033[0m"
CSV_COLUMNS = (
    "k",
    "value",
    "standard_error",
    "low",
    "high",
    "metric",
    "level",
    "problems_used",
    "n_min",
    "n_max",
    "file",
    "verifier",
)


def as_json(result: FileCurve, first: bool) -> str:
    """One line with one object, every number in full; null where there is no interval, or it has no end in float64."""
    curve = result.curve
    policy_changed_it = bool(result.left_out) or (result.missing == "fail" and result.completions_missing > 0)
    return json.dumps(
        {
            "file": result.file.name,
            "format": result.file.format,
            "verifier": result.file.verifier,
            "metric": curve.metric,
            "estimator": curve.estimator,
            "points": [
                {
                    "k": point.k,
                    "value": point.value,
                    "standard_error": _known(point.standard_error),
                    "low": _known(point.low),
                    "high": _known(point.high),
                }
                for point in curve.points
            ],
            "interval": {"method": curve.method, "level": curve.level},
            "problems_used": curve.problems,
            "problems_total": len(result.verdicts.problems),
            "n_min": curve.n_min,
            "n_max": curve.n_max,
            "missing": result.missing,
            "completions_missing": result.completions_missing,
            # A file does not say how its completions were drawn; with some left out or made up it is certain.
            "unbiased": False if policy_changed_it else None,
        },
        allow_nan=False,
    )


def as_csv(result: FileCurve, first: bool) -> str:
    """A line for each k, every number in full, under a header where this is the first file; no number is no text."""
    curve = result.curve
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    if first:
        lines.writerow(CSV_COLUMNS)
    about = (
        curve.metric,
        curve.level,
        curve.problems,
        curve.n_min,
        curve.n_max,
        result.file.name,
        result.file.verifier,
    )
    for point in curve.points:
        numbers = (point.value, point.standard_error, point.low, point.high)
        lines.writerow((point.k, *map(_known, numbers), *about))
    return text.getvalue().rstrip("\n")


def _known(value: float) -> float | None:
    return value if isfinite(value) else None


def as_table(result: FileCurve, first: bool) -> str:
    """The file, what it was recognised as, a line for each k, and what a reader must know about the numbers."""
    blank = [] if first else [""]
    return "\n".join(
        [*blank, _styled(BOLD, result.file.name), *_about(result), "", *_rows(result), "", *_notes(result)]
    )


def _about(result: FileCurve) -> list[str]:
    """What was recognised and how much is in it."""
    verdicts, curve = result.verdicts, result.curve
    n = str(curve.n_min) if curve.n_min == curve.n_max else f"{curve.n_min}..{curve.n_max}"
    problems = _count(curve.problems, "problem")
    if result.left_out:
        problems += f" of {len(verdicts.problems):,}"
    judged = f", {100 * verdicts.passed / verdicts.judged:.1f} % passed" if verdicts.judged else ""
    return [f"{result.file.description}: {problems}, n = {n}; {_count(verdicts.completions, 'completion')}{judged}"]


def _rows(result: FileCurve) -> list[str]:
    curve = result.curve
    rate = not curve.metric.startswith(("max_", "min_", "distinct_"))
    scale = "0" + "1".rjust(PLOT_COLUMNS - 1) if rate else ""
    write = "{:.4f}".format if rate else "{:.6g}".format
    cells = [("k", _name(curve.metric), "s.e.", f"{100 * curve.level:.12g} % interval", scale)]
    for point in curve.points:
        interval = "" if isnan(point.low) else f"[{write(point.low)}, {write(point.high)}]"
        error = "" if isnan(point.standard_error) else write(point.standard_error)
        plot = _plot(point.value, point.low, point.high) if rate else ""
        cells.append((str(point.k), write(point.value), error, interval, plot))
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    return [
        "   ".join(("", *(cell.rjust(width) for cell, width in zip(row, widths, strict=False)), row[4])).rstrip()
        for row in cells
    ]


def _name(metric: str) -> str:
    """The metric as the field writes it: pass@k, pass^k, max@k."""
    return metric.replace("_at_k", "@k").replace("_hat_k", "^k")


def _plot(value: float, low: float, high: float) -> str:
    """The value and its interval on a line from 0 to 1."""
    ground, left, between, right, mark = GLYPHS if _can_print("".join(GLYPHS)) else ASCII_GLYPHS
    line = [ground] * PLOT_COLUMNS
    if not isnan(low):
        start, end = _column(low), _column(high)
        line[start : end + 1] = [left, *between * (end - start - 1), right] if end > start else [left]
    line[_column(value)] = mark
    return "".join(line)


def _column(value: float) -> int:
    return round(value * (PLOT_COLUMNS - 1))


def _notes(result: FileCurve) -> list[str]:
    curve = result.curve
    notes = [_interval_note(result)]
    if result.fewest:
        more = len(result.fewest) - 1
        others = f" and {more:,} more have" if more else " has"
        no_more = "no more judged completions" if result.missing == "drop" else "no more completions"
        notes.append(f"k ends at {curve.n_min}: problem {shown(result.fewest[0])}{others} {no_more}")
    if curve.n_min < curve.n_max and not result.completions_missing:
        notes.append("n differs between problems: unbiased only where no outcome decided which of them got more")
    if result.completions_missing:
        taken = "taken as failed" if result.missing == "fail" else "left out"
        notes.append(f"{_count(result.completions_missing, 'completion')} without a verdict, {taken}")
    if result.left_out:
        names = ", ".join(shown(name) for name in result.left_out[:3]) + (", ..." if len(result.left_out) > 3 else "")
        notes.append(
            f"left out for missing verdicts: {_count(len(result.left_out), 'problem')} ({names}); "
            "the curve is of the others, not of the whole set"
        )
    if curve.metric == "g_pass_at_k":
        notes.append(f"g_pass@k: {curve.estimator}")
    if curve.metric.startswith(("max_", "min_")) and not result.verdicts.judged:
        notes.append("the file has rewards and does not say what passed: this is the expected best of k, not pass@k")
    return [_styled(DIM, note) for note in notes]


def _interval_note(result: FileCurve) -> str:
    if result.curve.problems == 1:
        return "one problem says nothing about others: no standard error and no interval"
    degrees = _count(result.curve.problems - 1, "degree")
    return f"interval: Student t, {degrees} of freedom, the problems being a sample"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _styled(style: str, text: str) -> str:
    """The text, in that style where a person looks at it and has not said otherwise (no-color.org)."""
    plain = not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain else f"{style}{text}{RESET}"


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
