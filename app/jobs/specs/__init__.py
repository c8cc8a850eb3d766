"""What each kind of job is told, and what a worker must be able to do to take it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from app.ingest.verdicts import STRICT
from app.jobs.errors import KindNotOffered
from app.jobs.specs.importing import ImportSpec
from app.jobs.specs.sampling import SamplingSpec, to_sample
from app.jobs.specs.training import TrainingSpec, to_train
from app.jobs.specs.verification import RAREST, VERIFIERS, VerificationSpec, to_verify

__all__ = [
    "OFFERS",
    "RAREST",
    "VERIFIERS",
    "ImportSpec",
    "JobKind",
    "NewJob",
    "OfAnyKind",
    "Offer",
    "Queue",
    "SamplingSpec",
    "TrainingSpec",
    "VerificationSpec",
    "as_declared",
    "offer",
]

JobKind = Literal["sampling", "verification", "training", "import"]
Queue = Literal["cpu", "gpu"]
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


OFFERS: Final[Mapping[str, Offer]] = {
    "import": Offer(TypeAdapter(NewJob[ImportSpec]), "cpu", lambda spec: "import"),
    "verification": Offer(TypeAdapter(NewJob[VerificationSpec]), "cpu", to_verify),
    "sampling": Offer(TypeAdapter(NewJob[SamplingSpec]), "gpu", to_sample),
    "training": Offer(TypeAdapter(NewJob[TrainingSpec]), "gpu", to_train),
}


def offer(kind: JobKind) -> Offer:
    """How a kind of job is read and queued; KindNotOffered where no worker could do it."""
    if kind not in OFFERS:
        raise KindNotOffered(kind, OFFERS)
    return OFFERS[kind]


FORMS: Final[Mapping[str, type[BaseModel]]] = {
    "import": ImportSpec,
    "verification": VerificationSpec,
    "sampling": SamplingSpec,
    "training": TrainingSpec,
}


def as_declared(kind: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec with its members in the order of its form, in which Postgres does not keep them; others come last."""
    return _in_order(FORMS[kind], spec) if kind in FORMS else dict(spec)


def _in_order(form: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name in (*(each for each in form.model_fields if each in given), *given):
        inner = form.model_fields[name].annotation if name in form.model_fields else None
        value = given[name]
        if isinstance(inner, type) and issubclass(inner, BaseModel) and isinstance(value, Mapping):
            value = _in_order(inner, value)
        members[name] = value
    return members
