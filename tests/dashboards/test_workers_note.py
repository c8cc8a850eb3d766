"""What the first page says of the workers, in each state that they can be in."""

import pytest

from dashboards.pages import HomePage, render_home
from dashboards.workers_note import NOBODY, Installing, WorkersNote
from tests.dashboards.examples import SERVER, Page

TAKEN = ("import", "train", "train:math", "verify", "verify:math", "sampling:vllm", "sampling:openai")
LOOKS_AGAIN = "every 2s"


def shown(note: WorkersNote) -> Page:
    return Page(render_home(HomePage(SERVER, (), workers=note)))


def looks_again(page: Page) -> bool:
    return LOOKS_AGAIN in page.values("hx-trigger")


@pytest.mark.parametrize(
    ("note", "sentence", "again"),
    [
        (NOBODY, "No worker is there, so jobs wait; make worker starts one.", False),
        (
            WorkersNote(kept=True, installing=Installing("vLLM", 1, 5)),
            "Installing the workers’ packages: vLLM, 2 of 5 20 %",
            True,
        ),
        (WorkersNote(kept=True), "The worker is starting.", True),
        (
            WorkersNote(1, TAKEN, kept=True),
            "A worker takes sampling (vllm, openai), training (math), verification (math), imports.",
            False,
        ),
        (WorkersNote(2, ("import",)), "2 workers take imports.", False),
        (
            WorkersNote(kept=True, given_up="it died 5 times in a row", log="/data/worker.log"),
            "The service’s own worker was given up: it died 5 times in a row",
            False,
        ),
        (
            WorkersNote(1, ("import",), kept=True, not_installed=(("vLLM", "error: no network"),)),
            "Not installed, so the worker goes without: vLLM ( error: no network ). The next make run tries again.",
            False,
        ),
    ],
)
def test_each_state_is_said_and_watched_while_it_changes(note: WorkersNote, sentence: str, again: bool) -> None:
    page = shown(note)
    assert sentence in " ".join(page.text.split())
    assert looks_again(page) is again


def test_who_works_is_said_beside_what_is_still_being_installed() -> None:
    text = shown(WorkersNote(1, ("import",), kept=True, installing=Installing("TRL", 2, 5))).text
    assert "TRL, 3 of 5" in text
    assert "A worker takes imports." in text
    assert "No worker is there" not in text


def test_what_an_installer_printed_is_only_text() -> None:
    hostile = "<script>alert(1)</script>"
    note = WorkersNote(kept=True, given_up=hostile, not_installed=((hostile, hostile),), log=hostile)
    assert hostile not in render_home(HomePage(SERVER, (), workers=note))
    assert shown(note).text.count(hostile) == 4
