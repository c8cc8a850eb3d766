"""The demo, but for what its jobs do: what it wants, what waits for what, and what its pages say."""

from pathlib import Path
from time import monotonic, sleep
from typing import Any, get_args

import httpx
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.auth.service import default_project
from app.config import Settings
from app.demo import service
from app.demo.plan import STUDIES, Demo, PartName, Size, queue_of
from app.demo.problems import Made
from app.jobs.specs import TrainingSpec
from app.models import Job, Run
from tests.app.processes import command_line
from tests.app.serving import serving


def made(count: int) -> Made:
    """Problems as the demo's are, apart from one another."""

    def problem(name: str, i: int) -> dict[str, Any]:
        return {"problem": f"{name}/{i}", "prompt": f"{name} {i}: ", "answer": str(i)}

    return Made([problem("a", i) for i in range(count)], [problem("b", i) for i in range(5)])


def told(client: httpx.Client, **query: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client.get("/v1/demo", params=query).raise_for_status().json()
    return answer


@pytest.mark.parametrize("size", get_args(Size))
@pytest.mark.parametrize("part", get_args(PartName))
def test_every_part_is_a_training_that_the_service_takes(size: Size, part: PartName) -> None:
    demo = Demo(size, 7)
    spec = TrainingSpec.model_validate(demo.spec(part, Path("/checkpoints/1")))
    assert Demo.of_run(spec.run) == (demo, part)
    assert spec.seeds == [7]
    assert spec.schedule.largest == (1 if part in ("taught", "k1") else 8)
    assert (spec.steps == 0) == (part == "taught")


@pytest.mark.parametrize("name", ["demo-k8", "demo-k8-seed-4294967296", "demo-k8-seed-01", "my-demo-k8-seed-0"])
def test_other_runs_are_not_the_demos(name: str) -> None:
    assert Demo.of_run(name) is None


def test_trainings_of_two_ks_wait_in_queues_of_their_own() -> None:
    first, second = (queue_of(part) for part in STUDIES["compare"][1:])
    assert first != second


def jobs(session: Session) -> dict[str, tuple[str, str]]:
    """Of every job its run, state and queue."""
    return {job.spec["run"]: (job.state, job.queue) for job in session.scalars(select(Job).order_by(Job.id))}


@pytest.fixture
def begun(session: Session) -> Demo:
    """A demo that was begun, and has its problems."""
    demo = Demo("small")
    service.begin(session, default_project(session), demo, "compare")
    service.store(session, default_project(session), "small", made(40))
    session.flush()
    return demo


def test_without_problems_nothing_is_queued(session: Session) -> None:
    settings, project_id = Settings(), default_project(session)
    service.begin(session, project_id, Demo("small"), "compare")
    assert service.move_on(session, settings).without_problems == {(project_id, "small")}
    assert jobs(session) == {}


def test_what_starts_from_the_taught_model_waits_for_it(session: Session, begun: Demo) -> None:
    settings = Settings()
    for _ in range(2):  # looked at twice, it is queued once
        assert not service.move_on(session, settings).without_problems
        assert jobs(session) == {"demo-taught-small-seed-0": ("queued", "gpu")}
    session.scalars(select(Job)).one().state = "succeeded"
    for _ in range(2):
        assert not service.move_on(session, settings).without_problems
    assert jobs(session) == {
        "demo-taught-small-seed-0": ("succeeded", "gpu"),
        "demo-k1-small-seed-0": ("queued", "cpu"),
        "demo-k8-small-seed-0": ("queued", "gpu"),
    }
    service.begin(session, default_project(session), begun, "anneal")
    service.move_on(session, settings)
    assert jobs(session)["demo-8-to-1-small-seed-0"] == ("queued", "gpu")


@pytest.mark.parametrize("state", ["failed", "dead", "cancelled", "running"])
def test_nothing_starts_from_a_model_that_is_not_there(session: Session, begun: Demo, state: str) -> None:
    service.move_on(session, Settings())
    session.scalars(select(Job)).one().state = state
    service.move_on(session, Settings())
    assert len(jobs(session)) == 1


def test_a_part_whose_run_was_deleted_is_trained_again(session: Session, begun: Demo) -> None:
    service.move_on(session, Settings())
    session.delete(session.scalars(select(Run).filter_by(name="demo-taught-small-seed-0")).one())
    session.commit()
    service.begin(session, default_project(session), begun, "compare")
    (part, *_) = service.parts(session, default_project(session), begun)
    assert (part.name, part.job) == ("taught", None)
    assert service.move_on(session, Settings()).any, "while the job of the deleted run is queued, it waits"
    job = session.scalars(select(Job)).one()
    job.state = "cancelled"
    service.move_on(session, Settings())
    assert len(session.scalars(select(Job)).all()) == 2


def test_a_run_that_somebody_else_made_is_left_alone(client: httpx.Client) -> None:
    named = {"run": "demo-k8-seed-0", "step": 0, "problem_set": "p@1", "sampling": {}}
    client.post("/v1/evaluations", json=named).raise_for_status()
    answer = client.post("/v1/demo", json={})
    assert answer.status_code == 422
    assert "without the tag demo" in answer.json()["detail"]
    assert told(client)["parts"] == []


@pytest.mark.parametrize(
    "body", [{"seed": -1}, {"seed": 2**32}, {"size": "huge"}, {"study": None}, {"seed": "0"}, {"more": 1}, [], 0]
)
def test_a_demo_that_there_is_not_is_refused(shared_client: httpx.Client, body: Any) -> None:
    answer = shared_client.post("/v1/demo", json=body)
    assert answer.status_code == 422, answer.text
    assert shared_client.get("/v1/demo?seed=-1").status_code == 422


def test_a_demo_is_begun_once(client: httpx.Client) -> None:
    for _ in range(2):
        parts = client.post("/v1/demo", json={"size": "small", "seed": 3}).raise_for_status().json()["parts"]
    assert [each["run"] for each in parts] == [f"demo-{part}-small-seed-3" for part in ("taught", "k1", "k8")]
    assert [each["part"] for each in told(client, size="small", seed=3)["parts"]] == ["taught", "k1", "k8"]
    assert told(client, size="small", seed=4)["parts"] == []


def test_a_service_that_is_stopped_while_problems_are_made_leaves_nothing_behind(database_url: str) -> None:
    with serving(database_url) as url, httpx.Client(base_url=url, timeout=60) as client:
        client.post("/v1/demo", json={}).raise_for_status()
        give_up = monotonic() + 60
        while not (making := makers()):
            assert monotonic() < give_up
            sleep(0.05)
    assert makers() & making == set()


def makers() -> set[int]:
    """The processes that this one started to make problems, from whichever of its threads."""
    lists = Path("/proc/self/task").glob("*/children")
    started = {int(pid) for each in lists for pid in each.read_text().split()}
    return {pid for pid in started if "app.demo.problems" in command_line(pid)}


def test_an_archived_demo_is_forgotten_until_it_is_begun_again(session: Session, begun: Demo) -> None:
    session.execute(update(Run).values(archived_at=func.now()))
    assert not service.any_wanted(session)
    service.begin(session, default_project(session), begun, "compare")
    assert len(service.parts(session, default_project(session), begun)) == 3
