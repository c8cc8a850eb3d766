"""Rewards and credits of a training step, as the service takes them."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pkpo import inputs
from pkpo.client.batches import MOST_BYTES, MOST_ROWS, batches, compressed, encoded, member
from pkpo.transforms import Scale, smallest_n, transform, unit_rms

Short = Literal["error", "zero"]
K = int | Mapping[int, float]
# Lists in which numbers and None are mixed have no narrower type that a checker would find by itself.
Rewards = ArrayLike | Sequence[object]

NAME = re.compile(r"[A-Za-z0-9._:@-]{1,200}")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
MOST_INT4, MOST_INT8 = 2**31 - 1, 2**63 - 1


@dataclass(frozen=True, eq=False)
class Groups:
    """Rewards of groups, shape (P, N), and which of them are real; 0 where one is not."""

    values: NDArray[np.float64]
    valid: NDArray[np.bool_]
    sizes: Sequence[int]  # places of each group, of which all after it are padding
    alone: bool = False  # given as one group, without the axis of groups

    @classmethod
    def of(cls, rewards: Rewards) -> "Groups":
        """Groups from an array or tensor (P, N) in which nan is missing, or from lists of any lengths, with None too.

        One group alone may have shape (N,). Raises ValueError for what is none of these, or is infinite.
        """
        if hasattr(rewards, "detach"):  # a torch tensor; NumPy reads neither a GPU's memory nor bfloat16
            rewards = rewards.detach().cpu().double().numpy()
        if not isinstance(rewards, list | tuple):
            given = np.asarray(rewards)
            rows = given[None] if given.ndim == 1 else given
            return cls._of(rows, [rows.shape[-1]] * len(rows) if rows.ndim else [], given.ndim == 1)
        if alone := not any(isinstance(group, list | tuple) or getattr(group, "ndim", 0) for group in rewards):
            rewards = [rewards]
        try:
            sizes = [len(group) for group in rewards]
            flat = np.asarray([math.nan if each is None else each for group in rewards for each in group])
        except (TypeError, ValueError) as error:
            raise ValueError(f"rewards must be numbers, or None, in a list for each group: {error}") from error
        if flat.dtype.kind not in "biuf" or flat.ndim != 1:
            return cls._of(flat, sizes, alone)  # refused there
        padded = np.full((len(sizes), max(sizes)), math.nan)
        padded[np.arange(max(sizes)) < np.array(sizes)[:, None]] = flat
        return cls._of(padded, sizes, alone)

    @classmethod
    def _of(cls, given: NDArray[Any], sizes: Sequence[int], alone: bool) -> "Groups":
        if given.dtype.kind not in "biuf" or given.ndim != 2 or given.size == 0:
            raise ValueError(
                f"rewards must be numbers of shape (groups, n); got shape {given.shape} of {given.dtype} "
                "(mark a missing one by nan)"
            )
        valid = ~np.isnan(given)
        values, _ = inputs.rewards(np.where(valid, given, 0))
        return cls(values, valid, sizes, alone)

    def credits(self, name: str, k: K, scale: Scale, short: Short) -> NDArray[np.float64]:
        """Credits of the named transform, shape (P, N), 0 where a reward is missing.

        Raises:
          ValueError: as pkpo.transform; with short="zero" not for groups that are too small: their credits are 0.
        """
        if short not in ("error", "zero"):
            raise ValueError(f"short must be error or zero; got {short!r}")
        if short == "error":
            mask = None if self.valid.all() else self.valid  # without one it is faster
            return transform(name, self.values, k, mask=mask, scale=scale)
        enough = np.count_nonzero(self.valid, axis=1) >= smallest_n(name, k)
        credits = np.zeros(self.values.shape)
        if enough.any():
            own: Scale = "sum" if scale == "rms" else scale
            credits[enough] = transform(name, self.values[enough], k, mask=self.valid[enough], scale=own)
        # Over the whole batch, as the service does it: small groups count with their zeros.
        return unit_rms(credits, self.valid) if scale == "rms" else credits

    def listed(self, values: NDArray[np.float64]) -> list[list[float | None]]:
        """A list for each group, of its own length, None where a reward is missing."""
        if self.valid.all():
            return values.tolist()  # type: ignore[no-any-return]  # of two dimensions
        rows = zip(values.tolist(), self.valid.tolist(), self.sizes, strict=True)
        return [
            [value if real else None for value, real in zip(row[:size], valid, strict=False)]
            for row, valid, size in rows
        ]


@dataclass(frozen=True, eq=False)
class GroupsEntry:
    """One call of log_groups, on its way to the spool."""

    path: str
    groups: Groups
    credits: NDArray[np.float64]
    common: Mapping[str, Any]  # members that all groups have
    first: int
    problems: Sequence[str]
    completions: Sequence[Sequence[str]] | None

    def requests(self) -> Iterator[tuple[str, bytes]]:
        """The groups as bodies of POST /v1/runs/{run}/groups."""
        return _requests(self.path, "groups", self._rows())

    def _rows(self) -> Iterator[bytes]:
        rewards, credits = self.groups.listed(self.groups.values), self.groups.listed(self.credits)
        for i, problem in enumerate(self.problems):
            own: dict[str, Any] = {"problem": problem, "group_index": self.first + i}
            if self.completions is not None:
                own["completions"] = list(self.completions[i])
            yield encoded({**self.common, **own, "rewards": rewards[i], "credits": credits[i]}, f"group {i}")


@dataclass(frozen=True)
class MetricsEntry:
    """One call of log_metrics, on its way to the spool."""

    path: str
    common: Mapping[str, Any]
    metrics: Mapping[str, float | str]

    def requests(self) -> Iterator[tuple[str, bytes]]:
        """The numbers as bodies of POST /v1/runs/{run}/metrics."""
        rows = ({**self.common, "name": name, "value": value} for name, value in self.metrics.items())
        return _requests(self.path, "metrics", (encoded(row, f"metric {row['name']!r}") for row in rows))


def _requests(path: str, what: str, rows: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    for batch in batches(rows, MOST_ROWS, MOST_BYTES - 100):
        yield path, compressed(member(what, batch))


def run_name(run: object) -> str:
    """The name; ValueError where the service would not take it."""
    if not isinstance(run, str) or not NAME.fullmatch(run):
        raise ValueError(f"a run's name has at most 200 letters, digits and . _ : @ -; got {run!r}")
    return run


def place(step: int, segment: int | None) -> dict[str, int]:
    """The members of a row that say when it was logged; ValueError where the service would not take them."""
    where = {"step": whole("step", step, MOST_INT8)}
    return where if segment is None else {**where, "segment": whole("segment", segment, MOST_INT4)}


def whole(name: str, value: object, most: int) -> int:
    """The value as an int; ValueError unless it is one from 0 to `most`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value <= most:
        raise ValueError(f"{name} must be an integer from 0 to {most}; got {value!r}")
    return int(value)


