"""The form of a training job in a real Chromium: refused at its fields, submitted, and k drawn as it is typed."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import URL

from app.jobs.specs.training import TrainingSpec
from app.pages.training_fields import spec_of
from tests.app.browsing import IN_A_BROWSER, PHONE, browsing, faultless, too_wide
from tests.app.serving import serving
from tests.conftest import fresh_database
from tests.workers.training_jobs import sums

pytestmark = IN_A_BROWSER

TYPED = {
    "run": "sums-falling",
    "seeds": "3, 4",
    "model-hidden": "32",
    "model-heads": "2",
    "problem_set": "sums@1",
    "held_out": "0.25",
    "verifier": "exact-match",
    "verifier_options": '{"ignore_case": true}',
    "n": "8",
    "problems_per_step": "4",
    "k-from": "8",
    "k-to": "1",
    "k-at": "30",
    "steps": "60",
    "keep": "2",
    "optimizer-lr": "3e-4",
    "priority": "5",
}
CHOSEN = {"model-kind": "tiny", "k-kind": "step", "credit_scale": "rms"}


@pytest.fixture(scope="module")
def site(postgres_url: URL, migrated_template: str) -> Iterator[str]:
    with fresh_database(postgres_url, template=migrated_template) as url, serving(url) as address:
        with httpx.Client(base_url=address, timeout=60) as client:
            sums(client, "sums")
        yield address


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    with faultless(browser, site) as page:
        yield page


def fill(page: Page) -> None:
    for field, value in CHOSEN.items():
        page.locator(f"#{field}").select_option(value)
    for field, text in TYPED.items():
        page.locator(f"#{field}").fill(text)


def test_the_form_sends_what_is_typed_and_leads_to_the_job(page: Page, site: str) -> None:
    page.goto("/jobs/new")
    page.get_by_role("link", name="training").click()
    fill(page)
    page.locator("#micro_batch").fill("7")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#micro_batch-error")).to_contain_text("micro_batch must divide the completions of a step")
    expect(page.locator("#micro_batch")).to_be_focused()
    for field, text in TYPED.items():
        expect(page.locator(f"#{field}")).to_have_value(text)
    page.locator("#micro_batch").fill("")
    page.locator("#k-from").fill("16")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#micro_batch-error")).to_be_hidden()
    expect(page.locator("#k-kind-error")).to_contain_text("needs groups of at least 16 completions; got 8")
    page.locator("#k-from").fill("8")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", name="Training job")).to_be_visible()
    job = httpx.get(f"{site}/v1{page.evaluate('location.pathname')}", timeout=60).raise_for_status().json()
    sent, told = TrainingSpec.model_validate(job["spec"]), TrainingSpec.model_validate(spec_of(TYPED | CHOSEN))
    assert sent == told, "the script puts together what the service would without it"
    assert (job["priority"], sent.schedule.k({"step": 30}), sent.seeds) == (5, 1, [3, 4])


def test_fields_come_with_the_choice_that_they_are_for_and_k_is_drawn(page: Page) -> None:
    page.goto("/jobs/new?kind=training&k=8&steps=100")
    expect(page.locator("#k-picture")).to_contain_text("k is 8 at every step.")
    expect(page.locator("#k-from")).to_be_hidden()
    page.locator("#k-kind").select_option("linear")
    expect(page.locator("#k")).to_be_hidden()
    expect(page.locator("#k-at")).to_be_hidden()
    expect(page.locator("#k-refused")).to_contain_text("schedule linear needs")
    for field, text in (("k-from", "8"), ("k-to", "1"), ("k-over", "50")):
        page.locator(f"#{field}").fill(text)
    page.locator("#k-over").blur()
    expect(page.locator("#k-picture")).to_contain_text("k goes from 8 to 1.")
    expect(page.locator("#k-picture polyline")).to_be_visible()
    expect(page.locator("#k-from")).to_have_value("8")
    for choice, field in (("several", "k-weights"), ("plateau", "k-levels"), ("signal", "k-per_problem")):
        page.locator("#k-kind").select_option(choice)
        expect(page.locator(f"#{field}")).to_be_visible()
    expect(page.locator("#model-hidden")).to_be_hidden()
    page.locator("#model-kind").select_option("tiny")
    expect(page.locator("#model-hidden")).to_be_visible()
    expect(page.locator("#pad_token")).to_be_hidden()


@pytest.mark.parametrize("how", [{}, PHONE], ids=["desk", "phone"])
def test_without_a_script_it_is_looked_through_and_the_command_shown(
    browser: Browser, site: str, how: dict[str, object]
) -> None:
    with browsing(browser, site, java_script_enabled=False, **how) as (page, _):
        page.goto("/jobs/new?kind=training")
        expect(page.get_by_role("button", name="Submit", exact=True)).to_be_hidden()
        fill(page)
        page.locator("#run").fill("a/b")
        page.get_by_role("button", name="Look through it").click()
        expect(page.locator("#run-error")).to_contain_text("a name has 1 to 200 letters")
        expect(page.locator("#optimizer-lr")).to_have_value("3e-4")
        page.locator("#run").fill("sums-seen")
        page.get_by_role("button", name="Look through it").click()
        expect(page.locator("#request")).to_contain_text('"run": "sums-seen"')
        expect(page.locator("#request")).to_contain_text("curl ")
        assert page.locator("#k-picture polyline").count() == 1


def test_a_phone_has_the_whole_form(browser: Browser, site: str) -> None:
    with browsing(browser, site, **PHONE) as (page, offences):
        page.goto("/jobs/new?kind=training")
        fill(page)
        assert too_wide(page) == 0
        page.get_by_text("What each verifier takes").click()
        assert too_wide(page) == 0
        assert not offences, offences
