from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.jobs.specs import OFFERS, VERIFIERS
from app.pages.jobs import WANTED
from dashboards.jobs_page import (
    FORMS,
    REMEDIES,
    About,
    Change,
    JobPage,
    JobRow,
    JobsPage,
    NewJobPage,
    WorkerRow,
    render_job,
    render_jobs,
    render_new_job,
)
from dashboards.numerals import duration, pace
from dashboards.pages import JobAtWork, render_evaluation
from tests.dashboards.examples import SERVER, Page, evaluation_page
from tests.dashboards.test_pages import HOSTILE

NOW = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
ID = "8f14e45f-ceea-467f-a3d1-6e3f0f5c1a2b"
ABOUT = About("codellama-7b", "/runs/codellama-7b", 200, "sums@1", "/evaluations/1", "exact-match", "results.jsonl")
JOB = JobRow(
    id=ID,
    kind="sampling",
    state="running",
    attempt=2,
    done=412,
    total=1024,
    rate=12.3,
    remaining=49.8,
    queue="gpu",
    capability="sampling:vllm",
    workers=1,
    priority=0,
    created=NOW - timedelta(minutes=3),
    started=NOW - timedelta(minutes=2),
    finished=None,
    error=None,
    about=ABOUT,
)
WORKER = WorkerRow("gpu-01", 4711, ("cpu", "gpu"), tuple(REMEDIES), True, NOW, NOW - timedelta(hours=2), (ID,))
LIST = JobsPage(NOW, SERVER, (JOB,), (WORKER,), WANTED, tuple(OFFERS), ("queued", "running"))
PAGE = JobPage(NOW, JOB, {"run": "codellama-7b"}, WORKER, (Change(NOW, "running", 2),), ("drawing",), None, True)
FORM = NewJobPage("import", FORMS, {}, ("exact-match",), ("vllm",), ("jsonl",), ("sums@1",), 2**27)


def listed(**changes: object) -> Page:
    return Page(render_jobs(replace(LIST, **changes)))  # type: ignore[arg-type]


def shown(**changes: object) -> Page:
    return Page(render_job(replace(PAGE, **changes)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-0.4, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (86400, "1 d"),
        (100 * 86400 + 4 * 3600, "100 d 4 h"),
    ],
)
def test_a_length_of_time_is_told_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds).replace("\N{NO-BREAK SPACE}", " ") == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [(12345.6, "12,346/s"), (12.3, "12/s"), (1, "1/s"), (0.06, "3.6/min"), (0.0005, "1.8/h"), (1e-9, "less than 1/h")],
)
def test_a_rate_is_told_by_the_second_minute_or_hour(rate: float, text: str) -> None:
    assert pace(rate) == text


def test_progress_is_told_in_words_with_rate_and_remaining_time_only_while_it_runs() -> None:
    assert JOB.progress.replace("\N{NO-BREAK SPACE}", " ") == "412 of 1,024, 12/s, 50 s left"
    assert replace(JOB, total=None, remaining=None).progress == "412 done, 12/s"
    assert replace(JOB, state="failed").progress == "412 of 1,024"
    training = replace(JOB, kind="training", done=244, total=400, rate=0.58, remaining=240.0)
    assert training.progress.replace("\N{NO-BREAK SPACE}", " ") == "244 of 400 steps, 35/min, 4 min left"
    assert replace(training, total=None, remaining=None).progress == "244 steps done, 35/min"


def test_of_a_model_that_is_taught_and_not_trained_no_steps_are_counted() -> None:
    taught = replace(JOB, kind="training", state="succeeded", done=0, total=0)
    assert "succeeded" in listed(jobs=(taught,)).text
    assert "0 of 0" not in listed(jobs=(taught,)).text
    assert replace(JOB, total=0).share is None
    assert replace(JOB, done=2000).share == 1.0


def test_a_job_in_the_list_leads_to_its_page_run_and_evaluation() -> None:
    page = listed()
    for address in (f"/jobs/{ID}", "/runs/codellama-7b", "/evaluations/1"):
        assert address in page.values("href")
    assert "codellama-7b step 200 on sums@1 by exact-match from results.jsonl running" in page.text
    assert page.values("value")[-1] == "0.4023"
    assert "3 min ago" in page.text
    assert "/jobs?state=running" in listed(running=2, kind=None).values("href"), "wherever in the list those stand"
    assert "2 running · New job" in listed(running=2).text


def test_what_no_worker_takes_is_named_with_the_remedy() -> None:
    assert LIST.not_offered == {}
    assert "make worker" in listed(workers=()).text
    cpu_only = replace(WORKER, queues=("cpu",), capabilities=("import", "verify", "sampling:vllm"))
    lacking = replace(LIST, workers=(cpu_only,)).not_offered
    assert "verify" not in lacking
    assert "apt install bubblewrap" in lacking["verify:python"][1]
    assert "--queue gpu" in lacking["sampling:vllm"][1]
    gone = replace(LIST, workers=(replace(WORKER, live=False),))
    assert set(gone.not_offered) == {capability for _, capability in WANTED}
    assert not gone.any_live


