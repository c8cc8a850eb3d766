"""What a model card tells of a training, and of the machines that it ran on: nothing."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.auth.service import default_project
from app.exports.card import card
from app.exports.facts import Facts, Trained
from app.exports.trained import Ancestor, lineage, trained_by
from app.jobs.specs.training import TrainingSpec
from app.models import Job, Run
from tests.workers.training_jobs import spec

DAYS = (datetime(2026, 11, 19, 23, 50, tzinfo=UTC), datetime(2026, 11, 20, 0, 10, tzinfo=UTC))
SERVER = {"engine": "vllm-server", "base_url": "http://gpu-01.inside.example:8001/canary/v1", "max_tokens": 4}


def told(**more: Any) -> TrainingSpec:
    return TrainingSpec.model_validate(spec("whole", "sums@1", **more))


def carded(before: Sequence[Ancestor] = (), step: int = 6, **more: Any) -> tuple[str, dict[str, Any]]:
    """The card of a training, and the spec in it."""
    trained = Trained(told(**more), 0, "sums@1", 36, 9, before, *DAYS)
    text = card(Facts("whole", step, trained, []), None)
    return text, json.loads(text.partition("```json\n")[2].partition("```")[0])


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("/home/canary/models/qwen-0.6b", ".../qwen-0.6b"),
        ("/srv/canary/checkpoints/1/taught/step-000000300/", ".../taught/step-000000300"),
        ("Qwen/Qwen3-0.6B@main", "Qwen/Qwen3-0.6B@main"),
    ],
)
def test_a_local_model_is_known_by_the_end_of_its_path(model: str, shown: str) -> None:
    text, told = carded(model=model)
    assert told["model"] == shown
    assert "canary" not in text


def test_the_address_of_a_server_is_not_told() -> None:
    text, told = carded(model="Qwen/Qwen3-0.6B", generation=SERVER)
    assert (told["generation"]["engine"], told["generation"]["max_tokens"]) == ("vllm-server", 4)
    assert "canary" not in text
    assert "gpu-01" not in text


OURS = "/srv/canary/checkpoints/1/{}/step-{:09d}"
TAUGHT = (
    "a tiny model that was made on the spot (layers: 1 of width 16, heads: 2) and was taught, in 20 supervised steps"
)


def test_what_it_began_from_is_told_back_to_its_origin() -> None:
    taught, middle = Ancestor("taught", 0, told(steps=0)), Ancestor("mid", 4, told(k=4, model=OURS.format("taught", 0)))
    text, _ = carded([middle, taught], model=OURS.format("mid", 4))
    assert "It began from step 4 of the run `mid`, which had come there by reinforcement learning for pass@4" in text
    assert f"and began from step 0 of the run `taught`, which is {TAUGHT}" in text
    assert "base_model" not in text
    assert "canary" not in text


def test_a_model_of_the_hub_is_the_base_of_what_was_trained_from_it() -> None:
    text, _ = carded([Ancestor("mid", 4, told(model="Qwen/Qwen3-0.6B@main"))], model=OURS.format("mid", 4))
    assert "and began from `Qwen/Qwen3-0.6B@main`." in text
    assert 'base_model: "Qwen/Qwen3-0.6B"' in text
    text, _ = carded([Ancestor("mid", 4, None)], model=OURS.format("mid", 4))
    assert "It began from step 4 of the run `mid`, of which no more is known." in text


def test_a_model_that_was_not_trained_yet_is_told_as_what_it_is() -> None:
    assert f"A language model that no step of reinforcement learning has changed: {TAUGHT}" in carded(step=0)[0]


def test_the_days_of_the_training_are_told() -> None:
    assert "* When: 2026-11-19 to 2026-11-20 (UTC)." in carded()[0]


def test_the_lineage_is_that_of_the_jobs(session: Session, tmp_path: Path) -> None:
    project, checkpoints = default_project(session), tmp_path / "checkpoints"

    def path(run: str, step: int) -> str:
        return str(checkpoints / str(project) / run / f"step-{step:09d}")

    for run, model in (("taught", {"init": "tiny"}), ("mid", path("taught", 0)), ("round", path("round", 2))):
        session.add(
            Job(
                project_id=project,
                kind="training",
                spec=spec(run, "sums@1", model=model),
                queue="gpu",
                capability="train",
                state="succeeded",
            )
        )
    session.flush()

    def names(model: str) -> list[tuple[str, int, bool]]:
        found = lineage(session, project, checkpoints, told(model=model))
        return [(each.run, each.step, each.spec is not None) for each in found]

    assert names(path("mid", 4)) == [("mid", 4, True), ("taught", 0, True)]
    assert names(path("gone", 4)) == [("gone", 4, False)]
    assert names(path("round", 2)) == [("round", 2, True)]
    assert names(path("mid", 4).replace("checkpoints", "elsewhere")) == []
    assert names("owner/name") == []


def test_what_trained_a_run_that_was_deleted_did_not_train_the_next_of_its_name(session: Session) -> None:
    """Its checkpoints are gone with it, so that another spec trains the run that is there now."""
    project = default_project(session)
    now = session.scalars(select(func.now())).one()
    session.add(Run(project_id=project, name="again", created_at=now))
    for steps, ended in ((6, now - timedelta(hours=1)), (8, now + timedelta(hours=1))):
        session.add(
            Job(
                project_id=project,
                kind="training",
                spec=spec("again", "sums@1", steps=steps),
                queue="gpu",
                capability="train",
                state="succeeded",
                finished_at=ended,
            )
        )
    session.flush()
    found = trained_by(session, project, "again")
    assert found is not None
    assert found.spec.steps == 8
    session.execute(delete(Run).where(Run.name == "again"))
    found = trained_by(session, project, "again")
    assert found is not None
    assert found.spec.steps == 6, "of a run that is not there any more the first is as good as any"
