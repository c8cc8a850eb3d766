"""pkpo.torch: groups by label, and the transforms with arguments of their own, against NumPy's."""

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="pkpo.torch is NOT tested here: torch is not installed")

import torch
from torch import Tensor

import pkpo
import pkpo.torch
from pkpo.torch.call import tried_kernels
from pkpo.torch.credits import TABLED
from tests.pkpo import exact
from tests.pkpo.test_torch import masked, rewards
from tests.pkpo.test_torch_check import looks

Call = Callable[..., Any]
# Each is called as call(library, g, **arguments), the library being pkpo or pkpo.torch.
CALLS: dict[str, Call] = {
    **{name: lambda of, g, name=name, **more: of.transform(name, g, 3, **more) for name in exact.TRANSFORMS},
    "alpha_loo": lambda of, g, **more: of.alpha_loo(g > 0.5, 3, **more),
    "several": lambda of, g, **more: of.multi_k(g, {1: 0.5, 3: -0.25}, **more),
    "fractional": lambda of, g, **more: of.plugin(g, 2.25, **more),
    "mixed": lambda of, g, **more: of.mixed(g, 3, -0.5, **more),
    "history": lambda of, g, **more: of.history(g, 3, 0.3, **more),
    "median": lambda of, g, **more: of.l_statistic(g, 3, [0.0, 1.0, 0.0], **more),
    "signed": lambda of, g, **more: of.l_statistic(g, 3, [0.5, -2.0, 0.25], **more),
    "one": lambda of, g, **more: of.l_statistic(g, 1, [2.0], **more),
}
every = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())


def assert_close(found: Tensor, numpys: Any, size: float) -> None:
    assert (np.abs(found.numpy() - numpys) <= 32 * np.spacing(size)).all()


