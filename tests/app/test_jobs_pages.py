"""The pages of jobs over HTTP: what REST says of jobs and workers, their logs and their history, as people read it."""

import re
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session, sessionmaker

from app.jobs import service
from app.jobs.service import Attempt
from app.models import Job, Worker
from tests.app.evaluations import create_evaluation, queries_counted, record
from tests.app.test_jobs import ended, import_of, submitted, upload
from tests.app.test_page_answers import BROWSER, page
from workers.verifiers import verifier as workers_verifier

BROWSERS = BROWSER | {"Accept-Encoding": "identity"}


def verification(client: httpx.Client, evaluation: str) -> str:
    spec = {"evaluation": evaluation, "verifier": "exact-match"}
    answer = client.post("/v1/jobs", json={"kind": "verification", "spec": spec})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def taken(session: Session, job_id: str, *capabilities: str) -> Attempt:
    """The job as a worker has it that took it."""
    key = session.scalars(select(Job.id).where(Job.uuid == UUID(job_id))).one()
    worker = service.register(session, "gpu-01", 4711, ["cpu"], capabilities or ["import", "verify"])
    claimed = service.claim(session, key, worker, lease=30)
    assert claimed is not None
    session.commit()
    return claimed.attempt


def test_no_jobs_yet_says_how_to_submit_one_and_how_to_start_a_worker(client: httpx.Client) -> None:
    first = page(client, "/jobs")
    assert f"pkpo jobs --url {str(client.base_url).rstrip('/')} submit import" in first.text
    assert "No worker is there: jobs wait until one is." in first.text
    assert page(client, "/").values("data-every") == []
    assert "make worker" in first.text


def test_a_job_is_shown_with_links_to_what_is_there(client: httpx.Client, session: Session) -> None:
    job = submitted(client, step=200)
    before = page(client, "/jobs")
    assert (
        "import codellama-7b step 200 on sums from upload queued No worker is there that offers import" in before.text
    )
    assert "/runs/codellama-7b" not in before.values("href"), "nothing is there yet"
    evaluation = create_evaluation(client, run="codellama-7b", step=200, problem_set="sums")
    other = create_evaluation(client, run="codellama-7b", step=200, problem_set="sums", sampling={"temperature": 1})
    after = page(client, "/jobs")
    assert {f"/jobs/{job['id']}", "/runs/codellama-7b", f"/evaluations/{evaluation}"} <= set(after.values("href"))
    assert f"/evaluations/{other}" not in after.values("href")
    judged = verification(client, other)
    assert f"/evaluations/{other}" in page(client, f"/jobs/{judged}").values("href")


def test_jobs_are_filtered_and_paged(client: httpx.Client, session: Session) -> None:
    ids = [submitted(client, step=step)["id"] for step in range(51)]
    ended(session, ids[0], "failed")
    first = page(client, "/jobs")
    assert f"/jobs/{ids[50]}" in first.values("href")
    assert f"/jobs/{ids[0]}" not in first.values("href")
    (following,) = (each for each in first.values("href") if each.startswith("/jobs?cursor="))
    assert f"/jobs/{ids[0]}" in page(client, following).values("href")
    failed = page(client, "/jobs?state=failed&kind=&cursor=")
    assert [each for each in failed.values("href") if each.startswith("/jobs/") and each != "/jobs/new"] == [
        f"/jobs/{ids[0]}"
    ]
    assert "No job is like that." in page(client, "/jobs?kind=verification").text
    assert "query/state" in page(client, "/jobs?state=asleep", 422).text


def test_workers_are_shown_with_what_they_work_on_and_silent_ones_as_gone(
    client: httpx.Client, session: Session
) -> None:
    job = submitted(client)
    taken(session, job["id"])
    shown = page(client, "/jobs")
    assert "gpu-01 4711 cpu import, verify" in shown.text
    assert re.search(rf"{job['id'][:8]} \d+ s ago", shown.text)
    assert "What no worker offers" in shown.text
    assert "verify:python python-tests the sandbox needs bubblewrap" in shown.text
    assert "Jobs 1 Transform" in shown.text
    home = page(client, "/")
    assert "Jobs 1 Transform" in home.text
    assert home.values("data-every") == ["5"], "while something runs"
    assert "worker gpu-01 4711" in page(client, f"/jobs/{job['id']}").text
    session.execute(update(Worker).values(heartbeat_at=func.now() - text("interval '5 minutes'")))
    session.commit()
    silent = page(client, "/jobs")
    assert "5 min ago : counted as gone" in silent.text
    assert "No worker is there: jobs wait" in silent.text


