import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

pytest.importorskip("torch", reason="pkpo.torch is NOT tested here: torch is not installed")

import torch
from torch import Tensor

import pkpo
import pkpo.torch
from pkpo.asked import named as asked_for
from pkpo.torch.credits import SINGLE, TABLED, credits_of, form_of, means_of, rank
from tests.examples_of import examples
from tests.pkpo import exact
from tests.pkpo.test_credits import sloo_minus_one_exactly
from tests.pkpo.test_transforms import close_to, named_groups

NAMES = list(exact.TRANSFORMS)
named = pytest.mark.parametrize("name", NAMES)
WIDE = TABLED + 44  # where masked weights are made for the sizes of a call, not taken from a table


def rewards(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def masked(g: Tensor, needed: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """The rewards with NaN where a mask is False, and a mask that leaves each group at least the needed number."""
    rng = np.random.default_rng(seed)
    groups, n = g.shape
    sizes = rng.integers(needed, n + 1, groups)
    mask = torch.from_numpy(rng.permuted(np.arange(n) < sizes[:, None], axis=1))
    return torch.where(mask, g, math.nan), mask


def ulps_apart(name: str, k: int, credits: Tensor, numpys: NDArray[np.float64]) -> float:
    """The largest difference, of each credit itself for sloo_minus_one, else of the group's largest credit."""
    own = name == "sloo_minus_one" and k > 1
    unit = np.spacing(np.abs(numpys) if own else np.abs(numpys).max(axis=-1, keepdims=True))
    return float((np.abs(credits.numpy() - numpys) / unit).max(initial=0))


# The same numbers as NumPy's, and as the definitions.


@settings(max_examples=examples(200))
@given(named_groups())
def test_credits_are_their_definition_over_all_subsets(case: tuple[str, list[float], int]) -> None:
    name, group, k = case
    credits = pkpo.torch.transform(name, torch.tensor(group, dtype=torch.float64), k)
    assert close_to(credits.numpy(), name, exact.group_of(group), k)


@settings(max_examples=examples(200))
@given(named_groups(), st.integers(1, 3), st.randoms())
def test_masked_credits_are_their_definition_over_all_subsets(
    case: tuple[str, list[float], int], masked_out: int, random: Any
) -> None:
    name, group, k = case
    places = sorted(random.sample(range(len(group) + masked_out), len(group)))
    g = torch.full(
        (len(group) + masked_out,), random.choice([math.nan, math.inf, -math.inf, 1e308]), dtype=torch.float64
    )
    mask = torch.zeros(g.shape, dtype=torch.bool)
    g[places], mask[places] = torch.tensor(group, dtype=torch.float64), True
    credits = pkpo.torch.transform(name, g, k, mask=mask)
    assert close_to(credits[mask].numpy(), name, exact.group_of(group), k)
    assert (credits[~mask] == 0).all()


@named
@pytest.mark.parametrize("n", [1, 2, 7, 16, 25, TABLED, WIDE, 1000])
def test_credits_are_those_of_numpy_within_16_ulp(name: str, n: int) -> None:
    g = rewards(20, n) - 0.5
    for k in sorted({1, 2, 3, n // 2, n - 1, n} - {0}):
        needed = pkpo.smallest_n(name, k)
        if needed > n:
            continue
        assert ulps_apart(name, k, pkpo.torch.transform(name, g, k), pkpo.transform(name, g.numpy(), k)) <= 16
        holed, mask = masked(g, needed, seed=k)
        numpys = pkpo.transform(name, holed.numpy(), k, mask=mask.numpy())
        credits = pkpo.torch.transform(name, holed, k, mask=mask)
        assert ulps_apart(name, k, credits, numpys) <= 16
        assert (credits[~mask] == 0).all()


@pytest.mark.parametrize("scale", pkpo.SCALES)
@named
def test_several_k_and_scales_are_those_of_numpy(name: str, scale: pkpo.Scale) -> None:
    weights = {1: 0.5, 3: -0.25, 8: 0.5}
    for n in (12, WIDE):
        g = rewards(6, n)
        holed, mask = masked(g, 9)
        for rows, valid in ((g, None), (holed, mask)):
            numpys = pkpo.transform(
                name, rows.numpy(), weights, mask=None if valid is None else valid.numpy(), scale=scale
            )
            credits = pkpo.torch.multi_k(rows, weights, name=name, mask=valid, scale=scale)
            assert ulps_apart("several k", 0, credits, numpys) <= 32


@pytest.mark.parametrize(("n", "k"), [(1000, 999), (10**4, 3), (10**6, 8)])
def test_sloo_minus_one_is_within_16_ulp_of_each_credit(n: int, k: int) -> None:
    ranked = np.sort(np.random.default_rng(n + k).integers(-(2**30), 2**30, n))
    numerators, denominator = sloo_minus_one_exactly(ranked.tolist(), k)
    expected = np.array([numerator / denominator for numerator in numerators])
    g = torch.from_numpy(ranked)
    for mask in (None, torch.ones(n, dtype=torch.bool)):
        credits = pkpo.torch.sloo_minus_one(g, k, mask=mask, dtype=torch.float64).numpy()
        assert (np.abs(credits - expected) <= 16 * np.spacing(expected)).all()


def test_weights_far_below_float64_count_in_masked_groups_too() -> None:
    n, k = 1100, 550  # C(n, k) is 1e329
    g = torch.arange(n, dtype=torch.float64) * 1e300
    credits = pkpo.torch.sloo_minus_one(g, k, mask=torch.ones(n, dtype=torch.bool), check=False)
    assert ulps_apart("sloo_minus_one", k, credits, pkpo.sloo_minus_one(g.numpy(), k)) <= 16
    assert (credits[k - 1 :] > 0).all()


@pytest.mark.parametrize("n", [1, 2, 9, 40, WIDE])
def test_max_at_k_is_that_of_numpy_within_8_ulp(n: int) -> None:
    g = rewards(30, n) * 4 - 1
    for k in {1, (n + 1) // 2, n}:
        holed, mask = masked(g, k)
        plain, numpys = pkpo.torch.max_at_k(g, k).numpy(), pkpo.max_at_k(g.numpy(), k)
        assert (np.abs(plain - numpys) <= 8 * np.spacing(3.0)).all()
        plain = pkpo.torch.max_at_k(holed, k, mask).numpy()
        assert (np.abs(plain - pkpo.max_at_k(holed.numpy(), k, mask.numpy())) <= 8 * np.spacing(3.0)).all()
        assert (pkpo.torch.max_at_k(torch.full((3, n), 0.1), k) == torch.tensor(0.1)).all()


def test_max_at_k_of_passes_is_pass_at_k() -> None:
    passed = torch.arange(8) < torch.tensor([[0], [3], [8]])
    estimates = pkpo.torch.max_at_k(passed, 4, dtype=torch.float64)
    np.testing.assert_allclose(estimates.numpy(), pkpo.pass_at_k(8, [0, 3, 8], 4), rtol=1e-15)


# What must hold to the last bit.


@named
@pytest.mark.parametrize("n", [2, 16, 25, WIDE])
@pytest.mark.parametrize("ragged", [False, True])
def test_ties_share_and_equal_rewards_get_exactly_nothing(name: str, n: int, ragged: bool) -> None:
    for k in {1, n // 2, n - 1}:
        g = torch.from_numpy(np.random.default_rng(n).integers(0, 5, (20, n)) / 7)
        mask = masked(g, pkpo.smallest_n(name, k))[1] if ragged else torch.ones(g.shape, dtype=torch.bool)
        credits = pkpo.torch.transform(name, g, k, mask=mask if ragged else None)
        for row, group, valid in zip(credits, g, mask, strict=True):
            for value in group[valid].unique():
                assert len(set(row[valid & (group == value)].tolist())) == 1
        if name not in ("s", "sloo"):
            for reward in (0.1, -1e308, 5e-324, 1.0):
                equal = torch.full(g.shape, reward, dtype=torch.float64)
                assert (pkpo.torch.transform(name, equal, k, mask=mask if ragged else None) == 0).all()


@named
def test_leading_axes_order_in_memory_and_permutations_do_not_matter(name: str) -> None:
    g = rewards(2, 3, 5)
    credits = pkpo.torch.transform(name, g, 2)
    assert credits.shape == g.shape
    assert credits[1, 2].tolist() == pkpo.torch.transform(name, g[1, 2], 2).tolist()
    assert torch.equal(pkpo.torch.transform(name, g.transpose(0, 2).contiguous().transpose(0, 2), 2), credits)
    order = torch.tensor([3, 1, 4, 0, 2])
    assert torch.equal(pkpo.torch.transform(name, g[..., order], 2), credits[..., order])
    assert pkpo.torch.transform(name, torch.zeros(0, 5), 2, scale="rms").shape == (0, 5)
    assert pkpo.torch.max_at_k(g, 2).shape == (2, 3)
    assert pkpo.torch.max_at_k(g[0, 0], 2).shape == ()


@named
@pytest.mark.parametrize("size", [5e-324, 1e-310, 1e-200, 1e200, 1e307])
def test_huge_and_tiny_rewards_give_what_numpy_gives(name: str, size: float) -> None:
    g = torch.tensor([[0.0, 3.0, -1.0, 3.0, 2.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]], dtype=torch.float64) * size
    mask = torch.tensor([[True] * 6, [True] * 5 + [False]])
    for valid in (None, mask):
        numpys = pkpo.transform(name, g.numpy(), 3, mask=None if valid is None else valid.numpy())
        assert ulps_apart(name, 3, pkpo.torch.transform(name, g, 3, mask=valid), numpys) <= 16


# Types.


@named
def test_a_narrow_type_is_float64_rounded_once(name: str) -> None:
    g = rewards(4, 30)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        narrow = g.to(dtype)
        credits = pkpo.torch.transform(name, narrow, 5)
        assert credits.dtype == dtype
        assert torch.equal(credits, pkpo.torch.transform(name, narrow.to(torch.float64), 5).to(dtype))
        assert pkpo.torch.transform(name, narrow, 5, dtype=torch.float64).dtype == torch.float64
    assert torch.equal(pkpo.torch.transform(name, g, 5, dtype=torch.float32), pkpo.torch.transform(name, g, 5).float())


@named
def test_bools_and_integers_are_not_truncated_and_the_input_is_left_alone(name: str) -> None:
    passed = torch.tensor([True, False, True, True])
    expected = pkpo.transform(name, passed.numpy(), 2)
    for g in (passed, passed.to(torch.int8), passed.to(torch.int64)):
        credits = pkpo.torch.transform(name, g, 2)
        assert credits.dtype == torch.get_default_dtype() == torch.float32
        np.testing.assert_allclose(credits.numpy(), expected, rtol=1e-7, atol=1e-8)
    assert passed.tolist() == [True, False, True, True]


def test_credits_are_constants_of_the_gradient() -> None:
    g = rewards(3, 8).requires_grad_()
    with torch.inference_mode():
        pkpo.torch.centered(g, 2)  # weights kept from here serve outside of it
    credits = pkpo.torch.centered(g, 2)
    assert not credits.requires_grad
    logprobs = torch.zeros(3, 8, dtype=torch.float64, requires_grad=True)
    (credits * logprobs).sum().backward()  # type: ignore[no-untyped-call]
    assert logprobs.grad is not None
    assert torch.equal(logprobs.grad, credits)
    assert g.grad is None


@named
def test_a_device_without_float64_calculates_in_float32(name: str) -> None:
    """What MPS is given; there is none here."""
    g = rewards(20, 30).to(torch.float32)
    for k in (1, 2, 15):
        parts = asked_for(name, k).parts
        for factor in (1e-30, 1.0, 1e37):
            ranked = rank(g * factor, None, None, 1, SINGLE)
            credits = credits_of(ranked, form_of(parts, g, None, SINGLE), SINGLE)
            assert credits.dtype == torch.float32
            expected = pkpo.transform(name, (g * factor).numpy(), k)
            np.testing.assert_allclose(credits.numpy(), expected, rtol=0, atol=4e-6 * np.abs(expected).max())
        holed, mask = masked(g, 16)
        sizes = mask.sum(dim=1)
        ranked = rank(holed, mask, sizes, 1, SINGLE)
        credits = credits_of(ranked, form_of(parts, g, sizes, SINGLE), SINGLE)
        expected = pkpo.transform(name, holed.numpy(), k, mask=mask.numpy())
        np.testing.assert_allclose(credits[mask], expected[mask], rtol=0, atol=4e-6 * np.abs(expected).max())
    form = form_of((("max_at_k", 2, 1.0),), g, None, SINGLE)
    means = means_of(rank(g, None, None, 1, SINGLE), form, SINGLE)
    np.testing.assert_allclose(means.numpy(), pkpo.max_at_k(g.numpy(), 2), rtol=2e-6)
