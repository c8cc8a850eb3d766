"""The training part of a run's page: names that mean the same, warnings by their rules, figures of what was logged."""

from dataclasses import replace
from math import inf, isnan, nan, sin

import numpy as np
import pytest

from dashboards.figures import CheckpointCurve
from dashboards.training_alerts import FLAT_STEPS, alerts
from dashboards.training_figures import Line, phases_figure, series_figure, trajectory_figure
from dashboards.training_log import Life, Point, Series, TrainingLog, by_known_name, known_name
from dashboards.training_page import lives_notes, training_part
from pkpo.curves import PassAtKCurve


def series(name: str, values: list[float], first: int = 1, width: int = 1) -> Series:
    return Series(
        name,
        tuple(
            Point(
                first + width * i,
                first + width * (i + 1) - 1,
                width,
                nan if isnan(value) else value,
                value,
                value,
                int(isnan(value)),
                first + width * i if isnan(value) else None,
            )
            for i, value in enumerate(values)
        ),
    )


def log(*known: Series, others: tuple[Series, ...] = (), lives: tuple[Life, ...] | None = None) -> TrainingLog:
    last = max((each.points[-1].last_step for each in (*known, *others)), default=1)
    return TrainingLog(lives or (Life(0, 1, last, None),), 1, {each.name: each for each in known}, others)


@pytest.mark.parametrize(
    ("logged", "ours"),
    [
        ("entropy", "entropy"),
        ("train/entropy", "entropy"),
        ("pkpo/pass@8", "pass@8"),
        ("train/loss", "loss"),
        ("reward", "reward/mean"),
        ("critic/rewards/mean", "reward/mean"),
        ("actor/grad_norm", "grad_norm"),
        ("pkpo/zero_signal_groups", "zero_signal_share"),
        ("pass@0", None),
        ("eval/entropy", None),
        ("<script>", None),
    ],
)
def test_what_trl_and_verl_log_is_known_by_our_names(logged: str, ours: str | None) -> None:
    assert known_name(logged) == ours


def test_of_two_names_for_one_metric_our_own_is_taken() -> None:
    assert by_known_name(["train/loss", "loss", "other"]) == {"loss": "loss"}
    assert by_known_name(["train/loss", "actor/pg_loss"]) == {"loss": "actor/pg_loss"}


def test_entropy_that_falls_below_a_tenth_and_stays_there_is_an_alert_from_that_step_on() -> None:
    falling = [2.0] * 50 + [0.1] * 50
    (alert,) = alerts(log(series("entropy", falling)))
    assert (alert.kind, alert.step) == ("entropy collapse", 51)
    assert "(2)" in alert.sentence
    assert not alerts(log(series("entropy", [2.0] * 50 + [0.1] * 20 + [1.0] * 30))), "it recovered"
    assert not alerts(log(series("entropy", [2.0] * 50 + [0.25] * 50))), "an eighth is not a tenth"


def test_groups_without_signal_are_an_alert_where_nine_of_ten_teach_nothing() -> None:
    shares = [0.3] * 60 + [0.95] * 40
    (alert,) = alerts(log(series("zero_signal_share", shares)))
    assert (alert.kind, alert.step) == ("zero signal", 81), "where the steps begin that the share is of"
    assert alert.sentence.startswith("95\N{NO-BREAK SPACE}% of the groups of steps 81 to 100 have")
    (alert,) = alerts(log(series("zero_signal_share", [1.0, 1.0, 0.75] + [1.0] * 37)))
    assert alert.sentence.startswith("100\N{NO-BREAK SPACE}% of the groups of steps 21 to 40"), (
        "and step 3 is not of them"
    )
    assert not alerts(log(series("zero_signal_share", [0.85] * 100)))