def problem_names(problems: Sequence[object], groups: int) -> Sequence[str]:
    """The names, one for each group; ValueError where the service would not take them."""
    names = list(problems)
    if len(names) != groups:
        raise ValueError(f"{groups} groups need as many problems; got {len(names)}")
    return [_name("problem", name, 500) for name in names]


def texts(completions: Sequence[Sequence[object]], groups: Groups) -> Sequence[Sequence[str]]:
    """The completions' texts; ValueError where there are not as many as rewards, or one is no text."""
    listed = [[text for text in group if isinstance(text, str)] for group in completions]
    if not list(map(len, completions)) == list(map(len, listed)) == list(groups.sizes):
        raise ValueError("completions must hold a text for each reward, in a list for each group")
    return listed


def metric_values(values: Mapping[Any, Any]) -> dict[str, float | str]:
    """Numbers as JSON has them, and "NaN", "Infinity", "-Infinity" by name; ValueError for what is no number."""
    written: dict[str, float | str] = {}
    for name, value in values.items():
        try:
            number = float(value)  # of Python, NumPy or torch
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"metric {name!r} must be a number; got {value!r}") from error
        special = "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
        written[_name("metric", name, 200)] = number if math.isfinite(number) else special
    return written


def _name(what: str, name: object, longest: int) -> str:
    if not isinstance(name, str) or not 1 <= len(name) <= longest or CONTROL.search(name):
        raise ValueError(f"a {what}'s name has 1 to {longest} characters, no control characters; got {name!r}")
    return name
