"""Transforms by name: which names there are, what each stands for, and what is refused."""

import importlib
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pkpo
from pkpo import offpolicy
from pkpo.names import NAMES, Named, parsed
from tests.examples_of import examples
from tests.pkpo import exact

G = np.random.default_rng(0).random((3, 5))


def test_every_transform_that_needs_no_more_than_its_name_has_it() -> None:
    assert tuple(pkpo.TRANSFORMS) == NAMES
    assert [parsed(name) for name in NAMES] == [Named(name) for name in NAMES]


@pytest.mark.parametrize(
    ("name", "lam"),
    [("mixed(0.25)", 0.25), ("mixed(-0.25)", -0.25), ("mixed(1e-05)", 1e-05), ("mixed(+.5)", 0.5), ("mixed(3)", 3.0)],
)
@pytest.mark.parametrize("k", [1, 2, 2.5, {1: 0.5, 3: 0.5}])
def test_a_name_may_hold_the_lam_of_mixed(name: str, lam: float, k: Any) -> None:
    assert np.array_equal(pkpo.transform(name, G, k), pkpo.mixed(G, k, lam))
    assert np.array_equal(offpolicy.first_order(G, k, np.zeros(G.shape), name=name), pkpo.mixed(G, k, lam))


def test_lam_of_zero_allows_as_many_attempts_as_completions_by_name_too() -> None:
    assert [pkpo.smallest_n(f"mixed({lam})", 5) for lam in (0, 0.25, 1)] == [5, 6, 6]
    assert np.array_equal(pkpo.transform("mixed(0)", G, 5), pkpo.sloo_minus_one(G, 5))


def by_ranks(name: str, k: int) -> list[Fraction]:
    """What the statistic of that name weighs the k ranks with, from its words."""
    match name:
        case "top_mean(2)":
            return [Fraction(rank > k - 2, 2) for rank in range(1, k + 1)]
        case "top_mean(1.5)":
            return [Fraction({k: 2, k - 1: 1}.get(rank, 0), 3) for rank in range(1, k + 1)]
        case "cvar(0.5)":
            shares = [min(Fraction(1), max(Fraction(0), Fraction(k, 2) - rank)) for rank in range(k)]
            return [share / Fraction(k, 2) for share in shares]
        case "median":
            middle = {(k + 1) // 2, k // 2 + 1}
            return [Fraction(rank in middle, len(middle)) for rank in range(1, k + 1)]
    raise AssertionError(name)


@pytest.mark.parametrize("name", ["top_mean(2)", "top_mean(1.5)", "cvar(0.5)", "median"])
@settings(max_examples=examples(60))
@given(exact.groups(min_n=2, max_n=7), st.data())
def test_an_l_statistic_by_name_is_its_definition_over_all_subsets(
    name: str, group: list[float], data: st.DataObject
) -> None:
    k = data.draw(st.integers(2, len(group)))
    expected = exact.l_statistic(exact.group_of(group), by_ranks(name, k))
    size = max(Fraction(k, len(group)) * max(map(abs, exact.group_of(group))), *map(abs, expected))
    assert exact.worst_ulps(pkpo.transform(name, group, k), expected, of=size) <= 16


@pytest.mark.parametrize("name", ["top_mean(2)", "cvar(0.5)", "median"])
def test_an_l_statistic_by_name_takes_several_k_masks_and_tensors(name: str) -> None:
    each = {k: pkpo.transform(name, G, k) for k in (2, 3)}
    for k in (2.25, {2: 0.75, 3: 0.25}):
        np.testing.assert_allclose(pkpo.transform(name, G, k), 0.75 * each[2] + 0.25 * each[3], rtol=0, atol=1e-15)
    mask = np.arange(5) < 4
    np.testing.assert_array_equal(pkpo.transform(name, G, 3, mask=mask)[:, :4], pkpo.transform(name, G[:, :4], 3))


@pytest.mark.parametrize("name", ["mixed(0.25)", "top_mean(2)", "cvar(0.5)", "median"])
def test_tensors_know_the_same_names(name: str) -> None:
    torch = pytest.importorskip("torch")
    of_tensors = importlib.import_module("pkpo.torch")
    for k in (3, 2.25):
        found = of_tensors.transform(name, torch.from_numpy(G), k).numpy()
        np.testing.assert_allclose(found, pkpo.transform(name, G, k), rtol=0, atol=1e-15)


def test_the_best_and_the_mean_of_the_best_one_are_one_objective() -> None:
    np.testing.assert_allclose(pkpo.transform("top_mean(1)", G, 3), pkpo.sloo_minus_one(G, 3), rtol=1e-14)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mixed", r"transform must be one of s, sloo, .*, mixed\(lam\), .*; got 'mixed'"),
        ("history", r"one of .* in a trainer history\(decay\); got 'history'"),
        ("history(0.5)", r"history\(0.5\) needs the past of a training, .*; pkpo\.history takes a baseline"),
        ("mixed(x)", r"lam of mixed must be a number, as in mixed\(0\.25\); got 'x'"),
        ("mixed(0.25", "transform must be one of"),
        ("mixed(0.25)\n", "transform must be one of"),
        ("mixed((1))", "transform must be one of"),
        ("mixed()", "lam of mixed must be a number, .* got ''"),
        ("mixed( 1)", "lam of mixed must be a number"),
        ("mixed(1_0)", "lam of mixed must be a number"),
        ("mixed(٣)", "lam of mixed must be a number"),
        ("mixed(nan)", "lam of mixed must be finite in float64; got nan"),
        ("mixed(1e999)", "lam of mixed must be finite in float64; got 1e999"),
        ("sloo(1)", "transform must be one of"),
        ("median(2)", "transform must be one of"),
        ("top_mean", "transform must be one of"),
        ("top_mean(4)", r"m must be in \(0, k\]; got m=4.0, k=3"),
        ("cvar(1.5)", r"alpha must be in \(0, 1\]; got 1.5"),
        ("l_statistic", "transform must be one of"),
        (None, "transform must be one of .*; got None"),
        (["s"], "transform must be one of"),
    ],
)
def test_what_is_no_name_is_refused(name: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        pkpo.transform(name, [0.0, 0.5, 1.0], 3)


def test_a_name_as_long_as_a_hostile_client_likes_is_read_at_once() -> None:
    for text in ("(" * 10**6, "mixed(" + "1" * 10**6 + ")", "a" * 10**6):
        with pytest.raises(ValueError, match="must be"):
            parsed(text)
    assert parsed(f"mixed({math.pi!r})").argument == math.pi
