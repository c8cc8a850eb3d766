"""docs/training-jobs.md: the job that it shows is one that the service takes, from the queue that it names."""

from app.jobs.specs import offer
from tests.documents import FENCE, ROOT

PAGE = (ROOT / "docs/training-jobs.md").read_text()


def test_the_job_that_the_page_shows_is_taken() -> None:
    (shown,) = [code for language, code in FENCE.findall(PAGE) if language == "json"]
    training = offer("training")
    job = training.request.validate_json(shown)
    assert training.capability(job.spec) == "train:reasoning-gym"
    assert f"from the queue `{training.queue}`" in PAGE


def test_the_page_names_every_member_of_the_spec() -> None:
    (shown,) = [code for language, code in FENCE.findall(PAGE) if language == "json"]
    members = type(offer("training").request.validate_json(shown).spec).model_fields
    table = PAGE[PAGE.index("## The spec") : PAGE.index("## What is recorded")]
    assert not [name for name in members if f"`{name}`" not in table and name not in ("version", "engine")]
