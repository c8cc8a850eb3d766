"""What every source of problems yields, and what it raises."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pkpo.readers.rows import shown


class ProblemsError(ValueError):
    """Problems that cannot be had from a source: where, why, and what to do about it."""


@dataclass(frozen=True)
class Problem:
    """One prompt with what a verifier needs.

    Attributes:
      name: within its set.
      prompt: as a policy gets it, before any chat template.
      answer: the reference answer; None where tests alone decide.
      tests: any JSON, in the form that `metadata["form"]` names.
      metadata: all else that is known; a JSON object.
    """

    name: str
    prompt: str
    answer: str | None = None
    tests: Any = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def sent(self) -> dict[str, Any]:
        """The problem as `POST /v1/problem-sets/{set}/problems` takes it."""
        fields = {"answer": self.answer, "tests": self.tests, "metadata": dict(self.metadata) or None}
        known = {name: value for name, value in fields.items() if value is not None}
        return {"problem": self.name, "prompt": self.prompt, **known}


class Record(NamedTuple):
    """One object of a source, and where it stands: what a format makes problems of."""

    place: str
    fields: Mapping[str, Any]
    name: str | None = None  # of the file that it is the whole of, where it is one

    def error(self, message: str) -> ProblemsError:
        """A ProblemsError that names the place."""
        return ProblemsError(f"{self.place}: {message}")

    def value(self, path: str) -> Any:
        """What stands under a name, or under names joined by dots for objects in objects; None where nothing does."""
        value: Any = self.fields
        for name in [path] if path in self.fields else path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        return value

    def text(self, path: str) -> str:
        """The text under a name; ProblemsError where there is none."""
        value = self.value(path)
        if value is None:
            raise self.error(f"no field {shown(path)}; there are {', '.join(map(shown, self.fields)) or 'none'}")
        if not isinstance(value, str) or not value.strip():
            raise self.error(f"the field {shown(path)} must be text, and is {shown(value)}")
        return value

    def texts(self, path: str) -> list[str]:
        """The list of texts under a name, empty where there is none; ProblemsError where it is something else."""
        value = self.value(path)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise self.error(f"the field {shown(path)} must be a list of texts, and is {shown(value)}")
        return value
