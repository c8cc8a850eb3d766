"""The form of a training job: filled in from an address or from a run, looked through, and k over its steps drawn."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.body import validated
from app.config import Settings
from app.errors import AppError, rules_broken
from app.exports.trained import spec_of_run
from app.jobs.checks import check
from app.jobs.options.verifiers import VERIFIER_OPTIONS
from app.jobs.specs import OFFERS
from app.jobs.specs.training import Lora, Teaching, TinyModel, TrainingSpec
from app.models import Run
from app.pages.training_fields import PRIORITY, Unreadable, counts, priority_of, spec_of, typed_of
from app.paging import PageQuery
from app.problem_sets.service import list_problem_sets
from dashboards.k_picture import KPicture, k_picture
from dashboards.numerals import problems
from dashboards.training_fields import Field, fields
from dashboards.training_form import Option, TrainingForm
from pkpo.schedules import from_spec

TO_CHOOSE: Final = 200  # problem sets
MOST_TYPED: Final = 10_000  # characters of a field
MOST_DRAWN: Final = 10_000_000  # steps
# The parts of a spec that are left out as a whole, so that its defaults do not say what is in them.
_INNER: Final[Mapping[str, type[BaseModel]]] = {"lora": Lora, "model": TinyModel, "model/teach": Teaching}


def training_form(
    session: Session, project_id: int, settings: Settings, typed: Mapping[str, str], *, like: str | None, look: bool
) -> TrainingForm:
    """The form with what is typed; where that is nothing, with the spec that trained the run `like`.

    `look` says what is wrong with it, as the API would, or shows the request.
    """
    known = {PRIORITY, *(each.id for each in fields())}
    given = {name: text[:MOST_TYPED] for name, text in typed.items() if name in known}
    found = None if like is None or given else _like(session, project_id, like)
    given = given or found or {}
    errors, refusal, request = _looked_through(session, project_id, settings, given) if look else ({}, None, None)
    sets = list_problem_sets(session, project_id, PageQuery(limit=TO_CHOOSE)).problem_sets
    return TrainingForm(
        typed=given,
        usual=dict(_defaults()),
        problem_sets={each.problem_set: problems(each.problems) for each in sets},
        verifiers={name: tuple(_options(kind)) for name, kind in VERIFIER_OPTIONS.items()},
        k=_picture(given),
        errors=errors,
        refusal=refusal,
        request=request,
        like=like if found is not None else None,
        unlike=like if found is None and not given else None,
    )


def _like(session: Session, project_id: int, run: str) -> dict[str, str] | None:
    """The spec that trained a run as it would be typed, under a name that no run has; None where no job trained it."""
    spec = spec_of_run(session, project_id, run)
    if spec is None:
        return None
    return typed_of(spec.model_dump(mode="json", exclude_none=True)) | {"run": _free(session, project_id, spec.run)}


def _free(session: Session, project_id: int, run: str) -> str:
    """`run-2`, or the first after it that there is not; of `run-2` itself, where there is `run`, `run-3`."""
    stem = re.sub(r"-[0-9]{1,4}$", "", run)
    names = select(Run.name).where(Run.project_id == project_id, Run.name.startswith(stem[:190], autoescape=True))
    taken = set(session.scalars(names))
    base = (stem if stem in taken else run)[:190]
    number = 2
    # Runs of several seeds have names of their own, which begin with that of the spec.
    while any(name == f"{base}-{number}" or name.startswith(f"{base}-{number}-seed-") for name in taken):
        number += 1
    return f"{base}-{number}"


def _defaults() -> Iterator[tuple[str, str]]:
    for each in fields():
        default = _default(TrainingSpec, each.path.split("/"), "")
        if isinstance(default, int | float | str) and not isinstance(default, bool):
            yield each.id, str(default) if isinstance(default, str) else f"{default:g}"
    yield "seeds", "0"
    yield "micro_batch", "n"
    yield "transform", "sloo_minus_one"


def _default(model: type[BaseModel], names: Sequence[str], path: str) -> Any:
    name, *rest = names
    member = model.model_fields.get(name)
    if member is None:
        return None
    path = f"{path}/{name}".strip("/")
    default = member.default
    if not rest:
        return None if default is PydanticUndefined else default
    inner = _INNER.get(path) or (type(default) if isinstance(default, BaseModel) else None)
    return None if inner is None else _default(inner, rest, path)


def _options(kind: type[BaseModel]) -> Iterator[Option]:
    schema = kind.model_json_schema()
    for name, member in schema["properties"].items():
        values = member.get("enum") or member.get("items", {}).get("enum")
        words = [member.get("description", "")]
        words += [f"of {', '.join(map(str, values))}"] if values else []
        usual = json.dumps(member["default"], ensure_ascii=False) if "default" in member else "needed"
        yield Option(name, usual, "; ".join(each for each in words if each))


def _picture(typed: Mapping[str, str]) -> KPicture | str | None:
    """k over the steps, or why it cannot be drawn; None where nothing is said of it."""
    try:
        spec = spec_of(typed)
    except Unreadable as unreadable:
        spec = spec_of({name: text for name, text in typed.items() if name != unreadable.field.id})
    if "k" not in spec:
        return None
    steps = spec.get("steps")
    try:
        schedule = from_spec(spec["k"])
    except (ValueError, TypeError) as error:
        return re.sub(r"; got .*", "", str(error), flags=re.DOTALL) + "."
    return k_picture(schedule, steps if isinstance(steps, int) and 0 < steps <= MOST_DRAWN else None)


def _looked_through(
    session: Session, project_id: int, settings: Settings, typed: Mapping[str, str]
) -> tuple[dict[str, str], str | None, str | None]:
    """What is wrong by the id of the field, the sentence above them, and where nothing is, the request."""
    try:
        request = {"kind": "training", "spec": spec_of(typed), **priority_of(typed)}
        job = validated(OFFERS["training"].request, request)
        OFFERS["training"].capability(job.spec)
        check(session, project_id, settings, job.spec)
    except Unreadable as unreadable:
        return {unreadable.field.id: str(unreadable)}, str(unreadable), None
    except RequestValidationError as error:
        sentence, found = rules_broken(error)
        return *_at_fields(sentence, found, typed), None
    except AppError as refusal:
        return *_at_fields(str(refusal), refusal.errors, typed), None
    return {}, None, json.dumps(request, indent=1, ensure_ascii=False)


def _at_fields(
    sentence: str, errors: Sequence[tuple[str, str]], typed: Mapping[str, str]
) -> tuple[dict[str, str], str]:
    """The errors by the id of the field that each is at, and the sentence with those that are at none."""
    found: dict[str, str] = {}
    rest = [sentence]
    for pointer, code in errors:
        at = _field_at(pointer, typed)
        if at is None:
            rest.append(f"{pointer}: {code}")
        else:
            found[at.id] = "This is needed." if code == "missing: Field required" else re.sub("^[a-z_]+: ", "", code)
    return found, " ".join(rest)


def _field_at(pointer: str, typed: Mapping[str, str]) -> Field | None:
    """The field that a pointer of the request names, or the one that holds it; of two the one that is typed into."""
    near = [each for each in fields() if counts(each, typed) and f"{pointer}/".startswith(f"/spec/{each.path}/")]
    return max(near, key=lambda each: (len(each.path), each.puts is None), default=None)
