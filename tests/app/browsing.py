"""A real Chromium, watched: whatever a page does that it should not is remembered."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request, expect, sync_playwright

LONG = 30_000.0  # milliseconds: a live page asks again every few seconds, and a busy machine keeps it waiting
expect.set_options(timeout=LONG)  # the page's own setting does not govern it
CHROMIUM = shutil.which("chromium")
IN_A_BROWSER: Final = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed, so no page was looked at in a browser"),
]
PHONE: Final[dict[str, Any]] = {"viewport": {"width": 390, "height": 844}}
WAYS: Final[dict[str, dict[str, Any]]] = {"light": {}, "dark": {"color_scheme": "dark"}, "phone": PHONE}
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


# Each is shown as it is and does nothing, wherever a page has a text that somebody else chose.
HOSTILE: Final = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    '"><script>alert(1)</script>',
    "'><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" autofocus onfocus="alert(1)',
    "' onmouseover='alert(1)",
    "</script><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</textarea><iframe src=//example.org>",
    "<!--",
    "]]>",
    "javascript:alert(1)",
    "<a href=javascript:alert(1)>x</a>",
    '<iframe srcdoc="<script>parent.alert(1)</script>"></iframe>',
    "<link rel=stylesheet href=//example.org/a.css>",
    "<meta http-equiv=refresh content='0;url=//example.org'>",
    "<base href=//example.org>",
    "<form action=//example.org><button>x</button></form>",
    "<style>*{background:url(//example.org)}</style>",
    '<div hx-get="/docs" hx-trigger="load" hx-on:load="alert(1)">',
    "{{ 7 * 7 }} ${7 * 7} %7B#{7}",
    "\u202egnp.exe\u202c \u200b&lt;b&gt; &amp; &#60;",
    "=HYPERLINK(A1) 😀 ｆｕｌｌ",
    "<script src=//example.org/a.js></script>",
    "<ScRiPt>alert(1)</sCrIpT>",
    "<script\u2028>alert(1)</script>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<script type=module>import('//example.org/a.js')</script>",
    "<script type=application/json>{}</script><script>alert(1)</script>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<template><script>alert(1)</script></template>",
    "<img srcset='//example.org/a.png 1x'>",
    "<picture><source srcset=//example.org/a.png><img></picture>",
    "<img/src=//example.org/a.png>",
    "<video poster=//example.org/a.png src=//example.org/a.mp4 autoplay onerror=alert(1)></video>",
    "<audio src=x onerror=alert(1)>",
    "<details open ontoggle=alert(1)>x</details>",
    "<body onload=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<select autofocus onfocus=alert(1)></select>",
    "<marquee onstart=alert(1)>x</marquee>",
    "<object data=//example.org/a.swf></object>",
    "<embed src=//example.org/a.swf>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><a xlink:href=javascript:alert(1)><text y=9>x</text></a></svg>",
    "<svg><use href='//example.org/a.svg#x'/></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<style>@import '//example.org/a.css';</style>",
    "<p style='background:url(//example.org/a.png)'>",
    "<button formaction=javascript:alert(1)>x</button>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<a ping=//example.org href=/>x</a>",
    "<p hx-on::load='alert(1)' data-hx-get='//example.org' hx-trigger=load>",
    "<div hx-vals='js:{x: alert(1)}' hx-get=/ hx-trigger=load hx-target=body>",
    "</main></body></html><script>alert(1)</script>",
    "--><script>alert(1)</script><!--",
    "{% raw %}{{ self.__init__.__globals__ }}{% endraw %}",
    "\\u003cscript\\u003ealert(1)\\u003c/script\\u003e",
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


def too_wide(page: Page) -> int:
    """By how many pixels the page is wider than the screen."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def drawn(page: Page) -> None:
    """Wait until the page has drawn its figures."""
    for canvas in page.locator(".canvas").all():
        expect(canvas.locator("svg.main-svg").first).to_be_visible()


@contextmanager
def browsing(browser: Browser, host: str, **how: Any) -> Iterator[tuple[Page, Offences]]:
    """A page with nothing in it yet, in a context of its own, and what it does wrong."""
    context = browser.new_context(base_url=host, **({"viewport": {"width": 1280, "height": 900}} | how))
    offences = Offences(host)
    page = context.new_page()
    page.set_default_timeout(LONG)
    offences.watch(page)
    try:
        yield page, offences
    finally:
        context.close()


@contextmanager
def faultless(browser: Browser, host: str) -> Iterator[Page]:
    """A page that in the end has done nothing wrong; that an answer was a refusal is not its fault."""
    with browsing(browser, host) as (page, offences):
        yield page
        offences.errors = [error for error in offences.errors if "responded with a status of 4" not in error]
        assert not offences, offences
