"""The fields of the form of a training job, and the picture of k."""

import re

import pytest

from dashboards.k_picture import HEIGHT, LEFT, RIGHT, WIDTH, KPicture, k_picture
from dashboards.training_fields import PARTS, Field, fields
from pkpo.schedules import SCHEDULES, from_spec
from tests.documents import ROOT


def points(picture: KPicture) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (each.split(",") for each in picture.line.split())]


def test_each_field_has_an_id_of_its_own_and_each_condition_names_a_choice_before_it() -> None:
    ids = [each.id for each in fields()]
    assert len(ids) == len(set(ids))
    before: dict[str, Field] = {}
    for each in fields():
        for choice, values in each.when.items():
            assert set(values) <= set(before[choice].options), each.id
        before[each.id] = each
    assert len(PARTS) == 7


def test_the_style_hides_what_a_choice_leaves_without_use() -> None:
    rules = (ROOT / "dashboards/static/forms.css").read_text()
    hidden = set(re.findall(r'\[data-when~="([^"]+)"\]', rules))
    conditions = {one for each in fields() for one in each.condition.split()}
    assert hidden == conditions
    for one in conditions:
        choice, values = one.split("=")
        shown = "".join(f'[value="{value}"]|' for value in values.split(","))
        assert re.search(rf"#{choice} (:is\()?{re.escape(shown[:-1]).replace(re.escape('|'), ', ')}\)?:checked", rules)


def test_every_schedule_can_be_chosen() -> None:
    choice = next(each for each in fields() if each.id == "k-kind")
    assert set(choice.options) == {"fixed", "several"} | set(SCHEDULES) - {"constant"}


def test_a_step_is_drawn_where_it_is() -> None:
    picture = k_picture(from_spec({"schedule": "step", "from": 8, "to": 1, "at": 50}), 100)
    drawn = points(picture)
    (top, bottom) = (y for y, _ in reversed(picture.ticks))
    assert [said for _, said in picture.ticks] == ["1", "8"]
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    assert {y for x, y in drawn if x < middle - 1} == {round(top, 1)}
    assert {y for x, y in drawn if x > middle + 1} == {round(bottom, 1)}
    assert (drawn[0][0], drawn[-1][0]) == (LEFT, WIDTH - RIGHT)
    assert picture.words == "k goes from 8 to 1."
    assert 0 < top < bottom < HEIGHT


def test_a_line_falls_and_ends_where_it_is_told_to() -> None:
    drawn = points(k_picture(from_spec({"schedule": "linear", "from": 16, "to": 2, "over": 500}), 1000))
    heights = [y for _, y in drawn]
    assert heights == sorted(heights), "from above down"
    assert heights[-1] == pytest.approx(max(heights))
    half = LEFT + (WIDTH - LEFT - RIGHT) / 4
    assert min(abs(y - (heights[0] + heights[-1]) / 2) for x, y in drawn if abs(x - half) < 3) < 1


def test_one_step_has_a_picture_too() -> None:
    assert points(k_picture(from_spec(8), 1))[-1][0] == WIDTH - RIGHT
    assert k_picture(from_spec(8), None).words == "k is 8 at every step."


def test_several_k_are_lines_with_their_weights() -> None:
    picture = k_picture(from_spec({"1": 0.25, "8": 0.75}), 10)
    assert [said for _, said in picture.lines] == ["1 × 0.25", "8 × 0.75"]
    assert picture.words == "At every step pass@1 with weight 0.25, pass@8 with weight 0.75."
    assert not picture.line


@pytest.mark.parametrize(
    "spec",
    [
        {"schedule": "plateau", "levels": [8, 4, 1], "patience": 5},
        {"schedule": "signal", "smallest": 1, "largest": 8},
        {"schedule": "adaptive", "smallest": 1, "largest": 8, "target": 0.5, "direction": "down"},
    ],
    ids=lambda spec: spec["schedule"],
)
def test_what_follows_the_training_is_a_band(spec: dict[str, object]) -> None:
    picture = k_picture(from_spec(spec), 100)
    assert (picture.band, picture.low, picture.high, picture.line) == (True, 1, 8, "")
    assert picture.words == "k follows what the training observes, and stays from 1 to 8."
