"""Verifiers by name."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from app.jobs.options.identity import LONGEST, is_storable
from app.jobs.options.verifiers import Options, WeightedOptions
from workers.verifiers.functions import PythonFunction
from workers.verifiers.grids import ArcGrid
from workers.verifiers.gym import ReasoningGym
from workers.verifiers.matching import ExactMatch, NumericMatch
from workers.verifiers.mathematics import MathVerify
from workers.verifiers.python_tests import PythonTests
from workers.verifiers.terms import Format, Length, Weighted
from workers.verifiers.verification import Verifier

KINDS: Final[Mapping[str, type[Verifier]]] = {
    kind.name: kind
    for kind in (ExactMatch, NumericMatch, MathVerify, PythonTests, ArcGrid, ReasoningGym, Format, Length, Weighted)
}


class UnknownVerifier(ValueError):
    """No verifier of this name and version."""


class BadOptions(ValueError):
    """Options that the verifier does not have, or values that it does not take."""


def check_options(name: str, options: Mapping[str, Any]) -> Options:
    """The options of the verifier `name` or `name@version`, validated, without starting anything.

    Raises:
      UnknownVerifier: there is none of that name, or of that version.
      BadOptions: the message names each option and what is wrong with it.
    """
    kind = _kind(name)
    try:
        validated = kind.Options.model_validate(dict(options))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'options'}: {one['msg']}" for one in error.errors())
        raise BadOptions(f"{name}: {wrong}") from None
    if isinstance(validated, WeightedOptions):
        for term in validated.terms:
            check_options(term.verifier, term.options)
    return validated


def verifier(name: str, options: Mapping[str, Any] | None = None) -> Verifier:
    """The verifier called `name` or `name@version`, ready to use; `module:function` is a function of one's own.

    Raises:
      UnknownVerifier, BadOptions: as `check_options`.
      workers.sandbox.NotOffered: it needs a sandbox, and this machine has none.
      workers.verifiers.children.ScorerRefused: the library or the function that it needs is not there.
    """
    validated = check_options(name, options or {})
    kind = _kind(name)
    bare, _, version = name.partition("@")
    if isinstance(validated, WeightedOptions):
        return Weighted(validated, _terms(validated))
    if kind is PythonFunction:
        made: Verifier = PythonFunction(validated, bare)  # type: ignore[arg-type]
        if version not in ("", made.version):
            made.close()
            raise UnknownVerifier(f"{bare} has version {made.version}, not {version}")
        if not is_storable(full_name := made.full_name):
            made.close()
            raise BadOptions(
                f"verdicts would be stored as {full_name[:LONGEST]!r}: a function's name, its version and eight digits "
                f"of its options must be letters, digits and ._:-, and {LONGEST} of them with @ at most"
            )
        return made
    return kind(validated)


def _terms(options: WeightedOptions) -> list[Verifier]:
    made: list[Verifier] = []
    try:
        made.extend(verifier(term.verifier, term.options) for term in options.terms)
    except Exception:
        for one in made:
            one.close()
        raise
    return made


def _kind(name: str) -> type[Verifier]:
    bare, _, version = name.partition("@")
    if ":" in bare:
        return PythonFunction
    if bare not in KINDS:
        raise UnknownVerifier(
            f"no verifier is called {bare}; there are {', '.join(sorted(KINDS))}, and module:function"
        )
    if version not in ("", KINDS[bare].version):
        raise UnknownVerifier(f"{bare} has version {KINDS[bare].version} here, not {version}")
    return KINDS[bare]
