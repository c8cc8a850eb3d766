"""Sampling jobs."""

from typing import Annotated

from pydantic import BaseModel, Field

from app.ingest.canonical import JsonObject, Text
from app.ingest.schemas import Name
from app.ingest.verdicts import VersionedName
from app.jobs.options.engines import MOST_N, Draws, EngineName, PromptForm, SamplingSettings
from app.jobs.specs.fields import SPEC, Version

MOST_VERIFIERS = 20


class SamplingSpec(BaseModel):
    """Completions of a model are drawn for the problems of a set, n for each, those that are there left out."""

    model_config = SPEC

    version: Version = 1
    run: Annotated[Name, Field(description="The model trained or evaluated; made when there is none of this name")]
    step: Annotated[int, Field(ge=0, le=2**63 - 1, description="0 for a model that is not trained")] = 0
    problem_set: Annotated[VersionedName, Field(description="One with problems; a bare name is its only version")]
    model: Annotated[
        Text,
        Field(
            min_length=1,
            max_length=500,
            description="`owner/name` or `owner/name@revision` on the hub, the absolute path of a folder under "
            "PKPO_MODEL_ROOTS, or what the server of `openai` calls it",
        ),
    ]
    engine: EngineName = "vllm"
    engine_options: Annotated[JsonObject, Field(description="What the engine is told; docs/sampling.md")] = {}
    n: Annotated[int, Field(ge=1, le=MOST_N, description="Completions per problem, the same for all")]
    sampling: Draws = Draws()
    prompt: PromptForm = "raw"
    verifiers: Annotated[
        list[VersionedName], Field(max_length=MOST_VERIFIERS, description="Jobs of these judge the completions")
    ] = []
    limit: Annotated[int | None, Field(ge=1, le=2**31 - 1, description="Only the first so many problems")] = None

    def settings(self) -> SamplingSettings:
        """How the completions are drawn."""
        return SamplingSettings(**self.sampling.model_dump(), n=self.n, prompt=self.prompt)

    def identity(self) -> dict[str, object]:
        """The `sampling` of the evaluation: every setting but n, said or not, so that a default said is the same."""
        return self.settings().model_dump(mode="json", exclude={"n"}, exclude_none=True)


def to_sample(spec: SamplingSpec) -> str:
    """What a worker must be able to do for it."""
    return f"sampling:{spec.engine}"
