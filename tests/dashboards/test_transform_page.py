from dataclasses import replace
from fractions import Fraction
from math import comb, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.figures import weights_figure
from dashboards.transform_page import (
    SCALES,
    TRANSFORMS,
    Credited,
    Group,
    TransformPage,
    Wrong,
    credit_bar,
    render_transform,
)
from pkpo import SCALES as ALL_SCALES
from pkpo import TRANSFORMS as ALL_TRANSFORMS
from tests.dashboards.examples import Page
from tests.dashboards.test_pages import HOSTILE

GROUPS = (Group((1.0, 0.0, nan), (0.75, -0.25, nan), 1.0),)
PAGE = TransformPage("1 0 -", "2", "sloo_minus_one", "0.25", "sum", Credited(2, GROUPS))


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))))
def test_the_weight_of_a_rank_is_its_share_of_the_sets_of_k(size: tuple[int, int]) -> None:
    n, k = size
    (bars,) = weights_figure(n, k).data
    exact = [Fraction(comb(i - 1, k - 1), comb(n, k)) for i in range(1, n + 1)]
    assert sum(exact) == 1
    assert list(bars.y) == [float(each) for each in exact]


def test_the_weights_are_those_of_the_papers_figure() -> None:
    (bars,) = weights_figure(8, 2).data
    assert list(bars.x) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [round(y, 4) for y in bars.y] == [0, 0.0357, 0.0714, 0.1071, 0.1429, 0.1786, 0.2143, 0.25]
    assert "n = 8 · k = 2" in weights_figure(8, 2).layout.xaxis.title.text


def test_each_completion_has_its_reward_and_its_credit_and_what_is_missing_a_dash() -> None:
    page = Page(render_transform(PAGE))
    assert "group 0, n = 2, max@2 1.000" in page.text
    assert "0 1.000 0.7500 1 0.000 −0.2500 2 — —" in page.text
    assert "1 problem, n = 2" in page.text


def test_the_form_holds_what_was_typed_and_works_without_javascript() -> None:
    html = render_transform(PAGE)
    assert '<textarea id="rewards" name="rewards" rows="6"' in html
    assert "\n1 0 -</textarea>" in html
    page = Page(html)
    form = next(attributes for tag, attributes in page.elements if tag == "form")
    assert (form["method"], form["action"]) == ("get", "/transform")
    chosen = [attributes["value"] for tag, attributes in page.elements if tag == "option" and "selected" in attributes]
    assert chosen == ["sloo_minus_one", "sum"]
    assert "/transform/credits.csv?rewards=1+0+-&k=2&transform=sloo_minus_one&scale=sum" in page.values("href")


def test_every_transform_and_scale_can_be_chosen() -> None:
    assert set(TRANSFORMS) == {*ALL_TRANSFORMS, "mixed"}
    assert set(SCALES) == set(ALL_SCALES)


def test_lam_is_said_and_kept_where_mixed_is_chosen() -> None:
    mixed = Page(render_transform(replace(PAGE, transform="mixed", lam="-0.5")))
    assert "mixed , λ = -0.5: less λ of centered’s baseline" in mixed.text
    assert "/transform/credits.csv?rewards=1+0+-&k=2&transform=mixed&lam=-0.5&scale=sum" in mixed.values("href")
    assert "λ = " not in Page(render_transform(PAGE)).text


@pytest.mark.parametrize("field", ["rewards", "k", "lam"])
def test_an_error_stands_with_its_field_and_no_number_is_shown(field: str) -> None:
    page = Page(render_transform(replace(PAGE, outcome=Wrong(field, "It is wrong."))))
    marked = [attributes for _, attributes in page.elements if "aria-invalid" in attributes]
    assert [(each["name"], each["aria-describedby"]) for each in marked] == [(field, f"{field}-error")]
    assert "It is wrong." in page.text
    assert not page.data
    assert "Credits" not in page.text


def test_bars_start_in_the_middle_and_the_largest_credit_reaches_the_edge() -> None:
    assert credit_bar(2.0, 2.0) == ("plus", 50.0, 50.0)
    assert credit_bar(-1.0, 2.0) == ("minus", 25.0, 25.0)
    assert credit_bar(0.0, 0.0) is None
    assert credit_bar(nan, 2.0) is None


def test_hostile_text_is_shown_and_makes_no_element() -> None:
    plain = Page(render_transform(replace(PAGE, outcome=Wrong("rewards", "No."))))
    for text in [*HOSTILE, "</textarea><script>alert(1)</script>"]:
        wrong = replace(PAGE, rewards=text, k=text, lam=text, outcome=Wrong("rewards", "No."))
        unkind = Page(render_transform(wrong))
        assert unkind.shape == plain.shape
        assert text in unkind.values("value")
