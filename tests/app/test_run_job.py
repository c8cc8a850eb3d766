"""A run's page over HTTP leads to the job that trains it, and says how that stands."""

from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.jobs import service
from app.jobs.service import Attempt
from app.models import Job
from tests.app.ingesting import evaluation
from tests.app.test_page_answers import page
from tests.app.test_pages import addresses
from tests.workers.training_jobs import spec, sums

RUN = "countdown-k4"


def queued(client: httpx.Client, run: str = RUN, **more: Any) -> str:
    """The id of a training job that waits."""
    answer = client.post("/v1/jobs", json={"kind": "training", "spec": spec(run, sums(client, "sums"), **more)})
    assert answer.status_code == 202, answer.text
    id_: str = answer.json()["id"]
    return id_


def taken(session: Session, id_: str) -> Attempt:
    """The attempt of a worker that has just taken the job."""
    key = session.scalars(select(Job.id).filter_by(uuid=UUID(id_))).one()
    claimed = service.claim(session, key, service.register(session, "gpu-01", 1, ["gpu"], ["train"]), lease=600)
    session.commit()
    assert claimed is not None
    return claimed.attempt


def told(client: httpx.Client, run: str = RUN) -> str:
    """What the page says of the job."""
    shown = page(client, f"/runs/{run}").text
    return shown.partition("Training job ")[2].partition(" checkpoints ")[0]


def test_a_run_leads_to_its_job_and_follows_it_to_its_end(client: httpx.Client, session: Session) -> None:
    id_ = queued(client)
    evaluation(client, run=RUN, problem_set="held-out")
    assert told(client) == f"{id_[:8]} : queued : no worker is there that could take it"
    assert addresses(page(client, f"/runs/{RUN}"), "/jobs/")[:1] == [f"/jobs/{id_}"]
    attempt = taken(session, id_)
    assert told(client) == f"{id_[:8]} : running"
    known = {"If-None-Match": client.get(f"/runs/{RUN}").headers["etag"]}
    assert client.get(f"/runs/{RUN}", headers=known).status_code == 304
    service.record_progress(session, attempt, 82, 150, 1.0, tell=False)
    session.commit()
    assert client.get(f"/runs/{RUN}", headers=known).status_code == 200, "the page that a browser shows is an old one"
    assert told(client) == f"{id_[:8]} : running , step 82 of 150"
    client.post(f"/v1/jobs/{id_}/cancel").raise_for_status()
    assert told(client) == f"{id_[:8]} : running, being stopped , step 82 of 150"
    service.fail(session, attempt, "There is nothing to learn from.")
    service.finish(session, attempt)
    session.commit()
    assert told(client) == f"{id_[:8]} : failed , step 82 of 150. There is nothing to learn from."


def test_each_run_of_a_job_with_several_seeds_leads_to_it(client: httpx.Client, session: Session) -> None:
    id_ = queued(client, seeds=[3, 5])
    for run in (f"{RUN}-seed-5", f"{RUN}-seed-7"):
        evaluation(client, run=run, problem_set="held-out")
    service.record_progress(session, taken(session, id_), 82, 300, None, tell=False)
    session.commit()
    assert told(client, f"{RUN}-seed-5") == f"{id_[:8]} : running , 82 of 300 steps of its 2 runs"
    assert "Training job" not in page(client, f"/runs/{RUN}-seed-7").text


def test_the_newest_job_is_told_and_none_of_a_run_of_this_name_that_was_deleted(
    client: httpx.Client, session: Session
) -> None:
    first = queued(client)
    client.post(f"/v1/jobs/{first}/cancel").raise_for_status()
    session.execute(update(Job).values(finished_at=func.now() - func.make_interval(0, 0, 0, 1)))
    session.commit()
    evaluation(client, run=RUN, problem_set="held-out")
    assert "Training job" not in page(client, f"/runs/{RUN}").text
    second = queued(client)
    client.post(f"/v1/jobs/{second}/cancel").raise_for_status()
    assert told(client).startswith(f"{second[:8]} : cancelled")
    third = queued(client)
    assert told(client).startswith(f"{third[:8]} : queued")
