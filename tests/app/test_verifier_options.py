"""What verifiers were told is kept beside their names, and decides which of their jobs wait for the same."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.auth.service import Caller
from app.config import Settings
from app.ingest.errors import OtherOptions
from app.ingest.verifiers import options_of_verifiers, record_options
from app.jobs import service
from app.jobs.specs import NewJob, VerificationSpec
from app.models import Job, Project
from tests.app.ingesting import completion, evaluation, exact, post_completions

NAME = "python-tests@1-0a1b2c3d"
HOSTILE = {"marks": ["<script>alert(1)</script>", "'; DROP TABLE verifiers; --", "\u202e{{ 7 * 7 }}"]}


def project_of(session: Session) -> int:
    return session.scalars(select(Project.id)).one()


def test_options_are_kept_once_and_others_under_the_same_name_refused(session: Session) -> None:
    project = project_of(session)
    first = record_options(session, project, NAME, {"reward": "fraction", "seconds": 5.0})
    assert first == record_options(session, project, NAME, {"seconds": 5, "reward": "fraction"})
    assert first != record_options(session, project, "python-tests@1", {})
    with pytest.raises(OtherOptions, match=f"{NAME} is what .* the same by chance"):
        record_options(session, project, NAME, {"reward": "fraction"})
    assert options_of_verifiers(session, project, [NAME, "python-tests@1", "none"]) == {
        NAME: {"reward": "fraction", "seconds": 5}
    }
    assert options_of_verifiers(session, project, []) == {}


def test_a_name_that_a_client_wrote_under_before_gets_the_options_of_the_first_job(
    client: httpx.Client, session: Session
) -> None:
    path = evaluation(client)
    post_completions(client, path, completion(verifications=[exact(verifier=NAME, passed=True)])).raise_for_status()
    assert client.get(path).json()["verifiers"][0]["options"] == {}
    record_options(session, project_of(session), NAME, HOSTILE)
    session.commit()
    totals = {"verifier": NAME, "options": HOSTILE, "n": 1, "c": 1, "rewards": 1, "infrastructure_errors": 0}
    assert client.get(path).json()["verifiers"] == [totals]


@pytest.mark.parametrize(
    ("waiting", "options", "queued"),
    [
        ("exact-match@1", {"ignore_case": False}, 0),
        ("exact-match", {"ignore_case": True}, 1),
        ("numeric-match", {}, 1),
        (None, {}, 1),
    ],
)
def test_a_sampling_job_queues_its_verifier_unless_one_with_the_same_options_waits(
    client: httpx.Client, session: Session, waiting: str | None, options: dict[str, Any], queued: int
) -> None:
    evaluation_id = UUID(evaluation(client).rpartition("/")[2])
    if waiting is not None:
        told = VerificationSpec(evaluation=evaluation_id, verifier=waiting, options=options)
        wanted = NewJob[VerificationSpec](kind="verification", spec=told)
        service.submit(session, Caller(project_of(session), None, frozenset()), Settings(), wanted)
    before = session.query(Job).count()
    sampling = Job(project_id=project_of(session), kind="sampling", spec={"verifiers": ["exact-match"]})
    for _ in range(2):
        service.have_judged(session, sampling, evaluation_id)
        assert session.query(Job).count() == before + queued
