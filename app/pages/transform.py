"""Rewards typed into a form, and the credits that they become."""

import re
from math import isfinite, nan
from typing import Final

import numpy as np
import orjson
from fastapi import Response
from numpy.typing import NDArray

from app.errors import AppError, InvalidRequest
from app.pages.answers import csv_file
from app.pages.queries import TransformQuery
from app.transforms.schemas import TransformOptions
from app.transforms.service import Credits, credit
from app.transforms.wire import Groups, groups_of
from dashboards.numerals import count
from dashboards.transform_page import Credited, Group, TransformPage, Wrong
from pkpo.transforms import smallest_n

MOST_TYPED: Final = 2_000  # rewards, of which the page has a row for each
MISSING: Final = ("null", "-")
NUMBER: Final = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,4})?", re.ASCII)
TRUTHS: Final = {"true": 1.0, "false": 0.0}


class _Refused(Exception):
    """What is typed is not what the field takes; the message says why."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def transform_page(query: TransformQuery) -> TransformPage:
    """The credits of the rewards that were typed, or what is wrong with them."""
    outcome: Credited | Wrong
    try:
        outcome = _credited(query)
    except _Refused as refusal:
        outcome = Wrong(refusal.field, str(refusal))
    return TransformPage(query.rewards, query.k, query.transform, query.lam, query.scale, outcome)


def transform_file(query: TransformQuery) -> Response:
    """Every reward with its credit; InvalidRequest says what is wrong with what was typed."""
    try:
        credited = _credited(query)
    except _Refused as refusal:
        raise InvalidRequest(str(refusal), [(f"query/{refusal.field}", "not usable")]) from refusal
    rows = [
        (_name(query), credited.k, query.scale, i, j, reward, found, group.max_at_k)
        for i, group in enumerate(credited.groups)
        for j, (reward, found) in enumerate(zip(group.rewards, group.credits, strict=True))
    ]
    header = ("transform", "k", "scale", "group", "completion", "reward", "credit", "max_at_k")
    return csv_file("credits.csv", header, rows)


def _credited(query: TransformQuery) -> Credited:
    groups, k, name = _groups(query.rewards), _k(query.k), _name(query)
    _refuse_short(groups, name, k)
    options = TransformOptions(k=k, transform=name, scale=query.scale)
    try:
        found = credit(groups, options)
    except AppError as refusal:
        raise _Refused("rewards", str(refusal)) from refusal
    return Credited(k, tuple(_shown(groups, found)))


def _shown(groups: Groups, found: Credits) -> list[Group]:
    ends = np.cumsum(groups.sizes)[:-1]
    return [
        Group(tuple(rewards.tolist()), tuple(credits.tolist()), best)
        for rewards, credits, best in zip(
            np.split(groups.rewards, ends), np.split(found.credits, ends), found.max_at_k.tolist(), strict=True
        )
    ]


def _refuse_short(groups: Groups, transform: str, k: int) -> None:
    needed, sizes = smallest_n(transform, k), _present(groups)
    if (short := np.flatnonzero(sizes < needed)).size:
        raise _Refused(
            "k",
            f"{transform} at k = {count(k)} needs {count(needed)} rewards in each group. {count(len(short))} of "
            f"{count(len(sizes))} groups have fewer, group {short[0]} for one: {count(int(sizes[short[0]]))}.",
        )


def _present(groups: Groups) -> NDArray[np.int64]:
    """How many rewards of each group are there."""
    starts = np.cumsum(groups.sizes) - groups.sizes
    there = np.concatenate([[0], np.cumsum(~np.isnan(groups.rewards))])
    counts: NDArray[np.int64] = there[starts + groups.sizes] - there[starts]
    return counts


def _name(query: TransformQuery) -> str:
    """The transform as REST names it."""
    if query.transform != "mixed":
        return query.transform
    lam = query.lam.strip()
    if not NUMBER.fullmatch(lam) or not isfinite(float(lam)):
        raise _Refused("lam", "λ is a finite number, such as 0.25.")
    return f"mixed({lam})"


def _k(typed: str) -> int:
    if not re.fullmatch("[0-9]{1,4}", typed.strip(), re.ASCII) or not 1 <= int(typed) <= MOST_TYPED:
        raise _Refused("k", f"k is a whole number from 1 to {count(MOST_TYPED)}.")
    return int(typed)


def _groups(typed: str) -> Groups:
    """The rewards as JSON where all of it is a list, else line by line."""
    whole = _json(typed)
    if isinstance(whole, list):
        lists = whole if any(isinstance(each, list) for each in whole) else [whole]
    else:
        lists = [_line(i, line) for i, line in enumerate(typed.splitlines(), 1) if line.strip()]
    if not lists:
        raise _Refused("rewards", "There are no rewards yet: one line for each problem.")
    try:
        groups = groups_of(lists)
    except AppError as refusal:
        raise _Refused("rewards", f"{refusal}{_place(refusal)}") from refusal
    if len(groups.rewards) > MOST_TYPED:
        raise _Refused(
            "rewards", f"There are {count(len(groups.rewards))} rewards; this page takes {count(MOST_TYPED)}."
        )
    return groups


def _json(text: str) -> object:
    """What the text is as JSON; None where it is none."""
    if not text.lstrip().startswith("["):
        return None
    try:
        parsed: object = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return parsed


def _line(number: int, line: str) -> object:
    """A line's rewards: a JSON list, or numbers with spaces, commas or semicolons between them."""
    if line.lstrip().startswith("["):
        if (parsed := _json(line)) is None:
            raise _Refused("rewards", f"Line {number} begins as a JSON list and is none.")
        return parsed
    return [_reward(number, i, word) for i, word in enumerate(re.findall(r"[^\s,;]+", line), 1)]


def _reward(line: int, place: int, word: str) -> float | None:
    if word.lower() in MISSING:
        return None
    value = TRUTHS.get(word.lower(), float(word) if NUMBER.fullmatch(word) else nan)
    if not isfinite(value):
        raise _Refused(
            "rewards",
            f"Line {line}, entry {place}: a reward is a finite number, true or false, and null or - where missing.",
        )
    return value


def _place(refusal: AppError) -> str:
    """Where the first thing wrong is, in words."""
    pointer = refusal.errors[0][0] if refusal.errors else ""
    _, _, *places = pointer.split("/")
    names = " ".join(f"{name} {place}" for name, place in zip(("group", "completion"), places, strict=False))
    return f" See {names}." if names else ""
