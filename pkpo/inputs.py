"""What the estimators and transforms accept, checked once: a wrong shape, type or value is refused with its bound."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

MOST_COMPLETIONS = 2**31 - 1

Labels = ArrayLike | Sequence[object]
Answers = ArrayLike | Sequence[object]  # NumPy's own type for what becomes an array does not know None


def whole(name: str, value: object) -> int:
    """value as an int; ValueError where it is no integer (a bool or a float is none) or is below 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(f"{name} must be an integer; got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1; got {name}={value}")
    return int(value)


def attempts(k: object, several: str = "") -> int:
    """k, the number of attempts, as an int; ValueError where it is none from 1 up, with what takes several."""
    if several and isinstance(k, list | tuple | np.ndarray):
        raise ValueError(f"k must be an integer; got {k!r}; {several} takes several")
    return whole("k", k)


def finite(name: str, value: object, kind: str = "a real number") -> float:
    """value as a float; ValueError where it is no finite real number (a bool is none); kind is what it may be."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise ValueError(f"{name} must be {kind}; got {value!r}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite in float64; got {value}")
    return number


def level_of(level: object) -> float:
    """A confidence level as a float; ValueError outside (0, 1)."""
    fraction = finite("level", level)
    if not 0 < fraction < 1:
        raise ValueError(f"level must be in (0, 1); got {level}")
    return fraction


def tallies(n: ArrayLike, c: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Completions and passes as int64 of one shape; ValueError unless integers with 0 <= c <= n <= 2^31 - 1."""
    totals, passed = _counts("n", n), _counts("c", c)
    try:
        totals, passed = np.broadcast_arrays(totals, passed)
    except ValueError as error:
        raise ValueError(f"n of shape {totals.shape} and c of shape {passed.shape} do not broadcast") from error
    if (passed > totals).any():
        index = _first(passed > totals)
        raise ValueError(f"c must be in [0, n]; got c={passed[index]}, n={totals[index]} at index {index}")
    return totals, passed


def _counts(name: str, values: ArrayLike) -> NDArray[np.int64]:
    array = _as_array(name, values)
    if array.size == 0 and array.dtype == np.float64:  # NumPy's type for an empty list
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be integers; got {array.dtype} {array.ravel()[:1].tolist()}")
    wrong = (array < 0) | (array > MOST_COMPLETIONS)
    if wrong.any():
        raise ValueError(f"{name} must be in [0, {MOST_COMPLETIONS}]; got {array[_first(wrong)]}")
    return array.astype(np.int64)


def rewards(
    g: ArrayLike, mask: ArrayLike | None = None, name: str = "rewards"
) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    """Rewards as float64 of shape (..., n), and the mask broadcast to them, None where every entry is real.

    Raises:
      ValueError: rewards that are no numbers (objects, None, strings, complex), have no axis or no completion, or are
        not finite where the mask is True; a mask that is not boolean or does not broadcast to the rewards.
    """
    array = _as_array(name, g)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be real numbers; got an array of {array.dtype} (mark a missing one by mask)")
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"{name} must have shape (..., n) with n at least 1; got shape {array.shape}")
    valid = None if mask is None else _mask(mask, array.shape)
    finite = np.isfinite(array)
    if not finite.all():
        wrong = ~finite if valid is None else ~finite & valid
        if wrong.any():
            index = _first(wrong)
            raise ValueError(f"{name} must be finite; got {array[index]} at index {index}")
    with np.errstate(over="ignore"):
        converted = array.astype(np.float64, copy=False)
    if array.dtype.itemsize > 8:  # a long double may be finite where a float64 is not
        return rewards(converted, valid, name)
    return converted, valid


