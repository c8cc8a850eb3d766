"""What the address of a page may ask for. A form sends its empty fields too: they ask for nothing."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from app.demo.plan import Size
from app.estimates.schemas import K, Missing
from app.ingest.schemas import Name
from app.ingest.verdicts import ProblemName, VersionedName
from app.jobs.schemas import JobState
from app.jobs.specs import JobKind
from app.paging import WholeNumber, written
from app.transforms.schemas import TransformName
from dashboards.pages import Sort

Cursor = Annotated[str | None, Field(max_length=4096)]
LargeNumber = written(r"[0-9]{1,19}", int, "a whole number, written in digits")
MOST_FURTHER_KS: Final = 20
MOST_TYPED_CHARACTERS: Final = 12_000  # in an address, where each may take three bytes
MOST_LINES: Final = 6  # of a run, that eyes can tell apart
# What Postgres cannot compare with, and no name has.
NO_CONTROL_CHARACTERS = r"^[^\x00-\x1f\x7f-\x9f]*$"


def _numbers(given: Sequence[str]) -> list[str]:
    """What a person types for several numbers: `3, 5`."""
    return [number for each in given for number in re.split("[, ]+", each) if number]


class _PageQuery(BaseModel):
    """Unknown parameters are let pass: whoever shares an address may have something added to it."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_empty_fields(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in given.items() if value != ""}


class DemoPageQuery(_PageQuery):
    """Which demo; without either, the newest."""

    size: Size | None = None
    seed: Annotated[Annotated[int, Field(ge=0, lt=2**32)] | None, WholeNumber] = None


class HomeQuery(_PageQuery):
    """Which runs."""

    filter: Annotated[str, Field(max_length=200, pattern=NO_CONTROL_CHARACTERS)] = ""
    cursor: Cursor = None


class JobsPageQuery(_PageQuery):
    """Which jobs."""

    state: JobState | None = None
    kind: JobKind | None = None
    cursor: Cursor = None


class JobQuery(_PageQuery):
    """Which part of a job's log: its end, or what stands before an event."""

    before: Annotated[int, LargeNumber, Field(ge=1, le=2**63 - 1)] | None = None


class NewJobQuery(_PageQuery):
    """Which form, and what to fill in."""

    kind: JobKind = "import"
    evaluation: Annotated[str, Field(max_length=100)] = ""
    verifier: Annotated[str, Field(max_length=500)] = ""
    run: Annotated[str, Field(max_length=500)] = ""
    problem_set: Annotated[str, Field(max_length=500)] = ""
    priority: Annotated[str, Field(max_length=500)] = ""
    like: Annotated[Name | None, Field(description="A run to fill in from, of training")] = None
    look: bool = False


class VerifierQuery(_PageQuery):
    """Which verifier's verdicts."""

    verifier: VersionedName | None = None


class CurveFileQuery(VerifierQuery):
    """Which curve: at the usual k, and at further ones."""

    missing: Missing = "error"
    k: Annotated[list[K], BeforeValidator(_numbers), Field(max_length=MOST_FURTHER_KS)] = []


class RunQuery(VerifierQuery):
    """Which curves of a run, and from which checkpoint on."""

    problem_set: VersionedName | None = None
    missing: Missing = "error"
    k: Annotated[list[K], BeforeValidator(_numbers), Field(max_length=MOST_LINES)] = []
    cursor: Cursor = None


class ProblemQuery(VerifierQuery):
    """Which problem, and which of its completions."""

    problem: ProblemName
    index: Annotated[int, WholeNumber, Field(ge=0, le=2**31 - 1)] | None = None


class TransformQuery(_PageQuery):
    """What was typed; an address without anything has an example."""

    rewards: Annotated[str, Field(max_length=MOST_TYPED_CHARACTERS)] = "1 0 0.5 0\n0.25 - 1 0 0 0.75"
    k: Annotated[str, Field(max_length=20)] = "2"
    transform: TransformName | Literal["mixed"] = "sloo_minus_one"
    lam: Annotated[str, Field(max_length=20)] = "0.25"  # of mixed alone
    scale: Literal["sum", "mean", "rms"] = "sum"

    @model_validator(mode="before")
    @classmethod
    def _with_lam_apart(cls, given: dict[str, Any]) -> dict[str, Any]:
        """An address may have the name that REST takes, mixed(0.25); the form has two fields for it."""
        name = str(given.get("transform", ""))
        if name.startswith("mixed(") and name.endswith(")"):
            return {**given, "transform": "mixed", "lam": name[len("mixed(") : -1]}
        return given


class EvaluationQuery(CurveFileQuery):
    """Which curve, and which problems."""

    sort: Sort = "problem"
    filter: Annotated[str, Field(max_length=500, pattern=NO_CONTROL_CHARACTERS)] = ""
    cursor: Cursor = None


def _names(given: Sequence[str]) -> list[str]:
    """Two runs in one parameter, `a,b`, or in two, as a form sends them; of one alone the other is to be chosen."""
    names = [name.strip() for each in given for name in each.split(",") if name.strip()]
    if len(names) > 2:
        raise ValueError("the names of two runs, as in runs=a,b")
    return names


class CompareQuery(CurveFileQuery):
    """Which two evaluations, or which two runs."""

    a: UUID | None = None
    b: UUID | None = None
    filter: Annotated[str, Field(max_length=200, pattern=NO_CONTROL_CHARACTERS)] = ""
    runs: Annotated[list[Name], BeforeValidator(_names)] = []
