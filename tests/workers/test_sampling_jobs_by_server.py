"""Sampling jobs that ask a server: what is asked, what is stored, and what is asked again after a crash."""

import json
import threading
import time
from collections.abc import Iterator
from signal import SIGKILL

import httpx
import pytest
from sqlalchemy import URL

from tests.app.processes import eventually
from tests.app.serving import serving
from tests.conftest import fresh_database
from tests.workers.sampling.test_openai_engine import Asked, Reply, completion, server
from tests.workers.sampling_jobs import PROBLEMS, completions, evaluation_of, sampler, spec
from tests.workers.working import ended, job, jobs_of, send, submit


class Gate:
    """A server's answers: each takes some seconds; those beyond `open_for` wait until it is opened."""

    def __init__(self, open_for: int, seconds: float = 0.01) -> None:
        self.room = threading.Semaphore(open_for)
        self.seconds = seconds
        self.whole = threading.Event()

    def __call__(self, asked: Asked, before: int) -> Reply | None:
        while not (self.whole.is_set() or self.room.acquire(timeout=0.05)):
            pass
        time.sleep(self.seconds)
        return completion(asked)


@pytest.fixture(scope="module")
def beside(
    postgres_url: URL, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[httpx.Client, int]]:
    """A client of a service, and the pid of the worker beside it."""
    folder = tmp_path_factory.mktemp("data")
    with (
        fresh_database(postgres_url, template=migrated_template) as database_url,
        serving(database_url, data_dir=folder) as url,
        sampler(database_url, folder, PKPO_JUDGED_EVERY="0.5") as worker,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield client, worker.pid


def test_after_a_crash_only_what_is_missing_is_asked_for(beside: tuple[httpx.Client, int]) -> None:
    client, worker = beside
    gate = Gate(open_for=40)
    with server(gate) as (base_url, asked):
        options = {"base_url": base_url, "concurrency": 4}
        told = spec(client, "resumed", "m", engine="openai", engine_options=options, n=12, verifiers=["exact-match"])
        path = submit(client, "sampling", told)
        eventually(lambda: job(client, path)["progress"]["done"] == 40, 60)
        stored = completions(client, evaluation_of_log(client, path))
        assert len(stored) == 40
        send(jobs_of(worker)[0], SIGKILL)
        before = len(asked)
        gate.whole.set()
        done = ended(client, path, 60)
        assert (done["state"], done["attempt"], done["progress"]["done"]) == ("succeeded", 2, 96), done
        again = {each.body["seed"] for each in asked[before:]}
        assert len(asked) - before == 96 - 40
        assert not again & {each["seed"] for each in stored}
    rows = completions(client, evaluation_of(client, "resumed"))
    assert len(rows) == len({(row["problem"], row["sample_index"]) for row in rows}) == 12 * len(PROBLEMS)
    assert all(row["text"] == str(row["seed"]) for row in rows)  # this server answers with the seed
    assert {(row["finish_reason"], row["completion_tokens"], row["logprob"]) for row in rows} == {("stop", 2, -0.75)}
    curve = f"{evaluation_of(client, 'resumed')}/curve?k=1"
    eventually(lambda: client.get(curve).status_code == 200, 30)
    assert client.get(curve).json()["unbiased"]


def test_a_job_whose_run_is_deleted_under_it_says_so(beside: tuple[httpx.Client, int]) -> None:
    client, _ = beside
    gate = Gate(open_for=4)
    with server(gate) as (base_url, _):
        options = {"base_url": base_url, "concurrency": 2}
        path = submit(client, "sampling", spec(client, "deleted", "m", engine="openai", engine_options=options))
        eventually(lambda: job(client, path)["progress"]["done"] == 4, 60)
        client.delete("/v1/runs/deleted").raise_for_status()
        gate.whole.set()
        done = ended(client, path, 60)
    assert (done["state"], done["attempt"]) == ("failed", 1)
    assert done["error"]["detail"].startswith("Its evaluation was deleted, or the run that it was of")


def evaluation_of_log(client: httpx.Client, path: str) -> str:
    """The path of the evaluation that a running job's log names."""
    with client.stream("GET", f"{path}/events") as lines:
        for line in lines.iter_lines():
            if line.startswith("data: ") and "evaluation " in line:
                [said] = [each for each in json.loads(line[6:])["lines"] if each.startswith("evaluation ")]
                return f"/v1/evaluations/{said.split()[1].rstrip(':')}"
    raise AssertionError("it does not say")


def judged(client: httpx.Client, path: str) -> int:
    """How many completions of an evaluation have a verdict."""
    return sum(bool(row["verifications"]) for row in completions(client, path))


def test_completions_are_judged_while_sampling_goes_on_and_after_it_was_cancelled(
    beside: tuple[httpx.Client, int],
) -> None:
    client, _ = beside
    gate = Gate(open_for=40, seconds=0.2)
    with server(gate) as (base_url, _):
        options = {"base_url": base_url, "concurrency": 4}
        told = spec(client, "meanwhile", "m", engine="openai", engine_options=options, n=12, verifiers=["exact-match"])
        path = submit(client, "sampling", told)
        evaluation = evaluation_of_log(client, path)
        eventually(lambda: judged(client, evaluation) > 0, 60)
        eventually(lambda: job(client, path)["progress"]["done"] == 40, 30)
        assert job(client, path)["state"] == "running"
        client.post(f"{path}/cancel", json={}).raise_for_status()
        assert ended(client, path)["state"] == "cancelled"
        gate.whole.set()
    eventually(lambda: judged(client, evaluation) == 40, 30)
    assert len(completions(client, evaluation)) == 40


def test_a_limit_draws_the_first_problems_and_leaves_the_others_missing(beside: tuple[httpx.Client, int]) -> None:
    client, _ = beside
    with server(completion) as (base_url, asked):
        told = spec(client, "limited", "m", engine="openai", engine_options={"base_url": base_url}, limit=3)
        done = ended(client, submit(client, "sampling", told))
        assert (done["state"], done["progress"]["total"]) == ("succeeded", 6)
        assert {each.body["prompt"] for each in asked} == {f"{name}=" for name in list(PROBLEMS)[:3]}
        path = evaluation_of_log(client, f"/v1/jobs/{done['id']}")
        missing = client.get(f"{path}/missing").json()
        assert (missing["n"], missing["total"]) == (2, 10)


def test_at_most_one_job_of_a_verifier_waits(beside: tuple[httpx.Client, int]) -> None:
    client, _ = beside
    with server(completion) as (base_url, _):
        told = spec(client, "judged", "m", engine="openai", engine_options={"base_url": base_url}, n=1)
        # No worker here takes math-verify, so that its job waits.
        told["verifiers"] = ["math-verify", "exact-match@1"]
        for n in (1, 2, 3):
            done = ended(client, submit(client, "sampling", told | {"n": n}))
            assert done["state"] == "succeeded", done
    id_ = evaluation_of(client, "judged").rpartition("/")[2]
    queued = [
        each["spec"]["verifier"]
        for each in client.get("/v1/jobs?kind=verification").json()["jobs"]
        if each["spec"]["evaluation"] == id_ and each["state"] == "queued"
    ]
    assert queued.count("math-verify") == 1
    eventually(lambda: not client.get("/v1/jobs?kind=verification&state=running").json()["jobs"], 30)


def test_a_server_that_refuses_fails_the_job_with_what_it_said(beside: tuple[httpx.Client, int]) -> None:
    client, _ = beside

    def refuses_the_last(asked: Asked, before: int) -> Reply:
        return Reply(400, "prompt too long") if asked.body["prompt"] == "1+3=" else completion(asked, before)

    with server(refuses_the_last) as (base_url, _):
        options = {"base_url": base_url, "concurrency": 1}
        told = spec(client, "refused", "m", engine="openai", engine_options=options, verifiers=["exact-match"])
        path = submit(client, "sampling", told)
        failed = ended(client, path)
        assert (failed["state"], failed["attempt"]) == ("failed", 1)
        assert "Problem '1+3', completion 0: " in failed["error"]["detail"]
        assert "400 Bad Request: prompt too long." in failed["error"]["detail"]
        assert failed["progress"]["done"] == 14  # what came before stays, and a retry goes on from there
        evaluation = evaluation_of_log(client, path)
        assert len(completions(client, evaluation)) == 14
    eventually(lambda: judged(client, evaluation) == 14, 30)


def test_texts_that_cannot_be_stored_are_made_so(beside: tuple[httpx.Client, int]) -> None:
    client, _ = beside
    body = {"choices": [{"text": "a\0b", "finish_reason": "x" * 900}], "usage": None}
    with server(lambda asked, before: Reply(200, json.dumps(body))) as (base_url, _):
        told = spec(client, "hostile", "m", engine="openai", engine_options={"base_url": base_url}, limit=1, n=1)
        done = ended(client, submit(client, "sampling", told))
        assert done["state"] == "succeeded", done
    [row] = completions(client, evaluation_of_log(client, f"/v1/jobs/{done['id']}"))
    assert (row["text"], row["finish_reason"]) == ("a\ufffdb", "x" * 200)
