"""A run's page in a real Chromium."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import URL

from tests.app.browsing import HOSTILE, IN_A_BROWSER, WAYS, browsing, drawn, too_wide
from tests.app.evaluations import create_evaluation, record
from tests.app.serving import serving
from tests.conftest import fresh_database

pytestmark = IN_A_BROWSER


@pytest.fixture(scope="module")
def site(postgres_url: URL, migrated_template: str) -> Iterator[str]:
    """The address of a server with a run of six checkpoints, of which one lacks completions."""
    with fresh_database(postgres_url, template=migrated_template) as database_url, serving(database_url) as url:
        with httpx.Client(base_url=url, timeout=60) as client:
            for step in range(0, 600, 100):
                evaluation = create_evaluation(
                    client, run="llama-pkpo", step=step, problem_set="sums", n=16, sampling={"stop": HOSTILE[4]}
                )
                passed = {f"sum/{i}": [j * 40 < i + step / 20 for j in range(16)] for i in range(40)}
                record(client, evaluation, passed if step != 300 else {"sum/1": [True]})
        yield url


@pytest.fixture(params=WAYS.values(), ids=list(WAYS))
def watched(request: pytest.FixtureRequest, browser: Browser, site: str) -> Iterator[Page]:
    """A page, which must do nothing wrong until the end of the test."""
    with browsing(browser, site, **request.param) as (page, offences):
        yield page
        assert not offences, offences


def test_a_run_is_walked_from_home_over_its_checkpoints_and_back(watched: Page, site: str) -> None:
    watched.goto("/")
    watched.get_by_role("link", name="llama-pkpo").click()
    plot = watched.locator(".run .canvas")
    expect(plot.locator(".scatterlayer .trace")).to_have_count(3)
    assert plot.locator(".scatterlayer .point").count() == 15, "five checkpoints have a curve"
    assert plot.locator(".scatterlayer .errorbar").count() == 15
    expect(plot.locator(".xtitle")).to_have_text("step · n = 16 · 40 problems")
    expect(watched.locator("tbody tr")).to_have_count(6)
    expect(watched.locator("tbody tr").nth(3)).to_contain_text("639 of 640 completions missing")
    assert watched.locator(".setting b").first.text_content() == HOSTILE[4]
    assert too_wide(watched) == 0

    watched.get_by_label("At k").fill("2, 4")
    watched.get_by_role("button", name="Show").click()
    expect(plot.locator(".scatterlayer .trace")).to_have_count(2)
    expect(watched).to_have_url(f"{site}/runs/llama-pkpo?k=2%2C+4")

    watched.locator("tbody tr").nth(1).get_by_role("link").first.click()
    expect(watched.locator("h1")).to_contain_text("step 100")
    watched.get_by_role("link", name="step 200 →").click()
    expect(watched.locator("h1")).to_contain_text("step 200")
    watched.get_by_role("link", name="← step 100").click()
    watched.locator("h1").get_by_role("link", name="llama-pkpo").click()
    expect(watched).to_have_url(f"{site}/runs/llama-pkpo")


def log(site: str, run: str, steps: range, **values: float) -> None:
    """Each of the values at every step."""
    rows = [{"step": step, "name": name, "value": value} for step in steps for name, value in values.items()]
    httpx.post(f"{site}/v1/runs/{run}/metrics", json={"metrics": rows}, timeout=60).raise_for_status()


def test_a_run_that_trains_is_drawn_as_it_comes_and_nothing_jumps(watched: Page, site: str) -> None:
    run = f"live-{watched.viewport_size['width']}-{id(watched)}" if watched.viewport_size else "live"
    log(site, run, range(1, 30), **{"entropy": 2.0, "reward/mean": 0.2, "pass@1": 0.2, "pass@8": 0.5, "k": 8})
    watched.goto(f"/runs/{run}")
    drawn(watched)
    expect(watched.get_by_role("heading", level=3)).to_have_count(4)
    facts = watched.locator("#training dd").first
    expect(facts).to_have_text("29")
    assert too_wide(watched) == 0

    canvas = watched.locator("#panel-entropy .canvas")
    canvas.scroll_into_view_if_needed()
    canvas.evaluate("canvas => { canvas.marked = true }")
    scrolled = watched.evaluate("scrollY")
    field = watched.get_by_label("This run beside")
    field.fill("another")
    watched.evaluate(f"scrollTo(0, {scrolled})")
    log(site, run, range(30, 41), **{"entropy": 0.01, HOSTILE[0]: 1.0})
    expect(facts).to_have_text("40")
    expect(watched.locator(".metrics th.name")).to_have_text(HOSTILE[0])
    last = "canvas => canvas.calcdata.at(-1).length"
    assert canvas.evaluate(last) == 40, "the figure has the new steps"
    assert canvas.evaluate("canvas => canvas.marked"), "it is the same figure, drawn again"
    assert watched.evaluate("scrollY") == scrolled
    expect(field).to_have_value("another")

    log(site, run, range(41, 82), entropy=0.01)
    expect(watched.locator(".alerts li")).to_contain_text("entropy collapse from step 30")


def test_two_checkpoints_and_two_runs_are_compared_by_clicks(watched: Page, site: str) -> None:
    watched.goto("/runs/llama-pkpo")
    watched.locator("select[name=b]").select_option(label="step 100")
    watched.locator("form[aria-label='Compare two evaluations'] button").click()
    expect(watched.locator("#verdict")).to_contain_text("b is higher at k=1 by")
    drawn(watched)
    assert too_wide(watched) == 0
    watched.get_by_role("link", name="the other way round").click()
    expect(watched.locator("#verdict")).to_contain_text("b is lower at k=1 by")
    watched.locator(".problem-names a").first.click()
    expect(watched.locator("h1")).to_contain_text("sum/")

    log(site, "beside", range(1, 5), entropy=1.0)
    watched.goto("/runs/beside")
    watched.get_by_label("This run beside").fill("llama-pkpo")
    watched.locator("form[aria-label='Compare with another run'] button").click()
    expect(watched.locator(".facts")).to_contain_text("llama-pkpo")
    drawn(watched)
    assert too_wide(watched) == 0
    watched.get_by_role("link", name="compare evaluations").click()
    expect(watched.locator("select[name=a] option")).to_have_count(7)
    assert too_wide(watched) == 0


def test_names_that_others_chose_are_text_on_every_part_of_the_pages(watched: Page, site: str) -> None:
    with httpx.Client(base_url=site, timeout=60) as client:
        for step in (1, 2):
            log(site, "hostile", range(step, step + 1), **dict.fromkeys(HOSTILE, float(step)))
        evaluations = [create_evaluation(client, run="hostile", step=step, problem_set="hostile") for step in (0, 1)]
        for step, evaluation in enumerate(evaluations):
            record(client, evaluation, {text: [(i + step) % 2 == 0] for i, text in enumerate(HOSTILE)})
    watched.goto("/runs/hostile")
    drawn(watched)
    assert set(watched.locator(".metrics th.name").all_text_contents()) == set(HOSTILE)
    watched.goto(f"/compare?a={evaluations[0]}&b={evaluations[1]}")
    drawn(watched)
    assert set(watched.locator(".problem-names a").all_text_contents()) == set(HOSTILE)
    assert too_wide(watched) == 0
