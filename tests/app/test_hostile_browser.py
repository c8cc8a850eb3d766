"""Sixty hostile texts in a real Chromium, wherever a page shows what somebody else chose: shown as they are."""

from collections.abc import Iterator
from urllib.parse import urlencode
from uuid import UUID

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import URL, select
from sqlalchemy.orm import Session

from app.db import make_engine
from app.jobs import service
from app.models import Job
from tests.app.browsing import HOSTILE, IN_A_BROWSER, faultless
from tests.app.evaluations import create_evaluation
from tests.app.serving import serving
from tests.conftest import fresh_database

pytestmark = IN_A_BROWSER

# Names are of few characters; these are what a page could still take for something else.
NAMES = ["javascript:alert", ":", "@", "...", "__proto__"]


@pytest.fixture(scope="module")
def evaluations(site: str) -> list[str]:
    """Of each text the evaluation whose model and sampling it is, and of the first one completions full of them."""
    with httpx.Client(base_url=site, timeout=60) as client:
        made = [
            create_evaluation(
                client, run="hostile", step=step, problem_set="sums", model=text, sampling={text: [text, {text: step}]}
            )
            for step, text in enumerate(HOSTILE)
        ]
        verdict = {"verifier": "exact", "passed": True}
        completions = [
            {
                "problem": text,
                "sample_index": 0,
                "text": text,
                "finish_reason": text,
                "verifications": [verdict | {"answer": text, "detail": {text: text}}],
            }
            for text in HOSTILE
        ]
        path = f"/v1/evaluations/{made[0]}/completions"
        client.post(path, json={"completions": completions}).raise_for_status()
        changes = {"notes": "\n".join(HOSTILE), "tags": [text[:100] for text in HOSTILE[:20]]}
        client.patch("/v1/runs/hostile", json=changes).raise_for_status()
        for name in NAMES:
            create_evaluation(client, run=name, problem_set=name.replace("@", ":"), sampling={name: name})
    return made


@pytest.fixture(scope="module")
def jobs(site: str, database_url: str) -> list[str]:
    """Of each text the job whose file, model, sampling, log, error and worker it is."""
    made = []
    engine = make_engine(database_url)
    with httpx.Client(base_url=site, timeout=60) as client, Session(engine) as session:
        for text in HOSTILE:
            octets, named = {"Content-Type": "application/octet-stream"}, {"filename": text.replace("/", "∕")}
            upload = client.post("/v1/uploads", content=b"[]", headers=octets, params=named).raise_for_status().json()
            spec = {"upload": upload["id"], "run": "hostile", "model": text, "sampling": {text: [text]}}
            job = client.post("/v1/jobs", json={"kind": "import", "spec": spec}).raise_for_status().json()
            key = session.scalars(select(Job.id).where(Job.uuid == UUID(job["id"]))).one()
            claimed = service.claim(session, key, service.register(session, text, 1, [text], [text]), lease=600)
            assert claimed is not None
            service.record_log(session, claimed.attempt, [text, f"{text}~"])
            service.fail(session, claimed.attempt, text)
            service.finish(session, claimed.attempt)
            made.append(job["id"])
        session.commit()
    engine.dispose()
    return made


@pytest.fixture(scope="module")
def database_url(postgres_url: URL, migrated_template: str) -> Iterator[str]:
    """The URL of a database of this module's own."""
    with fresh_database(postgres_url, template=migrated_template) as url:
        yield url


@pytest.fixture(scope="module")
def site(database_url: str) -> Iterator[str]:
    """The address of a server of this module's own."""
    with serving(database_url) as url:
        yield url


@pytest.fixture
def watched(browser: Browser, site: str, evaluations: list[str]) -> Iterator[Page]:
    """A page that opens no dialog, asks no other host and breaks no policy; to be refused is no fault of its own."""
    with faultless(browser, site) as page:
        yield page


def text_of(page: Page, selector: str = "main") -> str:
    return page.locator(selector).first.text_content() or ""


