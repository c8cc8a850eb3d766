"""A run's page in a real Chromium."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import URL

from tests.app.browsing import HOSTILE, IN_A_BROWSER, WAYS, browsing, too_wide
from tests.app.conftest import serving
from tests.app.evaluations import create_evaluation, record
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

    watched.locator("tbody tr").nth(1).get_by_role("link").click()
    expect(watched.locator("h1")).to_contain_text("step 100")
    watched.get_by_role("link", name="step 200 →").click()
    expect(watched.locator("h1")).to_contain_text("step 200")
    watched.get_by_role("link", name="← step 100").click()
    watched.locator("h1").get_by_role("link", name="llama-pkpo").click()
    expect(watched).to_have_url(f"{site}/runs/llama-pkpo")
