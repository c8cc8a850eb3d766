"""pkpo.torch.fused against NumPy's numbers: on a GPU where there is one, else by Triton's interpreter.

The interpreter adds from left to right, where a term of 0 changes no sum: that ties stay equal is shown on a GPU alone.
"""

import math
import os
import sys
from unittest import mock

import numpy as np
import pytest

pytest.importorskip("torch", reason="the kernels of pkpo.torch are NOT tested here: torch is not installed")

import torch
from torch import Tensor

import pkpo
import pkpo.torch
from pkpo.asked import Asked, l_statistic, mixed, named
from pkpo.torch.credits import DOUBLE, form_of
from tests.pkpo import exact

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
INTERPRETED = {} if DEVICE == "cuda" else {"TRITON_INTERPRET": "1"}
if INTERPRETED and "triton" in sys.modules:
    pytest.skip("the kernels of pkpo.torch are NOT tested here: triton is not interpreting", allow_module_level=True)
with mock.patch.dict(os.environ, INTERPRETED):
    pytest.importorskip("triton", reason="the kernels of pkpo.torch are NOT tested here: triton is not installed")
    from pkpo.torch import fused


@pytest.fixture(autouse=True)
def _interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in INTERPRETED.items():
        monkeypatch.setenv(name, value)


# The interpreter works in NumPy, which warns of NaN.
pytestmark = pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:overflow:RuntimeWarning")
NAMES = sorted({*exact.TRANSFORMS, "alpha_loo"})
every = pytest.mark.parametrize("name", NAMES)
LONG = 4097  # more than one block
SIZES = [2, 3, 16, 100, 1024, LONG, 20_000]


def asked(name: str, n: int) -> Asked:
    return named(name, 1 if n < 4 else 3)


def rewards(name: str, groups: int, n: int, seed: int = 0) -> Tensor:
    """Rewards of few values and so with ties."""
    g = torch.from_numpy(np.random.default_rng(seed).integers(0, 2 if name == "alpha_loo" else 9, (groups, n)))
    return g.to(torch.float64) / (1 if name == "alpha_loo" else 7)


def credits(what: Asked, g: Tensor, mean: bool = False, dtype: torch.dtype = torch.float64) -> Tensor:
    g = g.to(DEVICE)
    return fused.credits_of(g, form_of(what.parts, g, None, DOUBLE), mean, what.binary, dtype).cpu()


