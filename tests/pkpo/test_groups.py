"""Groups by label: flat rewards, ragged, in any order."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pkpo
from tests.examples_of import examples
from tests.pkpo import exact

NAMES = list(exact.TRANSFORMS)
named = pytest.mark.parametrize("name", NAMES)


@settings(max_examples=examples(150))
@given(st.sampled_from(NAMES), st.lists(exact.groups(min_n=4), min_size=1, max_size=6), st.randoms())
def test_each_group_gets_what_it_gets_alone(name: str, ragged: list[list[float]], random: Any) -> None:
    members = [(label, place) for label, group in enumerate(ragged) for place in range(len(group))]
    random.shuffle(members)
    g = np.array([ragged[label][place] for label, place in members])
    for scale in ("sum", "mean"):
        credits = pkpo.transform(name, g, 3, groups=[label for label, _ in members], scale=scale)
        for label, group in enumerate(ragged):
            alone = pkpo.transform(name, group, 3, scale=scale)
            for credit, (owner, place) in zip(credits, members, strict=True):
                assert owner != label or credit == alone[place]


@named
def test_masked_members_are_not_there_and_rms_is_that_of_the_batch(name: str) -> None:
    rng = np.random.default_rng(0)
    groups, g = rng.integers(0, 5, 60), rng.normal(size=60)
    mask = rng.random(60) < 0.8
    g[~mask] = np.nan
    credits = pkpo.transform(name, g, 2, mask=mask, groups=groups)
    assert (credits[~mask] == 0).all()
    assert credits[mask].tolist() == pkpo.transform(name, g[mask], 2, groups=groups[mask]).tolist()
    scaled = pkpo.transform(name, g, 2, mask=mask, groups=groups, scale="rms")
    assert np.sqrt(np.square(scaled[mask]).mean()) == pytest.approx(1, rel=1e-14)
    np.testing.assert_allclose(scaled * np.sqrt(np.square(credits[mask]).mean()), credits, rtol=1e-13)


@pytest.mark.parametrize(
    "labels",
    [
        np.array([7, -1, 7, 7, -1]),
        ["b", "a", "b", "b", "a"],
        np.array(["b", "a", "b", "b", "a"]),
        np.array(["b", "a", "b", "b", "a"], dtype=object),
        [("p", 1), "a", ("p", 1), ("p", 1), "a"],
        [0.5, 0.25, 0.5, 0.5, 0.25],
        [True, False, True, True, False],
    ],
)
def test_labels_may_be_anything_that_can_be_hashed(labels: Any) -> None:
    g = np.array([1.0, 0.0, 3.0, 2.0, 5.0])
    credits = pkpo.sloo_minus_one(g, 2, groups=labels)
    assert credits[[0, 2, 3]].tolist() == pkpo.sloo_minus_one(g[[0, 2, 3]], 2).tolist()
    assert credits[[1, 4]].tolist() == pkpo.sloo_minus_one(g[[1, 4]], 2).tolist()


def test_every_function_takes_labels() -> None:
    g, labels = np.array([1.0, 0.0, 1.0, 0.0, 1.0, 0.0]), [0, 0, 1, 1, 0, 1]
    first, second = [0, 1, 4], [2, 3, 5]
    for name, function in pkpo.TRANSFORMS.items():
        credits = function(g, 2, groups=labels)
        for places in (first, second):
            assert credits[places].tolist() == pkpo.transform(name, g[places], 2).tolist()
    for credits, alone in (
        (pkpo.mixed(g, 2, 0.25, groups=labels), pkpo.mixed(g[first], 2, 0.25)),
        (pkpo.history(g, 2, 0.25, groups=labels), pkpo.history(g[first], 2, 0.25)),
        (pkpo.multi_k(g, {1: 0.5, 2: 0.5}, groups=labels), pkpo.multi_k(g[first], {1: 0.5, 2: 0.5})),
        (pkpo.l_statistic(g, 2, [0.25, 1], groups=labels), pkpo.l_statistic(g[first], 2, [0.25, 1])),
    ):
        assert credits[first].tolist() == alone.tolist()


@pytest.mark.parametrize(
    ("g", "labels", "said"),
    [
        ([0.0, 1.0], [0], "groups must be a label for each of 2 rewards; got 1"),
        ([0.0, 1.0], 7, "groups must be a label for each of 2 rewards; got no list"),
        ([0.0, 1.0], [None, None], "neither None nor nan; got None at 0"),
        ([0.0, 1.0], [0.5, np.nan], "neither None nor nan; got nan at 1"),
        ([0.0, 1.0], [[0], [0]], r"that can be hashed, neither None nor nan; got \[0\] at 0"),
        ([[0.0, 1.0]], [0, 0], r"with groups rewards must be flat, of shape \(N,\); got shape \(1, 2\)"),
        ([0.0, 1.0, 2.0], ["a", "a", "b"], "s at k=2 needs at least 2 rewards per group; group 'b' has n=1"),
    ],
)
def test_labels_that_are_none_are_refused(g: Any, labels: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        pkpo.s(g, 2, groups=labels)


def test_a_group_that_is_masked_as_a_whole_is_named() -> None:
    with pytest.raises(ValueError, match="group 'a' has n=0"):
        pkpo.s([0.0, 1.0, 2.0], 1, mask=[False, True, True], groups=["a", "b", "b"])