def labelled(count: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Rewards with ties, labels in any order, and a mask that leaves 4 of each group."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.concatenate([np.arange(5).repeat(6), rng.integers(0, 5, count - 30)])) * 7 - 9
    g, mask = rng.integers(0, 9, count) / 7, rng.random(count) < 0.8
    for label in np.unique(labels):
        mask[np.flatnonzero(labels == label)[:4]] = True
    return torch.from_numpy(g), torch.from_numpy(labels), torch.from_numpy(mask)


@every
@pytest.mark.parametrize("n", [4, 7, 25, TABLED + 44])
def test_rows_get_what_numpy_gives_them(call: Call, n: int) -> None:
    g = rewards(6, n)
    holed, mask = masked(g, 4)
    for scale in pkpo.SCALES:
        for given, valid in ((g, None), (holed, mask)):
            there = None if valid is None else valid.numpy()
            numpys = call(pkpo, given.numpy(), mask=there, scale=scale)
            found = call(pkpo.torch, given, mask=valid, scale=scale, dtype=torch.float64)
            assert_close(found, numpys, max(1.0, float(np.abs(numpys).max())))


@every
@pytest.mark.parametrize("count", [30, 64, 1000])
def test_labelled_rewards_get_what_numpy_gives_them(call: Call, count: int) -> None:
    g, labels, mask = labelled(count)
    for scale in pkpo.SCALES:
        for valid in (None, mask):
            there = None if valid is None else valid.numpy()
            given = g if valid is None else torch.where(valid, g, math.nan)
            numpys = call(pkpo, given.numpy(), groups=labels.numpy(), mask=there, scale=scale)
            found = call(pkpo.torch, given, groups=labels, mask=valid, scale=scale, dtype=torch.float64)
            assert_close(found, numpys, max(1.0, float(np.abs(numpys).max())))
            assert valid is None or (found[~valid] == 0).all()


@every
def test_labelled_ties_share_and_the_order_does_not_matter(call: Call) -> None:
    g, labels, _ = labelled(200)
    credits = call(pkpo.torch, g, groups=labels, dtype=torch.float64)
    for label in set(labels.tolist()):
        for value in set(g.tolist()):
            assert len(set(credits[(labels == label) & (g == value)].tolist())) <= 1
    order = torch.from_numpy(np.random.default_rng(1).permutation(200))
    assert torch.equal(call(pkpo.torch, g[order], groups=labels[order], dtype=torch.float64), credits[order])
    narrow = call(pkpo.torch, g, groups=labels.to(torch.int8), dtype=torch.float32)
    assert torch.equal(narrow, credits.to(torch.float32))


@pytest.mark.parametrize("name", sorted({*exact.TRANSFORMS, "alpha_loo"} - {"s", "sloo"}))
def test_labelled_groups_of_equal_rewards_get_exactly_nothing(name: str) -> None:
    labels = torch.arange(12) // 4
    for g in (torch.ones(12), torch.tensor([1.0] * 4 + [0.0] * 4 + [1.0] * 4)):
        assert (pkpo.torch.transform(name, g, 3, groups=labels) == 0).all()


@every
def test_unchecked_never_looks(call: Call) -> None:
    g, labels, mask = labelled(60)
    rows, there = rewards(5, 9), torch.arange(9) < torch.tensor([[9], [7], [2], [0], [8]])
    b = rewards(5)
    for of in (
        lambda: call(pkpo.torch, g, groups=labels, mask=mask, check=False, scale="rms"),
        lambda: call(pkpo.torch, g, groups=labels, check=False, scale="mean"),
        lambda: call(pkpo.torch, rows, mask=there, check=False),
        lambda: pkpo.torch.history(rows, 2, b, mask=there, check=False),
    ):
        assert looks(of)["looks"] == 0
        assert looks(of)["looks"] == 0
    assert looks(lambda: call(pkpo.torch, g, groups=labels))["looks"] == 1
    meta = call(pkpo.torch, g.to("meta"), groups=labels.to("meta"), check=False)
    assert meta.shape == g.shape


@every
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_torch_compile_takes_unchecked_calls_whole(call: Call) -> None:
    g, labels, mask = labelled(40)

    def credits(g: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        return call(pkpo.torch, g, groups=labels, mask=mask, check=False), call(pkpo.torch, rows, check=False)

    torch.compiler.reset()
    compiled = torch.compile(credits, fullgraph=True, backend="eager")
    for one, other in zip(compiled(g, rewards(3, 8)), credits(g, rewards(3, 8)), strict=True):
        assert torch.equal(one, other)


def test_unchecked_groups_without_credits_get_nan_and_leave_the_others_alone() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3])
    g = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, 0.0, math.nan, 1.0, 0.0, 1.0, math.inf], dtype=torch.float64)
    credits = pkpo.torch.sloo_minus_one(g, 3, groups=labels, check=False)
    assert credits.isnan().tolist() == [False] * 3 + [True] * 8
    assert credits[:3].tolist() == pkpo.sloo_minus_one([0.0, 1.0, 1.0], 3).tolist()
    whole = torch.tensor([True] * 3 + [False] * 8)
    assert (pkpo.torch.sloo_minus_one(g, 3, groups=labels, mask=whole, check=False)[3:] == 0).all()
    binary = torch.tensor([[0.0, 1.0, 0.5], [0.0, 1.0, 1.0]])
    found = pkpo.torch.alpha_loo(binary, 2, check=False)
    assert found.isnan().tolist() == [[True] * 3, [False] * 3]
    flat = pkpo.torch.alpha_loo(binary.reshape(-1), 2, groups=torch.arange(6) // 3, check=False)
    assert torch.equal(flat.isnan(), found.reshape(-1).isnan())
    gone = pkpo.torch.history(binary, 2, torch.tensor([math.nan, 0.5]), check=False)
    assert gone.isnan().tolist() == [[True] * 3, [False] * 3]


def test_a_baseline_for_each_group_and_rewards_near_the_end_of_float64() -> None:
    g, b = rewards(3, 8), rewards(3, seed=1)
    assert_close(pkpo.torch.history(g, 3, b), pkpo.history(g.numpy(), 3, b.numpy()), 1.0)
    labels = torch.arange(3).repeat_interleave(8)
    flat = pkpo.torch.history(g.reshape(-1), 3, b.repeat_interleave(8), groups=labels)
    assert_close(flat, pkpo.history(g.numpy(), 3, b.numpy()).reshape(-1), 1.0)
    huge = torch.tensor([1.7e308, 0.0, 0.0, 0.0], dtype=torch.float64)
    np.testing.assert_allclose(pkpo.torch.history(huge, 1, -1.7e308), pkpo.history(huge.numpy(), 1, -1.7e308))
    for size in (1e307, 1e-310):
        scaled = pkpo.torch.centered(g.reshape(-1) * size, 3, groups=labels)
        np.testing.assert_allclose(scaled, pkpo.centered(g.numpy() * size, 3).reshape(-1), rtol=1e-12, atol=5e-324)


LONG = torch.arange(6, dtype=torch.float64)
TWO = torch.tensor([0, 0, 0, 0, 1, 1])


@pytest.mark.parametrize(
    ("call", "g", "more"),
    [
        (CALLS["s"], LONG, {"groups": TWO}),
        (CALLS["s"], LONG, {"groups": TWO[:4]}),
        (CALLS["s"], LONG.reshape(2, 3), {"groups": TWO}),
        (CALLS["s"], LONG, {"groups": TWO, "mask": torch.tensor([True] * 4 + [False] * 2)}),
        (CALLS["s"], torch.tensor([0.0, math.nan, 1.0]), {"groups": TWO[:3]}),
        (CALLS["mixed"], LONG[:3], {}),
        (lambda of, g, **more: of.mixed(g, 2, math.nan, **more), LONG, {}),
        (lambda of, g, **more: of.alpha_loo(g, 2, **more), LONG, {}),
        (lambda of, g, **more: of.history(g, 2, math.inf, **more), LONG, {}),
        (lambda of, g, **more: of.l_statistic(g, 2, [1.0], **more), LONG, {}),
        (lambda of, g, **more: of.l_statistic(g, 7, [1.0] * 7, **more), LONG, {}),
    ],
)
def test_checked_refuses_what_numpy_refuses_in_its_words(call: Call, g: Tensor, more: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as numpys:  # noqa: PT011, what it says is compared below
        call(pkpo, g.numpy(), **{name: value.numpy() for name, value in more.items()})
    with pytest.raises(ValueError) as ours:  # noqa: PT011
        call(pkpo.torch, g, **more)
    said = str(numpys.value)
    assert str(ours.value) == (said.replace("got 4", "got shape (4,)") if "label for each" in said else said)


def test_what_only_tensors_can_get_wrong_is_refused() -> None:
    anything: Any = [0, 0, 0, 0, 1, 1]
    for check in (True, False):
        with pytest.raises(ValueError, match="groups must be a tensor of integers, equal within a group; got list"):
            pkpo.torch.s(LONG, 1, groups=anything, check=check)
        with pytest.raises(ValueError, match=r"groups must be a tensor of integers, .*; got torch.float64"):
            pkpo.torch.s(LONG, 1, groups=LONG, check=check)
        with pytest.raises(ValueError, match="groups must be on the device of the rewards, cpu; got meta"):
            pkpo.torch.s(LONG, 1, groups=TWO.to("meta"), check=check)
        with pytest.raises(ValueError, match="baseline must be on the device of the rewards, cpu; got meta"):
            pkpo.torch.history(LONG, 1, torch.tensor(0.0, device="meta"), check=check)
        with pytest.raises(ValueError, match=r"baseline of shape \(2,\) does not broadcast to groups of shape \(\)"):
            pkpo.torch.history(LONG, 1, torch.zeros(2), check=check)


def test_without_triton_calls_go_on_without_kernels_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pkpo.torch.fused", raising=False)
    monkeypatch.delattr(pkpo.torch, "fused", raising=False)
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.warns(UserWarning, match="pkpo.torch works without its kernels, several times slower: .*triton"):
        assert tried_kernels.__wrapped__(torch.device("cpu")) is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="synchronisation is NOT tested here: there is no CUDA device")
@every
def test_nothing_waits_for_a_gpu(call: Call) -> None:
    g, labels, mask = (each.cuda() for each in labelled(64))
    rows = rewards(16, 8).cuda()
    for more in ({"groups": labels}, {"groups": labels, "mask": mask}, {}):
        given = g if "groups" in more else rows
        expected = call(pkpo.torch, given, check=False, dtype=torch.float64, **more)  # weights are copied here
        torch.cuda.set_sync_debug_mode("error")
        try:
            found = call(pkpo.torch, given, check=False, dtype=torch.float64, **more)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert torch.equal(found, expected)


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="numbers of a GPU are NOT tested here: there is no CUDA device"
)
@every
def test_a_gpu_gives_what_a_processor_gives(call: Call) -> None:
    g, labels, mask = labelled(64)
    for more in ({"groups": labels}, {"groups": labels, "mask": mask}):
        on_card = call(pkpo.torch, g.cuda(), dtype=torch.float64, **{name: each.cuda() for name, each in more.items()})
        assert_close(on_card.cpu(), call(pkpo.torch, g, dtype=torch.float64, **more).numpy(), 4.0)
    for single in (rewards(256, 16), rewards(16, 8)):
        assert_close(call(pkpo.torch, single.cuda(), dtype=torch.float64).cpu(), call(pkpo, single.numpy()), 4.0)
