"""The playground in a real Chromium, with and without JavaScript."""

from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.app.browsing import HOSTILE, IN_A_BROWSER, WAYS, browsing, too_wide

pytestmark = IN_A_BROWSER


@pytest.mark.parametrize("how", WAYS.values(), ids=list(WAYS))
def test_rewards_are_pasted_and_their_credits_and_weights_seen(
    browser: Browser, shared_client: httpx.Client, how: dict[str, Any]
) -> None:
    with browsing(browser, str(shared_client.base_url).rstrip("/"), **how) as (page, offences):
        page.goto("/")
        page.get_by_role("link", name="Transform").click()
        page.get_by_role("textbox", name="Rewards").fill("1 0 0 0 1 0 0 0\n0 0 0 0 0 0 0 1")
        page.get_by_label("k, attempts").fill("4")
        page.get_by_label("transform", exact=True).select_option("sloo")
        page.get_by_label("scale").select_option("mean")
        page.get_by_role("button", name="Transform").click()
        expect(page.get_by_role("textbox", name="Rewards")).to_have_value("1 0 0 0 1 0 0 0\n0 0 0 0 0 0 0 1")
        expect(page.locator(".credits tbody tr")).to_have_count(18)
        expect(page.locator(".weights .canvas .barlayer .point")).to_have_count(8)
        expect(page.locator(".weights .xtitle")).to_contain_text("n = 8 · k = 4")
        rows = page.locator(".credits tbody tr").all_inner_texts()
        page.reload()
        assert page.locator(".credits tbody tr").all_inner_texts() == rows, "the address is the state"
        assert too_wide(page) == 0
        assert not offences, offences


def test_the_form_works_without_javascript_and_says_what_is_wrong(
    browser: Browser, shared_client: httpx.Client
) -> None:
    how = {"java_script_enabled": False}
    with browsing(browser, str(shared_client.base_url).rstrip("/"), **how) as (page, offences):
        page.goto("/transform")
        for text in HOSTILE[::3]:
            page.get_by_role("textbox", name="Rewards").fill(text)
            page.get_by_role("button", name="Transform").click()
            expect(page.get_by_role("alert")).to_contain_text("Line 1")
            expect(page.get_by_role("textbox", name="Rewards")).to_have_value(text)
        page.get_by_role("textbox", name="Rewards").fill("1 0 1")
        page.get_by_role("button", name="Transform").click()
        expect(page.locator(".credits tbody tr")).to_have_count(4)
        assert not offences.dialogs + offences.elsewhere
        assert [error for error in offences.errors if "422" not in error] == []


@pytest.mark.parametrize("script", [True, False], ids=["script", "none"])
def test_lam_has_a_field_where_mixed_is_chosen(browser: Browser, shared_client: httpx.Client, script: bool) -> None:
    how = {"java_script_enabled": script}
    with browsing(browser, str(shared_client.base_url).rstrip("/"), **how) as (page, offences):
        page.goto("/transform")
        field = page.get_by_label("λ, of mixed")
        expect(field).to_be_hidden()
        page.get_by_label("transform", exact=True).select_option("mixed")
        field.fill("-0.5")
        page.get_by_role("button", name="Transform").click()
        expect(page.get_by_text("mixed, λ = -0.5:")).to_be_visible()
        expect(field).to_have_value("-0.5")
        assert not offences, offences