def test_a_job_shows_its_progress_log_history_and_why_it_died(client: httpx.Client, session: Session) -> None:
    job = submitted(client)
    address = f"/jobs/{job['id']}"
    for number in range(1, 6):
        attempt = taken(session, job["id"])
        with service.fenced(client_sessions(session), attempt) as writing:
            service.record_log(writing, attempt, [f"reads, for the {number}th time"])
            service.record_progress(writing, attempt, 100 * number, 4000, 20.0, tell=True)
        if number == 1:
            running = page(client, address)
            assert "running 100 of 4,000, 20/s, 3 min left" in running.text
            assert running.values("data-act") == [f"/v1/jobs/{job['id']}/cancel"]
        service.lose(session, attempt, "Its process was killed by SIGKILL.")
        session.commit()
    dead = page(client, address)
    assert "Why Its process was killed by SIGKILL. It was attempt 5 of 5." in dead.text
    assert "attempt 5 of 5" in dead.text
    assert "Attempt 1 is lost. Its process was killed by SIGKILL. reads, for the 2th time" in dead.text
    lost = "Attempt 1 is lost. Its process was killed by SIGKILL."
    assert dead.text.count(lost) == 2, "in the log, and in the history"
    assert f"queued 1 {lost}" in dead.text
    assert dead.values("data-act") == [f"/v1/jobs/{job['id']}/retry"]
    assert not dead.values("data-every"), "what is over does not change"


def client_sessions(session: Session) -> sessionmaker[Session]:
    return sessionmaker(session.get_bind())


def test_older_lines_of_a_log_are_a_click_away(client: httpx.Client, session: Session) -> None:
    job = submitted(client)
    attempt = taken(session, job["id"])
    for i in range(10):
        service.record_log(session, attempt, [f"line {50 * i + j};" for j in range(50)])
    session.commit()
    newest = page(client, f"/jobs/{job['id']}")
    lines = newest.text
    assert ("line 499;" in lines, "line 300;" in lines, "line 299;" in lines) == (True, True, False)
    (older,) = (each for each in newest.values("href") if "?before=" in each)
    shown = page(client, older.partition("#")[0])
    assert ("line 299;" in shown.text, "line 100;" in shown.text, "line 300;" in shown.text) == (True, True, False)
    assert "data-tail" not in [name for _, names in shown.shape for name in names]
    (oldest,) = (each for each in shown.values("href") if "?before=" in each)
    last = page(client, oldest.partition("#")[0])
    assert "line 0;" in last.text
    assert not [each for each in last.values("href") if "?before=" in each]
    assert "There are no older lines." in page(client, f"/jobs/{job['id']}?before=1").text


@pytest.mark.parametrize("before", ["0", "-1", "1.0", "x", "9223372036854775808", "1" * 40])
def test_a_place_in_the_log_is_a_whole_number(client: httpx.Client, before: str) -> None:
    job = submitted(client)
    assert "query/before" in page(client, f"/jobs/{job['id']}?before={before}", 422).text


def test_a_job_of_nobody_is_not_found(shared_client: httpx.Client) -> None:
    assert "no job of this id" in page(shared_client, f"/jobs/{uuid4()}", 404).text
    page(shared_client, "/jobs/1", 404)


@pytest.mark.parametrize("kind", ["import", "verification", "sampling"])
def test_there_is_a_form_for_each_kind(shared_client: httpx.Client, kind: str) -> None:
    form = page(shared_client, f"/jobs/new?kind={kind}&verifier=exact-match&evaluation=e%22")
    assert f"New {kind} job" in form.text
    assert "needs JavaScript" in form.text


def test_a_form_suggests_runs_evaluations_and_verifiers_that_need_no_options(client: httpx.Client) -> None:
    evaluation = create_evaluation(client, run="suggested", step=3, problem_set="sums")
    verification = page(client, "/jobs/new?kind=verification")
    assert {evaluation, "weighted"} <= set(verification.values("value"))
    assert "suggested step 3 on sums@1" in verification.values("label")
    sampling = page(client, "/jobs/new?kind=sampling").values("value")
    assert {"suggested", "sums@1", "exact-match", "python-tests"} <= set(sampling)
    assert not {"weighted", "length", "format"} & set(sampling)


