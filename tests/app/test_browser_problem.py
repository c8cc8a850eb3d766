"""A problem's page in a real Chromium: walked by keyboard, and unmoved by hostile texts."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import URL

from tests.app.browsing import HOSTILE, IN_A_BROWSER, WAYS, browsing, too_wide
from tests.app.evaluations import create_evaluation
from tests.app.serving import serving
from tests.conftest import fresh_database

pytestmark = IN_A_BROWSER

TEXTS = [*HOSTILE[:6], "</pre><script>alert(1)</script>", "\n\n  two empty lines\t\n", "line of the text\n" * 900]


@pytest.fixture(scope="module")
def site(postgres_url: URL, migrated_template: str) -> Iterator[str]:
    """The address of a server with a problem whose name, completions and verdicts are hostile."""
    with fresh_database(postgres_url, template=migrated_template) as database_url, serving(database_url) as url:
        with httpx.Client(base_url=url, timeout=60) as client:
            evaluation = create_evaluation(client, run="hostile", step=40, problem_set="sums")
            completions = [
                {
                    "problem": HOSTILE[0],
                    "sample_index": i,
                    "text": text,
                    "finish_reason": text[:200],
                    "verifications": [
                        {"verifier": "exact", "passed": i % 3 == 0, "answer": text, "detail": {text: text}}
                    ],
                }
                for i, text in enumerate(TEXTS)
            ]
            body = {"completions": completions}
            client.post(f"/v1/evaluations/{evaluation}/completions", json=body).raise_for_status()
        yield url


@pytest.fixture(params=WAYS.values(), ids=list(WAYS))
def watched(request: pytest.FixtureRequest, browser: Browser, site: str) -> Iterator[Page]:
    """A page, which must do nothing wrong until the end of the test."""
    with browsing(browser, site, **request.param) as (page, offences):
        yield page
        assert not offences, offences


def test_completions_are_walked_by_keyboard_and_their_texts_do_nothing(watched: Page) -> None:
    watched.goto("/?filter=hostile")
    watched.locator("#runs td[data-label=step]").get_by_role("link").click()
    watched.locator("#problems tbody th").get_by_role("link").click()
    heading = watched.get_by_role("heading", level=3)
    for i, text in enumerate(TEXTS):
        expect(heading).to_have_text(f"Completion {i}")
        shown = watched.locator("section > pre.text, section > details > pre.text").all_text_contents()
        assert "".join(shown) == text
        assert watched.locator("pre.answer").text_content() == text
        assert too_wide(watched) == 0, text
        watched.keyboard.press(("j", "ArrowRight")[i % 2])
    watched.wait_for_timeout(100)
    expect(heading).to_have_text(f"Completion {len(TEXTS) - 1}")
    watched.keyboard.press("k")
    expect(heading).to_have_text(f"Completion {len(TEXTS) - 2}")
    watched.keyboard.press("ArrowLeft")
    expect(heading).to_have_text(f"Completion {len(TEXTS) - 3}")
    watched.locator(".strip a").nth(3).click()
    expect(heading).to_have_text("Completion 3")
    watched.reload()
    expect(heading).to_have_text("Completion 3")
    expect(watched.locator(".strip [aria-current]")).to_have_attribute("title", "3: passed")
    watched.get_by_role("link", name="step 40 on sums@1").click()
    expect(watched.locator("h1")).to_contain_text("step 40")
