"""The page that walks through the demo, and the button on the first page."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.auth.service import default_project
from app.config import Settings
from app.demo import service
from app.demo.plan import Demo
from app.models import Job
from tests.app.evaluations import create_evaluation
from tests.app.test_demo import made
from tests.app.test_page_answers import page

DEMO = Demo("full")
PROBLEMS = 40


def evaluated(client: httpx.Client, part: Any, step: int, passed: int) -> str:
    """An evaluation of n = 16 in which the first of 40 problems is never solved, the others `passed` times."""
    found = create_evaluation(client, run=DEMO.run(part), step=step, problem_set=DEMO.held_out, sampling={}, n=16)
    rows = [
        {
            "problem": f"b/{problem}",
            "sample_index": index,
            "verifications": [{"verifier": "reasoning-gym", "passed": problem > 0 and index < passed}],
        }
        for problem in range(PROBLEMS)
        for index in range(16)
    ]
    client.post(f"/v1/evaluations/{found}/completions", json={"completions": rows}).raise_for_status()
    return found


@pytest.fixture
def walked(client: httpx.Client, session: Session) -> httpx.Client:
    """A client of a server whose demo has trained for pass@1 to its end, and waits with pass@8."""
    client.post("/v1/demo", json={}).raise_for_status()
    problems = made(PROBLEMS)
    problems.held_out.extend({"problem": f"b/{i}", "prompt": f"b {i}: "} for i in range(5, PROBLEMS))
    service.store(session, default_project(session), "full", problems)
    service.move_on(session, Settings())
    session.scalars(select(Job)).one().state = "succeeded"
    service.move_on(session, Settings())
    session.commit()
    for part, step, passed in (("taught", 0, 3), ("k1", 0, 3), ("k1", 150, 12)):
        evaluated(client, part, step, passed)
    return client


def test_an_empty_service_offers_the_demo_with_one_button(client: httpx.Client) -> None:
    first = page(client, "/")
    assert "Train a model for pass@8 now (15 minutes on two cores)" in first.text
    assert "/v1/demo" in first.values("data-act")
    assert "Train a model for pass@8 now" in page(client, "/demo").text


def test_a_service_with_runs_does_not_offer_it(client: httpx.Client) -> None:
    create_evaluation(client)
    assert page(client, "/").values("data-act") == []


def test_what_waits_says_for_what(client: httpx.Client) -> None:
    client.post("/v1/demo", json={}).raise_for_status()
    walk = page(client, "/demo").text
    assert "A model is made and taught waits for the problems" in walk
    assert walk.count("waits for the taught model") == 2
    assert "/demo" in page(client, "/").values("href")


def test_the_command_for_several_seeds_is_that_of_the_document(walked: httpx.Client) -> None:
    command = ".venv/bin/python examples/demo.py "
    assert command in page(walked, "/demo").text
    assert command in Path("docs/demo.md").read_text()


def test_the_walk_claims_what_the_intervals_support_and_no_more(walked: httpx.Client) -> None:
    walk = page(walked, "/demo")
    assert "A model is made and taught succeeded" in walk.text
    assert "Trained for pass@8 queued" in walk.text
    assert "k = 1 against taught" in walk.text
    # From 3 to 12 of 16 in 39 of 40 problems: more at k = 1 for certain; at k = 16 both solve all that can be solved.
    assert "“k = 1” is higher at k=1 by 0.548" in walk.text
    assert "at k=16 the difference cannot be told from zero" in walk.text
    assert "k = 8 against" not in walk.text, "it has learned nothing yet"
    assert "Train once more, from k = 8 to k = 1" in walk.text
    assert len(walk.values("data-picture")) == 2


def test_a_part_that_failed_says_why_and_how_to_go_on(client: httpx.Client, session: Session) -> None:
    client.post("/v1/demo", json={}).raise_for_status()
    service.store(session, default_project(session), "full", made(PROBLEMS))
    service.move_on(session, Settings())
    job = session.scalars(select(Job)).one()
    job.state, job.error = "failed", {"detail": "The disk <b>is</b> full.", "log": []}
    session.commit()
    walk = page(client, "/demo")
    assert "The disk <b>is</b> full." in walk.text
    assert f"/jobs/{job.uuid}" in walk.values("href")
    assert walk.text.count("waits for the taught model") == 2


def test_each_demo_has_an_address(client: httpx.Client) -> None:
    for seed in (1, 2):
        client.post("/v1/demo", json={"seed": seed}).raise_for_status()
    assert "/runs/demo-k8-seed-2" in page(client, "/demo").values("href"), "the newest"
    first = page(client, "/demo?size=full&seed=1")
    assert "/runs/demo-k8-seed-1" in first.values("href")
    assert "/demo?size=full&seed=2" in first.values("href")
    assert client.get("/demo?seed=x").status_code == 422