@pytest.mark.parametrize(
    ("verifier", "options", "said"),
    [
        ("exact-match", {}, "exact-match"),
        ("exact-match", {"ignore_case": False}, "exact-match"),
        ("exact-match@1", {"ignore_case": True}, "exact-match@1-ad4bae5c (ignore_case true)"),
        ("python-tests", {"reward": "fraction", "slots": 8}, "python-tests@1-{hash} (reward fraction)"),
        (
            "weighted",
            {"terms": [{"verifier": "exact-match", "weight": 0.5, "options": {"ignore_case": True}}]},
            "weighted@1-{hash} (terms 0.5 × exact-match@1 (ignore_case true))",
        ),
        ("my.module:judge", {"options": {"strict": True}}, 'my.module:judge (options {"strict": true})'),
    ],
    ids=["bare", "said-default", "told", "not-of-the-machine", "sum", "function"],
)
def test_jobs_name_the_verifier_as_its_verdicts_are_stored(
    client: httpx.Client, verifier: str, options: dict[str, Any], said: str
) -> None:
    evaluation = create_evaluation(client, run="judged", problem_set="sums")
    spec = {"evaluation": evaluation, "verifier": verifier, "options": options}
    job = client.post("/v1/jobs", json={"kind": "verification", "spec": spec}).raise_for_status().json()
    if "{hash}" in said:
        with workers_verifier(verifier, options) as judge:
            said = said.replace(f"{verifier}@1-{{hash}}", judge.full_name)
    for address in ("/jobs", f"/jobs/{job['id']}"):
        assert f"by {said}" in page(client, address).text


def test_a_page_that_is_as_it_was_is_not_sent_again(client: httpx.Client) -> None:
    evaluation = create_evaluation(client, n=2)
    record(client, evaluation, {"a": [True, False]})
    address = f"/evaluations/{evaluation}"
    first = client.get(address, headers=BROWSERS)
    again = client.get(address, headers=BROWSERS | {"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    record(client, evaluation, {"b": [True, True]})
    changed = client.get(address, headers=BROWSERS | {"If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200
    assert changed.headers["etag"] != first.headers["etag"]


def test_an_evaluation_names_the_jobs_at_work_on_it_and_no_others(client: httpx.Client, session: Session) -> None:
    here = create_evaluation(client, run="codellama-7b", problem_set="sums")
    elsewhere = create_evaluation(client, run="codellama-7b", problem_set="products")
    judging, importing = verification(client, here), submitted(client)["id"]
    attempt = taken(session, judging)
    service.record_progress(session, attempt, 412, 1024, 12.2, tell=True)
    session.commit()
    shown = page(client, f"/evaluations/{here}")
    assert "verifying 412 of 1,024, 12/s, 50 s left import waits" in shown.text
    assert {f"/jobs/{judging}", f"/jobs/{importing}"} <= set(shown.values("href"))
    other = page(client, f"/evaluations/{elsewhere}")
    assert not [each for each in other.values("href") if each.startswith("/jobs/")]
    assert not other.values("data-every"), "nothing changes it"
    for job_id in (judging, importing):
        ended(session, job_id, "succeeded")
    assert not page(client, f"/evaluations/{here}").values("data-every")


def test_the_list_asks_the_database_a_fixed_number_of_times(client: httpx.Client, session: Session) -> None:
    job = submitted(client)
    with queries_counted(client) as queries_of:
        few = queries_of("/jobs"), queries_of(f"/jobs/{job['id']}")
        for i in range(20):
            submitted(client, run=f"run-{i}")
            verification(client, create_evaluation(client, run=f"run-{i}"))
        assert (queries_of("/jobs"), queries_of(f"/jobs/{job['id']}")) == few
    assert max(few) <= 14, few


def test_another_projects_upload_or_job_is_not_told(client: httpx.Client, session: Session) -> None:
    stored = upload(client, filename="secret.jsonl")
    client.post("/v1/jobs", json=import_of(stored["id"])).raise_for_status()
    assert "secret.jsonl" in page(client, "/jobs").text
    session.execute(text("INSERT INTO projects (name) VALUES ('another')"))
    session.execute(text("UPDATE uploads SET project_id = (SELECT id FROM projects WHERE name = 'another')"))
    session.commit()
    assert "secret.jsonl" not in page(client, "/jobs").text
    session.execute(text("UPDATE jobs SET project_id = (SELECT id FROM projects WHERE name = 'another')"))
    session.commit()
    assert "There are no jobs yet." in page(client, "/jobs").text