def test_there_is_a_remedy_for_all_that_a_job_may_ask_for() -> None:
    assert {capability for _, capability in WANTED} <= set(REMEDIES)
    assert set(VERIFIERS.values()) <= set(REMEDIES)


def test_a_queued_job_that_nobody_can_take_says_so() -> None:
    waits = replace(JOB, state="queued", workers=0, done=0, total=None)
    assert "No worker is there that offers sampling:vllm on queue gpu" in listed(jobs=(waits,)).text
    assert "make worker installs vLLM" in shown(job=waits).text
    assert "No worker is there" not in shown(job=replace(waits, workers=1)).text


@pytest.mark.parametrize(
    ("state", "acts", "live"),
    [
        *(("queued", ["cancel"], True), ("running", ["cancel"], True), ("succeeded", [], False)),
        *((state, ["retry"], False) for state in ("failed", "dead", "cancelled")),
    ],
)
def test_a_job_can_be_cancelled_until_it_ends_and_retried_where_it_did_not_succeed(
    state: str, acts: list[str], live: bool
) -> None:
    page = shown(job=replace(JOB, state=state))
    assert page.values("data-act") == [f"/v1/jobs/{ID}/{act}" for act in acts]
    assert bool(page.values("data-every")) == live
    assert shown(job=replace(JOB, stopping=True)).values("data-act") == []


def test_a_form_names_for_each_field_the_place_that_an_error_would_name() -> None:
    for kind in (each for each in FORMS if each != "training"):
        page = Page(render_new_job(replace(FORM, kind=kind)))
        ids, paths = page.values("id"), page.values("data-path")
        assert len(ids) == len(set(ids))
        fields = OFFERS[kind].request.json_schema()["$defs"]
        spec = next(fields[name] for name in fields if name.endswith("Spec"))["properties"]
        shown_fields = {path.split("/")[2] for path in paths if path.startswith("/spec/")}
        assert shown_fields == set(spec) - {"version"}, "every member of the spec, and no other"
        for path in paths:
            assert f"{path.rpartition('/')[2]}-error" in ids


def test_a_form_suggests_what_there_is() -> None:
    there = replace(FORM, runs=("my-run",), evaluations={ID: "my-run step 3 on sums@1"}, without_options=("arc-grid",))
    verification = Page(render_new_job(replace(there, kind="verification")))
    assert {ID, "exact-match"} <= set(verification.values("value"))
    assert "my-run step 3 on sums@1" in verification.values("label")
    sampling = Page(render_new_job(replace(there, kind="sampling"))).values("value")
    assert {"my-run", "sums@1", "arc-grid"} <= set(sampling)
    assert "exact-match" not in sampling, "only what can be named without options"
    assert "my-run" in Page(render_new_job(there)).values("value")


def test_an_evaluation_that_a_job_writes_into_says_how_far_it_is_and_lives() -> None:
    at_work = (JobAtWork(f"/jobs/{ID}", "sampling", JOB.progress, JOB.share),)
    page = Page(render_evaluation(evaluation_page(at_work=at_work, running=3)))
    assert "sampling 412 of 1,024, 12/s, 50 s left" in page.text
    assert f"/jobs/{ID}" in page.values("href")
    assert page.values("data-every") == ["2"]
    assert "Jobs 3 Transform" in page.text
    assert Page(render_evaluation(evaluation_page())).values("data-every") == []


def test_hostile_text_is_shown_and_makes_no_element() -> None:
    error = replace(JOB, state="failed", error="plain")
    plain = shown(job=error, lines=("plain",), spec={"plain": "plain"}, history=(Change(NOW, "queued", 1, "plain"),))
    rows = listed(jobs=(replace(error, about=replace(ABOUT, run="plain")),))
    for text in [*HOSTILE, "</pre><script>alert(1)</script>", "</progress><b>"]:
        job = replace(JOB, state="failed", error=text, about=replace(ABOUT, run=text, filename=text, verifier=text))
        unkind = shown(
            job=job, lines=(text, text), spec={text: {text: text}}, history=(Change(NOW, "queued", 1, text),)
        )
        assert unkind.shape == plain.shape
        assert unkind.text.count(" ".join(text.split())) >= 5
        assert listed(jobs=(job,)).shape == rows.shape
        worker = replace(WORKER, host=text, capabilities=(text,))
        assert listed(workers=(worker,)).shape == listed(workers=(replace(WORKER, capabilities=("a",)),)).shape
        given = dict.fromkeys(("evaluation", "verifier"), text)
        form = Page(render_new_job(replace(FORM, kind="verification", given=given, evaluations={text: text})))
        one = replace(FORM, kind="verification", evaluations={"plain": "plain"})
        assert form.shape == Page(render_new_job(one)).shape
