"""Rewards in and credits out as one NumPy array in the npy format: a fifth of JSON's time, and every bit of a float.

NumPy's own reader makes objects, field names and warnings of what a header may say. Here a header names one of eleven
types of numbers and a shape, or is refused.
"""

import ast
import re
from functools import lru_cache
from io import BytesIO
from typing import Any, Final

import numpy as np
from numpy.lib.format import write_array_header_1_0
from numpy.typing import NDArray

from app.errors import MOST_ERRORS, AppError, InvalidRequest
from app.transforms.wire import MOST_REWARDS, Groups, TooManyRewards

MEDIA_TYPE: Final = "application/x-npy"
MAGIC: Final = b"\x93NUMPY"
# Version 1.0 counts its header in two bytes, the later ones in four.
LENGTH_BYTES: Final = {1: 2, 2: 4, 3: 4}
# NumPy writes 118 bytes for such arrays, padded so that the numbers start at a multiple of 64.
LONGEST_HEADER: Final = 1024
TYPES: Final = re.compile("[<>=|](f[248]|[iu][1248]|b1)")


class NotNpy(InvalidRequest):
    """A body that is no array of numbers in the npy format."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The body is no npy array that can be read: {reason}.", [("", "not-npy")])


class NotOneShape(AppError):
    """Credits of groups of several sizes: no array has their shape."""

    status, type = 406, "not-acceptable"

    def __init__(self) -> None:
        super().__init__("Groups of several sizes are no array; take their credits as application/json.")


def rewards(body: bytes) -> NDArray[np.float64]:
    """The rewards, shape (n,) or (groups, n), nan where one is missing; NotNpy, TooManyRewards or InvalidRequest."""
    kind, fortran_order, shape, start = _header(body)
    _check_shape(shape)
    stored = np.dtype("u1" if kind.endswith("b1") else kind)
    size = int(np.prod(shape, dtype=np.int64)) * stored.itemsize
    if len(body) - start != size:
        raise NotNpy(f"its header asks for {size} bytes of numbers, and {len(body) - start} follow it")
    found = np.frombuffer(body, stored, offset=start).reshape(shape, order="F" if fortran_order else "C")
    if kind.endswith("b1") and (found > 1).any():
        raise NotNpy("a bool is a byte of 0 or 1")
    values = np.ascontiguousarray(found, dtype=np.float64)
    _refuse_infinities(np.atleast_2d(values))
    return values


def groups_of(values: NDArray[np.float64]) -> Groups:
    """The rows of an array; one that has no rows is one group."""
    rows = np.atleast_2d(values)
    return Groups(values.ravel(), np.full(len(rows), rows.shape[1]))


def written(groups: Groups, credits: NDArray[np.float64], shape: tuple[int, ...] | None) -> bytes:
    """The credits as float64, of this shape or as rows; NotOneShape where there is none."""
    if shape is None:
        if (groups.sizes != groups.sizes[0]).any():
            raise NotOneShape
        shape = (len(groups.sizes), int(groups.sizes[0]))
    return b"".join((_header_of(shape), credits.astype("<f8", copy=False).data))


@lru_cache(maxsize=64)
def _header_of(shape: tuple[int, ...]) -> bytes:
    stream = BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    write_array_header_1_0(stream, header)  # type: ignore[no-untyped-call]  # NumPy's, without annotations
    return stream.getvalue()


def _header(body: bytes) -> tuple[str, bool, tuple[int, ...], int]:
    """The type, whether columns are contiguous, the shape, and where the numbers start."""
    length_bytes = LENGTH_BYTES.get(body[6]) if len(body) > 10 and body.startswith(MAGIC) else None
    if length_bytes is None:
        raise NotNpy("it does not start with the name and version of the format")
    length, start = int.from_bytes(body[8 : 8 + length_bytes], "little"), 8 + length_bytes
    if length > LONGEST_HEADER or len(body) < start + length:
        raise NotNpy(f"its header has {length} bytes; {min(LONGEST_HEADER, len(body) - start)} are the most")
    match _literal(body[start : start + length]):
        case {"descr": str(kind), "fortran_order": bool(fortran_order), "shape": tuple(shape), **rest} if not rest:
            if TYPES.fullmatch(kind) is None:
                raise NotNpy("its numbers must be float16 to float64, integers or bools")
            return kind, fortran_order, shape, start + length
        case _:
            raise NotNpy("its header must be a dict of descr, fortran_order and shape")


@lru_cache(maxsize=64)  # a training loop sends the same header at every step
def _literal(header: bytes) -> Any:
    try:
        return ast.literal_eval(header.decode("latin-1").strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _check_shape(shape: tuple[Any, ...]) -> None:
    if len(shape) not in (1, 2) or any(type(length) is not int or length < 0 for length in shape):
        raise NotNpy("its shape must be (n,), one group, or (groups, n)")
    rows, n = (1, *shape)[-2:]
    if rows == 0:
        raise InvalidRequest("rewards need at least one group.", [("/rewards", "not a list of groups")])
    if rows > MOST_REWARDS or rows * n > MOST_REWARDS:
        raise TooManyRewards


def _refuse_infinities(values: NDArray[np.float64]) -> None:
    if np.isinf(values).any():
        places = np.argwhere(np.isinf(values))[:MOST_ERRORS].tolist()
        errors = [(f"/rewards/{i}/{j}", "not a finite number") for i, j in places]
        raise InvalidRequest("A reward is a finite number, or nan where it is missing.", errors)