def answers(values: Answers, mask: ArrayLike | None = None) -> tuple[NDArray[np.object_], NDArray[np.bool_] | None]:
    """Answers as Python objects of shape (..., n), and the mask broadcast to them, None where every entry is real.

    Raises:
      ValueError: answers that have no axis or no completion, or, where the mask is True, are not hashable or are nan; a
        mask that is not boolean or does not broadcast to the answers.
    """
    given = _as_array("answers", values, np.object_)  # as they are: NumPy would make 1 and "1" the same string
    if given.ndim == 0 or given.shape[-1] == 0:
        raise ValueError(f"answers must have shape (..., n) with n at least 1; got shape {given.shape}")
    valid = None if mask is None else _mask(mask, given.shape, "answers")
    for index in np.ndindex(given.shape) if valid is None else map(tuple, np.argwhere(valid)):
        answer = given[index]
        if not _is_hashable(answer):
            raise ValueError(
                f"answers must be strings, numbers or None; got a {type(answer).__name__} at index {index} "
                "(a mask marks what is missing where groups differ in length)"
            )
        if answer != answer:
            raise ValueError(
                f"answers must be equal to themselves; got {answer} at index {index}, where None is no answer"
            )
    return given, valid


def _is_hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


@dataclass(frozen=True)
class SameSize:
    """The groups of one number n of valid entries each, without their masked ones."""

    values: NDArray[np.float64]  # (groups, n)
    rows: NDArray[np.int64]  # which groups of the batch they are
    valid: NDArray[np.bool_]  # (groups, N), where in their rows the values stood

    def scatter(self, results: NDArray[np.float64], into: NDArray[np.float64]) -> None:
        """Put results, shape (groups, n), in the places that the values came from, and 0 in the masked ones."""
        padded = np.zeros(self.valid.shape)
        padded[self.valid] = results.ravel()
        into[self.rows] = padded


def by_size(g: NDArray[np.float64], mask: NDArray[np.bool_]) -> Iterator[SameSize]:
    """The groups of g, shape (P, N), gathered by their number of valid entries, fewest first.

    Dropping the masked entries before any arithmetic makes a mask mean exactly what leaving them out would.
    """
    sizes = np.count_nonzero(mask, axis=1)
    order = np.argsort(sizes, kind="stable")
    distinct, starts = np.unique(sizes[order], return_index=True)
    for n, rows in zip(distinct.tolist(), np.split(order, starts[1:]), strict=True):
        valid = mask[rows]
        yield SameSize(g[rows][valid].reshape(len(rows), n), rows, valid)


def by_row(shape: tuple[int, ...], valid: NDArray[np.bool_] | None) -> Iterator[NDArray[np.int64]]:
    """As by_label, of groups along the last axis; in their flat order."""
    places = np.arange(math.prod(shape))
    if valid is None:
        yield places.reshape(-1, shape[-1])
        return
    present = places[valid.reshape(-1)]
    sizes = np.count_nonzero(valid.reshape(-1, shape[-1]), axis=1)
    starts = np.cumsum(sizes) - sizes
    for n in np.unique(sizes).tolist():
        yield present[starts[sizes == n, None] + np.arange(n)]


def by_label(
    labels: Labels,
    shape: tuple[int, ...],
    valid: NDArray[np.bool_] | None,
    check: Callable[[object, int], None],
) -> Iterator[NDArray[np.int64]]:
    """Where the members of the groups of one size are, shape (groups, n), for each n; masked ones are in no group.

    Raises:
      ValueError: rewards that are not flat, labels of another shape, not hashable, None or nan, and what check raises
        for a label and the number of its members, in the order in which the labels first come.
    """
    if len(shape) != 1:
        raise ValueError(f"with groups rewards must be flat, of shape (N,); got shape {shape}")
    given = [*labels] if isinstance(labels, list | tuple) else _as_array("groups", labels).tolist()
    if not isinstance(given, list) or len(given) != shape[0]:
        got = len(given) if isinstance(given, list) else "no list"
        raise ValueError(f"groups must be a label for each of {shape[0]} rewards; got {got}")
    known: dict[object, int] = {}
    for place, label in enumerate(given):
        if not _is_hashable(label) or label is None or label != label:
            raise ValueError(
                f"groups must be labels that can be hashed, neither None nor nan; got {label!r} at {place}"
            )
        known.setdefault(label, len(known))
    member_of = np.fromiter((known[label] for label in given), np.int64, len(given))
    present = np.arange(len(given)) if valid is None else np.flatnonzero(valid)
    order = present[np.argsort(member_of[present], kind="stable")]
    sizes = np.bincount(member_of[present], minlength=len(known))
    for label, n in zip(known, sizes.tolist(), strict=True):
        check(label, n)
    starts = np.cumsum(sizes) - sizes
    for n in np.unique(sizes).tolist():
        yield order[starts[sizes == n, None] + np.arange(n)]