def test_a_metric_that_is_no_number_is_an_alert_whatever_it_is_called() -> None:
    found = alerts(log(others=(series("<b>mine</b>", [1.0, 2.0, nan, 3.0]),)))
    assert [(each.kind, each.step) for each in found] == [("not a number", 3)]
    assert found[0].sentence == "<b>mine</b> is not a finite number at step 3, once."


def test_metrics_that_are_spoilt_at_one_step_are_one_alert() -> None:
    found = alerts(
        log(*(series(name, [1.0, nan, nan]) for name in ("entropy", "loss", "kl", "k", "grad_norm", "tokens")))
    )
    assert [each.sentence for each in found] == ["entropy, loss, kl, k and 2 more are not finite numbers at step 2."]


def test_rewards_are_flat_where_their_noise_leaves_no_room_for_a_change() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.01, 900)
    steady = log(series("reward/mean", (0.2 + noise).tolist()), series("reward/std", [0.4] * 900))
    (alert,) = alerts(steady)
    assert (alert.kind, alert.step) == ("flat rewards", 601)
    rising = (0.2 + np.linspace(0, 0.2, 900) + noise).tolist()
    assert not alerts(log(series("reward/mean", rising), series("reward/std", [0.4] * 900)))
    noisy = [0.2 + 0.3 * (-1) ** i for i in range(900)]  # both halves have one mean
    assert not alerts(log(series("reward/mean", noisy), series("reward/std", [0.4] * 900))), "noise could hide a rise"
    assert not alerts(log(series("reward/mean", [0.2] * (FLAT_STEPS - 1)))), "too few steps to call it a plateau"


def test_a_young_run_has_no_alert() -> None:
    for values in ([1.0], [1.0, 0.0], [0.0] * 19):
        assert not alerts(log(series("entropy", values), series("reward/mean", values)))


def test_values_at_the_edge_of_float64_are_drawn() -> None:
    huge = series("loss", [1e300, -1e300, 5e-324, 0.0])
    assert training_part([log(huge, others=(replace(huge, name="x"),))])
    assert not alerts(log(series("reward/mean", [1e300 * sin(i) for i in range(900)])))


def test_what_a_later_segment_took_over_is_dashed_and_said() -> None:
    lives = (Life(0, 1, 20, 11), Life(1, 11, 30, None))
    resumed = replace(series("entropy", [1.0] * 30), given_up=((0, series("entropy", [3.0] * 10, 11).points),))
    (given_up, line) = (each for each in series_figure([Line("entropy", resumed)], "").data if each.name != "low")
    assert (given_up.line.dash, line.line.dash, given_up.showlegend) == ("dash", "solid", False)
    assert list(given_up.x) == list(range(11, 21))
    assert lives_notes(log(resumed, lives=lives)) == [
        "Segment 0 was taken over at step 11 by segment 1: what it logged from there to step 20 was given up, and is "
        "dashed."
    ]
    (note,) = lives_notes(log(resumed, lives=(Life(0, 1, 10, 11), Life(1, 11, 30, None))))
    assert note.endswith("the run was resumed.")


def test_a_line_is_broken_and_crossed_where_a_value_is_no_number() -> None:
    figure = series_figure([Line("loss", series("loss", [1.0, nan, 3.0]))], "loss")
    line, crosses = figure.data[-2:]
    assert isnan(line.y[1])
    assert not line.connectgaps
    assert (list(crosses.x), list(crosses.y)) == ([2], [1.0])


def test_the_path_of_the_checkpoints_has_an_arrow_from_each_to_the_next() -> None:
    curves = [PassAtKCurve.from_counts([16, 16], [c, c + 2]) for c in (1, 4, 8)]
    figure = trajectory_figure([[CheckpointCurve(100 * i, curve) for i, curve in enumerate(curves)]], 1, 16)
    assert len(figure.layout.annotations) == 2
    arrow = figure.layout.annotations[0]
    at = [(curve.points[0].value, curve.points[-1].value) for curve in curves]
    assert ((arrow.ax, arrow.ay), (arrow.x, arrow.y)) == (at[0], at[1])
    assert list(figure.data[0].text) == ["step 0", "", "step 200"]


