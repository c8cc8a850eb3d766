"""Under which name verdicts are stored: what a verifier is told is part of what it is."""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from pydantic import ValidationError

from app.ingest.canonical import canonical_json
from app.ingest.verdicts import versioned_name
from app.jobs.options.verifiers import Options, Term, WeightedOptions, options_of

DIGITS: Final = 8  # of the hash; two options of one verifier that share them are refused when a job is about to judge
STORABLE: Final = re.compile(r"[A-Za-z0-9._:-]+@[A-Za-z0-9._:-]+")
LONGEST: Final = 200


def not_default(options: Options) -> dict[str, Any]:
    """What was told beside the defaults, as JSON: `{}` and the defaults said are the same.

    Options that say how many are judged at one time are left out: no verdict depends on them.
    """
    said = options.model_dump(mode="json")
    return {
        name: said[name]
        for name, field in type(options).model_fields.items()
        if name not in options.OF_THE_MACHINE and getattr(options, name) != field.get_default(call_default_factory=True)
    }


def stored_name(name: str, version: str, told: Mapping[str, Any]) -> str:
    """`name@version`, and with options `name@version-` and the first digits of the SHA-256 of their canonical JSON."""
    if not told:
        return f"{name}@{version}"
    spelled = canonical_json(dict(told)).encode(errors="surrogatepass")
    return f"{name}@{version}-{sha256(spelled).hexdigest()[:DIGITS]}"


def named(verifier: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name that verdicts of `name` or `name@version` with these options are stored under, and what it is told.

    The version of a function, and what another version of the service took, are not known here: the name stays.
    """
    kind = options_of(verifier)
    try:
        validated = None if kind is None else kind.model_validate(dict(options))
    except ValidationError:
        validated = None
    if validated is None:
        return verifier, dict(options)
    name, version = versioned_name(verifier)
    if isinstance(validated, WeightedOptions):
        told: dict[str, Any] = {"terms": [_term(each) for each in validated.terms]}
    else:
        told = not_default(validated)
    return (stored_name(name, version, told) if told and ":" not in name else verifier), told


def _term(of: Term) -> dict[str, Any]:
    name, version = versioned_name(of.verifier)
    return {"verifier": f"{name}@{version}", "options": named(of.verifier, of.options)[1], "weight": of.weight}


def is_storable(full_name: str) -> bool:
    """Whether verdicts can be stored, and asked for, under the name."""
    return len(full_name) <= LONGEST and STORABLE.fullmatch(full_name) is not None


def is_default(verifier: str, options: Mapping[str, Any]) -> bool:
    """Whether the verifier `name` or `name@version` with these options is the one without any."""
    kind = options_of(verifier)
    try:
        return not options if kind is None else not not_default(kind.model_validate(dict(options)))
    except ValidationError:  # an option that another version of the service took
        return False
