"""What each verifier is told."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from app.jobs.options.faults import Fault, faults

Extraction = Literal["boxed", "hashes", "tag", "last_number", "last_line", "fence", "text"]


class Options(BaseModel):
    """What a verifier is told; an option that it does not have is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    OF_THE_MACHINE: ClassVar[frozenset[str]] = frozenset({"slots", "processes"})
    """Those that say how much is done at one time, and nothing of what is found."""


class ExactMatchOptions(Options):
    """Where the answer stands, and what does not matter in it."""

    extract: tuple[Extraction, ...] = Field(("text",), min_length=1, strict=False)
    ignore_case: bool = False
    ignore_space: bool = Field(True, description="Runs of white space count as one space")


class NumericMatchOptions(Options):
    """Where the number stands, and how near it must come."""

    extract: tuple[Extraction, ...] = Field(("boxed", "hashes", "last_number"), min_length=1, strict=False)
    relative_tolerance: float = Field(0.0, ge=0, le=1)
    absolute_tolerance: float = Field(0.0, ge=0)


class MathVerifyOptions(Options):
    """Where the answer stands, and how long a comparison may take."""

    extract: tuple[Extraction, ...] = Field(
        (),
        strict=False,
        description=r"Without any, math-verify looks by its own rules: the last \boxed first, then the last formula",
    )
    seconds: float = Field(20.0, gt=0, le=600)
    processes: int = Field(1, ge=1, le=256)


class PythonTestsOptions(Options):
    """How the code is read from the completion, what the reward is, and within which limits it runs."""

    code: Literal["auto", "continuation", "fenced"] = Field(
        "auto",
        description="continuation: the prompt goes on with the completion as it is. fenced: the code is in the last "
        "``` block, or is all of it. auto: fenced where the function is defined anew, else continuation",
    )
    reward: Literal["passed", "fraction"] = Field("passed", description="fraction: the share of the asserts that hold")
    seconds: float = Field(10.0, gt=0, le=600)
    memory_mib: int = Field(512, ge=64, le=1 << 16)
    slots: int = Field(2, ge=1, le=256, description="Completions graded at one time")


class GridOptions(Options):
    """What the reward is."""

    reward: Literal["exact", "cells"] = "exact"


class ReasoningGymOptions(Options):
    """Where the answer stands, and from which score on it passes."""

    extract: tuple[Extraction, ...] = Field(("tag", "boxed", "text"), min_length=1, strict=False)
    threshold: float = Field(1.0, gt=0, le=1)
    reward: Literal["passed", "score"] = Field(
        "passed", description="score: what the scorer gives, which max@k exploits"
    )
    seconds: float = Field(20.0, gt=0, le=600)
    processes: int = Field(1, ge=1, le=256)


class FormatOptions(Options):
    """The form that is asked for."""

    marks: tuple[str, ...] = Field(
        (), strict=False, description="Each must stand in the completion once, in this order"
    )
    extract: tuple[Extraction, ...] = Field((), strict=False, description="One of these ways must find an answer")

    @model_validator(mode="after")
    def _asks_for_something(self) -> "FormatOptions":
        if (not self.marks and not self.extract) or not all(self.marks):
            raise ValueError("format needs marks, such as <think> and </think>, or extract")
        return self


class LengthOptions(Options):
    """From which length on a completion loses reward, in characters."""

    free: int = Field(ge=0)
    most: int = Field(ge=1)

    @model_validator(mode="after")
    def _falls(self) -> "LengthOptions":
        if self.most <= self.free:
            raise ValueError(f"most = {self.most} is not above free = {self.free}")
        return self


class Term(Options):
    """One verifier of a sum."""

    verifier: str
    options: dict[str, JsonValue] = Field(default_factory=dict)
    weight: float = Field(1.0, gt=-1e6, lt=1e6)


class WeightedOptions(Options):
    """The terms of the sum."""

    terms: tuple[Term, ...] = Field(min_length=1, max_length=16, strict=False)


class FunctionOptions(Options):
    """What the function is told, and how long it may take."""

    options: dict[str, Any] = Field(default_factory=dict)
    seconds: float = Field(60.0, gt=0, le=3600)
    processes: int = Field(1, ge=1, le=256)


VERIFIER_OPTIONS: Final[Mapping[str, type[Options]]] = {
    "exact-match": ExactMatchOptions,
    "numeric-match": NumericMatchOptions,
    "math-verify": MathVerifyOptions,
    "python-tests": PythonTestsOptions,
    "arc-grid": GridOptions,
    "reasoning-gym": ReasoningGymOptions,
    "format": FormatOptions,
    "length": LengthOptions,
    "weighted": WeightedOptions,
}
# A test holds these to the workers' registry.
VERSIONS: Final[Mapping[str, str]] = dict.fromkeys(VERIFIER_OPTIONS, "1")
NO_SUCH_VERIFIER: Final = (
    f"no such verifier; there are {', '.join(VERIFIER_OPTIONS)}, and module:function for a function of your own"
)


def other_version(verifier: str) -> str | None:
    """The verifier as it is offered, `name@version`, where it is named with a version that there is not; else None."""
    name, _, version = verifier.partition("@")
    return f"{name}@{VERSIONS[name]}" if name in VERSIONS and version not in ("", VERSIONS[name]) else None


def options_of(verifier: str) -> type[Options] | None:
    """The options of `name` or `name@version`; of `module:function` those of all such; None where there is none."""
    bare = verifier.partition("@")[0]
    return FunctionOptions if ":" in bare else VERIFIER_OPTIONS.get(bare)


def faults_of_verifier(verifier: str, options: Mapping[str, Any]) -> Iterator[Fault]:
    """What is wrong with the options, and with the terms of a sum; the verifier's own name is not judged here."""
    kind = options_of(verifier)
    found = faults(kind, options) if kind else []
    yield from found
    if kind is WeightedOptions and not found:
        for i, term in enumerate(WeightedOptions.model_validate(dict(options)).terms):
            yield from ((("terms", i, *where), says) for where, says in _faults_of_term(term))


def _faults_of_term(term: Term) -> Iterator[Fault]:
    if options_of(term.verifier) is None:
        yield ("verifier",), NO_SUCH_VERIFIER
    elif options_of(term.verifier) is WeightedOptions:
        yield ("verifier",), "weighted does not nest: give the terms of the inner sum here, each weight times its own"
    elif offered := other_version(term.verifier):
        yield ("verifier",), f"no such version; there is {offered}"
    else:
        yield from ((("options", *where), says) for where, says in faults_of_verifier(term.verifier, term.options))
