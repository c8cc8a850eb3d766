"""Jobs over REST: submitted with what queues them in one transaction, listed, cancelled, retried, followed."""

import json
import time
from http.client import HTTPConnection
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from app.auth.service import Caller
from app.config import Settings
from app.jobs import service
from app.jobs.specs import NewJob, VerificationSpec
from app.models import Job, Project
from tests.app.ingesting import evaluation
from tests.app.processes import eventually

OCTETS = {"Content-Type": "application/octet-stream"}
QUEUED = text("SELECT queue_name, priority FROM procrastinate_jobs ORDER BY id")


def upload(
    client: httpx.Client, content: bytes = b'{"problem": "p", "passed": true}\n', **query: str
) -> dict[str, Any]:
    answer = client.post("/v1/uploads", content=content, headers=OCTETS, params=query)
    assert answer.status_code == 201, answer.text
    stored: dict[str, Any] = answer.json()
    return stored


def import_of(upload_id: str, **spec: Any) -> dict[str, Any]:
    return {"kind": "import", "spec": {"upload": upload_id, "run": "codellama-7b", "problem_set": "sums", **spec}}


def submitted(client: httpx.Client, **spec: Any) -> dict[str, Any]:
    answer = client.post("/v1/jobs", json=import_of(upload(client)["id"], **spec))
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    return job


def ended(session: Session, job_id: str, state: str) -> None:
    """The job as a worker would leave it."""
    session.execute(update(Job).where(Job.uuid == UUID(job_id)).values(state=state, attempt=2, finished_at=func.now()))
    session.commit()