def for_each(name: str, values: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Values as float64 of this shape; ValueError where they are not finite numbers or do not broadcast to it."""
    array = _as_array(name, values)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be real numbers; got an array of {array.dtype}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite; got {array[_first(~np.isfinite(array))]}")
    try:
        return np.broadcast_to(array.astype(np.float64), shape)
    except ValueError as error:
        raise ValueError(f"{name} of shape {array.shape} does not broadcast to groups of shape {shape}") from error


def check_binary(name: str, values: NDArray[np.float64], valid: NDArray[np.bool_] | None, hint: str = "") -> None:
    """ValueError naming the first reward that is neither 0 nor 1."""
    other = (values != 0) & (values != 1)
    if valid is not None:
        other &= valid
    if other.any():
        place = _first(other)
        raise ValueError(f"{name} needs rewards of 0 and 1; got {values[place]} at index {place}{hint}")


def check_sizes(
    name: str,
    needed: int,
    k: str,
    shape: tuple[int, ...],
    mask: NDArray[np.bool_] | None,
    hint: str = "",
    of: str = "rewards",
) -> None:
    """ValueError naming the first group with fewer than the needed number of rewards."""
    if mask is None:
        if shape[-1] < needed:
            raise ValueError(f"{name} at {k} needs at least {needed} {of} per group; got n={shape[-1]}{hint}")
        return
    sizes = np.asarray(np.count_nonzero(mask, axis=-1))
    if (sizes < needed).any():
        index = _first(sizes < needed)
        group = f"group {index[0]}" if len(index) == 1 else f"group {index}" if index else "the group"
        raise ValueError(f"{name} at {k} needs at least {needed} {of} per group; {group} has n={sizes[index]}{hint}")


def _first(wrong: NDArray[np.bool_]) -> tuple[int, ...]:
    """The index of the first True."""
    return tuple(np.argwhere(wrong)[0].tolist())


def _as_array(name: str, values: Answers, dtype: type[np.generic] | None = None) -> NDArray[Any]:
    if any(map(_is_masked, set(map(type, values)) if isinstance(values, list | tuple) else {type(values)})):
        raise ValueError(f"{name} must hold no masked array; give its data, and ~its mask as mask")
    try:
        return np.asarray(values, dtype=dtype)
    except ValueError as error:
        # NumPy's words for lists of unequal lengths name neither the input nor the way out.
        raise ValueError(
            f"{name} must be a rectangular array; pkpo.pad makes one, and its mask, of ragged rewards"
        ) from error


def _is_masked(kind: type) -> bool:
    # Asked of subclasses of arrays only: the first look at np.ma imports it, a tenth of the start of `pkpo curve`.
    return issubclass(kind, np.ndarray) and kind is not np.ndarray and issubclass(kind, np.ma.MaskedArray)


def _mask(mask: ArrayLike, shape: tuple[int, ...], of: str = "rewards") -> NDArray[np.bool_] | None:
    valid = _as_array("mask", mask)
    if valid.dtype != np.bool_:
        raise ValueError(f"mask must be boolean, True for a real completion; got {valid.dtype}")
    try:
        valid = np.broadcast_to(valid, shape)
    except ValueError as error:
        raise ValueError(f"mask of shape {valid.shape} does not broadcast to {of} of shape {shape}") from error
    return None if valid.all() else valid
