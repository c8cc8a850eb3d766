"""Verification jobs."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field

from app.ingest.canonical import JsonObject
from app.ingest.verdicts import VersionedName, versioned_name
from app.jobs.errors import UnknownJobVerifier
from app.jobs.specs.fields import SPEC, GivenId, Version


class VerificationSpec(BaseModel):
    """The completions of an evaluation that a verifier has not judged are judged."""

    model_config = SPEC

    version: Version = 1
    evaluation: GivenId
    verifier: Annotated[VersionedName, Field(description="`name@version`; a bare name is version 1")]
    options: Annotated[JsonObject, Field(description="What the verifier is told")] = {}


# What a worker needs for each verifier; a test holds this to the workers' registry.
VERIFIERS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("exact-match", "numeric-match", "arc-grid", "format", "length", "weighted"), "verify"),
    "math-verify": "verify:math",
    "reasoning-gym": "verify:reasoning-gym",
    "python-tests": "verify:python",
}

# A job asks for one capability: of several, for that which the fewest workers have.
RAREST: Final = ("verify", "verify:math", "verify:reasoning-gym", "verify:python")


def to_verify(spec: VerificationSpec) -> str:
    """What a worker must be able to do for it; UnknownJobVerifier where there is no such verifier."""
    return capability_of(spec.verifier, spec.options)


def capability_of(verifier: str, options: Mapping[str, Any], pointer: str = "/spec/verifier") -> str:
    """What a worker must be able to do for a verifier with these options; UnknownJobVerifier where there is none.

    The pointer is to the verifier's name in the request.
    """
    name, _ = versioned_name(verifier)
    if ":" in name:  # a function of the operator's own, in a module that workers have
        return "verify"
    if name not in VERIFIERS:
        raise UnknownJobVerifier(pointer)
    if name == "weighted" and isinstance(terms := options.get("terms"), list):
        names = (versioned_name(str(term.get("verifier")))[0] for term in terms if isinstance(term, dict))
        return max((VERIFIERS[name] for name in names if name in VERIFIERS), key=RAREST.index, default="verify")
    return VERIFIERS[name]
