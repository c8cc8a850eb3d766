"""Every page walked as a reader walks them, by clicks and keys; and what is refused says so where one looks."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import URL

from tests.app.browsing import IN_A_BROWSER, browsing, drawn, too_wide
from tests.app.evaluations import create_evaluation, record
from tests.app.serving import serving
from tests.conftest import fresh_database

pytestmark = IN_A_BROWSER


@pytest.fixture(scope="module")
def site(postgres_url: URL, migrated_template: str) -> Iterator[str]:
    """The address of a server with a run of two checkpoints, each at two temperatures."""
    with fresh_database(postgres_url, template=migrated_template) as database_url, serving(database_url) as url:
        with httpx.Client(base_url=url, timeout=60) as client:
            for step in (0, 100):
                for temperature in (0.2, 1.0):
                    sampling = {"temperature": temperature, "top_p": 0.95}
                    made = create_evaluation(client, run="qwen", step=step, problem_set="sums", sampling=sampling)
                    record(client, made, {f"sum/{i}": [j * 10 < i + step / 10 for j in range(8)] for i in range(30)})
            told = {"evaluation": made, "verifier": "reasoning-gym"}
            client.post("/v1/jobs", json={"kind": "verification", "spec": told}).raise_for_status()
        yield url


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    """A page that does nothing wrong; that an answer was a refusal is not its fault."""
    with browsing(browser, site) as (page, offences):
        yield page
        offences.errors = [error for error in offences.errors if "status of 422" not in error]
        assert not offences, offences


def download(page: Page, link: str) -> list[str]:
    with page.expect_download() as started:
        page.get_by_role("link", name=link).click()
    return started.value.path().read_text().splitlines()


def test_every_page_is_reached_from_home_by_clicks_and_keys(page: Page, site: str) -> None:
    page.goto("/")
    page.get_by_role("link", name="qwen").click()
    drawn(page)
    assert len(download(page, "CSV, in full precision")) == 1 + 4 * 4, "k = 1, 2, 4, 8 of four evaluations"
    page.locator("tbody tr").nth(2).locator("th").get_by_role("link").click()
    expect(page.locator("h1")).to_contain_text("step 100")
    drawn(page)
    assert len(download(page, "CSV, in full precision")) == 1 + 4
    assert len(download(page, "CSV of all problems")) == 1 + 30
    page.get_by_role("link", name="sum/17", exact=True).click()
    heading = page.get_by_role("heading", level=3)
    expect(heading).to_have_text("Completion 0")
    page.wait_for_load_state()  # the page that keys are for, with its script
    for key, index in (("j", 1), ("ArrowRight", 2), ("k", 1), ("ArrowLeft", 0)):
        page.keyboard.press(key)
        expect(heading).to_have_text(f"Completion {index}")
        expect(page.locator("pre.text")).to_have_text(f"sum/17 {index}")
    page.get_by_role("link", name="Transform").click()
    page.get_by_role("textbox", name="Rewards").fill("1 0 0 0.5")
    page.get_by_label("k, attempts").fill("3")
    page.get_by_label("transform", exact=True).select_option("centered")
    page.get_by_role("button", name="Transform").click()
    drawn(page)
    expect(page.locator(".credits tbody tr")).to_have_count(5)
    expect(page.locator(".weights .barlayer .point")).to_have_count(4)
    assert len(download(page, "CSV, in full precision")) == 1 + 4
    page.get_by_role("link", name="Jobs").click()
    page.get_by_role("link", name="New job").click()
    for kind in ("sampling", "verification", "import"):
        page.get_by_role("navigation", name="Kinds of jobs").get_by_role("link", name=kind).click()
        expect(page).to_have_title(f"New {kind} job · pkpo")
    page.get_by_role("link", name="Jobs").click()
    page.get_by_role("link", name=re.compile("^verification$")).click()
    expect(page.locator(".job-state")).to_have_text("queued")
    page.locator("#result").click()
    expect(page.locator(".at-work")).to_contain_text("verification waits for a worker")
    page.get_by_role("link", name="verification waits").click()
    expect(page.locator("h1")).to_contain_text("Verification job qwen step 100 on sums@1 by reasoning-gym")
    page.get_by_role("link", name="API").click()
    page.get_by_role("link", name="GET /v1/runs", exact=True).click()
    expect(page.locator("#get-v1-runs")).to_be_in_viewport()
    page.get_by_role("link", name="pkpo", exact=True).click()
    expect(page).to_have_url(f"{site}/")


def test_the_lines_of_several_samplings_are_named(page: Page) -> None:
    page.goto("/runs/qwen")
    drawn(page)
    named = page.locator(".run .notes").last
    expect(named).to_contain_text("solid at temperature 0.2; dotted at temperature 1.0.")
    expect(named).not_to_contain_text("top_p")
    assert page.locator("section.run .scatterlayer .trace").count() == 4, "at k = 1 and 8, each twice"


@pytest.mark.parametrize("run_page", [False, True])
def test_a_k_beyond_n_is_refused_beside_the_field(page: Page, run_page: bool) -> None:
    page.goto("/runs/qwen")
    if not run_page:
        page.locator("tbody tr").first.get_by_role("link").click()
    page.get_by_label("t k =").fill("99")
    page.get_by_role("button", name="Show").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("pass@99 needs 99 completions of each problem")
    expect(alert).to_contain_text("is 8.")
    expect(page.get_by_label("t k =")).to_have_value("99")
    expect(page.locator("section.run .canvas" if run_page else ".canvas")).to_have_count(0 if run_page else 2)
    page.get_by_label("t k =").fill("3")
    page.get_by_role("button", name="Show").click()
    drawn(page)
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator("main")).to_contain_text("pass@3" if run_page else "3")


@pytest.mark.parametrize("of_problems", [False, True])
def test_a_filter_that_is_refused_says_so_in_place(page: Page, of_problems: bool) -> None:
    page.goto("/")
    if of_problems:
        page.locator("#runs td[data-label=step]").get_by_role("link").click()
        drawn(page)
    page.evaluate("window.loaded = 1")
    field, place = page.locator("#filter"), page.locator("#problems" if of_problems else "#runs")
    field.fill("a\u0085b")
    expect(place.get_by_role("alert")).to_contain_text("query/filter")
    if of_problems:  # this page keeps itself up to date
        with page.expect_response(lambda answer: "filter=a" in answer.url):
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.wait_for_timeout(300)
        expect(place.get_by_role("alert")).to_contain_text("query/filter")
    assert too_wide(page) == 0
    field.fill("sum/1" if of_problems else "qw")
    expect(place.locator("tbody tr")).to_have_count(11 if of_problems else 1)
    expect(place.get_by_role("alert")).to_have_count(0)
    assert page.evaluate("window.loaded") == 1
