import re
from dataclasses import replace
from math import isnan
from typing import Any

from dashboards.figures import CheckpointCurve, run_figure
from dashboards.run_page import CheckpointRow, RunJob, RunPage, render_run
from pkpo.curves import PassAtKCurve
from tests.dashboards.examples import SERVER, WHEN, C, N, Page
from tests.dashboards.test_pages import HOSTILE

EARLY = PassAtKCurve.from_counts(N, (0, 1, 4, 9, 0))
LATE = PassAtKCurve.from_counts(N, C)


def row(step: int, outcome: PassAtKCurve | str, **changes: Any) -> CheckpointRow:
    made = CheckpointRow(f"/evaluations/{step}", step, {"temperature": 0.8}, outcome, WHEN)
    return replace(made, **changes)


PAGE = RunPage(
    url="/runs/llama-pkpo",
    run="llama-pkpo",
    server=SERVER,
    rows=(row(0, EARLY), row(100, LATE)),
    problem_sets=("sums@1",),
    problem_set="sums@1",
    checkpoints=2,
)


def shown(**changes: Any) -> Page:
    return Page(render_run(replace(PAGE, **changes)))


def line_names(page: Page) -> list[str]:
    return re.findall(r'"name":"(pass@\w+)"', page.data[0])


def test_a_line_for_each_k_has_a_point_with_its_interval_for_each_checkpoint() -> None:
    figure = run_figure([CheckpointCurve(0, EARLY), CheckpointCurve(100, LATE)], [1, 8, None])
    assert [line.name for line in figure.data] == ["pass@1", "pass@8", "pass@n"]
    for line, k in zip(figure.data, (1, 8, 10), strict=True):
        points = [next(point for point in curve.points if point.k == k) for curve in (EARLY, LATE)]
        assert list(line.x) == [0, 100]
        assert list(line.y) == [point.value for point in points]
        assert list(line.error_y.array) == [point.high - point.value for point in points]
        assert list(line.error_y.arrayminus) == [point.value - point.low for point in points]
    assert len({(line.line.color, line.marker.symbol) for line in figure.data}) == 3
    assert figure.layout.xaxis.title.text == "step · n = 10 · 5 problems"
    low, high = figure.layout.yaxis.range
    assert all(low <= bound <= high for curve in (EARLY, LATE) for p in curve.points for bound in (p.low, p.high))


def test_a_checkpoint_with_fewer_completions_has_no_point_at_a_larger_k() -> None:
    few = PassAtKCurve.from_counts([4, 4], [1, 2])
    lines = run_figure([CheckpointCurve(0, few), CheckpointCurve(100, LATE)], [8, None]).data
    assert list(lines[0].x) == [100]
    assert list(lines[1].x) == [0, 100]
    assert lines[1].y[0] == few.points[-1].value


def test_pass_at_n_of_different_n_is_not_joined() -> None:
    few = PassAtKCurve.from_counts([4, 4], [1, 2])
    at_1, at_n = run_figure([CheckpointCurve(0, few), CheckpointCurve(100, LATE)], [1, None]).data
    assert (at_1.mode, at_n.mode) == ("lines+markers", "markers")
    (same_n,) = run_figure([CheckpointCurve(0, EARLY), CheckpointCurve(100, LATE)], [None]).data
    assert same_n.mode == "lines+markers"


def test_one_problem_has_points_without_bars() -> None:
    (line,) = run_figure([CheckpointCurve(0, PassAtKCurve.from_counts([10], [3]))], [1]).data
    assert isnan(line.error_y.array[0])
    assert list(line.y) == [0.3]


def test_a_figure_without_any_of_its_k_is_empty_and_no_error() -> None:
    assert not run_figure([CheckpointCurve(0, LATE)], [64]).data[0].x


def test_each_checkpoint_stands_with_its_numbers_and_leads_to_its_evaluation() -> None:
    page = shown()
    assert "step 100 temperature 0.8 10 5 0.400 [0.000, 0.948]" in page.text
    assert {"/evaluations/0", "/evaluations/100"} <= set(page.values("href"))
    assert str(LATE.points[0].value) in "".join(page.values("title"))
    assert line_names(page) == ["pass@1", "pass@8", "pass@n"]


def test_the_line_of_n_is_left_out_where_it_lies_on_another() -> None:
    eight = PassAtKCurve.from_counts([8, 8], [1, 4])
    assert line_names(shown(rows=(row(0, eight),))) == ["pass@1", "pass@8"]


def test_a_checkpoint_without_a_number_says_why_and_takes_no_line_from_the_others() -> None:
    page = shown(rows=(*PAGE.rows, row(200, "312 of 8,800 completions missing")))
    assert "step 200 temperature 0.8 312 of 8,800 completions missing" in page.text
    assert "/runs/llama-pkpo?missing=drop" in page.values("href")
    assert line_names(page) == ["pass@1", "pass@8", "pass@n"]
    assert not shown(rows=(row(0, "no verdict yet"),)).data


def test_samplings_have_lines_of_their_own_only_where_a_step_has_several() -> None:
    cold, hot = ({"temperature": t} for t in (0.2, 0.8))
    twice = shown(rows=(row(0, EARLY, sampling=cold), row(0, LATE, sampling=hot), row(100, LATE, sampling=cold)))
    assert len(line_names(twice)) == 6
    seeds = shown(rows=(row(0, EARLY, sampling={"seed": 1}), row(100, LATE, sampling={"seed": 2})))
    assert len(line_names(seeds)) == 3


def test_a_metric_of_rewards_and_one_of_verdicts_share_no_axis() -> None:
    scored = PassAtKCurve.from_rewards([[0.5, 20.0], [1.0, 30.0]])
    page = shown(rows=(row(0, scored), row(100, LATE)))
    assert "max@1" in page.text
    assert line_names(page) == ["pass@1", "pass@8", "pass@n"]
    assert "20" not in re.findall(r'"range":\[([^]]+)\],"tickformat":".2f"', page.data[0])


def test_the_url_is_the_state() -> None:
    page = shown(problem_sets=("sums@1", "code@1"), further_ks=(2, 4), missing="drop", next_cursor="two", cursor="one")
    links = page.values("href")
    assert "/runs/llama-pkpo?problem_set=sums%401&missing=drop&k=2%2C4&cursor=two" in links
    assert "/runs/llama-pkpo?problem_set=code%401&missing=drop&k=2%2C4" in links
    assert "/runs/llama-pkpo/curves.csv?problem_set=sums%401&missing=drop&k=2%2C4&cursor=one" in links
    assert "pass@2 pass@4 evaluated" in page.text


def test_verifiers_are_chosen_between() -> None:
    page = shown(verifiers=("base@1", "plus@1"), rows=(row(0, "2 verifiers: choose one"),))
    assert "/runs/llama-pkpo?verifier=plus%401" in page.values("href")


def test_a_run_without_an_evaluation_says_what_to_do() -> None:
    assert f"pkpo import FILE --run llama-pkpo --step 0 --url {SERVER}" in shown(rows=(), problem_set=None).text


def test_hostile_text_is_shown_and_makes_no_element() -> None:
    for text in HOSTILE:
        unkind = run_of(text)
        assert " ".join(text.split()) in unkind.text
        assert unkind.shape == run_of("kind").shape


def run_of(text: str) -> Page:
    """A run in which everything that others name has this name."""
    rows = (row(0, EARLY, sampling={text: text}), row(1, text))
    job = RunJob("/jobs/1", "failed", 82, 150, 1, error=text)
    return shown(rows=rows, run=text, verifiers=(text, "b"), problem_sets=(text, "b"), problem_set=text, job=job)
