"""Import jobs."""

from typing import Annotated

from pydantic import BaseModel, Field

from app.ingest.canonical import JsonObject, Text
from app.ingest.schemas import Int4, Name
from app.ingest.verdicts import VersionedName
from app.jobs.specs.fields import SPEC, GivenId, Version


class ImportSpec(BaseModel):
    """A results file that was uploaded becomes an evaluation."""

    model_config = SPEC

    version: Version = 1
    upload: Annotated[GivenId, Field(description="What `POST /v1/uploads` answered")]
    run: Annotated[Name, Field(description="Made when there is none of this name")]
    step: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    format: Annotated[
        Text | None, Field(max_length=100, description="Read the file as this, recognised or not: `pkpo import --help`")
    ] = None
    problem_set: Annotated[
        VersionedName | None, Field(description="Where it is left out, a benchmark's own form tells it")
    ] = None
    verifier: Annotated[
        VersionedName | None, Field(description="Of what gave the verdicts; by default the file's format")
    ] = None
    sampling: JsonObject = {}
    model: Annotated[Text | None, Field(min_length=1, max_length=500)] = None
    n: Annotated[Int4 | None, Field(ge=1, description="Completions per problem, fixed beforehand")] = None