def checkpoint(step: int, passed: int) -> CheckpointCurve:
    return CheckpointCurve(step, PassAtKCurve.from_counts([16] * 4, [passed] * 4))


def test_what_runs_begin_from_and_come_to_is_labelled_once_where_the_labels_would_overlap() -> None:
    start, other = checkpoint(0, 2), checkpoint(400, 12)
    figure = trajectory_figure([[start], [start, checkpoint(400, 4)], [start, other]], 1, 16, ["taught", "1", "8"])
    assert [list(trace.text) for trace in figure.data] == [["step 0"], ["", "step 400"], ["", "step 400"]]
    assert {trace.textposition[0] for trace in figure.data} == {"bottom right"}, "of one of a single point too"
    assert [trace.textposition[-1] for trace in figure.data[1:]] == ["top right", "top left"], "away from the axis"
    figure = trajectory_figure([[start, other], [start, other, checkpoint(500, 12)]], 1, 16)
    assert [list(trace.text) for trace in figure.data] == [["step 0", "step 400"], ["", "", "step 500"]]


def test_no_label_lies_on_an_axis() -> None:
    (trace,) = trajectory_figure([[checkpoint(0, 0), checkpoint(2, 0)]], 1, 16).data
    assert list(trace.textposition) == ["middle right", "top right"]


def test_the_ends_of_a_curve_that_is_flat_stay_within_0_and_1() -> None:
    for passed in (0, 16):
        figure = trajectory_figure([[checkpoint(0, passed), checkpoint(2, passed)]], 1, 16)
        for axis in (figure.layout.xaxis, figure.layout.yaxis):
            low, high = axis.range
            assert -0.01 < low < passed / 16 < high < 1.01, "or a tick lies outside"


@pytest.mark.parametrize(("steps", "dtick"), [(1, 1), (4, 1), (9, 1), (11, None)])
def test_the_axis_of_a_short_run_has_a_label_for_each_step_and_no_half_ones(steps: int, dtick: int | None) -> None:
    known = series("entropy", [0.5] * steps)
    for figure in (series_figure([Line("entropy", known)], "entropy"), phases_figure([Line("sampling", known)])):
        assert figure.layout.xaxis.dtick == dtick
        assert figure.layout.xaxis.tickformat == ",d"


def test_every_metric_has_a_place_and_nothing_none() -> None:
    assert training_part([None]) is None
    known = [series(name, [0.5, 0.6]) for name in ("pass@1", "pass@8", "entropy", "k", "seconds/sampling", "loss")]
    part = training_part([log(*known, others=(series("mine", [1.0]),))])
    assert part
    assert [panel.id for panel in part.panels] == ["passes", "entropy", "k", "seconds"]
    assert [(row.name, row.last, bool(row.course)) for row in part.rows] == [
        ("loss", "0.6", True),
        ("mine", "1", False),
    ]


def test_two_runs_lie_in_one_figure_as_a_and_b() -> None:
    one, other = (log(series("pass@1", [0.1, p]), series("pass@8", [0.3, p])) for p in (0.2, 0.4))
    part = training_part([one, other])
    assert part
    (panel,) = part.panels
    assert [trace.name for trace in panel.figure.data] == ["A pass@1", "A pass@8", "B pass@1", "B pass@8"]
    assert len({trace.line.color for trace in panel.figure.data}) == 2
    alone = training_part([one, None])
    assert alone
    assert [trace.name for trace in alone.panels[0].figure.data] == ["A pass@1", "A pass@8"]


def test_no_bound_is_infinite() -> None:
    figure = series_figure([Line("entropy", series("entropy", [nan, nan]))], "entropy", rate=True, log_scale=True)
    assert inf not in (figure.layout.yaxis.range or ())
