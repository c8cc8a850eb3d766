"""The form of a training job as it stands: what is typed, what is wrong with it, and a picture of k."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dashboards.k_picture import KPicture
from dashboards.training_fields import PARTS, Field, Part


@dataclass(frozen=True)
class Option:
    """An option of a verifier."""

    name: str
    usual: str
    words: str


@dataclass(frozen=True)
class TrainingForm:
    """What stands in the form, and what was found of it."""

    typed: Mapping[str, str]
    """By the id of each field."""
    usual: Mapping[str, str]
    """By id, what counts where a field is left empty."""
    problem_sets: Mapping[str, str] = field(default_factory=dict)
    """Those there are, and of each how many problems it has."""
    verifiers: Mapping[str, tuple[Option, ...]] = field(default_factory=dict)
    k: KPicture | str | None = None
    """Over the steps, or in a sentence why there is none; None before anything is said of k."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """By id."""
    refusal: str | None = None
    """Why the job would be refused, a sentence."""
    request: str | None = None
    """The job as JSON, where the form was looked at and nothing is wrong with it."""
    like: str | None = None
    """The run that it was filled in from."""
    unlike: str | None = None
    """The run that it was to be filled in from, and nobody here trained."""

    def offered(self, of: Field) -> Mapping[str, str]:
        """What a field's list has to choose from."""
        if of.path in ("problem_set", "held_out"):
            return self.problem_sets
        return dict.fromkeys(self.verifiers, "") if of.path == "verifier" else of.options

    @property
    def parts(self) -> tuple[Part, ...]:
        """The fields under their headings."""
        return PARTS

    def value(self, of: Field) -> str:
        """What stands in a field."""
        return self.typed.get(of.id, of.usual if of.kind in ("choice", "truth") else "")
