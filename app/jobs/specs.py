"""What each kind of job is told, and what a worker must be able to do to take it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from app.ingest.canonical import JsonObject, Text
from app.ingest.schemas import Int4, Name
from app.ingest.verdicts import STRICT, VersionedName, versioned_name
from app.jobs.errors import KindNotOffered, UnknownJobVerifier

JobKind = Literal["sampling", "verification", "training", "import"]
Queue = Literal["cpu", "gpu"]
SPEC: Final = ConfigDict(**STRICT)
# JSON has no UUIDs: a strict model would want one ready-made.
GivenId = Annotated[UUID, Field(strict=False)]
Version = Annotated[Literal[1], Field(description="Of this form of spec")]


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


class VerificationSpec(BaseModel):
    """The completions of an evaluation that a verifier has not judged are judged."""

    model_config = SPEC

    version: Version = 1
    evaluation: GivenId
    verifier: Annotated[VersionedName, Field(description="`name@version`; a bare name is version 1")]
    options: Annotated[JsonObject, Field(description="What the verifier is told")] = {}


Spec = TypeVar("Spec", bound=BaseModel)


class NewJob(BaseModel, Generic[Spec]):
    """Work for a worker."""

    model_config = ConfigDict(**STRICT)

    kind: JobKind
    spec: Spec
    priority: Annotated[int, Field(ge=-100, le=100, description="The highest goes first, then the oldest")] = 0


class OfAnyKind(BaseModel):
    """What tells by which rules to read the rest of a job."""

    kind: JobKind


@dataclass(frozen=True)
class Offer:
    """A kind of job that workers of this version can do."""

    request: TypeAdapter[NewJob[Any]]
    queue: Queue
    capability: Callable[[Any], str]


# What a worker needs for each verifier; a test holds this to the workers' registry.
VERIFIERS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("exact-match", "numeric-match", "arc-grid", "format", "length", "weighted"), "verify"),
    "math-verify": "verify:math",
    "reasoning-gym": "verify:reasoning-gym",
    "python-tests": "verify:python",
}

# A job asks for one capability: of several, for that which the fewest workers have.
RAREST: Final = ("verify", "verify:math", "verify:reasoning-gym", "verify:python")


def _to_verify(spec: VerificationSpec) -> str:
    name, _ = versioned_name(spec.verifier)
    if ":" in name:  # a function of the operator's own, in a module that workers have
        return "verify"
    if name not in VERIFIERS:
        raise UnknownJobVerifier(VERIFIERS)
    if name == "weighted" and isinstance(terms := spec.options.get("terms"), list):
        names = (versioned_name(str(term.get("verifier")))[0] for term in terms if isinstance(term, dict))
        return max((VERIFIERS[name] for name in names if name in VERIFIERS), key=RAREST.index, default="verify")
    return VERIFIERS[name]


OFFERS: Final[Mapping[str, Offer]] = {
    "import": Offer(TypeAdapter(NewJob[ImportSpec]), "cpu", lambda spec: "import"),
    "verification": Offer(TypeAdapter(NewJob[VerificationSpec]), "cpu", _to_verify),
}


def offer(kind: JobKind) -> Offer:
    """How a kind of job is read and queued; KindNotOffered where no worker could do it."""
    if kind not in OFFERS:
        raise KindNotOffered(kind, OFFERS)
    return OFFERS[kind]
