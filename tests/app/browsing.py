"""A real Chromium, watched: whatever a page does that it should not is remembered."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request, sync_playwright

CHROMIUM = shutil.which("chromium")
# Without a display, a GPU or a wish to talk to anybody but us. As root Chromium has no sandbox of its own.
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Offences:
    """What a page did that no page of ours may do."""

    host: str
    errors: list[str] = field(default_factory=list)  # of scripts, and of the browser: refused by policy, not found
    dialogs: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)  # addresses asked for that are not this server's

    def watch(self, page: Page) -> None:
        """Remember what this page does from now on."""
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", self._on_dialog)
        page.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def _on_dialog(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.host}/", "data:")):
            self.elsewhere.append(request.url)

    def __bool__(self) -> bool:
        return bool(self.errors or self.dialogs or self.elsewhere)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def browsing(browser: Browser, host: str, **how: Any) -> Iterator[tuple[Page, Offences]]:
    """A page with nothing in it yet, in a context of its own, and what it does wrong."""
    context = browser.new_context(base_url=host, **({"viewport": {"width": 1280, "height": 900}} | how))
    offences = Offences(host)
    page = context.new_page()
    page.set_default_timeout(15_000)
    offences.watch(page)
    try:
        yield page, offences
    finally:
        context.close()
