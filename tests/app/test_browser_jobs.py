"""The jobs pages in a real Chromium, with a real worker beside the server: submitted, followed, cancelled, retried."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import URL
from sqlalchemy.orm import Session

from app.auth.service import create_key
from app.db import make_engine
from tests.app.browsing import IN_A_BROWSER, WAYS, browsing, drawn, faultless, too_wide
from tests.app.evaluations import create_evaluation
from tests.app.processes import free_port
from tests.app.serving import serving
from tests.conftest import fresh_database
from tests.workers.training_jobs import spec, sums
from tests.workers.working import job, results, submit, submit_import, worker

pytestmark = IN_A_BROWSER
SLOWLY = 40_000  # milliseconds: a worker starts a process for each job, on a machine that others use
OPTIONS = {"free": 1, "most": 9}


@pytest.fixture(scope="module")
def database_url(postgres_url: URL, migrated_template: str) -> Iterator[str]:
    with fresh_database(postgres_url, template=migrated_template) as url:
        yield url


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def site(database_url: str, data_dir: Path) -> Iterator[str]:
    """The address of a server without a worker."""
    with serving(database_url, data_dir=data_dir) as url:
        yield url


@pytest.fixture
def client(site: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site, timeout=60) as client:
        yield client


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    """A page that does nothing wrong; that an answer was a refusal is not its fault."""
    with faultless(browser, site) as page:
        yield page


def file(tmp_path: Path, content: bytes, name: str = "results.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_a_file_is_imported_by_the_form_and_its_evaluation_is_a_click_away(
    page: Page, database_url: str, data_dir: Path, tmp_path: Path
) -> None:
    page.goto("/")
    page.get_by_role("link", name="Jobs").click()
    expect(page.get_by_text("No worker is there: jobs wait")).to_be_visible()
    page.get_by_role("link", name="New job").click()
    page.get_by_label("File").set_input_files(file(tmp_path, results(50, 8)))
    page.get_by_label("Run").fill("codellama-7b")
    page.get_by_label("Problem set").fill("sums")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator(".job-state")).to_have_text("queued")
    expect(page.locator(".warning").filter(has_text="No worker is there that offers import")).to_be_visible()
    page.evaluate("window.loaded = 1")
    with worker(database_url, data_dir, lease=30.0):
        expect(page.locator(".job-state")).to_have_text("succeeded", timeout=SLOWLY)
    expect(page.locator(".how-far")).to_have_text("400 of 400")
    expect(page.locator("#log")).to_contain_text("400 completions new, 0 there already")
    expect(page.get_by_text("No worker is there that offers import")).to_have_count(0)
    assert page.evaluate("window.loaded") == 1, "the page was never loaded anew"
    page.locator("#result").click()
    drawn(page)
    expect(page.locator(".points tbody tr").first).to_contain_text("0.500")


def test_what_the_server_refuses_stands_at_its_field(page: Page, tmp_path: Path) -> None:
    page.goto("/jobs/new")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#upload-error")).to_have_text("This is needed.")
    expect(page.locator("#run-error")).to_have_text("This is needed.")
    expect(page.get_by_label("File")).to_be_focused()
    page.get_by_label("File").set_input_files(file(tmp_path, results(1, 1)))
    page.get_by_label("Run").fill("a/b")
    page.get_by_label("Step").fill("one")
    page.get_by_label("Sampling").fill("{")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#sampling-error")).to_have_text("This is not JSON.")
    page.get_by_label("Sampling").fill('{"temperature": 0.8}')
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#run-error")).to_be_visible()
    expect(page.locator("#step-error")).to_contain_text("integer")
    expect(page.locator("#upload-error")).to_be_hidden()
    expect(page.get_by_label("Run")).to_have_attribute("aria-invalid", "true")
    assert too_wide(page) == 0


def test_a_verification_that_cannot_be_says_why_at_its_field(page: Page) -> None:
    page.goto("/jobs/new?kind=verification&evaluation=00000000-0000-0000-0000-000000000000&verifier=exact-match")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#evaluation-error")).to_have_text("no such evaluation")
    page.get_by_label("Verifier").fill("exakt-match")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#verifier-error")).to_have_text("not offered")
    expect(page.locator("#refused")).to_contain_text("exact-match, numeric-match")


def test_the_evaluation_page_fills_in_while_a_job_judges_it(
    page: Page, client: httpx.Client, database_url: str, data_dir: Path
) -> None:
    evaluation = create_evaluation(client, run="judged", problem_set="judged-sums")
    problems = [{"problem": f"p{i:03d}", "prompt": "?", "answer": "0"} for i in range(200)]
    client.post("/v1/problem-sets/judged-sums/problems", json={"problems": problems}).raise_for_status()
    rows = [{"problem": f"p{i:03d}", "sample_index": j, "text": str(j % 2)} for i in range(200) for j in range(10)]
    client.post(f"/v1/evaluations/{evaluation}/completions", json={"completions": rows}).raise_for_status()
    path = submit(client, "verification", {"evaluation": evaluation, "verifier": "exact-match"})

    page.goto(f"/evaluations/{evaluation}")
    expect(page.get_by_role("heading", name="No verdict yet")).to_be_visible()
    expect(page.locator(".at-work")).to_contain_text("verification waits")
    page.evaluate("window.loaded = 1")
    with worker(database_url, data_dir, lease=30.0):
        expect(page.locator(".points tbody tr").first).to_contain_text("0.500", timeout=SLOWLY)
        expect(page.locator(".at-work")).to_have_count(0, timeout=SLOWLY)
    expect(page.locator("#live")).to_have_count(0)
    drawn(page)
    assert page.locator(".curve .scatterlayer .point").count() == 5, "k = 1, 2, 4, 8, 10"
    expect(page.locator("#problems tbody tr")).to_have_count(50)
    assert page.evaluate("window.loaded") == 1
    assert job(client, path)["state"] == "succeeded"


def test_what_the_reader_does_stays_while_the_page_lives(page: Page, client: httpx.Client) -> None:
    """A job waits, so the page is live; verdicts come in over REST meanwhile."""
    evaluation = create_evaluation(client, run="watched", problem_set="watched-sums")
    rows = [{"problem": f"p{i:03d}", "sample_index": j, "text": str(j)} for i in range(60) for j in range(4)]
    for row in rows:
        row["verifications"] = [{"verifier": "exact-match", "passed": row["sample_index"] == 0}]
    send = f"/v1/evaluations/{evaluation}/completions"
    client.post(send, json={"completions": rows}).raise_for_status()
    path = submit(client, "verification", {"evaluation": evaluation, "verifier": "length", "options": OPTIONS})
    page.goto(f"/evaluations/{evaluation}?sort=-solve_rate")
    drawn(page)
    expect(page.locator(".points tbody tr").first).to_contain_text("0.250")
    page.get_by_label("Also at k").fill("3")
    page.get_by_label("Problem contains").focus()
    page.evaluate("document.querySelector('.canvas').marked = 1; scrollTo(0, 600)")
    top = page.evaluate("scrollY")
    more = [
        row | {"problem": f"q{row['problem']}", "verifications": [{"verifier": "exact-match", "passed": True}]}
        for row in rows
    ]
    client.post(send, json={"completions": more}).raise_for_status()
    expect(page.locator(".points tbody tr").first).to_contain_text("0.625", timeout=SLOWLY)
    expect(page.locator(".curve .textpoint text").first).to_have_text("0.625")
    expect(page.locator(".curve .xtitle")).to_contain_text("120 problems")
    assert page.evaluate("document.querySelector('.canvas').marked") == 1, "the figure was drawn on, not replaced"
    assert page.evaluate("scrollY") == top
    expect(page.get_by_label("Also at k")).to_have_value("3")
    expect(page.get_by_label("Problem contains")).to_be_focused()
    page.get_by_label("Problem contains").press_sequentially("qp00")
    expect(page.locator("#problems tbody tr")).to_have_count(10)
    client.post(f"{path}/cancel", content=b"{}", headers={"Content-Type": "application/json"}).raise_for_status()
    expect(page.locator("#live")).to_have_count(0)
    expect(page.locator("#problems tbody tr")).to_have_count(10)


def test_a_job_is_cancelled_and_retried_by_buttons(page: Page, client: httpx.Client) -> None:
    path = submit_import(client, results(2, 2), run="cancelled")
    page.goto(path.removeprefix("/v1"))
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".job-state")).to_have_text("cancelled")
    page.get_by_role("button", name="Retry").click()
    expect(page.locator(".job-state")).to_have_text("queued")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".job-state")).to_have_text("cancelled")
    expect(page.locator(".history tbody tr")).to_have_count(4)
    assert job(client, path)["state"] == "cancelled"


def test_a_retry_that_is_refused_says_why_beside_its_button(page: Page, client: httpx.Client) -> None:
    told = spec("trained-twice", sums(client, "twice-sums"))
    path = submit(client, "training", told)
    client.post(f"{path}/cancel").raise_for_status()
    other = submit(client, "training", told)
    page.goto(path.removeprefix("/v1"))
    page.get_by_role("button", name="Retry").click()
    expect(page.locator("#said")).to_have_text(
        f"Job {other.rpartition('/')[2]} trains trained-twice: wait for its end, or cancel it."
    )
    expect(page.get_by_role("button", name="Retry")).to_be_enabled()
    expect(page.locator(".job-state")).to_have_text("cancelled")
    assert too_wide(page) == 0
    client.post(f"{other}/cancel").raise_for_status()
    page.get_by_role("button", name="Retry").click()
    expect(page.locator(".job-state")).to_have_text("queued")
    expect(page.locator("#said")).to_have_text("")
    client.post(f"{path}/cancel").raise_for_status()


def test_the_list_is_filtered_and_goes_on_by_itself(page: Page, client: httpx.Client, site: str) -> None:
    page.goto("/jobs")
    page.evaluate("window.loaded = 1")
    page.get_by_label("State").select_option("queued")
    expect(page).to_have_url(re.compile("state=queued"))
    before = page.locator("#jobs tbody tr").count()
    path = submit_import(client, results(1, 1), run="newcomer")
    expect(page.locator("#jobs tbody tr").first).to_contain_text("newcomer")
    expect(page.locator("#jobs tbody tr")).to_have_count(before + 1)
    client.post(f"{path}/cancel", content=b"{}", headers={"Content-Type": "application/json"}).raise_for_status()
    expect(page.locator("#jobs tbody tr", has_text="newcomer")).to_have_count(0)
    assert page.evaluate("window.loaded") == 1
    assert too_wide(page) == 0


def test_a_server_that_comes_back_is_followed_without_a_reload(
    browser: Browser, database_url: str, data_dir: Path
) -> None:
    port = free_port()
    with browsing(browser, f"http://127.0.0.1:{port}") as (page, offences):
        with serving(database_url, data_dir=data_dir, at=port):
            page.goto("/jobs?kind=verification")
            page.evaluate("window.loaded = 1")
        expect(page.locator("#away")).to_be_visible()
        with serving(database_url, data_dir=data_dir, at=port) as url, httpx.Client(base_url=url, timeout=60) as client:
            expect(page.locator("#away")).to_be_hidden(timeout=SLOWLY)
            evaluation = create_evaluation(client, run="back-again", problem_set="sums")
            path = submit(client, "verification", {"evaluation": evaluation, "verifier": "length", "options": OPTIONS})
            expect(page.locator("#jobs tbody tr").first).to_contain_text("back-again")
            client.post(f"{path}/cancel", content=b"{}", headers={"Content-Type": "application/json"})
            assert page.evaluate("window.loaded") == 1
        assert not offences.dialogs + offences.elsewhere


@pytest.mark.parametrize("how", WAYS.values(), ids=list(WAYS))
def test_no_jobs_page_is_wider_than_the_screen(
    browser: Browser, client: httpx.Client, site: str, how: dict[str, object]
) -> None:
    path = submit_import(client, results(1, 1), run="r" * 200, model="m" * 500)
    client.post(f"{path}/cancel", content=b"{}", headers={"Content-Type": "application/json"}).raise_for_status()
    with browsing(browser, site, **how) as (page, offences):
        for address in ("/jobs", path.removeprefix("/v1"), "/jobs/new", "/jobs/new?kind=sampling"):
            page.goto(address)
            assert too_wide(page) == 0, address
        assert not offences, offences


def test_on_a_server_with_keys_what_writes_asks_for_one(
    browser: Browser, postgres_url: URL, migrated_template: str, tmp_path: Path
) -> None:
    with (
        fresh_database(postgres_url, template=migrated_template) as own_url,
        serving(own_url, data_dir=tmp_path) as url,
    ):
        engine = make_engine(own_url)
        with Session(engine) as session:
            reader = create_key(session, "reader", ["read"], None)
            worker_key = create_key(session, "submitter", ["read", "write", "jobs"], None)
            session.commit()
        engine.dispose()
        bearer = {"Authorization": f"Bearer {worker_key}"}
        with httpx.Client(base_url=url, timeout=60, headers=bearer) as client:
            path = submit_import(client, results(1, 1))
            how = {"http_credentials": {"username": "any", "password": reader}}
            with browsing(browser, url, **how) as (page, offences):
                page.goto(path.removeprefix("/v1"))
                page.get_by_role("button", name="Cancel").click()
                expect(page.get_by_role("dialog")).to_contain_text("Send an API key")
                page.get_by_label("Key with the scope jobs").fill(reader)
                page.get_by_role("button", name="Send").click()
                expect(page.get_by_role("dialog")).to_contain_text("has not the scope 'jobs'")
                page.get_by_role("button", name="Not now").click()
                assert job(client, path)["state"] == "queued"
                page.get_by_role("button", name="Cancel").click()
                page.get_by_label("Key with the scope jobs").fill(worker_key)
                page.get_by_role("button", name="Send").click()
                expect(page.locator(".job-state")).to_have_text("cancelled")
                page.get_by_role("button", name="Retry").click()
                expect(page.locator(".job-state")).to_have_text("queued")
                assert not offences.dialogs + offences.elsewhere
                assert [error for error in offences.errors if "with a status of 40" not in error] == []
