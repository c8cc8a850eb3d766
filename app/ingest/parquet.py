"""Completions as Parquet, by the rules of the JSON: the same values, the same pointers. No row becomes a model."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from types import GenericAlias
from typing import Any, Final, NotRequired, get_args, get_origin, get_type_hints

from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError

from app.body import MOST_LOOKED_AT, broken_rules, json_value
from app.errors import InvalidRequest
from app.ingest.columns import CompletionColumns
from app.ingest.parquet_process import Decoder
from app.ingest.schemas import MOST_VERDICTS, NewCompletion
from app.ingest.verdicts import STRICT, Verdict, VerdictFields

Columns = Mapping[str, list[Any]]
Place = tuple[str | int, ...]


def _columns_of(model: type) -> dict[str, TypeAdapter[Any]]:
    """For each member of a TypedDict, the adapter of a list of its values."""
    hints: dict[str, Any] = get_type_hints(model, include_extras=True)
    types = {name: get_args(hint)[0] if get_origin(hint) is NotRequired else hint for name, hint in hints.items()}
    lists: dict[str, Any] = {name: GenericAlias(list, type_) for name, type_ in types.items()}
    return {name: TypeAdapter(type_, config=STRICT) for name, type_ in lists.items()}


COMPLETIONS: Final = {name: each for name, each in _columns_of(NewCompletion).items() if name != "verifications"}
VERDICTS: Final = _columns_of(VerdictFields)
_DECODER: Final = Decoder()


def read_parquet(body: bytes) -> CompletionColumns:
    """The completions of a body; InvalidRequest or RequestValidationError where it breaks a rule.

    Verdicts stand in a column `verifications` of lists of structs, or, one a row, in columns `verifier`, `passed`, … of
    their own, all null but the verifier where a completion has none. `detail` is an object as JSON text.
    """
    columns, lengths = _DECODER.decode(body)
    _refuse_absent(columns, ("problem", "sample_index"), "/completions/0")
    rows = len(columns["problem"])
    places: list[Place] = [("completions", row) for row in range(rows)]
    completions = {name: _valid(adapter, columns.get(name), places, name) for name, adapter in COMPLETIONS.items()}
    return CompletionColumns(**completions, verifications=_verifications(columns, lengths, rows))


def _verifications(columns: Columns, lengths: list[int] | None, rows: int) -> Sequence[Sequence[Verdict]]:
    """The verdicts of each row."""
    given = {name: columns[name] for name in VERDICTS if name in columns}
    if not given:
        return [()] * rows
    places: list[Place]
    if lengths is None:
        _refuse_absent(given, ("verifier",), "/completions/0")
        judged = [row for row, said in enumerate(_anything_said(given, rows)) if said]
        given = {name: [column[row] for row in judged] for name, column in given.items()}
        lengths = [0] * rows
        for row in judged:
            lengths[row] = 1
        places = [("completions", row) for row in judged]
    else:
        _refuse_absent(given, ("verifier",), "/completions/0/verifications/0")
        _refuse_long(lengths)
        places = [("completions", row, "verifications", nth) for row, n in enumerate(lengths) for nth in range(n)]
    verdicts = _settled(given, places)
    ends = accumulate(lengths, initial=0)
    return [verdicts[start:end] for start, end in pairwise(ends)]


def _anything_said(given: Columns, rows: int) -> list[bool]:
    """For each row whether it has a verdict: more than a verifier's name."""
    said = [False] * rows
    for name, column in given.items():
        if name != "verifier":
            said = [before or value is not None for before, value in zip(said, column, strict=True)]
    return said


def _settled(given: Columns, places: Sequence[Place]) -> list[Verdict]:
    """A verdict for each place, its parts in agreement."""
    if "detail" in given:
        texts = zip(given["detail"], places, strict=True)
        given = {**given, "detail": [_detail(text, place) for text, place in texts]}
    fields = [_valid(adapter, given.get(name), places, name) for name, adapter in VERDICTS.items()]
    verdicts, errors = [], []
    for place, values in zip(places, zip(*fields, strict=True), strict=True):
        try:
            verdicts.append(Verdict.of(*values))
        except ValueError as error:
            errors.append({"loc": ("body", *place), "type": "value_error", "msg": f"Value error, {error}"})
    if errors:
        raise RequestValidationError(errors[:MOST_LOOKED_AT])
    return verdicts


def _detail(text: str | None, place: Place) -> object:
    return None if text is None else json_value(text, pointer="".join(f"/{step}" for step in (*place, "detail")))


def _valid(adapter: TypeAdapter[Any], column: list[Any] | None, places: Sequence[Place], name: str) -> list[Any]:
    """The column of this name, nulls where there is none; a broken rule is told with its place in the body."""
    if column is None:
        return [None] * len(places)
    try:
        valid: list[Any] = adapter.validate_python(column)
        return valid
    except ValidationError as error:
        refusal = broken_rules(error)
    if isinstance(refusal, RequestValidationError):
        found = [
            {**each, "loc": ("body", *places[each["loc"][1]], name, *each["loc"][2:])} for each in refusal.errors()
        ]
        refusal = RequestValidationError(found)
    raise refusal


def _refuse_absent(columns: Columns, needed: Sequence[str], within: str) -> None:
    if absent := [name for name in needed if name not in columns]:
        errors = [(f"{within}/{name}", "missing: no column of this name") for name in absent]
        raise InvalidRequest("The body lacks columns that it needs.", errors)


def _refuse_long(lengths: Sequence[int]) -> None:
    if errors := [
        (f"/completions/{row}/verifications", f"at most {MOST_VERDICTS} verdicts")
        for row, length in enumerate(lengths)
        if length > MOST_VERDICTS
    ]:
        raise InvalidRequest("Some completions have more verdicts than one may have in a request.", errors)
