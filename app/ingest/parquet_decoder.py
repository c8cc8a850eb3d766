"""The program that decodes Parquet for the service, in a process of its own: nothing of pkpo is imported here.

It reads a body after its length (8 bytes, little-endian) from standard input and writes an answer in the same way, a
pickle of `("columns", {name: values}, lengths)` or `("refused", sentence, pointer, code)`, until its input ends.
Hostile bytes can make the C++ of a Parquet reader ask for gigabytes, turn for ever, or crash: it is this process that
runs into a limit or dies.
"""

import os
import pickle
import resource
import sys
from typing import Any, BinaryIO, Final, NamedTuple

# The system's allocator says no at RLIMIT_AS; Arrow's own would reserve more than that at its start.
os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types

MIB: Final = 2**20
MEMORY: Final = 1024 * MIB  # beyond what the program itself takes
MOST_BYTES: Final = 25 * MIB  # of the values, decoded
LARGEST_FOOTER: Final = 8 * MIB  # of a string or a list in it
COLUMNS: Final = {
    "problem": "text",
    "sample_index": "integers",
    "text": "text",
    "finish_reason": "text",
    "prompt_tokens": "integers",
    "completion_tokens": "integers",
    "logprob": "numbers",
    "seed": "integers",
}
VERDICT_COLUMNS: Final = {
    "verifier": "text",
    "reward": "numbers",
    "passed": "booleans",
    "status": "text",
    "answer": "text",
    "detail": "text",
}
VERIFICATIONS: Final = "verifications"


class Refused(Exception):
    """A body that is not taken: why, and where."""

    def __init__(self, sentence: str, pointer: str, code: str) -> None:
        super().__init__(sentence, pointer, code)


class Limits(NamedTuple):
    """What a body may hold at most."""

    rows: int
    verdicts: int


def main() -> None:
    """Answer bodies until standard input ends."""
    limits = Limits(*map(int, sys.argv[1:]))
    _confine()
    body, answers = sys.stdin.buffer, sys.stdout.buffer
    _write(answers, b"ready")
    while head := body.read(8):
        answer = _answer(body.read(int.from_bytes(head, "little")), limits)
        _write(answers, pickle.dumps(answer, pickle.HIGHEST_PROTOCOL))


def _confine() -> None:
    with open("/proc/self/statm", "rb") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _write(stream: BinaryIO, data: bytes) -> None:
    stream.write(len(data).to_bytes(8, "little"))
    stream.write(data)
    stream.flush()


def _answer(body: bytes, limits: Limits) -> tuple[Any, ...]:
    try:
        return ("columns", *_columns(body, limits))
    except Refused as refusal:
        return ("refused", *refusal.args)
    except MemoryError:
        return ("refused", "The body takes too much memory to decode.", "", "too-large")
    except (pa.ArrowException, OSError):
        return ("refused", "The body is no Parquet that can be read: damaged, cut off or encrypted.", "", "not-parquet")


def _columns(body: bytes, limits: Limits) -> tuple[dict[str, list[Any]], list[int] | None]:
    """The values by column, those of verdicts one after the other, and how many verdicts each row has.

    None in place of these where each row has at most one, in columns beside the others.
    """
    file = pq.ParquetFile(
        pa.BufferReader(body), thrift_string_size_limit=LARGEST_FOOTER, thrift_container_size_limit=LARGEST_FOOTER
    )
    _refuse_many(file.metadata.num_rows, "rows", limits.rows)
    _refuse_schema(file.schema_arrow)
    table = file.read(use_threads=False)
    _refuse_many(table.num_rows, "rows", limits.rows)
    table.validate(full=True)  # that text is UTF-8, and lists lie within their values
    columns = {name: _expanded(table.column(name)) for name in table.column_names}
    lists, lengths = columns.pop(VERIFICATIONS, None), None
    if lists is not None:
        verdicts = lists.flatten()
        _refuse_many(len(verdicts), "verdicts", limits.verdicts)
        lengths = pc.fill_null(pc.list_value_length(lists), 0).to_pylist()
        names = [field.name for field in verdicts.type]
        columns |= {name: _expanded(each) for name, each in zip(names, verdicts.flatten(), strict=True)}
    if sum(column.nbytes for column in columns.values()) > MOST_BYTES:
        raise Refused(f"The values of the body take more than {MOST_BYTES} bytes, decoded.", "", "too-large")
    return {name: _plain(column) for name, column in columns.items()}, lengths


def _refuse_many(count: int, what: str, most: int) -> None:
    if count > most:
        raise Refused(
            f"The body has {count} {what}; a request takes {most} at most.", "/completions", f"too many {what}"
        )


def _refuse_schema(schema: pa.Schema) -> None:
    """Raise Refused where a column is unknown, there twice, or of a type that its values do not have."""
    kinds = COLUMNS | ({} if VERIFICATIONS in schema.names else VERDICT_COLUMNS)
    _refuse_names(schema.names, [*kinds, VERIFICATIONS])
    for field in schema:
        if field.name == VERIFICATIONS:
            inner = field.type.value_type if _is_list(field.type) else None
            if inner is None or not types.is_struct(inner):
                raise _wrong_type(VERIFICATIONS, "lists of structs")
            _refuse_names([each.name for each in inner], list(VERDICT_COLUMNS))
            for each in inner:
                _refuse_type(each, VERDICT_COLUMNS[each.name], f"{VERIFICATIONS}/0/")
        else:
            _refuse_type(field, kinds[field.name])


def _refuse_names(names: list[str], known: list[str]) -> None:
    if len(set(names)) < len(names):
        raise Refused("Two columns of the body have the same name.", "/completions/0", "column-twice")
    if not set(names) <= set(known):
        sentence = f"The body has columns other than {', '.join(known)}."
        raise Refused(sentence, "/completions/0", "unknown column")


def _refuse_type(field: pa.Field, kind: str, within: str = "") -> None:
    type_ = field.type.value_type if types.is_dictionary(field.type) else field.type
    sound = {
        "text": types.is_string(type_) or types.is_large_string(type_),
        "integers": types.is_integer(type_),
        "numbers": types.is_integer(type_) or types.is_floating(type_),
        "booleans": types.is_boolean(type_),
    }
    if not (sound[kind] or types.is_null(type_)):
        raise _wrong_type(f"{within}{field.name}", kind)


def _wrong_type(column: str, kind: str) -> Refused:
    sentence = f"A column of the body is of another type than its values have: {kind}."
    return Refused(sentence, f"/completions/0/{column}", f"must be a column of {kind}")


def _is_list(type_: pa.DataType) -> bool:
    return bool(types.is_list(type_) or types.is_large_list(type_))


def _expanded(column: Any) -> Any:
    """The column in one piece, each value for itself: only so does it show its size."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return array.cast(array.type.value_type) if types.is_dictionary(array.type) else array


def _plain(array: Any) -> list[Any]:
    """The values as Python has them, None for null. NumPy is the quick way, where it knows the difference."""
    numbers = types.is_integer(array.type) or types.is_floating(array.type)
    if types.is_null(array.type) or (numbers and array.null_count):
        values: list[Any] = array.to_pylist()
    else:
        values = array.to_numpy(zero_copy_only=False).tolist()
    return values


if __name__ == "__main__":
    main()
