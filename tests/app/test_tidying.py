"""What the service removes by itself of uploads, events and queues, what it keeps, and whose jobs it takes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from app.config import Settings
from app.db import make_engine
from app.jobs import service, tidying
from app.jobs.service import Attempt
from app.jobs.uploads import is_taken
from app.models import Job, JobEvent, Upload
from app.training.checkpoint import DELETED
from tests.app.processes import eventually
from tests.app.serving import serving
from tests.app.test_jobs import import_of, upload

TURNS = text("SELECT (args->>'job_id')::bigint FROM procrastinate_jobs ORDER BY 1")


class House(NamedTuple):
    """A service, its database and its data folder."""

    client: httpx.Client
    session: Session
    settings: Settings

    def tidy(self, step: tidying.Step) -> bool:
        more = tidying.take_step(self.session, self.settings, step)
        self.session.commit()
        return more

    def age(self, table: str, id_: str, **ages: str) -> None:
        """Set back the times of a row by what Postgres calls an interval."""
        set_ = ", ".join(f"{column} = now() - interval '{age}'" for column, age in ages.items())
        self.session.execute(text(f"UPDATE {table} SET {set_} WHERE uuid = :id"), {"id": id_})
        self.session.commit()

    def imported(self, upload_id: str, state: str, ago: str) -> dict[str, Any]:
        """A job of the upload that came into this state so long ago."""
        job: dict[str, Any] = self.client.post("/v1/jobs", json=import_of(upload_id)).raise_for_status().json()
        self.session.execute(update(Job).where(Job.uuid == UUID(job["id"])).values(state=state))
        if state not in ("queued", "running"):
            self.age("jobs", job["id"], finished_at=ago)
        self.session.commit()
        return job

    def uploads(self) -> list[str]:
        self.session.rollback()
        return [str(each) for each in self.session.scalars(select(Upload.uuid).order_by(Upload.id))]

    def files(self) -> int:
        return sum(1 for _ in (self.settings.data_dir / "uploads").iterdir())


@pytest.fixture
def house(database_url: str, tmp_path: Path, session: Session) -> Iterator[House]:
    with serving(database_url, data_dir=tmp_path) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield House(client, session, Settings(data_dir=tmp_path))


@pytest.mark.parametrize(
    ("jobs", "uploaded", "stays"),
    [
        ((), "6 days 23 hours", True),
        ((), "7 days 1 minute", False),
        ((("queued", ""),), "1 year", True),
        ((("running", ""),), "1 year", True),
        ((("succeeded", "23 hours"),), "1 year", True),
        ((("succeeded", "25 hours"),), "2 days", False),
        ((("succeeded", "25 hours"), ("failed", "25 hours")), "2 days", True),  # the failed one may be retried
        ((("failed", "25 hours"), ("succeeded", "25 hours")), "2 days", False),
        ((("cancelled", "6 days"),), "1 year", True),
        ((("dead", "8 days"),), "1 year", False),
        ((("succeeded", "1 year"), ("queued", "")), "1 year", True),
    ],
)
def test_an_upload_is_kept_while_somebody_may_need_it(
    house: House, jobs: tuple[tuple[str, str], ...], uploaded: str, stays: bool
) -> None:
    id_ = upload(house.client)["id"]
    for state, ago in jobs:
        house.imported(id_, state, ago)
    house.age("uploads", id_, created_at=uploaded)
    house.tidy(tidying.remove_uploads)
    assert (len(house.uploads()), house.files()) == ((1, 1) if stays else (0, 0))


def test_a_file_stays_while_another_upload_has_the_same_content(house: House) -> None:
    old, new = (upload(house.client)["id"] for _ in range(2))
    house.age("uploads", old, created_at="8 days")
    house.tidy(tidying.remove_uploads)
    assert (house.uploads(), house.files()) == ([new], 1)


def test_a_file_stays_while_the_same_content_is_being_stored(house: House, database_url: str) -> None:
    stored = upload(house.client)
    house.age("uploads", stored["id"], created_at="8 days")
    engine = make_engine(database_url)
    with Session(engine) as storing:
        assert not is_taken(storing, bytes.fromhex(stored["sha256"]))  # and from now on it is, by this transaction
        house.tidy(tidying.remove_uploads)
        assert (house.uploads(), house.files()) == ([stored["id"]], 1)
    engine.dispose()
    house.tidy(tidying.remove_uploads)
    assert (house.uploads(), house.files()) == ([], 0)


def test_one_process_tidies_at_a_time(house: House, database_url: str) -> None:
    house.age("uploads", upload(house.client)["id"], created_at="8 days")
    engine = make_engine(database_url)
    with Session(engine) as other:
        assert not tidying.take_step(other, house.settings, tidying.remove_drafts)
        assert not house.tidy(tidying.remove_uploads)
        assert house.files() == 1
    engine.dispose()


def test_a_job_whose_file_was_removed_is_told_so(house: House) -> None:
    id_ = upload(house.client)["id"]
    house.age("uploads", id_, created_at="8 days")
    house.tidy(tidying.remove_uploads)
    answer = house.client.post("/v1/jobs", json=import_of(id_))
    assert answer.status_code == 422
    assert "not any more" in answer.json()["detail"]


def test_of_an_ended_job_the_states_stay_the_log_for_thirty_days_and_progress_for_an_hour(house: House) -> None:
    job = house.imported(upload(house.client)["id"], "running", "")
    [id_] = house.session.scalars(select(Job.id))
    attempt = Attempt(id_, 0)
    service.record_log(house.session, attempt, ["a line"])
    for done in range(1500):
        service.record_progress(house.session, attempt, done, None, None, tell=True)
    house.session.commit()

    def kinds() -> set[str]:
        house.session.rollback()
        return set(house.session.scalars(select(JobEvent.kind)))

    house.tidy(tidying.remove_events)
    assert kinds() == {"state", "log", "progress"}
    house.session.execute(update(Job).values(state="failed"))
    for ago, left in (("59 minutes", {"state", "log", "progress"}), ("61 minutes", {"state", "log"})):
        house.age("jobs", job["id"], finished_at=ago)
        parts = 1
        while house.tidy(tidying.remove_events):
            parts += 1
        assert kinds() == left
    assert parts == 2  # of a thousand rows at most
    house.age("jobs", job["id"], finished_at="29 days 23 hours")
    house.tidy(tidying.remove_events)
    assert kinds() == {"state", "log"}
    house.age("jobs", job["id"], finished_at="30 days 1 hour")
    house.tidy(tidying.remove_events)
    assert kinds() == {"state"}
    assert house.client.get(f"/v1/jobs/{job['id']}").json()["state"] == "failed"


def test_a_turn_that_nobody_will_take_is_removed_and_a_retried_job_has_its_own(house: House) -> None:
    waits, cancelled, retried = (house.imported(upload(house.client)["id"], "queued", "")["id"] for _ in range(3))
    for id_ in (cancelled, retried):
        house.client.post(f"/v1/jobs/{id_}/cancel", json={}).raise_for_status()
    house.tidy(tidying.remove_turns)
    keys = dict(house.session.execute(select(Job.uuid, Job.id)).all())
    assert house.session.scalars(TURNS).all() == [keys[UUID(waits)]]
    house.client.post(f"/v1/jobs/{retried}/retry", json={}).raise_for_status()
    house.tidy(tidying.remove_turns)
    assert house.session.scalars(TURNS).all() == sorted([keys[UUID(waits)], keys[UUID(retried)]])


def test_what_is_left_of_the_weights_of_deleted_runs_is_removed(house: House, tmp_path: Path) -> None:
    runs = tmp_path / "checkpoints" / "1"
    for name in ("run", "run~0", f"run{DELETED}0a1b2c3d"):
        (runs / name / "step-000000001").mkdir(parents=True)

    def left() -> set[str]:
        house.tidy(tidying.remove_weights)  # not while the server itself is at it
        return {each.name for each in runs.iterdir()}

    eventually(lambda: left() == {"run", "run~0"})


def test_a_service_takes_jobs_from_dead_workers_and_tidies_by_itself(
    database_url: str, tmp_path: Path, session: Session
) -> None:
    with serving(database_url, data_dir=tmp_path) as url, httpx.Client(base_url=url, timeout=60) as client:
        house = House(client, session, Settings(data_dir=tmp_path))
        house.age("uploads", upload(client, b"old")["id"], created_at="8 days")
        job = house.imported(upload(client)["id"], "running", "")
    (tmp_path / "uploads" / "tmp-of-a-kill").touch()
    overdue = {"attempt": 1, "leased_until": text("now() - interval '1 second'")}
    session.execute(update(Job).values(overdue))
    session.commit()
    with serving(database_url, data_dir=tmp_path) as url, httpx.Client(base_url=url, timeout=60) as client:
        eventually(lambda: client.get(f"/v1/jobs/{job['id']}").json()["state"] == "queued")
        eventually(lambda: len(house.uploads()) == 1)
        assert house.files() == 2  # a draft that is young may be somebody's
        assert "did not say in time that it lives" in client.get(f"/jobs/{job['id']}").text