def ulps_apart(found: Tensor, numpys: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    """Of the largest credit of a group."""
    unit = np.spacing(np.abs(numpys).max(axis=-1, keepdims=True))
    return float((np.abs(found.numpy() - numpys) / unit).max())


@every
@pytest.mark.parametrize("n", SIZES)
def test_credits_are_numpys_and_those_of_ties_equal(name: str, n: int) -> None:
    g, what = rewards(name, 2, n), asked(name, n)
    g[1] = torch.from_numpy(np.random.default_rng(n).random(n)) if name != "alpha_loo" else g[1]
    found = credits(what, g)
    assert ulps_apart(found, pkpo.transform(name, g.numpy(), what.parts[0][1])) <= 16
    for value in set(g[0].tolist()):
        assert len(set(found[0][g[0] == value].tolist())) == 1


@pytest.mark.parametrize(
    "what", [mixed(3, -0.5), l_statistic(3, [0.5, -2.0, 0.25]), named("plugin", {2: 0.5, 5: -1.0})]
)
def test_sums_of_transforms_are_numpys(what: Asked) -> None:
    g = rewards("s", 5, 33)
    of = {
        "mixed": lambda: pkpo.mixed(g.numpy(), 3, -0.5),
        "l_statistic": lambda: pkpo.l_statistic(g.numpy(), 3, [0.5, -2.0, 0.25]),
        "plugin": lambda: pkpo.multi_k(g.numpy(), {2: 0.5, 5: -1.0}, name="plugin"),
    }
    assert ulps_apart(credits(what, g), of[what.name]()) <= 16


@pytest.mark.parametrize("n", [1, 2, 100])
def test_at_k_1_s_is_a_share_of_the_reward(n: int) -> None:
    g = rewards("s", 3, n)
    assert ulps_apart(credits(named("s", 1), g), pkpo.s(g.numpy(), 1)) <= 4


@pytest.mark.parametrize(("name", "n"), [*((name, 8) for name in NAMES), ("alpha_loo", LONG), ("sloo", LONG)])
def test_groups_not_finite_get_nan_and_leave_the_others_alone(name: str, n: int) -> None:
    what, g = asked(name, n), rewards(name, 5, n)
    alone = credits(what, g)
    bad = (math.nan, -math.inf, 0.5, 2.0) if name == "alpha_loo" else (math.nan, math.inf, -math.inf, math.nan)
    g[:4, n // 2] = torch.tensor(bad, dtype=torch.float64)
    found = credits(what, g)
    assert found[:4].isnan().all()
    assert torch.equal(found[4], alone[4])


@pytest.mark.parametrize("name", sorted({*exact.TRANSFORMS, "alpha_loo"} - {"s", "sloo"}))
@pytest.mark.parametrize("n", [5, LONG])
def test_groups_of_equal_rewards_get_exactly_nothing(name: str, n: int) -> None:
    g = torch.ones(2, n, dtype=torch.float64)
    g[1] = 0
    assert (credits(asked(name, n), g) == 0).all()


@pytest.mark.parametrize("size", [1e300, 1.7e308, 1e-300, 1e-310])
@pytest.mark.parametrize("name", sorted(exact.TRANSFORMS))
def test_huge_and_tiny_rewards_keep_their_credits(name: str, size: float) -> None:
    g = (rewards(name, 4, 12) / 2 - 0.25) * size
    np.testing.assert_allclose(credits(named(name, 3), g), pkpo.transform(name, g.numpy(), 3), rtol=1e-12, atol=5e-323)


@pytest.mark.parametrize("n", [16, LONG])
def test_runs_of_ties_across_blocks_go_on_from_the_same_sum(n: int) -> None:
    g = torch.zeros(1, n, dtype=torch.float64)
    g[0, : n // 8], g[0, -1] = 1 / 3, 2 / 3
    found = credits(named("sloo_minus_one", 4), g)
    for value in set(g[0].tolist()):
        assert len(set(found[g == value].tolist())) == 1
    assert ulps_apart(found, pkpo.sloo_minus_one(g.numpy(), 4)) <= 16


def test_dtypes_means_and_the_order_of_rewards() -> None:
    g, what = rewards("s", 40, 9), named("sloo", 3)
    whole = credits(what, g)
    assert ulps_apart(credits(what, g, mean=True), pkpo.sloo(g.numpy(), 3, scale="mean")) <= 16
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        assert torch.equal(credits(what, g, dtype=dtype), whole.to(dtype))
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    assert torch.equal(credits(what, g[:, order]), whole[:, order])
    assert torch.equal(credits(what, g.T.contiguous().T), whole)
    single = g.to(torch.float32)
    assert torch.equal(credits(what, single), credits(what, single.to(torch.float64)))


def test_the_largest_group_has_no_more_blocks_than_one_program_reads() -> None:
    assert pkpo.torch.credits.LARGEST // fused.BLOCK <= 1024


def test_the_first_call_holds_the_kernels_to_torch() -> None:
    fused.try_on(torch.device(DEVICE))
    with (
        mock.patch.object(fused, "_many_blocks", lambda *given: given[-1].zero_()),
        pytest.raises(RuntimeError, match="gives other credits than torch"),
    ):
        fused.try_on(torch.device(DEVICE))


@pytest.mark.skipif(DEVICE == "cpu", reason="calls of the kernels are NOT tested here: there is no CUDA device")
@every
def test_calls_take_the_kernels_on_a_gpu(name: str) -> None:
    g = rewards(name, 3, 64).to("cuda")
    with mock.patch.object(fused, "credits_of", wraps=fused.credits_of) as kernels:
        found = pkpo.torch.transform(name, g, 3, check=False)
    assert kernels.called
    assert ulps_apart(found.cpu(), pkpo.transform(name, g.cpu().numpy(), 3)) <= 16
