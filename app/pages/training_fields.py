"""What is typed into the form of a training job as its spec, and a spec as what would be typed."""

import json
import re
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any, Final

from app.body import json_value
from app.errors import AppError
from dashboards.training_fields import Field, fields

PRIORITY: Final = "priority"  # a field of every form of a job
NO_JSON: Final = "This is not JSON."
NUMBER: Final = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,4})?", re.ASCII)
MOST_DIGITS: Final = 2**53  # beyond it a browser's numbers are no whole ones any more


class Unreadable(Exception):
    """What is typed into a field cannot be sent at all."""

    def __init__(self, of: Field, sentence: str) -> None:
        super().__init__(sentence)
        self.field = of


def spec_of(typed: Mapping[str, str]) -> dict[str, Any]:
    """The spec that the form sends, as its script puts it together; Unreadable where a field holds no JSON."""
    spec: dict[str, Any] = {}
    for each in fields():
        text = _typed(each, typed)
        if text == "" or not counts(each, typed):
            continue
        value = _put(each, text) if each.puts is not None else _value(each, text)
        if value is not None:
            _place(spec, each.path, value)
    return spec


def priority_of(typed: Mapping[str, str]) -> dict[str, Any]:
    """The priority of the job, where there is one."""
    text = typed.get(PRIORITY, "").strip()
    return {PRIORITY: _number(text)} if text else {}


def _typed(of: Field, typed: Mapping[str, str]) -> str:
    return typed.get(of.id, of.usual if of.kind in ("choice", "truth") else "").strip()


def counts(of: Field, typed: Mapping[str, str]) -> bool:
    """Whether the choices are such that the field is shown."""
    by_id = {each.id: each for each in fields()}
    return all(_typed(by_id[choice], typed) in values for choice, values in of.when.items())


def _put(of: Field, text: str) -> Any:
    put = (of.puts or {}).get(text, "")
    return json.loads(put) if put else None


def _value(of: Field, text: str) -> Any:
    match of.kind:
        case "number" | "either":
            return _number(text)
        case "numbers":
            return [_number(each) for each in re.split(r"[\s,]+", text.strip(" ,"))]
        case "names":
            return re.split(r"[\s,]+", text)
        case "truth":
            return text == "true"
        case "weights":
            return _weights(text)
        case "json":
            try:
                return json_value(text)
            except AppError as refusal:
                raise Unreadable(of, NO_JSON) from refusal
        case _:
            return text


def _number(text: str) -> float | str:
    """The number; what is none is refused by the service, in its words."""
    if not NUMBER.fullmatch(text) or not isfinite(float(text)):
        return text
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < MOST_DIGITS else value


def _weights(text: str) -> dict[str, Any]:
    pairs = (each.partition(":") for each in re.split(r",", text) if each.strip())
    return {k.strip(): _number(weight.strip()) for k, _, weight in pairs}


def _place(spec: dict[str, Any], path: str, value: Any) -> None:
    *names, last = path.split("/")
    place = spec
    for name in names:
        place = place.setdefault(name, {})
    place[last] = value


def typed_of(spec: Mapping[str, Any]) -> dict[str, str]:
    """What would be typed for a spec."""
    known = dict(spec) | {"k": _plain(spec.get("k"))}
    found: dict[str, str] = dict(_choices(known))
    for each in fields():
        if each.puts is None and each.id not in found and counts(each, found):
            value = _at(known, each.path)
            if value is not None and not (isinstance(value, dict) and each.kind not in ("json", "weights")):
                found[each.id] = _written(each, value)
    return found


def _plain(k: Any) -> Any:
    """k without the name of a schedule that is none: what is constant is fixed, or weights."""
    return k["k"] if isinstance(k, Mapping) and k.get("schedule") == "constant" else k


def _choices(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the choices are that put objects into the spec."""
    model, k = spec.get("model"), spec.get("k")
    yield "model-kind", "tiny" if isinstance(model, Mapping) else "named"
    yield "model-teach", "yes" if _at(spec, "model/teach") is not None else "no"
    yield "lora", "no" if spec.get("lora") is None else "yes"
    yield "k-kind", str(k.get("schedule", "several")) if isinstance(k, Mapping) else "fixed"


def _at(spec: Mapping[str, Any], path: str) -> Any:
    place: Any = spec
    for name in path.split("/"):
        if not isinstance(place, Mapping):
            return None
        place = place.get(name)
    return place


def _written(of: Field, value: Any) -> str:
    match of.kind:
        case "json":
            return json.dumps(value, ensure_ascii=False)
        case "weights":
            return ", ".join(f"{k}: {_plainly(weight)}" for k, weight in value.items())
        case "truth":
            return "true" if value else ""
        case "numbers":
            return ", ".join(map(_plainly, value))
        case "names":
            return " ".join(value)
        case _:
            return _plainly(value)


def _plainly(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