def events(client: httpx.Client, job_id: str, after: int | None = None) -> list[tuple[int, str]]:
    """The id and name of every event that a follower is sent."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    answer = client.get(f"/v1/jobs/{job_id}/events", headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    blocks = [dict(line.split(": ", 1) for line in block.split("\n")) for block in answer.text.strip().split("\n\n")]
    return [(int(block["id"]), block["event"]) for block in blocks if "id" in block]


def test_a_job_is_queued_and_says_where_it_is(client: httpx.Client) -> None:
    answer = client.post("/v1/jobs", json=import_of(upload(client)["id"]) | {"priority": 7})
    job = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["kind"], job["state"], job["attempt"], job["error"]) == ("import", "queued", 0, None)
    assert job["progress"] == {"done": 0, "total": None, "rate": None, "remaining": None}
    assert job["spec"]["version"] == 1
    assert list(job["spec"]) == ["version", "upload", "run", "step", "problem_set", "sampling"]  # as it is documented
    assert client.get(answer.headers["location"]).json() == job


def test_row_and_queue_are_there_together_or_not_at_all(client: httpx.Client, session: Session) -> None:
    path = evaluation(client)
    spec = VerificationSpec(evaluation=UUID(path.rpartition("/")[2]), verifier="exact-match")
    project_id = session.scalars(select(Project.id)).one()
    caller = Caller(project_id, None, frozenset())
    service.submit(session, caller, Settings(), NewJob(kind="verification", spec=spec, priority=3))
    assert session.execute(QUEUED).all() == [("cpu/verify", 3)]
    session.rollback()
    assert session.execute(QUEUED).all() == []
    assert session.scalar(select(func.count()).select_from(Job)) == 0


def test_a_job_sent_again_under_its_key_is_one_job(client: httpx.Client, session: Session) -> None:
    body, key = import_of(upload(client)["id"]), {"Idempotency-Key": "import-1"}
    first, again = (client.post("/v1/jobs", json=body, headers=key) for _ in range(2))
    assert again.status_code == 202
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert len(session.execute(QUEUED).all()) == 1


NOBODY = str(uuid4())
OF_NOTHING = {"upload": NOBODY, "run": "r"}


@pytest.mark.parametrize(
    ("kind", "spec", "type_", "pointer"),
    [
        ("import", {"run": "r"}, "invalid-request", "/spec/upload"),
        ("import", {"upload": "no id", "run": "r"}, "invalid-request", "/spec/upload"),
        ("import", OF_NOTHING, "invalid-request", "/spec/upload"),
        ("import", OF_NOTHING | {"steps": 1}, "invalid-request", "/spec"),
        ("import", OF_NOTHING | {"version": 2}, "invalid-request", "/spec/version"),
        ("import", OF_NOTHING | {"run": "a/b"}, "invalid-request", "/spec/run"),
        ("import", [], "invalid-request", "/spec"),
        ("imports", {}, "invalid-request", "/kind"),
        ("verification", {"evaluation": NOBODY, "verifier": "exact-match"}, "invalid-request", "/spec/evaluation"),
        ("verification", {"evaluation": NOBODY, "verifier": "exact"}, "verifier-not-offered", "/spec/verifier"),
        ("training", {}, "invalid-request", "/spec/run"),
    ],
)
def test_a_job_that_could_only_fail_is_refused_with_a_pointer(
    shared_client: httpx.Client, kind: str, spec: Any, type_: str, pointer: str
) -> None:
    answer = shared_client.post("/v1/jobs", json={"kind": kind, "spec": spec})
    assert (answer.status_code, answer.json()["type"]) == (422, type_), answer.text
    assert pointer in [each["pointer"] for each in answer.json()["errors"]], answer.text


@pytest.mark.parametrize("run", ["", "a/b", "café", "ｒｕｎ", "r" * 201, "a\n"])
def test_a_name_that_no_run_can_have_is_refused_in_words(shared_client: httpx.Client, run: str) -> None:
    says = "a name has 1 to 200 letters of a to z or A to Z, digits and . _ : @ -"
    answer = shared_client.post("/v1/jobs", json={"kind": "import", "spec": OF_NOTHING | {"run": run}})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"pointer": "/spec/run", "code": says}]
    answer = shared_client.post("/v1/jobs", json={"kind": "import", "spec": OF_NOTHING | {"problem_set": f"{run}@@1"}})
    assert 'code":"a name has 1 to 200 letters' in answer.text or "at most 200 characters" in answer.text


def test_a_format_that_no_reader_has_is_refused_at_submission(shared_client: httpx.Client) -> None:
    answer = shared_client.post("/v1/jobs", json=import_of(upload(shared_client)["id"], format="xml"))
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/spec/format")


def test_counts_alone_are_nothing_to_verify(shared_client: httpx.Client) -> None:
    path = evaluation(shared_client, run="counted-only")
    counts = {"counts": [{"problem": "a", "n": 2, "c": 1}]}
    shared_client.post(f"{path}/counts", json=counts).raise_for_status()
    spec = {"evaluation": path.rpartition("/")[2], "verifier": "exact-match"}
    answer = shared_client.post("/v1/jobs", json={"kind": "verification", "spec": spec})
    assert (answer.status_code, answer.json()["type"]) == (409, "counts-only")


def test_jobs_are_listed_newest_first_by_state_and_kind(client: httpx.Client, session: Session) -> None:
    ids = [submitted(client, step=step)["id"] for step in range(3)]
    ended(session, ids[1], "failed")
    first = client.get("/v1/jobs?limit=2").json()
    rest = client.get("/v1/jobs", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [job["id"] for job in first["jobs"] + rest["jobs"]] == ids[::-1]
    assert rest["next_cursor"] is None
    assert [job["id"] for job in client.get("/v1/jobs?state=failed").json()["jobs"]] == [ids[1]]
    assert client.get("/v1/jobs?kind=verification").json()["jobs"] == []
    assert client.get("/v1/jobs?state=asleep").status_code == 422


def test_a_queued_job_is_cancelled_at_once_and_stays_so(client: httpx.Client) -> None:
    job = submitted(client)
    for _ in range(2):
        answer = client.post(f"/v1/jobs/{job['id']}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")
    assert answer.json()["finished_at"] is not None


def test_a_running_job_is_asked_to_stop(client: httpx.Client, session: Session) -> None:
    job = submitted(client)
    session.execute(update(Job).values(state="running", attempt=1))
    session.commit()
    assert client.post(f"/v1/jobs/{job['id']}/cancel").json()["state"] == "running"
    assert session.scalar(select(Job.cancel_requested_at)) is not None


def test_a_running_job_whose_worker_is_gone_is_cancelled_at_once(client: httpx.Client, session: Session) -> None:
    job = submitted(client)
    gone = text("UPDATE jobs SET state = 'running', attempt = 1, leased_until = now() - interval '1 second'")
    session.execute(gone)
    session.commit()
    assert client.post(f"/v1/jobs/{job['id']}/cancel").json()["state"] == "cancelled"


def test_a_worker_shows_the_jobs_that_it_is_at(client: httpx.Client, session: Session) -> None:
    job = submitted(client)
    worker = service.register(session, "gpu-01", 4711, ["cpu"], ["import"])
    id_ = session.scalars(select(Job.id)).one()
    assert service.claim(session, id_, worker, lease=30) is not None
    assert service.claim(session, id_, worker, lease=30) is None, "it is taken"
    session.commit()
    assert client.get("/v1/workers").json()["workers"][0]["jobs"] == [job["id"]]
    shown = client.get(f"/v1/jobs/{job['id']}").json()
    assert (shown["state"], shown["attempt"]) == ("running", 1)


@pytest.mark.parametrize("state", ["failed", "dead", "cancelled"])
def test_what_came_to_nothing_is_queued_again_with_all_attempts(
    client: httpx.Client, session: Session, state: str
) -> None:
    job = submitted(client)
    ended(session, job["id"], state)
    answer = client.post(f"/v1/jobs/{job['id']}/retry")
    assert (answer.status_code, answer.json()["state"], answer.json()["attempt"]) == (202, "queued", 0)
    assert len(session.execute(QUEUED).all()) == 2
    assert session.scalar(select(Job.attempt)) == 2, "the fence never goes back"


def test_what_has_ended_is_not_cancelled_and_what_succeeded_not_repeated(
    client: httpx.Client, session: Session
) -> None:
    job = submitted(client)
    ended(session, job["id"], "succeeded")
    for action in ("cancel", "retry"):
        answer = client.post(f"/v1/jobs/{job['id']}/{action}")
        assert (answer.status_code, answer.json()["type"]) == (409, "job-over"), action


def test_a_job_nobody_has_is_not_found(shared_client: httpx.Client) -> None:
    path = f"/v1/jobs/{uuid4()}"
    answers = [shared_client.get(path), shared_client.get(f"{path}/events"), shared_client.post(f"{path}/cancel")]
    assert [answer.status_code for answer in answers] == [404] * 3


def test_who_follows_a_job_is_told_all_and_then_let_go(client: httpx.Client) -> None:
    job = submitted(client)["id"]
    client.post(f"/v1/jobs/{job}/cancel")
    told = events(client, job)
    assert [kind for _, kind in told] == ["state", "state"]
    assert events(client, job, after=told[0][0]) == told[1:]
    assert events(client, job, after=told[1][0]) == []
    assert client.get(f"/v1/jobs/{job}/events", headers={"Last-Event-ID": "x"}).status_code == 422


def test_a_hundred_followers_hold_neither_thread_nor_session(client: httpx.Client, base_url: str) -> None:
    """There are 40 threads and 24 sessions: were they held, nobody else would be answered."""
    job = submitted(client)["id"]
    limits = httpx.Limits(max_connections=None)
    with httpx.Client(base_url=base_url, limits=limits, timeout=60) as followers:
        streams = [
            followers.send(followers.build_request("GET", f"/v1/jobs/{job}/events"), stream=True) for _ in range(100)
        ]
        started = time.monotonic()
        assert client.get(f"/v1/jobs/{job}").status_code == 200
        assert time.monotonic() - started < 30
        client.post(f"/v1/jobs/{job}/cancel").raise_for_status()
        assert all(b'"cancelled"' in stream.read() for stream in streams)


def test_a_job_shows_that_nobody_can_take_it_and_who_could(client: httpx.Client, session: Session) -> None:
    job = submitted(client)
    assert (job["capability"], job["workers"]) == ("import", 0)
    able = service.register(session, "gpu-01", 4711, ["cpu"], ["import"])
    service.register(session, "gpu-02", 4712, ["gpu"], ["import"])
    service.register(session, "gpu-03", 4713, ["cpu"], ["verify"])
    session.commit()
    assert client.get(f"/v1/jobs/{job['id']}").json()["workers"] == 1
    service.unregister(session, able)
    session.commit()
    assert client.get(f"/v1/jobs/{job['id']}").json()["workers"] == 0
    workers = client.get("/v1/workers").json()["workers"]
    assert [(each["host"], each["live"]) for each in workers] == [("gpu-03", True), ("gpu-02", True), ("gpu-01", False)]


def test_a_worker_that_is_silent_counts_as_gone(client: httpx.Client, session: Session) -> None:
    service.register(session, "gpu-01", 4711, ["cpu"], ["import"])
    session.execute(text("UPDATE workers SET heartbeat_at = now() - interval '31 seconds'"))
    session.commit()
    assert [each["live"] for each in client.get("/v1/workers").json()["workers"]] == [False]


def test_the_same_file_twice_takes_the_room_of_one(client: httpx.Client, session: Session) -> None:
    first, second = (upload(client, b"the same", filename=name) for name in ("a.jsonl", "b.jsonl"))
    assert first["id"] != second["id"]
    assert (first["sha256"], first["size"], second["filename"]) == (second["sha256"], 8, "b.jsonl")
    assert session.scalar(text("SELECT count(DISTINCT path) FROM uploads")) == 1


@pytest.mark.parametrize("name", ["../x", "a/b", "", "a\0b"])
def test_a_file_is_not_called_after_a_place(shared_client: httpx.Client, name: str) -> None:
    answer = shared_client.post("/v1/uploads", content=b"x", headers=OCTETS, params={"filename": name})
    assert answer.status_code == 422


def test_a_file_is_bounded(shared_client: httpx.Client) -> None:
    connection = HTTPConnection(shared_client.base_url.host, shared_client.base_url.port or 80, timeout=30)
    connection.putrequest("POST", "/v1/uploads")
    for name, value in (OCTETS | {"Content-Length": str(128 * 2**20 + 1)}).items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["type"]) == (413, "body-too-large")
    connection.close()


def test_a_follower_sees_what_happens_while_it_looks(client: httpx.Client) -> None:
    job = submitted(client)["id"]
    with client.stream("GET", f"/v1/jobs/{job}/events") as stream:
        lines = stream.iter_lines()
        eventually(lambda: '"queued"' in next(lines))
        client.post(f"/v1/jobs/{job}/cancel").raise_for_status()
        eventually(lambda: '"cancelled"' in next(lines))
