"""Every page in a real Chromium: it draws, it follows clicks, and nothing it does leaves this server."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from sqlalchemy import URL

from tests.app.browsing import HOSTILE, IN_A_BROWSER, PHONE, browsing, drawn, too_wide
from tests.app.evaluations import create_evaluation, record
from tests.app.serving import serving
from tests.conftest import fresh_database

pytestmark = IN_A_BROWSER


@pytest.fixture(scope="module")
def site(postgres_url: URL, migrated_template: str) -> Iterator[str]:
    """The address of a server with runs of several kinds."""
    with fresh_database(postgres_url, template=migrated_template) as database_url, serving(database_url) as url:
        with httpx.Client(base_url=url, timeout=60) as client:
            for i in range(60):
                create_evaluation(client, run=f"sweep-{i:02d}", problem_set="sums")
            passed = {f"sum/{i:03d}": [j * 100 < i * 10 for j in range(10)] for i in range(101)}
            sampling = {"temperature": 0.2, "stop": ["</answer>"]}
            record(client, create_evaluation(client, run="codellama-7b", n=10, sampling=sampling), passed, "exact")
            two = create_evaluation(client, run="two-verifiers", n=2)
            for verifier, verdicts in (("base", [True, True]), ("plus", [True, False])):
                record(client, two, {"sum/1": verdicts, "sum/2": [True, True]}, verifier)
            record(client, create_evaluation(client, run="scored", n=3), {"a": [-1.0, 0.5, 2.0], "b": [0.0, 1.0, 3.0]})
            record(client, create_evaluation(client, run="half", n=4), {"a": [True, False], "b": [True] * 4})
            names = dict(zip(HOSTILE, [[True, False]] * len(HOSTILE), strict=True))
            unkind = create_evaluation(
                client, run="hostile", model=HOSTILE[0], sampling={each: each for each in HOSTILE}
            )
            record(client, unkind, names)
        yield url


@pytest.fixture
def watched(browser: Browser, site: str) -> Iterator[Page]:
    """A page, which must do nothing wrong until the end of the test."""
    with browsing(browser, site) as (page, offences):
        yield page
        assert not offences, offences


def evaluation(page: Page, run: str) -> None:
    """Open the evaluation of a run by way of the home page, and wait until it has drawn what it draws."""
    page.goto(f"/?filter={run}")
    step(page).click()
    drawn(page)


def step(page: Page) -> Locator:
    """The link from the only run of the home page to its latest evaluation."""
    return page.locator("#runs td[data-label=step]").get_by_role("link")


def test_the_first_page_says_what_to_do(browser: Browser, base_url: str) -> None:
    with browsing(browser, base_url) as (page, offences):
        page.goto("/")
        expect(page.get_by_text("There are no runs yet.")).to_be_visible()
        expect(page.get_by_text(f"curl {base_url}/v1/transforms")).to_be_visible()
        assert not offences, offences


def test_runs_are_filtered_while_typing_without_loading_the_page_anew(watched: Page, site: str) -> None:
    watched.goto("/")
    watched.evaluate("window.loaded = 1")
    watched.get_by_label("Run name contains").press_sequentially("codellama")
    expect(watched.locator("#runs tbody tr")).to_have_count(1)
    expect(watched).to_have_url(f"{site}/?filter=codellama")
    assert watched.evaluate("window.loaded") == 1
    watched.get_by_label("Run name contains").fill("nothing like it")
    expect(watched.get_by_text("No run’s name contains “nothing like it”")).to_be_visible()
    watched.reload()
    expect(watched.get_by_text("No run’s name contains “nothing like it”")).to_be_visible()


def test_runs_are_paged_and_the_way_back_is_the_browsers(watched: Page) -> None:
    watched.goto("/?filter=sweep")
    rows = watched.locator("#runs tbody tr")
    expect(rows).to_have_count(50)
    watched.get_by_role("link", name="Next page").click()
    expect(rows).to_have_count(10)
    expect(rows.last).to_contain_text("sweep-00")
    watched.go_back()
    expect(rows).to_have_count(50)
    watched.go_forward()
    expect(rows).to_have_count(10)
    watched.get_by_role("link", name="First page").click()
    expect(rows).to_have_count(50)


def test_the_curve_is_drawn_with_its_interval_and_its_numbers(watched: Page) -> None:
    evaluation(watched, "codellama-7b")
    plot = watched.locator(".curve .canvas")
    assert plot.locator(".scatterlayer .point").count() == 5, "k = 1, 2, 4, 8, 10"
    ribbon = plot.locator(".scatterlayer .fills path.js-fill")
    expect(ribbon).to_have_count(1)
    box = ribbon.bounding_box()
    assert box is not None
    assert box["width"] > 300
    assert box["height"] > 50
    ticks = [text.strip() for text in plot.locator(".xtick text").all_text_contents()]
    assert ticks == ["1", "2", "4", "8", "10n"]
    # On a log axis the ticks of 1, 2, 4, 8 are equally far apart.
    lefts = [centre(tick.bounding_box()) for tick in plot.locator(".xtick text").all()[:4]]
    assert lefts[1] - lefts[0] == pytest.approx(lefts[2] - lefts[1], abs=1) == pytest.approx(lefts[3] - lefts[2], abs=1)
    expect(plot.locator(".xtitle")).to_have_text("k attempts · n = 10 · 101 problems")
    expect(plot.locator(".textpoint text")).to_have_text(
        [watched.locator(".points tbody tr").nth(row).locator("b").inner_text() for row in (0, -1)]
    )


def centre(box: Any) -> float:
    return float(box["x"] + box["width"] / 2)


def test_hovering_says_what_a_point_is(watched: Page) -> None:
    evaluation(watched, "codellama-7b")
    watched.locator(".curve .scatterlayer .point").first.hover(force=True)
    hover = watched.locator(".curve .hoverlayer")
    expect(hover).to_contain_text("pass@1 = ")
    expect(hover).to_contain_text("95 % interval [")
    expect(hover).to_contain_text("n = 10 · 101 problems")


def test_solve_rates_stand_with_none_and_all_apart(watched: Page) -> None:
    evaluation(watched, "codellama-7b")
    plot = watched.locator("section", has=watched.get_by_role("heading", name="Solve rates")).locator(".canvas")
    bars = plot.locator(".barlayer .point text").all_text_contents()
    assert bars[0] == "1", "only sum/000 has none passed"
    assert bars[-1] == "10", "sum/091 to sum/100 passed ten times"
    assert sum(map(int, bars)) == 101
    beside = watched.locator("section", has=watched.get_by_role("heading", name="Solve rates")).locator("tbody tr td b")
    assert beside.all_inner_texts() == ["1", "90", "10"]


def test_problems_are_sorted_filtered_and_paged_by_clicks(watched: Page, site: str) -> None:
    evaluation(watched, "codellama-7b")
    watched.evaluate("window.loaded = 1")
    rows = watched.locator("#problems tbody tr")
    watched.get_by_role("link", name="solve rate").click()
    expect(watched.locator("th[aria-sort=ascending]")).to_contain_text("solve rate")
    expect(rows.first).to_contain_text("sum/000")
    watched.get_by_role("link", name="solve rate").click()
    expect(watched.locator("th[aria-sort=descending]")).to_contain_text("solve rate")
    expect(rows.first).to_contain_text("sum/091")
    watched.get_by_role("link", name="Next page").click()
    expect(rows.first.locator("td").nth(1)).to_have_text("5")  # ten of each count but 0 before it: 10, 9, 8, 7, 6
    watched.get_by_label("Problem contains").press_sequentially("sum/09")
    expect(rows).to_have_count(10)
    expect(watched.locator("#problems-count")).to_have_text("10 problems")
    assert watched.evaluate("window.loaded") == 1
    expect(watched).to_have_url(re.compile("filter=sum%2F09&sort=-solve_rate$"))
    view = rows.all_inner_texts()
    watched.reload()
    assert rows.all_inner_texts() == view, "the address is the view"
    watched.get_by_label("Also at k").fill("3, 5")
    watched.get_by_role("button", name="Show").click()
    drawn(watched)
    expect(watched.locator(".points tbody tr")).to_have_count(7)
    assert rows.all_inner_texts() == view, "a further k leaves the problems as they are sorted and filtered"


def test_verifiers_are_chosen_by_a_click(watched: Page) -> None:
    watched.goto("/?filter=two-verifiers")
    expect(watched.get_by_text("2 verifiers: choose one")).to_be_visible()
    step(watched).click()
    watched.locator("#instead").get_by_role("link", name="plus@1").click()
    drawn(watched)
    expect(watched.locator(".points tbody tr").first).to_contain_text("0.750")
    watched.locator("#verifiers").get_by_role("link", name="base@1").click()
    drawn(watched)
    expect(watched.locator(".points tbody tr").first).to_contain_text("1.000")


def test_missing_completions_are_left_out_or_counted_by_a_click(watched: Page) -> None:
    watched.goto("/?filter=half")
    step(watched).click()
    expect(watched.get_by_role("heading", name="2 of 8 completions are missing")).to_be_visible()
    watched.get_by_role("link", name="Count the missing completions as not passed").click()
    drawn(watched)
    expect(watched.locator(".points tbody tr").first).to_contain_text("0.625")
    watched.get_by_role("link", name="Do not count them").click()
    expect(watched.get_by_role("heading", name="2 of 8 completions are missing")).to_be_visible()


def test_rewards_are_drawn_on_their_own_scale(watched: Page) -> None:
    evaluation(watched, "scored")
    expect(watched.locator(".curve .ytitle")).to_have_text("max@k")
    expect(watched.locator(".points tbody tr").last).to_contain_text("2.500")


def test_files_and_pictures_are_downloaded(watched: Page, tmp_path: Path) -> None:
    evaluation(watched, "codellama-7b")
    with watched.expect_download() as download:
        watched.get_by_role("link", name="CSV, in full precision").click()
    assert download.value.suggested_filename == "codellama-7b-step-0-curve.csv"
    download.value.save_as(tmp_path / "curve.csv")
    assert len((tmp_path / "curve.csv").read_text().splitlines()) == 6
    with watched.expect_download() as download:
        watched.get_by_role("button", name="PNG").first.click()
    download.value.save_as(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert download.value.suggested_filename == "codellama-7b-step-0-pass@k.png"


def test_figures_follow_the_readers_colour_scheme(watched: Page) -> None:
    colours: set[tuple[int, ...]] = set()
    for scheme in ("light", "dark", "light"):
        watched.emulate_media(color_scheme=scheme)
        if scheme == "light" and not colours:
            evaluation(watched, "codellama-7b")
        estimate = watched.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--estimate').trim()")
        rgb = tuple(int(estimate[i : i + 2], 16) for i in (1, 3, 5))
        expect(watched.locator(".curve .scatterlayer path.js-line").last).to_have_css("stroke", f"rgb{rgb}")
        colours.add(rgb)
    assert len(colours) == 2


def test_hostile_text_is_shown_as_it_is_and_does_nothing(watched: Page) -> None:
    evaluation(watched, "hostile")
    names = watched.locator("#problems tbody th")
    first = names.all_text_contents()
    assert watched.locator("dd.name").text_content() == HOSTILE[0]
    assert sorted(watched.locator(".setting b").all_text_contents()) == sorted(HOSTILE)
    watched.get_by_role("link", name="Next page").click()
    expect(names).to_have_count(len(HOSTILE) - len(first))
    assert first + names.all_text_contents() == sorted(HOSTILE)


def test_hostile_text_typed_into_a_filter_does_nothing(watched: Page) -> None:
    evaluation(watched, "hostile")
    for text in HOSTILE[::12]:
        watched.get_by_label("Problem contains").fill(f"{text}~")
        expect(watched.locator("#problems .empty")).to_contain_text(f"“{text}~”")


def test_a_script_in_the_page_itself_would_not_run(browser: Browser, site: str) -> None:
    with browsing(browser, site) as (page, offences):
        page.goto("/")
        page.evaluate("document.body.append(Object.assign(document.createElement('script'), {textContent: 'ran = 1'}))")
        page.evaluate("document.body.append(Object.assign(new Image(), {src: 'https://example.org/x.png'}))")
        page.wait_for_timeout(200)
        assert page.evaluate("typeof ran") == "undefined"
        assert len([error for error in offences.errors if "Content Security Policy" in error]) == 2
        assert not offences.dialogs


def test_without_javascript_the_numbers_are_there_and_every_link_and_form_works(browser: Browser, site: str) -> None:
    with browsing(browser, site, java_script_enabled=False) as (page, offences):
        page.goto("/")
        page.get_by_label("Run name contains").fill("codellama")
        page.get_by_role("button", name="Filter").click()
        step(page).click()
        expect(page.locator(".points tbody tr")).to_have_count(5)
        page.get_by_role("link", name="solve rate").click()
        page.get_by_label("Problem contains").fill("sum/09")
        page.get_by_role("button", name="Filter").click()
        expect(page.locator("#problems tbody tr").first).to_contain_text("sum/090")
        assert page.url.endswith("?filter=sum%2F09&sort=solve_rate")
        assert not offences, offences


def test_the_apis_page_leads_to_each_call(watched: Page) -> None:
    watched.goto("/")
    watched.get_by_role("link", name="API").click()
    watched.get_by_role("link", name="POST /v1/transforms").click()
    expect(watched.locator("#post-v1-transforms")).to_be_in_viewport()
    for link in watched.locator(".contents a").all():
        target = link.get_attribute("href")
        expect(watched.locator(f"[id='{(target or '')[1:]}']")).to_have_count(1)


def test_a_page_that_is_not_there_leads_back(browser: Browser, site: str) -> None:
    with browsing(browser, site) as (page, offences):
        page.goto("/evaluations/00000000-0000-0000-0000-000000000000")
        expect(page.get_by_role("heading", name="Not Found")).to_be_visible()
        page.get_by_role("link", name="All runs").click()
        expect(page.get_by_role("heading", name="Runs")).to_be_visible()
        assert [error for error in offences.errors if "404" not in error] == []
        assert not offences.dialogs + offences.elsewhere


def test_the_keyboard_reaches_what_is_to_be_done(watched: Page) -> None:
    watched.goto("/?filter=codellama")
    watched.keyboard.press("Tab")
    expect(watched.get_by_role("link", name="Skip to content")).to_be_focused()
    for _ in range(6):
        watched.keyboard.press("Tab")
    expect(watched.get_by_label("Run name contains")).to_be_focused()
    watched.keyboard.press("Tab")
    watched.keyboard.press("Tab")
    expect(watched.get_by_role("link", name="codellama-7b")).to_be_focused()


@pytest.mark.parametrize("how", [{"color_scheme": "dark"}, PHONE])
def test_no_page_is_wider_than_the_screen(browser: Browser, site: str, how: dict[str, Any]) -> None:
    with browsing(browser, site, **how) as (page, offences):
        for run in (None, "codellama-7b", "half", "hostile"):
            if run is None:
                page.goto("/")
            else:
                evaluation(page, run)
            assert too_wide(page) == 0, run
        page.goto("/docs")
        assert too_wide(page) == 0
        assert not offences, offences
