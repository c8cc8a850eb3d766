"""JSON Lines: one object a line, blank lines skipped."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pkpo.readers.long_form import Table
from pkpo.readers.source import Source

JsonObject = dict[str, object]


def json_tables(source: Source, fields: Mapping[str, str]) -> Iterator[Table]:
    """The fields of each object by column; ReadError at the first line that is not one object."""
    for lines, records in json_records(source):
        yield table_of(lines, records, fields)


def table_of(lines: Sequence[int], records: list[JsonObject], fields: Mapping[str, str]) -> Table:
    """The fields of these objects by column, None where an object lacks one."""
    return Table(lines, {column: _values(records, name) for column, name in fields.items()})


def value_at(record: JsonObject, path: str) -> object:
    """The value under a name, or under names joined by dots for objects in objects; None where it is not there."""
    value: object = record
    for name in [path] if path in record else path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def paths_in(records: Iterable[JsonObject]) -> list[str]:
    """The names in these objects, and those in the objects in them with a dot, as a person may ask for them."""
    found = dict[str, None]()
    for record in records:
        for name, value in record.items():
            found[name] = None
            if isinstance(value, dict):
                found.update(dict.fromkeys(f"{name}.{inner}" for inner in value))
    return list(found)


def _values(records: list[JsonObject], name: str) -> list[object]:
    if "." in name:
        return [value_at(record, name) for record in records]
    return [record.get(name) for record in records]


def json_records(source: Source) -> Iterator[tuple[Sequence[int], list[JsonObject]]]:
    """The objects of some hundred lines at a time, with the number of each line."""
    for first, lines in source.blocks():
        records = _together(lines)
        if records is not None:
            yield range(first, first + len(lines)), records
        elif found := list(_one_by_one(source, first, lines)):
            yield [number for number, _ in found], [record for _, record in found]


def _together(lines: list[bytes]) -> list[JsonObject] | None:
    """The objects on these lines, decoded in one call, which takes 60 % of the time; None unless that is sound.

    The nulls between the lines show that each line is one whole value: two objects on a line, or one on two lines,
    would shift them or swallow them.
    """
    try:
        values = json.loads(f"[{b',null,'.join(lines).decode()}]")
    except (ValueError, RecursionError):
        return None
    records = values[::2]
    aligned = len(values) == 2 * len(lines) - 1 and values[1::2].count(None) == len(lines) - 1
    return records if aligned and set(map(type, records)) == {dict} else None


def _one_by_one(source: Source, first: int, lines: list[bytes]) -> Iterator[tuple[int, JsonObject]]:
    """The objects with their lines; finds the line that `_together` stumbled over, if it was not a blank one."""
    for number, line in enumerate(lines, first):
        if not line.strip():
            continue
        record = _value(source, number, source.decoded(line, number))
        if not isinstance(record, dict):
            raise source.error(f"expected a JSON object, got {_kind(record)}", number)
        yield number, record


def _value(source: Source, number: int, line: str) -> object:
    try:
        return json.loads(line.rstrip(" \t\r\n"))  # what is cut off ends here, not at column 1 of the line after
    except json.JSONDecodeError as cause:
        reason = f"not a JSON object on one line: {cause.msg} (column {cause.colno})"
    except RecursionError:
        reason = "nested too deeply"
    except ValueError:
        reason = "a number with thousands of digits"  # more than Python turns into an int
    raise source.error(reason, number)


def _kind(value: object) -> str:
    names = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
