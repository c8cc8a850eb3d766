"""pkpo.torch.offpolicy against pkpo.offpolicy."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="pkpo.torch is NOT tested here: torch is not installed")

import torch
from torch import Tensor

import pkpo
from pkpo import offpolicy
from pkpo.torch import offpolicy as ours
from tests.pkpo.test_torch import masked, rewards
from tests.pkpo.test_torch_check import looks

CALLS: dict[str, Callable[..., Any]] = {
    "s": lambda of, g, logs, k, **more: of.exact(g, k, logs, **more),
    "sloo_minus_one": lambda of, g, logs, k, **more: of.exact(g, k, logs, name="sloo_minus_one", **more),
    "truncated": lambda of, g, logs, k, **more: of.truncated(g, k, logs, 1.2, **more),
    "first_order": lambda of, g, logs, k, **more: of.first_order(g, k, logs, name="plugin", **more),
    "ppo": lambda of, g, logs, k, **more: of.ppo(g, k, logs, 0.3, **more),
}
every = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())


@every
@pytest.mark.parametrize("n", [2, 5, 16, 40])
def test_credits_are_those_of_numpy(call: Callable[..., Any], n: int) -> None:
    g, logs = rewards(6, n) - 0.5, 2 * rewards(6, n, seed=1) - 1
    for k in sorted({1, 2, n // 2, n - 1, 1.5}):
        needed = max(2, math.ceil(k))
        holed, mask = masked(g, needed)
        for given, valid in ((g, None), (holed, mask)):
            there = None if valid is None else valid.numpy()
            for scale in pkpo.SCALES:
                numpys = call(offpolicy, given.numpy(), logs.numpy(), k, mask=there, scale=scale)
                found = call(ours, given, logs, k, mask=valid, scale=scale)
                np.testing.assert_allclose(found, numpys, rtol=1e-13, atol=1e-14 * np.abs(numpys).max())
                assert valid is None or (found[~valid] == 0).all()


@every
@pytest.mark.parametrize("scale", pkpo.SCALES)
def test_groups_by_label_are_those_of_numpy(call: Callable[..., Any], scale: Any) -> None:
    ids = torch.tensor([7, 7, 2, 9, 2, 7, 2, 9, 2, 7, 9, 2])
    g, logs = rewards(1, 12)[0] - 0.5, 2 * rewards(1, 12, seed=1)[0] - 1
    mask = torch.arange(12) != 4
    for k in (1, 2, 2.5):
        for given, valid in ((g, None), (g.masked_fill(~mask, torch.nan), mask)):
            there = None if valid is None else valid.numpy()
            numpys = call(offpolicy, given.numpy(), logs.numpy(), k, mask=there, groups=ids.tolist(), scale=scale)
            for check in (True, False):
                found = call(ours, given, logs, k, mask=valid, groups=ids, scale=scale, check=check)
                np.testing.assert_allclose(found, numpys, rtol=1e-13, atol=1e-14 * np.abs(numpys).max())
                assert valid is None or found[4] == 0


@every
def test_a_label_with_too_few_is_refused_by_its_name_or_gets_nan(call: Callable[..., Any]) -> None:
    ids, g, logs = torch.tensor([1, 1, 5, 1]), torch.tensor([0.0, 1.0, 1.0, 0.5]), torch.zeros(4)
    with pytest.raises(ValueError, match="at k=2 needs at least 2 rewards per group; group 5 has n=1"):
        call(ours, g, logs, 2, groups=ids)
    assert call(ours, g, logs, 2, groups=ids, check=False).isnan().tolist() == [False, False, True, False]
    alone = torch.tensor([3, 3, 3, 5])
    assert call(ours, g, logs, 4, groups=alone, check=False).isnan().all()
    with pytest.raises(ValueError, match="with groups rewards must be flat"):
        call(ours, g[None], logs[None], 2, groups=ids)


@every
def test_unchecked_never_looks_and_compiles_whole(call: Callable[..., Any]) -> None:
    g, logs, mask = rewards(5, 6), rewards(5, 6, seed=1), torch.arange(6) < torch.tensor([[6], [4], [2], [0], [5]])
    for valid in (None, mask):
        once = partial(call, ours, g, logs, 3, mask=valid, check=False)
        assert looks(once)["looks"] == 0
        assert looks(once) == {}
    torch.compiler.reset()

    def credits(g: Tensor, logs: Tensor) -> Any:
        return call(ours, g, logs, 3, check=False)

    compiled = torch.compile(credits, fullgraph=True, backend="eager")
    assert torch.equal(compiled(g, logs), credits(g, logs))


@pytest.mark.parametrize("name", offpolicy.NAMES)
def test_extremes_are_those_of_numpy(name: Any) -> None:
    for g, k, logs in (
        ([0.0, 1.0], 2, [190.0, -190.0]),
        ([0.0, 1.0], 2, [-800.0, -900.0]),
        ([0.0, 1e-320, 1e-300], 2, [340.0, 340.0, 339.0]),
        ([0.0, 2.0**1020, 2.0**1019], 2, [0.1, 0.2, -0.3]),
        ([-1e300, 1e-300, 1e300], 3, [130.0, -130.0, 0.0]),
    ):
        there = torch.tensor(g, dtype=torch.float64), torch.tensor(logs, dtype=torch.float64)
        numpys = offpolicy.exact(g, k, logs, name=name)
        found = ours.exact(there[0], k, there[1], name=name)
        np.testing.assert_allclose(found, numpys, rtol=1e-11, atol=0)


def test_unchecked_groups_without_credits_get_nan_and_leave_the_others_alone() -> None:
    g, logs = rewards(5, 4), rewards(5, 4, seed=1)
    g[1, 0], logs[2, 1], logs[3, 2] = math.nan, math.inf, 900.0
    mask = torch.ones(5, 4, dtype=torch.bool)
    mask[4, 2:] = False
    for name in offpolicy.NAMES:
        credits = ours.exact(g, 3, logs, name=name, mask=mask, check=False)
        assert credits.isnan().any(dim=1).tolist() == [False, True, True, True, True]
        np.testing.assert_allclose(
            credits[0], offpolicy.exact(g[0].numpy(), 3, logs[0].numpy(), name=name), rtol=1e-13, atol=1e-15
        )
        assert (credits[~mask] == 0).all()


OTHER: Any = "other"


@pytest.mark.parametrize(
    ("g", "logs", "more"),
    [
        ([0.0, 1.0], [0.0, math.nan], {}),
        ([0.0, math.nan], [0.0, 0.0], {}),
        ([0.0, 1.0], [401.0, 0.0], {}),
        ([0.0, 1.0], [0.0], {}),
        ([0.0, 1.0], [400.0, 400.0], {}),
        ([0.0, 1.0], [0.0, 0.0], {"k": 3}),
        ([0.0, 1.0], [0.0, 0.0], {"name": OTHER}),
        ([0.0, 1.0], [0.0, 0.0], {"scale": OTHER}),
    ],
)
def test_checked_refuses_what_numpy_refuses_in_its_words(g: list[float], logs: list[float], more: Any) -> None:
    asked = {"k": 2, **more}
    with pytest.raises(ValueError) as numpys:  # noqa: PT011, what it says is compared below
        offpolicy.exact(g=np.array(g), log_ratios=np.array(logs), **asked)
    with pytest.raises(ValueError) as found:  # noqa: PT011
        ours.exact(g=torch.tensor(g, dtype=torch.float64), log_ratios=torch.tensor(logs, dtype=torch.float64), **asked)
    assert str(found.value) == str(numpys.value)


def test_what_only_tensors_can_get_wrong_is_refused() -> None:
    g = rewards(4)
    anything: Any = [0.0] * 4
    for check in (True, False):
        with pytest.raises(ValueError, match="log_ratios must be a floating tensor; got list"):
            ours.exact(g, 2, anything, check=check)
        with pytest.raises(ValueError, match=r"log_ratios must be a floating tensor; got torch.int64"):
            ours.ppo(g, 2, torch.zeros(4, dtype=torch.int64), check=check)
        with pytest.raises(ValueError, match="log_ratios must be on the device of the rewards, cpu; got meta"):
            ours.exact(g, 2, g.to("meta"), check=check)
        with pytest.raises(ValueError, match="cap must be above 0"):
            ours.truncated(g, 2, g, 0.0, check=check)
        with pytest.raises(ValueError, match="clip must be in"):
            ours.ppo(g, 2, g, 1.0, check=check)