def test_problems_completions_answers_and_details(watched: Page, evaluations: list[str]) -> None:
    for text in HOSTILE:
        watched.goto(f"/evaluations/{evaluations[0]}/problem?{urlencode({'problem': text})}")
        assert text_of(watched, "h1 .name") == text
        assert text_of(watched, "pre.text") == text
        assert text_of(watched, "pre.answer") == text
        assert text_of(watched).count(text) >= 4, "its name, text, answer, and why it ended"


def test_models_and_samplings(watched: Page, evaluations: list[str]) -> None:
    for text, evaluation in list(zip(HOSTILE, evaluations, strict=True))[1:]:
        watched.goto(f"/evaluations/{evaluation}")
        assert text_of(watched, "dd.name") == text
        assert text_of(watched, ".setting").startswith(text)


def test_a_run_of_them_all(watched: Page) -> None:
    watched.goto("/runs/hostile")
    settings = watched.locator(".samplings .setting").all_text_contents()
    assert len(settings) == len(HOSTILE)
    assert all(shown.startswith(text) for shown, text in zip(settings, HOSTILE, strict=True))


def test_what_is_typed(watched: Page) -> None:
    for i, text in enumerate(HOSTILE):
        if i % 3 == 0:
            watched.goto(f"/?{urlencode({'filter': text})}")
            assert text in text_of(watched, ".empty")
            expect(watched.get_by_label("Run name contains")).to_have_value(text)
        watched.goto(f"/transform?{urlencode({'rewards': text, 'k': text[:20]})}")
        expect(watched.get_by_role("textbox", name="Rewards")).to_have_value(text)
        expect(watched.get_by_role("alert")).to_be_visible()


def test_pages_of_errors_repeat_nothing(watched: Page, evaluations: list[str]) -> None:
    addresses = (f"/evaluations/{evaluations[1]}/problem", f"/evaluations/{evaluations[0]}", "/runs/hostile")
    for text, address in zip(HOSTILE, addresses * 20, strict=True):
        asked = {"problem": f"{text}~", "verifier": text, "k": text, "missing": text, "sort": text}
        watched.goto(f"{address}?{urlencode(asked)}")
        assert text not in text_of(watched)
        expect(watched.get_by_role("link", name="All runs")).to_be_visible()


def test_jobs_with_their_logs_errors_and_workers(watched: Page, jobs: list[str]) -> None:
    for text, job in zip(HOSTILE, jobs, strict=True):
        watched.goto(f"/jobs/{job}")
        assert text_of(watched, "#log") == f"{text}\n{text}~"
        assert text_of(watched, "#error .text") == text
        assert text_of(watched, "h1").rstrip().endswith(text.replace("/", "∕"))
        assert text in watched.locator(".spec td").all_text_contents(), "the model"
        assert text_of(watched, ".history tbody .text") == text
    watched.goto("/jobs")
    errors = watched.locator(".jobs .why").all_text_contents()
    assert errors == HOSTILE[::-1][: len(errors)]
    hosts = [each.rpartition(" ")[0] for each in watched.locator(".workers tbody th").all_text_contents()]
    assert hosts == HOSTILE[::-1]


def test_what_an_address_fills_into_a_form(watched: Page) -> None:
    for text in HOSTILE[::3]:
        filled = {"kind": "verification", "evaluation": text[:100], "verifier": text}
        watched.goto(f"/jobs/new?{urlencode(filled)}")
        expect(watched.get_by_label("Verifier")).to_have_value(text)
        watched.get_by_role("button", name="Submit").click()
        expect(watched.locator("#refused")).to_be_visible()
        assert text not in text_of(watched, "#new-job"), "no value is echoed"


def test_names_lead_where_they_say(watched: Page, site: str) -> None:
    for name in NAMES:
        watched.goto("/")
        watched.locator("#runs tbody th").get_by_role("link", name=name, exact=True).click()
        expect(watched.locator("h1 .name").first).to_have_text(name)
        assert watched.url == f"{site}/runs/{name}"
        watched.locator("tbody th a").click()
        expect(watched.locator("h1 .name").first).to_have_text(name)
